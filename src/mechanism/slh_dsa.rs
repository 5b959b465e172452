//! SLH-DSA and HashSLH-DSA (PKCS#11 3.2 §6.69, FIPS 205): pure, over a digest made before, and hashing
//! first; with a context, hedged unless the caller wants it deterministic.

use super::ml_dsa::{choices, named};
use super::operation::{Whole, WholeVerify};
use super::{Key, Material, Mechanism, Params, Shape, Transform, Verifier, row, seeded};
use crate::crypto::Hash;
use crate::crypto::prehash::{PreHash, PreHasher};
use crate::crypto::slh_dsa::{self, PrivateKey, PublicKey, Set};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_SLH_DSA];
/// Of public keys, in bytes, as the standard wants.
const SIZES: (u64, u64) = (32, 64);

/// `TemplateIncomplete` without one, `ParameterSetNotSupported` for another one.
pub(super) fn parameter_set(object: &Object) -> Result<Set> {
    let wanted = object.number(CKA_PARAMETER_SET).ok_or(Error::TemplateIncomplete)?;
    Set::ALL.into_iter().find(|set| number(*set) == wanted).ok_or(Error::ParameterSetNotSupported)
}

/// CKA_PARAMETER_SET.
pub fn number(set: Set) -> u64 {
    match set {
        Set::Sha2_128s => CKP_SLH_DSA_SHA2_128S,
        Set::Sha2_128f => CKP_SLH_DSA_SHA2_128F,
        Set::Sha2_192s => CKP_SLH_DSA_SHA2_192S,
        Set::Sha2_192f => CKP_SLH_DSA_SHA2_192F,
        Set::Sha2_256s => CKP_SLH_DSA_SHA2_256S,
        Set::Sha2_256f => CKP_SLH_DSA_SHA2_256F,
        Set::Shake128s => CKP_SLH_DSA_SHAKE_128S,
        Set::Shake128f => CKP_SLH_DSA_SHAKE_128F,
        Set::Shake192s => CKP_SLH_DSA_SHAKE_192S,
        Set::Shake192f => CKP_SLH_DSA_SHAKE_192F,
        Set::Shake256s => CKP_SLH_DSA_SHAKE_256S,
        Set::Shake256f => CKP_SLH_DSA_SHAKE_256F,
    }
}

/// What an object holds of a private key.
pub(super) fn private_material(key: &PrivateKey) -> Material {
    let (set, value) = (key.set(), key.bytes().clone());
    seeded::private_material((number(set), &set.oid_der()), value, key.public(), None)
}

/// What an imported key's template says.
pub(super) fn examine(object: &Object) -> Result<Material> {
    let (set, value) = (parameter_set(object)?, object.bytes(CKA_VALUE));
    if object.class() == CKO_PUBLIC_KEY {
        PublicKey::new(set, value)?;
        return Ok(seeded::public_material(&set.oid_der(), value.to_vec()));
    }
    if value.is_empty() {
        return Err(Error::TemplateIncomplete);
    }
    PrivateKey::new(set, value).map(|key| private_material(&key))
}

fn generate_pair(_: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    let key = PrivateKey::generate(parameter_set(public)?)?;
    let half = seeded::public_material(&key.set().oid_der(), key.public().to_vec());
    Ok((half, private_material(&key)))
}

/// What is signed is `before`, then the data, which are a message or (of this length) its digest.
fn sign_whole(
    key: Arc<Key>,
    before: Vec<u8>,
    deterministic: bool,
    digest: Option<usize>,
) -> Result<Box<dyn Transform>> {
    let length = key.slh_dsa_private()?.set().signature_length();
    let work = move |data: &[u8], out: &mut [u8]| {
        of_length(data, digest)?;
        key.slh_dsa_private()?.sign((&before, data), deterministic, &mut out[..length])?;
        Ok(length)
    };
    Ok(Box::new(Whole::new(move |_| length, work)))
}

fn verify_whole(key: Arc<Key>, before: Vec<u8>, digest: Option<usize>) -> Result<Box<dyn Verifier>> {
    key.slh_dsa_public()?;
    Ok(Box::new(WholeVerify::new(move |data, signature| {
        of_length(data, digest)?;
        key.slh_dsa_public()?.verify((&before, data), signature)
    })))
}

fn of_length(data: &[u8], digest: Option<usize>) -> Result<()> {
    if digest.is_none_or(|length| length == data.len()) { Ok(()) } else { Err(Error::DataLenRange) }
}

