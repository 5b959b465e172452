//! Mechanisms: one const row each, one file per family. Everything that knows which mechanisms
//! exist (C_GetMechanismList and Info, CKA_ALLOWED_MECHANISMS, the page's table, the test matrix)
//! reads these rows; there is no second list.
//!
//! To add a mechanism: a row in its family's file. To add a family: a file, a `mod` line, and a
//! line in [`FAMILIES`].

mod aes;
mod aes_modes;
mod blocks;
mod chacha20;
mod cloudhsm;
mod digest;
mod ec;
mod edwards;
mod hmac;
pub mod import;
mod joined;
mod kdf;
pub mod key;
pub mod message;
pub mod ml_dsa;
pub mod ml_kem;
mod montgomery;
pub mod operation;
pub mod params;
mod rsa;
mod rsa_aes;
mod secret;
mod seeded;
pub mod slh_dsa;
pub mod strength;
pub mod table;
mod triple_des;
pub mod weakness;

pub use key::Key;
pub use message::{Message, MessageShape};
pub use operation::{Transform, Verifier};
pub use params::{Params, Shape};

use crate::config::{Allowed, Switch};
use crate::crypto::{Direction, Secret};
use crate::error::{Error, Result};
use crate::object::{AttributeType, Object, Value};
use cryptoki_sys::*;
use once_cell::sync::Lazy;
use std::sync::Arc;

/// What a mechanism adds to an object that it makes: key material and what follows from it.
pub type Material = Vec<(AttributeType, Value)>;

pub type StartDigest = fn(Params) -> Result<Box<dyn Transform>>;
pub type StartCipher = fn(Arc<Key>, Params, Direction) -> Result<Box<dyn Transform>>;
pub type StartSign = fn(Arc<Key>, Params) -> Result<Box<dyn Transform>>;
pub type StartVerify = fn(Arc<Key>, Params) -> Result<Box<dyn Verifier>>;
/// Out of a signature that `sign` made comes the data.
pub type StartRecover = fn(Arc<Key>, Params) -> Result<Box<dyn Transform>>;
/// From the checked template: the material of a secret key.
pub type Generate = fn(Params, &Object) -> Result<Material>;
/// From the checked public and private templates: (public, private) material.
pub type GeneratePair = fn(Params, &Object, &Object) -> Result<(Material, Material)>;
pub type Wrap = fn(&Arc<Key>, Params, &[u8]) -> Result<Secret>;
pub type Unwrap = fn(&Arc<Key>, Params, &[u8]) -> Result<Secret>;
/// As [`Unwrap`], of a secret key that may have these lengths (none: any): a padding that is wrong gives a key of
/// one of them, always the same, and no error.
pub type UnwrapSilently = fn(&Arc<Key>, &[u8], &[usize]) -> Result<Secret>;
/// `length`: how many bytes the new key needs, `None` for all the mechanism yields. Further keys of
/// the same call follow the first.
pub type Derive = fn(&Arc<Key>, Params, Option<usize>) -> Result<Secret>;

/// A new shared secret for the holder of the private key: (ciphertext, secret).
pub type Encapsulate = fn(&Arc<Key>, Params) -> Result<(Vec<u8>, Secret)>;
/// From the ciphertext: the shared secret.
pub type Decapsulate = fn(&Arc<Key>, Params, &[u8]) -> Result<Secret>;

