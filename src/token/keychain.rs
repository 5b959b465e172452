//! The chain of keys from a password to a user's objects, and the officers' way to reset.
//!
//! password --Argon2id--> p; KEK = HKDF(p, token secret); U under KEK; data keys under U, and as HPKE
//! ciphertexts to others' public keys where an object is shared or was given away. With reset
//! policy `keeps`, U of a user (not of an officer) also lies under the token's reset key R, and R in an HPKE
//! ciphertext to each officer; with `quorum` under a key of the user's own, of which each officer has a share.

use crate::config::KdfCost;
use crate::crypto::aes::GcmKey;
use crate::crypto::{Secret, argon2id, derive, hpke, random};
use crate::error::{Error, Result};
use crate::store::Id;

const NONCE: usize = 12;
const TAG: usize = 16;
const RESET: &[u8] = b"strongroom reset key";
const RESET_SHARE: &[u8] = b"strongroom share of a reset key";
const SHARED: &[u8] = b"strongroom shared data key";
const FOR_RESET: &[u8] = b"strongroom user keys for reset";
/// Bytes of a data key under U: what is longer is an HPKE ciphertext.
const OWN: usize = NONCE + 32 + TAG;
/// Bytes of a user's keys under a reset key, as above.
const UNDER_RESET: usize = NONCE + 64 + TAG;

/// A key under another: nonce, ciphertext, tag; `purpose` is bound to it.
pub fn wrap(key: &Secret, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut wrapped = vec![0; NONCE + plain.len() + TAG];
    let (nonce, sealed) = wrapped.split_at_mut(NONCE);
    random::fill(nonce)?;
    GcmKey::new(key)?.seal(nonce, purpose, TAG, plain, sealed)?;
    Ok(wrapped)
}

/// The reverse, or `EncryptedDataInvalid`.
pub fn unwrap(key: &Secret, purpose: &[u8], wrapped: &[u8]) -> Result<Secret> {
    let (nonce, sealed) = wrapped.split_at_checked(NONCE).ok_or(Error::EncryptedDataInvalid)?;
    let length = sealed.len().checked_sub(TAG).ok_or(Error::EncryptedDataInvalid)?;
    let mut plain = Secret::zeroed(length);
    GcmKey::new(key)?.open(nonce, purpose, TAG, sealed, &mut plain)?;
    Ok(plain)
}

/// What a wrapped data key is bound to.
fn data_key_purpose(object: Id, holder: Id) -> Vec<u8> {
    [&b"data key"[..], &object.0, &holder.0].concat()
}

/// The data key of an object for another, who has this public key.
pub fn give_data_key(public: &[u8; 32], object: Id, holder: Id, data_key: &Secret) -> Result<Vec<u8>> {
    hpke::seal(public, SHARED, &data_key_purpose(object, holder), data_key)
}

/// A share of a user's reset key for an officer, or for the one who asked for a reset; bound to
/// `purpose`.
pub fn give_reset_share(officer: &[u8; 32], purpose: &[u8], share: &Secret) -> Result<Vec<u8>> {
    hpke::seal(officer, RESET_SHARE, purpose, share)
}

/// A reset key's own key pair.
fn reset_pair(reset: &Secret) -> (Secret, [u8; 32]) {
    hpke::key_pair_of(&derive::hkdf_sha256(b"", reset, b"strongroom reset key pair", 32))
}

/// The public half of a reset key: a user who has no reset key wraps his keys for it.
pub fn reset_public(reset: &Secret) -> [u8; 32] {
    reset_pair(reset).1
}

/// How a password was stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub salt: [u8; 16],
    pub memory_kib: u32,
    pub passes: u32,
}

impl Stretch {
    pub fn fresh(cost: KdfCost) -> Result<Stretch> {
        let mut salt = [0; 16];
        random::fill(&mut salt)?;
        Ok(Stretch { salt, memory_kib: cost.memory_kib, passes: cost.passes })
    }