fn sign(key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let (deterministic, context, _) = choices(params)?;
    sign_whole(key, slh_dsa::pure(&context)?, deterministic, None)
}

fn verify(key: Arc<Key>, params: Params) -> Result<Box<dyn Verifier>> {
    verify_whole(key, slh_dsa::pure(&choices(params)?.1)?, None)
}

/// CKM_HASH_SLH_DSA: the data are the digest.
fn sign_digest(key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let (deterministic, context, hash) = choices(params)?;
    let hash = named(hash)?;
    sign_whole(key, slh_dsa::hashed(&context, hash)?, deterministic, Some(hash.length()))
}

fn verify_digest(key: Arc<Key>, params: Params) -> Result<Box<dyn Verifier>> {
    let (_, context, hash) = choices(params)?;
    let hash = named(hash)?;
    verify_whole(key, slh_dsa::hashed(&context, hash)?, Some(hash.length()))
}

/// A message that is hashed before `then` signs or verifies the digest.
struct Hashing<T> {
    hasher: Option<PreHasher>,
    then: T,
}

impl<T> Hashing<T> {
    fn update(&mut self, data: &[u8]) {
        self.hasher.iter_mut().for_each(|hasher| hasher.update(data));
    }
    fn digest(&mut self) -> Result<Vec<u8>> {
        self.hasher.take().map(PreHasher::finish).ok_or(Error::GeneralError)
    }
}

impl Transform for Hashing<Box<dyn Transform>> {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.then.finish_length()
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let digest = self.digest()?;
        self.then.one_shot(&digest, out)
    }
}

impl Verifier for Hashing<Box<dyn Verifier>> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.update(data);
        Ok(())
    }
    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let digest = self.digest()?;
        self.then.one_shot(&digest, signature)
    }
}

fn sign_hashed(key: Arc<Key>, params: Params, hash: PreHash) -> Result<Box<dyn Transform>> {
    let (deterministic, context, _) = choices(params)?;
    let then = sign_whole(key, slh_dsa::hashed(&context, hash)?, deterministic, None)?;
    Ok(Box::new(Hashing { hasher: Some(hash.start()), then }))
}

fn verify_hashed(key: Arc<Key>, params: Params, hash: PreHash) -> Result<Box<dyn Verifier>> {
    let then = verify_whole(key, slh_dsa::hashed(&choices(params)?.1, hash)?, None)?;
    Ok(Box::new(Hashing { hasher: Some(hash.start()), then }))
}

macro_rules! hashed {
    ($id:ident, $hash:expr, $approved:expr) => {
        row!($id, Shape::SignContext, KEYS, SIZES, $approved,
            sign: |key, params| sign_hashed(key, params, $hash),
            verify: |key, params| verify_hashed(key, params, $hash))
    };
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_SLH_DSA_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    row!(CKM_SLH_DSA, Shape::SignContext, KEYS, SIZES, true, sign: sign, verify: verify),
    row!(CKM_HASH_SLH_DSA, Shape::HashSignContext, KEYS, SIZES, true, sign: sign_digest, verify: verify_digest),
    hashed!(CKM_HASH_SLH_DSA_SHA224, PreHash::Plain(Hash::Sha224), false),
    hashed!(CKM_HASH_SLH_DSA_SHA256, PreHash::Plain(Hash::Sha256), true),
    hashed!(CKM_HASH_SLH_DSA_SHA384, PreHash::Plain(Hash::Sha384), true),
    hashed!(CKM_HASH_SLH_DSA_SHA512, PreHash::Plain(Hash::Sha512), true),
    hashed!(CKM_HASH_SLH_DSA_SHA3_224, PreHash::Plain(Hash::Sha3_224), false),
    hashed!(CKM_HASH_SLH_DSA_SHA3_256, PreHash::Plain(Hash::Sha3_256), true),
    hashed!(CKM_HASH_SLH_DSA_SHA3_384, PreHash::Plain(Hash::Sha3_384), true),
    hashed!(CKM_HASH_SLH_DSA_SHA3_512, PreHash::Plain(Hash::Sha3_512), true),
    hashed!(CKM_HASH_SLH_DSA_SHAKE128, PreHash::Shake128, true),
    hashed!(CKM_HASH_SLH_DSA_SHAKE256, PreHash::Shake256, true),
];