/// One mechanism. What it can do is what is `Some`; the CKF_ flags are computed from that.
pub struct Mechanism {
    /// CKM_ number and name.
    pub id: u64,
    pub name: &'static str,
    /// What its parameter looks like in C.
    pub params: Shape,
    /// CKK_ of the keys it takes or makes; empty for digests.
    pub keys: &'static [u64],
    /// Smallest and largest key: in bits for RSA and EC, in bytes for the rest (as the standard
    /// says for each mechanism; of ML-DSA, SLH-DSA and ML-KEM public keys); (0, 0) where there is none.
    pub sizes: (u64, u64),
    /// Approved by FIPS 140-3 implementation guidance (for the policy to come and for the table).
    pub approved: bool,
    pub digest: Option<StartDigest>,
    pub cipher: Option<StartCipher>,
    pub sign: Option<StartSign>,
    pub verify: Option<StartVerify>,
    /// Encrypts messages, too, each with a parameter of this shape.
    pub message: Option<MessageShape>,
    /// Signatures that hold their data, so that it need not be sent beside them (and `sign` makes them).
    pub recover: Option<StartRecover>,
    pub generate: Option<Generate>,
    pub generate_pair: Option<GeneratePair>,
    pub wrap: Option<Wrap>,
    pub unwrap: Option<Unwrap>,
    pub unwrap_silently: Option<UnwrapSilently>,
    pub derive: Option<Derive>,
    /// What comes out is a data object that is no secret.
    pub derive_data: Option<Derive>,
    pub encapsulate: Option<Encapsulate>,
    pub decapsulate: Option<Decapsulate>,
    /// The switch without which there is no such mechanism.
    pub needs: Option<Switch>,
    /// The switch without which it wraps no keys.
    pub wrap_needs: Option<Switch>,
    /// The switch without which it unwraps none.
    pub unwrap_needs: Option<Switch>,
}

/// The row that can do nothing: rows say only what they have.
pub const UNUSED: Mechanism = Mechanism {
    id: 0,
    name: "",
    params: Shape::None,
    keys: &[],
    sizes: (0, 0),
    approved: false,
    digest: None,
    cipher: None,
    sign: None,
    verify: None,
    message: None,
    recover: None,
    generate: None,
    generate_pair: None,
    wrap: None,
    unwrap: None,
    unwrap_silently: None,
    derive: None,
    derive_data: None,
    encapsulate: None,
    decapsulate: None,
    needs: None,
    wrap_needs: None,
    unwrap_needs: None,
};

/// A row: the id's name is its name, and what it can do is listed as `field: function`.
macro_rules! row {
    ($id:ident, $params:expr, $keys:expr, $sizes:expr, $approved:expr $(, $field:ident: $function:expr)+ $(,)?) => {
        $crate::mechanism::Mechanism {
            id: cryptoki_sys::$id as u64,
            name: stringify!($id),
            params: $params,
            keys: $keys,
            sizes: $sizes,
            approved: $approved,
            $($field: Some($function),)+
            ..$crate::mechanism::UNUSED
        }
    };
}
use row;

/// Every family, in the order of pkcs11-tests/reference/mechanisms.md.
pub const FAMILIES: &[(&str, &[Mechanism])] = &[
    ("RSA", rsa::PLAIN_ROWS),
    ("RSA with a hash", rsa::HASHED_ROWS),
    ("Elliptic curves", ec::ROWS),
    ("Edwards curves", edwards::ROWS),
    ("Montgomery curves", montgomery::ROWS),
    ("ML-DSA", ml_dsa::ROWS),
    ("SLH-DSA", slh_dsa::ROWS),
    ("ML-KEM", ml_kem::ROWS),
    ("AES", aes::ROWS),
    ("Further modes of AES", aes_modes::ROWS),
    ("AWS CloudHSM's numbers", cloudhsm::ROWS),
    ("ChaCha20", chacha20::ROWS),
    ("Generic secrets", secret::ROWS),
    ("HMAC", hmac::ROWS),
    ("Key derivation", kdf::ROWS),
    ("Keys joined and cut", joined::ROWS),
    ("Triple DES", triple_des::ROWS),
    ("Digests", digest::ROWS),
];

/// All rows, in table order.
pub fn all() -> impl Iterator<Item = &'static Mechanism> {
    FAMILIES.iter().flat_map(|(_, rows)| rows.iter())
}

/// Standard numbers end here; vendors' start far above.
const STANDARD: usize = 0x4200;