    /// KEK(user): slow, by design. `pepper` is the token's own secret.
    pub fn kek(&self, password: &[u8], pepper: &Secret) -> Result<Secret> {
        let stretched = argon2id::derive(password, &self.salt, self.memory_kib, self.passes)?;
        Ok(derive::hkdf_sha256(pepper, &stretched, b"strongroom user key encryption", 32))
    }
}

/// The secrets of a user.
#[derive(Clone)]
pub struct UserKeys {
    /// U: wraps the data keys of what the user owns.
    pub own: Secret,
    /// X25519: opens what others give to this user.
    pub private: Secret,
    pub public: [u8; 32],
}

impl UserKeys {
    pub fn random() -> Result<UserKeys> {
        let (private, public) = hpke::key_pair()?;
        Ok(UserKeys { own: Secret::random(32)?, private, public })
    }

    /// Both secrets in one wrapping under the KEK.
    pub fn wrap(&self, kek: &Secret) -> Result<Vec<u8>> {
        let both = Secret::from([&self.own[..], &self.private].concat());
        wrap(kek, b"user keys", &both)
    }

    pub fn unwrap(kek: &Secret, wrapped: &[u8], public: [u8; 32]) -> Result<UserKeys> {
        Self::from_both(&unwrap(kek, b"user keys", wrapped)?, public)
    }

    fn from_both(both: &Secret, public: [u8; 32]) -> Result<UserKeys> {
        let (own, private) = both.split_at_checked(32).ok_or(Error::EncryptedDataInvalid)?;
        Ok(UserKeys { own: own.into(), private: private.into(), public })
    }

    /// The data key of an object for its user himself.
    pub fn wrap_data_key(&self, object: Id, holder: Id, data_key: &Secret) -> Result<Vec<u8>> {
        wrap(&self.own, &data_key_purpose(object, holder), data_key)
    }

    /// The data key of an object, wrapped by the user himself or given by another.
    pub fn open_data_key(&self, object: Id, holder: Id, wrapped: &[u8]) -> Result<Secret> {
        let purpose = data_key_purpose(object, holder);
        if wrapped.len() == OWN {
            unwrap(&self.own, &purpose, wrapped)
        } else {
            hpke::open(&self.private, SHARED, &purpose, wrapped)
        }
    }

    /// Both secrets under the reset key.
    pub fn wrap_for_reset(&self, reset: &Secret) -> Result<Vec<u8>> {
        let both = Secret::from([&self.own[..], &self.private].concat());
        wrap(reset, b"user keys for reset", &both)
    }

    /// Both secrets for the reset key, by one who has its public half only.
    pub fn give_for_reset(&self, reset: &[u8; 32]) -> Result<Vec<u8>> {
        let both = Secret::from([&self.own[..], &self.private].concat());
        hpke::seal(reset, FOR_RESET, &self.public, &both)
    }

    /// What either of them made.
    pub fn unwrap_for_reset(reset: &Secret, wrapped: &[u8], public: [u8; 32]) -> Result<UserKeys> {
        let both = if wrapped.len() == UNDER_RESET {
            unwrap(reset, b"user keys for reset", wrapped)
        } else {
            hpke::open(&reset_pair(reset).0, FOR_RESET, &public, wrapped)
        };
        Self::from_both(&both?, public)
    }

    /// The reset key for an officer.
    pub fn give_reset_key(officer: &[u8; 32], reset: &Secret) -> Result<Vec<u8>> {
        hpke::seal(officer, RESET, b"", reset)
    }

    pub fn take_reset_share(&self, purpose: &[u8], sealed: &[u8]) -> Result<Secret> {
        hpke::open(&self.private, RESET_SHARE, purpose, sealed)
    }

    pub fn take_reset_key(&self, sealed: &[u8]) -> Result<Secret> {
        hpke::open(&self.private, RESET, b"", sealed)
    }
}
