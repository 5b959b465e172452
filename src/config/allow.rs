//! The switches of `[slot.allow]`: each loosens one rule against a known attack, for programs that cannot do
//! without. All are off by default.
//!
//! To add one: a row here, and a look at it where the rule is: `token/policy/attacks.rs`, or the row of a
//! mechanism that it turns on.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

macro_rules! switches {
    ($($switch:ident = $name:literal: $lets:literal, $attack:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Switch { $(#[doc = $lets] $switch,)* }

        impl Switch {
            pub const ALL: &[Switch] = &[$(Switch::$switch,)*];

            /// As the configuration says it.
            pub const fn name(self) -> &'static str {
                match self { $(Switch::$switch => $name,)* }
            }

            /// What it lets happen: the end of a sentence.
            pub const fn lets(self) -> &'static str {
                match self { $(Switch::$switch => $lets,)* }
            }

            /// The attack that is possible then.
            pub const fn attack(self) -> &'static str {
                match self { $(Switch::$switch => $attack,)* }
            }
        }
    };
}

switches! {
    WrapAndDecrypt = "wrap_and_decrypt":
        "a key that wraps or unwraps keys may encrypt and decrypt data too, and get such a use later",
        "what it wrapped is decrypted with it";
    WrapStronger = "wrap_stronger":
        "a key may be wrapped under a weaker one (SP 800-57)",
        "the weaker key is broken first";
    UnauthenticatedWrap = "unauthenticated_wrap":
        "keys may be wrapped and unwrapped by CBC, CBC with padding and RSA PKCS#1 v1.5",
        "padding oracles, and keys made of random or spliced bytes";
    CallerNonceWrap = "caller_nonce_wrap":
        "keys may be wrapped by AES-GCM and AES-CCM under a nonce of the caller's",
        "two keys under one nonce tell each other";
    ForeignWrappingKeys = "foreign_wrapping_keys":
        "sensitive keys may be wrapped under public keys and keys from outside that no officer trusts",
        "the key that wraps is the attacker's own";
    WrapWrappingKeys = "wrap_wrapping_keys":
        "keys that wrap or unwrap may be wrapped under keys that no officer trusts",
        "one comes back as a key that decrypts";
    Loosening = "loosening":
        "an unwrapped or derived key may be less protected than the key it comes from",
        "a sensitive key comes back as one that can be read";
    WeakRsaKeys = "weak_rsa_keys":
        "RSA keys with a small exponent, with ROCA's pattern or with primes close together are taken",
        "they are factored or inverted outside";
    JoinedKeys = "joined_keys":
        "keys may be derived by joining, XOR and cutting (CKM_CONCATENATE_…, CKM_XOR_BASE_AND_DATA, CKM_EXTRACT_KEY_FROM_KEY)",
        "a key is read piece by piece";
    TripleDes = "triple_des":
        "triple DES keys and mechanisms are there",
        "64-bit blocks collide after 32 GiB";
}

/// The switches that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed(u32);

impl Allowed {
    pub const fn and(self, switch: Switch) -> Allowed {
        Allowed(self.0 | 1 << switch as u32)
    }

    pub const fn has(self, switch: Switch) -> bool {
        self.0 >> switch as u32 & 1 == 1
    }

    pub fn switches(self) -> impl Iterator<Item = Switch> {
        Switch::ALL.iter().copied().filter(move |switch| self.has(*switch))
    }

    /// The names with blanks between; empty: everything is strict.
    pub fn names(self) -> String {
        self.switches().map(Switch::name).collect::<Vec<_>>().join(" ")
    }
}

/// `[slot.allow]` as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct FileAllow(BTreeMap<String, bool>);

impl FileAllow {
    pub fn checked(self) -> Result<Allowed> {
        self.0.into_iter().try_fold(Allowed::default(), |allowed, (name, on)| {
            let switch = Switch::ALL.iter().find(|switch| switch.name() == name).ok_or_else(|| {
                let known: Vec<_> = Switch::ALL.iter().map(|switch| switch.name()).collect();
                let known = known.join(", ");
                Error::ArgumentsBad.because(format_args!("allow: there is no {name:?}; there are {known}"))
            })?;
            Ok(if on { allowed.and(*switch) } else { allowed })
        })
    }
}
