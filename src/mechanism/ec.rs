//! Short Weierstrass curves (PKCS#11 3.2 §6.3): P-224, P-256, P-384, P-521 and
//! secp256k1; ECDH of X25519 too.

use super::import::{ec_private_material, pair, point_octets};
use super::operation::{HashThen, HashThenVerify, Whole, WholeVerify};
use super::{Key, Material, Mechanism, Params, Shape, Transform, Verifier, key, montgomery, row};
use crate::crypto::{Hash, Secret, derive, ec};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_EC];
const SIZES: (u64, u64) = (224, 521);
/// What ECDH agrees with.
const AGREEING: &[u64] = &[CKK_EC, CKK_EC_MONTGOMERY];

fn generate_pair(_: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    let curve = key::curve(public)?;
    Ok(pair(public, ec_private_material(curve, &ec::PrivateKey::generate(curve)?)?))
}

fn signature_length(key: &Key) -> Result<usize> {
    Ok(2 * key.curve()?.field_length())
}

fn sign_raw(key: Arc<Key>, _: Params) -> Result<Box<dyn Transform>> {
    let length = signature_length(&key)?;
    key.ec_private()?;
    Ok(Box::new(Whole::new(
        move |_| length,
        move |data, out| {
            key.ec_private()?.sign(data, &mut out[..length])?;
            Ok(length)
        },
    )))
}

/// `signature` is r || s; both may lack as many leading zeros as the longer has (PKCS#11 3.2 §6.3.1):
/// Java gives them so, every fourth time on P-521.
fn verify(key: &Key, digest: &[u8], signature: &[u8]) -> Result<()> {
    let (length, public) = (signature_length(key)?, key.ec_public()?);
    let (r, s) = signature.split_at(signature.len() / 2);
    if r.len() != s.len() || s.is_empty() || signature.len() > length {
        return Err(Error::SignatureLenRange);
    }
    let mut whole = vec![0; length];
    whole[length / 2 - r.len()..length / 2].copy_from_slice(r);
    whole[length - s.len()..].copy_from_slice(s);
    public.verify(digest, &whole)
}

fn verify_raw(key: Arc<Key>, _: Params) -> Result<Box<dyn Verifier>> {
    key.ec_public()?;
    Ok(Box::new(WholeVerify::new(move |data, signature| verify(&key, data, signature))))
}

fn sign_hashed(key: Arc<Key>, hash: Hash) -> Result<Box<dyn Transform>> {
    let length = signature_length(&key)?;
    key.ec_private()?;
    Ok(Box::new(HashThen::new(hash, length, move |digest, out| key.ec_private()?.sign(digest, out))))
}

fn verify_hashed(key: Arc<Key>, hash: Hash) -> Result<Box<dyn Verifier>> {
    key.ec_public()?;
    Ok(Box::new(HashThenVerify::new(hash, move |digest, signature| verify(&key, digest, signature))))
}

/// ECDH (the Weierstrass curves have cofactor 1, and X25519 clears its own: both forms are one). With CKD_NULL a shorter key
/// loses bytes at the leading end, as the standard says; a KDF makes exactly what is asked for.
fn agree(key: &Arc<Key>, params: Params, length: Option<usize>) -> Result<Secret> {
    let Params::Ecdh { kdf, shared, public } = params else { return Err(Error::MechanismParamInvalid) };
    let secret = if key.key_type() == Some(CKK_EC_MONTGOMERY) {
        montgomery::agree(key, &public)
    } else {
        let point = point_octets(key.curve()?, &public).map_err(|_| Error::MechanismParamInvalid)?;
        key.ec_private()?.agree(point)
    };
    let secret = secret.map_err(|error| match error {
        Error::PublicKeyInvalid => Error::MechanismParamInvalid,
        other => other,
    })?;
    match kdf {
        Some(hash) => Ok(derive::x963(hash, &secret, &shared, length.unwrap_or(hash.length()))),
        None if !shared.is_empty() => Err(Error::MechanismParamInvalid),
        None => {
            let cut = secret.len().checked_sub(length.unwrap_or(secret.len())).ok_or(Error::KeySizeRange)?;
            Ok(Secret::from(&secret[cut..]))
        }
    }
}

macro_rules! hashed {
    ($id:ident, $hash:ident, $approved:expr) => {
        row!($id, Shape::None, KEYS, SIZES, $approved,
            sign: |key, _| sign_hashed(key, Hash::$hash),
            verify: |key, _| verify_hashed(key, Hash::$hash))
    };
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_EC_KEY_PAIR_GEN, Shape::None, KEYS, SIZES, true, generate_pair: generate_pair),
    row!(CKM_ECDSA, Shape::None, KEYS, SIZES, true, sign: sign_raw, verify: verify_raw),
    hashed!(CKM_ECDSA_SHA1, Sha1, false),
    hashed!(CKM_ECDSA_SHA224, Sha224, true),
    hashed!(CKM_ECDSA_SHA256, Sha256, true),
    hashed!(CKM_ECDSA_SHA384, Sha384, true),
    hashed!(CKM_ECDSA_SHA512, Sha512, true),
    hashed!(CKM_ECDSA_SHA3_224, Sha3_224, true),
    hashed!(CKM_ECDSA_SHA3_256, Sha3_256, true),
    hashed!(CKM_ECDSA_SHA3_384, Sha3_384, true),
    hashed!(CKM_ECDSA_SHA3_512, Sha3_512, true),
    row!(CKM_ECDH1_DERIVE, Shape::Ecdh, AGREEING, SIZES, true, derive: agree),
    row!(CKM_ECDH1_COFACTOR_DERIVE, Shape::Ecdh, AGREEING, SIZES, true, derive: agree),
];
