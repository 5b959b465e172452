//! ML-KEM (PKCS#11 3.2 §6.68, FIPS 203): a shared secret for who has the private key, by
//! C_EncapsulateKey and C_DecapsulateKey.

use super::seeded::{self, Seeded};
use super::{Material, Mechanism, Params, Shape, row};
use crate::crypto::Secret;
use crate::crypto::ml_kem::{PrivateKey, PublicKey, SEED, Set};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;

const KEYS: &[u64] = &[CKK_ML_KEM];
/// Of public keys, in bytes, as the standard wants.
const SIZES: (u64, u64) = (800, 1568);

/// `TemplateIncomplete` without one, `ParameterSetNotSupported` for another one.
pub(super) fn parameter_set(object: &Object) -> Result<Set> {
    match object.number(CKA_PARAMETER_SET).ok_or(Error::TemplateIncomplete)? {
        CKP_ML_KEM_512 => Ok(Set::MlKem512),
        CKP_ML_KEM_768 => Ok(Set::MlKem768),
        CKP_ML_KEM_1024 => Ok(Set::MlKem1024),
        _ => Err(Error::ParameterSetNotSupported),
    }
}

/// CKA_PARAMETER_SET.
pub fn number(set: Set) -> u64 {
    match set {
        Set::MlKem512 => CKP_ML_KEM_512,
        Set::MlKem768 => CKP_ML_KEM_768,
        Set::MlKem1024 => CKP_ML_KEM_1024,
    }
}

impl Seeded for PrivateKey {
    type Set = Set;
    fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        PrivateKey::from_seed(set, seed)
    }
    fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        PrivateKey::from_expanded(set, expanded)
    }
    fn expanded(&self) -> Result<Secret> {
        self.expanded()
    }
    fn public(&self) -> Result<Vec<u8>> {
        self.public()
    }
    fn set(&self) -> (u64, &'static [u8]) {
        (number(self.set()), self.set().oid_der())
    }
}

/// What an imported key's template says.
pub(super) fn examine(object: &Object) -> Result<Material> {
    let set = parameter_set(object)?;
    if object.class() == CKO_PUBLIC_KEY {
        let public = object.bytes(CKA_VALUE);
        PublicKey::new(set, public)?;
        return Ok(seeded::public_material(set.oid_der(), public.to_vec()));
    }
    seeded::private_key::<PrivateKey>(set, seeded::parts(object))
}

fn generate_pair(_: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    seeded::generate_pair::<PrivateKey>(parameter_set(public)?, SEED)
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_ML_KEM_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    row!(CKM_ML_KEM, Shape::None, KEYS, SIZES, true,
        encapsulate: |key, _| key.ml_kem_public()?.encapsulate(),
        decapsulate: |key, _, ciphertext| key.ml_kem_private()?.decapsulate(ciphertext)),
];
