//! ML-DSA and HashML-DSA (PKCS#11 3.2 §6.67, FIPS 204): pure, over a digest made before, and hashing
//! first; with a context, hedged unless the caller wants it deterministic.

use super::operation::{Whole, WholeVerify};
use super::seeded::{self, Seeded};
use super::{Key, Material, Mechanism, Params, Shape, Transform, Verifier, row};
use crate::crypto::ml_dsa::{self, PrivateKey, PublicKey, Representative, SEED, Set};
use crate::crypto::prehash::{PreHash, PreHasher};
use crate::crypto::{Hash, Secret};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_ML_DSA];
/// Of public keys, in bytes, as the standard wants.
const SIZES: (u64, u64) = (1312, 2592);

/// `TemplateIncomplete` without one, `ParameterSetNotSupported` for another one.
pub(super) fn parameter_set(object: &Object) -> Result<Set> {
    match object.number(CKA_PARAMETER_SET).ok_or(Error::TemplateIncomplete)? {
        CKP_ML_DSA_44 => Ok(Set::MlDsa44),
        CKP_ML_DSA_65 => Ok(Set::MlDsa65),
        CKP_ML_DSA_87 => Ok(Set::MlDsa87),
        _ => Err(Error::ParameterSetNotSupported),
    }
}

/// CKA_PARAMETER_SET.
pub fn number(set: Set) -> u64 {
    match set {
        Set::MlDsa44 => CKP_ML_DSA_44,
        Set::MlDsa65 => CKP_ML_DSA_65,
        Set::MlDsa87 => CKP_ML_DSA_87,
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

/// What stands in the parameter: whether the signature is deterministic, the context, the hash.
pub(super) fn choices(params: Params) -> Result<(bool, Vec<u8>, Option<Hash>)> {
    match params {
        Params::None => Ok((false, Vec::new(), None)),
        Params::SignContext { deterministic, context, hash } => Ok((deterministic, context, hash)),
        _ => Err(Error::MechanismParamInvalid),
    }
}

/// A message on its way to its representative; gone when that is made.
enum Message {
    Pure(ml_dsa::Message),
    Hashed(PreHash, PreHasher),
    Gone,
}

impl Message {
    fn update(&mut self, data: &[u8]) {
        match self {
            Message::Pure(message) => message.update(data),
            Message::Hashed(_, hasher) => hasher.update(data),
            Message::Gone => {}
        }
    }

    /// `of_digest` makes the representative out of a digest.
    fn finish(
        &mut self,
        of_digest: impl FnOnce(PreHash, &[u8]) -> Result<Representative>,
    ) -> Result<Representative> {
        match std::mem::replace(self, Message::Gone) {
            Message::Pure(message) => Ok(message.finish()),
            Message::Hashed(hash, hasher) => of_digest(hash, &hasher.finish()),
            Message::Gone => Err(Error::GeneralError),
        }
    }
}

struct Signing {
    key: Arc<Key>,
    message: Message,
    context: Vec<u8>,
    deterministic: bool,
    length: usize,
}

impl Transform for Signing {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.message.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let key = self.key.ml_dsa_private()?;
        let what = self.message.finish(|hash, digest| key.of_digest(&self.context, hash, digest))?;
        key.sign(&what, self.deterministic, &mut out[..self.length])?;
        Ok(self.length)
    }
}

/// `hash`: the message is hashed first.
fn sign(key: Arc<Key>, params: Params, hash: Option<PreHash>) -> Result<Box<dyn Transform>> {
    let (deterministic, context, _) = choices(params)?;
    let private = key.ml_dsa_private()?;
    let pure = private.message(&context)?;
    let message = hash.map_or(Message::Pure(pure), |hash| Message::Hashed(hash, hash.start()));
    let length = private.set().signature_length();
    Ok(Box::new(Signing { key, message, context, deterministic, length }))
}

struct Verification {
    key: Arc<Key>,
    message: Message,
    context: Vec<u8>,
}

impl Verifier for Verification {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.message.update(data);
        Ok(())
    }
    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let key = self.key.ml_dsa_public()?;
        let what = self.message.finish(|hash, digest| key.of_digest(&self.context, hash, digest))?;
        key.verify(&what, signature)
    }
}

