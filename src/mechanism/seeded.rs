//! Keys of a parameter set that a seed makes (ML-DSA, ML-KEM): what their objects hold, and what an
//! import must show: seed, expanded key and public key, as far as they are given, are one key.

use super::Material;
use crate::crypto::Secret;
use crate::crypto::pkcs8::{self, SeedAndValue};
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use cryptoki_sys::*;

/// A private key of such a kind.
pub(super) trait Seeded: Sized {
    type Set: Copy;
    fn from_seed(set: Self::Set, seed: &[u8]) -> Result<Self>;
    fn from_expanded(set: Self::Set, expanded: &[u8]) -> Result<Self>;
    fn expanded(&self) -> Result<Secret>;
    fn public(&self) -> Result<Vec<u8>>;
    /// CKA_PARAMETER_SET and OID of its set.
    fn set(&self) -> (u64, &'static [u8]);
}

pub(super) fn public_material(oid: &[u8], public: Vec<u8>) -> Material {
    let info = pkcs8::public_info(&[oid], &public);
    vec![(CKA_PUBLIC_KEY_INFO, Value::Bytes(info)), (CKA_VALUE, Value::Bytes(public))]
}

pub(super) fn private_material(
    (number, oid): (u64, &[u8]),
    value: Secret,
    public: &[u8],
    seed: Option<Secret>,
) -> Material {
    let mut material = vec![
        (CKA_PARAMETER_SET, Value::Ulong(number)),
        (CKA_VALUE, Value::Secret(value)),
        (CKA_PUBLIC_KEY_INFO, Value::Bytes(pkcs8::public_info(&[oid], public))),
    ];
    material.extend(seed.map(|seed| (CKA_SEED, Value::Secret(seed))));
    material
}

/// What an object holds of a private key.
pub(super) fn parts(object: &Object) -> SeedAndValue {
    SeedAndValue::of(object.bytes(CKA_SEED), object.bytes(CKA_VALUE))
}

/// A private key from its parts: `TemplateIncomplete` for neither seed nor value,
/// `AttributeValueInvalid` for what does not belong together.
pub(super) fn private_key<K: Seeded>(set: K::Set, parts: SeedAndValue) -> Result<Material> {
    let key = match (&parts.seed, &parts.value) {
        (Some(seed), _) => K::from_seed(set, seed)?,
        (None, Some(value)) => K::from_expanded(set, value)?,
        (None, None) => return Err(Error::TemplateIncomplete),
    };
    let (value, public) = (key.expanded()?, key.public()?);
    if parts.value.is_some_and(|given| given != value)
        || parts.public.as_ref().is_some_and(|given| *given != public)
    {
        return Err(Error::AttributeValueInvalid);
    }
    Ok(private_material(key.set(), value, &public, parts.seed))
}

/// A new pair from a random seed of `length` bytes: (public, private).
pub(super) fn generate_pair<K: Seeded>(set: K::Set, length: usize) -> Result<(Material, Material)> {
    let seed = Secret::random(length)?;
    let key = K::from_seed(set, &seed)?;
    let public = key.public()?;
    let private = private_material(key.set(), key.expanded()?, &public, Some(seed));
    Ok((public_material(key.set().1, public), private))
}