/// For each standard number the place of its row, plus one; the rows themselves beside it.
static PLACES: Lazy<(Vec<&'static Mechanism>, Box<[u8; STANDARD]>)> = Lazy::new(|| {
    let rows: Vec<_> = all().collect();
    let mut places = Box::new([0; STANDARD]);
    for (row, place) in rows.iter().zip(1u8..=u8::MAX) {
        if let Some(entry) = places.get_mut(row.id as usize) {
            *entry = place;
        }
    }
    (rows, places)
});

/// The row of a mechanism, or `MechanismInvalid`: one load, because every operation asks.
pub fn find(id: u64) -> Result<&'static Mechanism> {
    let (rows, places) = &*PLACES;
    match usize::try_from(id).ok().and_then(|id| places.get(id)) {
        Some(0) => Err(Error::MechanismInvalid),
        Some(place) => Ok(rows[usize::from(*place) - 1]),
        None => rows.iter().find(|row| row.id == id).copied().ok_or(Error::MechanismInvalid),
    }
}

fn on(needs: Option<Switch>, allowed: Allowed) -> bool {
    needs.is_none_or(|switch| allowed.has(switch))
}

/// Prime fields; curves by OID or name; points uncompressed, and read compressed too.
const EC_FLAGS: u64 = CKF_EC_F_P | CKF_EC_OID | CKF_EC_CURVENAME | CKF_EC_UNCOMPRESS | CKF_EC_COMPRESS;

impl Mechanism {
    /// CKF_ENCRYPT and so on, computed from what the row can do; EC flags for EC families.
    pub fn flags(&self) -> u64 {
        let can = [
            (self.digest.is_some(), CKF_DIGEST),
            (self.cipher.is_some(), CKF_ENCRYPT | CKF_DECRYPT),
            (self.sign.is_some(), CKF_SIGN),
            (self.verify.is_some(), CKF_VERIFY),
            (self.message.is_some(), CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE),
            (self.sign.is_some(), CKF_MESSAGE_SIGN | CKF_MULTI_MESSAGE),
            (self.verify.is_some(), CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE),
            (self.recover.is_some(), CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER),
            (self.generate.is_some(), CKF_GENERATE),
            (self.generate_pair.is_some(), CKF_GENERATE_KEY_PAIR),
            (self.wrap.is_some(), CKF_WRAP),
            (self.unwrap.is_some() || self.unwrap_silently.is_some(), CKF_UNWRAP),
            (self.derive.or(self.derive_data).is_some(), CKF_DERIVE),
            (self.encapsulate.is_some(), CKF_ENCAPSULATE),
            (self.decapsulate.is_some(), CKF_DECAPSULATE),
            (self.keys.contains(&CKK_EC), EC_FLAGS),
            (self.keys.contains(&CKK_EC_EDWARDS), CKF_EC_OID | CKF_EC_CURVENAME),
            (self.keys.contains(&CKK_EC_MONTGOMERY), CKF_EC_OID | CKF_EC_CURVENAME),
        ];
        can.iter().filter(|(can, _)| *can).fold(0, |flags, (_, flag)| flags | *flag)
    }

    /// The same of a token with these switches; 0: it has no such mechanism.
    pub fn flags_where(&self, allowed: Allowed) -> u64 {
        if !on(self.needs, allowed) {
            return 0;
        }
        let off = |needs, flag| if on(needs, allowed) { 0 } else { flag };
        self.flags() & !off(self.wrap_needs, CKF_WRAP) & !off(self.unwrap_needs, CKF_UNWRAP)
    }

    /// `MechanismInvalid` where it needs a switch for what a CKF_ flag says, and that is off.
    pub fn check_on(&self, allowed: Allowed, flag: u64) -> Result<()> {
        let of_flag = match flag {
            CKF_WRAP => self.wrap_needs,
            CKF_UNWRAP => self.unwrap_needs,
            _ => None,
        };
        match [self.needs, of_flag].into_iter().find(|needs| !on(*needs, allowed)).flatten() {
            None => Ok(()),
            Some(switch) => Err(Error::MechanismInvalid.because(format_args!(
                "{} needs `{} = true` in [slot.allow], which lets {}",
                self.name,
                switch.name(),
                switch.attack(),
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