fn verify(key: Arc<Key>, params: Params, hash: Option<PreHash>) -> Result<Box<dyn Verifier>> {
    let (_, context, _) = choices(params)?;
    let pure = key.ml_dsa_public()?.message(&context)?;
    let message = hash.map_or(Message::Pure(pure), |hash| Message::Hashed(hash, hash.start()));
    Ok(Box::new(Verification { key, message, context }))
}

/// The hash that a parameter names, which must be there.
pub(super) fn named(hash: Option<Hash>) -> Result<PreHash> {
    hash.map(PreHash::Plain).ok_or(Error::MechanismParamInvalid)
}

/// CKM_HASH_ML_DSA: the data are the digest.
fn sign_digest(key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let (deterministic, context, hash) = choices(params)?;
    let (hash, private) = (named(hash)?, key.ml_dsa_private()?);
    private.message(&context)?;
    let length = private.set().signature_length();
    let work = move |digest: &[u8], out: &mut [u8]| {
        if digest.len() != hash.length() {
            return Err(Error::DataLenRange);
        }
        let key = key.ml_dsa_private()?;
        key.sign(&key.of_digest(&context, hash, digest)?, deterministic, &mut out[..length])?;
        Ok(length)
    };
    Ok(Box::new(Whole::new(move |_| length, work)))
}

fn verify_digest(key: Arc<Key>, params: Params) -> Result<Box<dyn Verifier>> {
    let (_, context, hash) = choices(params)?;
    let hash = named(hash)?;
    key.ml_dsa_public()?.message(&context)?;
    Ok(Box::new(WholeVerify::new(move |digest, signature| {
        if digest.len() != hash.length() {
            return Err(Error::DataLenRange);
        }
        let key = key.ml_dsa_public()?;
        key.verify(&key.of_digest(&context, hash, digest)?, signature)
    })))
}

macro_rules! hashed {
    ($id:ident, $hash:expr, $approved:expr) => {
        row!($id, Shape::SignContext, KEYS, SIZES, $approved,
            sign: |key, params| sign(key, params, Some($hash)),
            verify: |key, params| verify(key, params, Some($hash)))
    };
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_ML_DSA_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    row!(CKM_ML_DSA, Shape::SignContext, KEYS, SIZES, true,
        sign: |key, params| sign(key, params, None),
        verify: |key, params| verify(key, params, None)),
    row!(CKM_HASH_ML_DSA, Shape::HashSignContext, KEYS, SIZES, true, sign: sign_digest, verify: verify_digest),
    hashed!(CKM_HASH_ML_DSA_SHA224, PreHash::Plain(Hash::Sha224), false),
    hashed!(CKM_HASH_ML_DSA_SHA256, PreHash::Plain(Hash::Sha256), true),
    hashed!(CKM_HASH_ML_DSA_SHA384, PreHash::Plain(Hash::Sha384), true),
    hashed!(CKM_HASH_ML_DSA_SHA512, PreHash::Plain(Hash::Sha512), true),
    hashed!(CKM_HASH_ML_DSA_SHA3_224, PreHash::Plain(Hash::Sha3_224), false),
    hashed!(CKM_HASH_ML_DSA_SHA3_256, PreHash::Plain(Hash::Sha3_256), true),
    hashed!(CKM_HASH_ML_DSA_SHA3_384, PreHash::Plain(Hash::Sha3_384), true),
    hashed!(CKM_HASH_ML_DSA_SHA3_512, PreHash::Plain(Hash::Sha3_512), true),
    hashed!(CKM_HASH_ML_DSA_SHAKE128, PreHash::Shake128, true),
    hashed!(CKM_HASH_ML_DSA_SHAKE256, PreHash::Shake256, true),
];
