//! RSA (PKCS#11 3.2 §6.1). Keys are generated from 2048 bits; imported ones are used from 1024, for
//! what old signatures and archives need.

use super::import::{rsa_private_material, rsa_public_material};
use super::key::digits;
use super::operation::{HashThen, HashThenVerify, Whole, WholeVerify, run};
use super::{Key, Material, Mechanism, Params, Shape, Transform, Verifier, row, rsa_aes};
use crate::config::Switch;
use crate::crypto::{Direction, Hash, Secret, rsa};
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_RSA];
const MADE: (u64, u64) = (2048, 8192);
const USED: (u64, u64) = (1024, 8192);

fn generate_pair(_: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    let bits = public.number(CKA_MODULUS_BITS).ok_or(Error::TemplateIncomplete)?;
    if !(MADE.0..=MADE.1).contains(&bits) || bits % 8 != 0 {
        return Err(Error::KeySizeRange);
    }
    let given = public.bytes(CKA_PUBLIC_EXPONENT);
    let exponent = if given.is_empty() { &[1, 0, 1] } else { digits(given) };
    let odd = exponent.last().is_some_and(|b| b & 1 == 1) && exponent != [1];
    if !odd || exponent.len() > 4 {
        return Err(Error::AttributeValueInvalid);
    }
    let parts = rsa::PrivateKey::generate(bits as usize, exponent)?;
    Ok((rsa_public_material(&parts.public), rsa_private_material(parts)))
}

/// A private operation that gives one block: sign or raw.
fn private_block(
    key: Arc<Key>,
    work: impl Fn(&rsa::PrivateKey, &[u8], &mut [u8]) -> Result<()> + Send + 'static,
) -> Result<Box<dyn Transform>> {
    let length = key.rsa_private()?.length();
    Ok(Box::new(Whole::new(
        move |_| length,
        move |data, out| {
            work(key.rsa_private()?, data, &mut out[..length])?;
            Ok(length)
        },
    )))
}

/// A public operation that gives one block: encrypt.
fn public_block(
    key: Arc<Key>,
    work: impl Fn(&rsa::PublicKey, &[u8], &mut [u8]) -> Result<()> + Send + 'static,
) -> Result<Box<dyn Transform>> {
    let length = key.rsa_public()?.length();
    Ok(Box::new(Whole::new(
        move |_| length,
        move |data, out| {
            work(key.rsa_public()?, data, &mut out[..length])?;
            Ok(length)
        },
    )))
}

/// A decryption, whose output is `spare` bytes shorter than a block at least.
fn decryption(
    key: Arc<Key>,
    spare: usize,
    work: impl Fn(&rsa::PrivateKey, &[u8]) -> Result<Secret> + Send + 'static,
) -> Result<Box<dyn Transform>> {
    let length = key.rsa_private()?.length();
    Ok(Box::new(Whole::new(
        move |_| length.saturating_sub(spare),
        move |data, out| {
            if data.len() != length {
                return Err(Error::EncryptedDataLenRange);
            }
            let plain = work(key.rsa_private()?, data).map_err(encrypted)?;
            out.get_mut(..plain.len()).ok_or(Error::GeneralError)?.copy_from_slice(&plain);
            Ok(plain.len())
        },
    )))
}

/// A fault of data, said of ciphertext.
fn encrypted(error: Error) -> Error {
    match error {
        Error::DataInvalid => Error::EncryptedDataInvalid,
        Error::DataLenRange => Error::EncryptedDataLenRange,
        other => other,
    }
}

fn verification(
    key: Arc<Key>,
    work: impl Fn(&rsa::PublicKey, &[u8], &[u8]) -> Result<()> + Send + 'static,
) -> Result<Box<dyn Verifier>> {
    key.rsa_public()?;
    Ok(Box::new(WholeVerify::new(move |data, signature| work(key.rsa_public()?, data, signature))))
}

/// A block as long as the modulus, zeros on the left: what CKM_RSA_X_509 takes.
fn filled(data: &[u8], length: usize) -> Result<Vec<u8>> {
    let start = length.checked_sub(data.len()).ok_or(Error::DataLenRange)?;
    let mut block = vec![0; length];
    block[start..].copy_from_slice(data);
    Ok(block)
}

fn pkcs1_cipher(key: Arc<Key>, _: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    match direction {
        Direction::Encrypt => public_block(key, |key, data, out| key.encrypt_pkcs1(data, out)),
        Direction::Decrypt => decryption(key, 11, |key, data| key.decrypt_pkcs1(data, &[])),
    }
}

fn pkcs1_unwrap(key: &Arc<Key>, wrapped: &[u8], lengths: &[usize]) -> Result<Secret> {
    let private = key.rsa_private()?;
    if wrapped.len() != private.length() {
        return Err(Error::EncryptedDataLenRange);
    }
    private.decrypt_pkcs1(wrapped, lengths).map_err(encrypted)
}

fn raw_cipher(key: Arc<Key>, _: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    match direction {
        Direction::Encrypt => public_block(key, |key, data, out| key.raw(&filled(data, key.length())?, out)),
        Direction::Decrypt => decryption(key, 0, |key, data| {
            let mut plain = Secret::zeroed(key.length());
            key.raw(data, &mut plain)?;
            Ok(plain)
        }),
    }
}

fn oaep_cipher(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Oaep { hash, mgf, label } = params else { return Err(Error::MechanismParamInvalid) };
    match direction {
        Direction::Encrypt => {
            public_block(key, move |key, data, out| key.encrypt_oaep(hash, mgf, &label, data, out))
        }
        Direction::Decrypt => {
            decryption(key, 2 * hash.length() + 2, move |key, data| key.decrypt_oaep(hash, mgf, &label, data))
        }
    }
}

fn pkcs1_verify(key: Arc<Key>, _: Params) -> Result<Box<dyn Verifier>> {
    verification(key, |key, data, signature| {
        if data.len() + 11 > key.length() {
            return Err(Error::DataLenRange);
        }
        key.verify_pkcs1(data, signature)
    })
}

/// The block in a raw signature.
fn raw_opened(key: &rsa::PublicKey, signature: &[u8]) -> Result<Vec<u8>> {
    if signature.len() != key.length() {
        return Err(Error::SignatureLenRange);
    }
    let mut opened = vec![0; key.length()];
    key.raw(signature, &mut opened).map_err(|_| Error::SignatureInvalid)?;
    Ok(opened)
}

fn raw_verify(key: Arc<Key>, _: Params) -> Result<Box<dyn Verifier>> {
    verification(key, |key, data, signature| {
        let opened = raw_opened(key, signature)?;
        if opened == filled(data, key.length())? { Ok(()) } else { Err(Error::SignatureInvalid) }
    })
}

/// A public operation that gives the data out of a signature, `spare` bytes shorter than it at least.
fn recovery(
    key: Arc<Key>,
    spare: usize,
    work: fn(&rsa::PublicKey, &[u8]) -> Result<Vec<u8>>,
) -> Result<Box<dyn Transform>> {
    let length = key.rsa_public()?.length();
    Ok(Box::new(Whole::new(
        move |_| length - spare,
        move |signature, out| {
            let data = work(key.rsa_public()?, signature)?;
            out.get_mut(..data.len()).ok_or(Error::GeneralError)?.copy_from_slice(&data);
            Ok(data.len())
        },
    )))
}

/// The parameters of a PSS whose hash the mechanism fixes, or not; the salt must fit the key.
fn pss(key: &Key, params: Params, fixed: Option<Hash>) -> Result<(Hash, Hash, usize)> {
    let Params::Pss { hash, mgf, salt_length } = params else { return Err(Error::MechanismParamInvalid) };
    let room = key.size().saturating_sub(1).div_ceil(8) as usize;
    let fits = salt_length.saturating_add(hash.length() + 2) <= room;
    if fits && fixed.is_none_or(|fixed| fixed == hash) {
        Ok((hash, mgf, salt_length))
    } else {
        Err(Error::MechanismParamInvalid)
    }
}

fn pss_sign(key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let (hash, mgf, salt) = pss(&key, params, None)?;
    private_block(key, move |key, digest, out| key.sign_pss(hash, mgf, salt, digest, out))
}

fn pss_verify(key: Arc<Key>, params: Params) -> Result<Box<dyn Verifier>> {
    let (hash, mgf, salt) = pss(&key, params, None)?;
    verification(key, move |key, digest, signature| key.verify_pss(hash, mgf, salt, digest, signature))
}

/// DigestInfo around a digest, on the stack.
fn digest_info(hash: Hash, digest: &[u8]) -> ([u8; 96], usize) {
    let (prefix, mut info) = (hash.digest_info_prefix(), [0; 96]);
    info[..prefix.len()].copy_from_slice(prefix);
    info[prefix.len()..prefix.len() + digest.len()].copy_from_slice(digest);
    (info, prefix.len() + digest.len())
}

fn hashed_sign(key: Arc<Key>, hash: Hash) -> Result<Box<dyn Transform>> {
    let length = key.rsa_private()?.length();
    Ok(Box::new(HashThen::new(hash, length, move |digest, out| {
        let (info, size) = digest_info(hash, digest);
        key.rsa_private()?.sign_pkcs1(&info[..size], out)
    })))
}

fn hashed_verify(key: Arc<Key>, hash: Hash) -> Result<Box<dyn Verifier>> {
    key.rsa_public()?;
    Ok(Box::new(HashThenVerify::new(hash, move |digest, signature| {
        let (info, size) = digest_info(hash, digest);
        key.rsa_public()?.verify_pkcs1(&info[..size], signature)
    })))
}

fn hashed_pss_sign(key: Arc<Key>, params: Params, hash: Hash) -> Result<Box<dyn Transform>> {
    let (_, mgf, salt) = pss(&key, params, Some(hash))?;
    let length = key.rsa_private()?.length();
    Ok(Box::new(HashThen::new(hash, length, move |digest, out| {
        key.rsa_private()?.sign_pss(hash, mgf, salt, digest, out)
    })))
}

fn hashed_pss_verify(key: Arc<Key>, params: Params, hash: Hash) -> Result<Box<dyn Verifier>> {
    let (_, mgf, salt) = pss(&key, params, Some(hash))?;
    key.rsa_public()?;
    Ok(Box::new(HashThenVerify::new(hash, move |digest, signature| {
        key.rsa_public()?.verify_pss(hash, mgf, salt, digest, signature)
    })))
}

macro_rules! hashed {
    ($pkcs1:ident, $pss:ident, $hash:ident, $approved:expr) => {
        [
            row!($pkcs1, Shape::None, KEYS, USED, $approved,
                sign: |key, _| hashed_sign(key, Hash::$hash),
                verify: |key, _| hashed_verify(key, Hash::$hash)),
            row!($pss, Shape::Pss, KEYS, USED, $approved,
                sign: |key, params| hashed_pss_sign(key, params, Hash::$hash),
                verify: |key, params| hashed_pss_verify(key, params, Hash::$hash)),
        ]
    };
}

const PLAIN: [[Mechanism; 1]; 6] = [
    [row!(CKM_RSA_PKCS_KEY_PAIR_GEN, Shape::None, KEYS, MADE, true, generate_pair: generate_pair)],
    [row!(CKM_RSA_PKCS, Shape::None, KEYS, USED, false,
        sign: |key, _| private_block(key, |key, data, out| key.sign_pkcs1(data, out)),
        verify: pkcs1_verify,
        recover: |key, _| recovery(key, 11, rsa::PublicKey::recover_pkcs1),
        cipher: pkcs1_cipher,
        wrap: |key, params, plain| run(pkcs1_cipher(Arc::clone(key), params, Direction::Encrypt)?, plain),
        unwrap_silently: pkcs1_unwrap,
        wrap_needs: Switch::UnauthenticatedWrap,
        unwrap_needs: Switch::UnauthenticatedWrap)],
    [row!(CKM_RSA_X_509, Shape::None, KEYS, USED, false,
        sign: |key, _| private_block(key, |key, data, out| key.raw(&filled(data, key.length())?, out)),
        verify: raw_verify,
        recover: |key, _| recovery(key, 0, raw_opened),
        cipher: raw_cipher)],
    [row!(CKM_RSA_PKCS_OAEP, Shape::Oaep, KEYS, USED, true,
        cipher: oaep_cipher,
        wrap: |key, params, plain| run(oaep_cipher(Arc::clone(key), params, Direction::Encrypt)?, plain),
        unwrap: |key, params, wrapped| run(oaep_cipher(Arc::clone(key), params, Direction::Decrypt)?, wrapped))],
    [
        row!(CKM_RSA_AES_KEY_WRAP, Shape::RsaAes, KEYS, USED, true, wrap: rsa_aes::wrap, unwrap: rsa_aes::unwrap),
    ],
    [row!(CKM_RSA_PKCS_PSS, Shape::Pss, KEYS, USED, true, sign: pss_sign, verify: pss_verify)],
];

const HASHED: [[Mechanism; 2]; 9] = [
    hashed!(CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, Sha1, false),
    hashed!(CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, Sha224, true),
    hashed!(CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, Sha256, true),
    hashed!(CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, Sha384, true),
    hashed!(CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, Sha512, true),
    hashed!(CKM_SHA3_224_RSA_PKCS, CKM_SHA3_224_RSA_PKCS_PSS, Sha3_224, true),
    hashed!(CKM_SHA3_256_RSA_PKCS, CKM_SHA3_256_RSA_PKCS_PSS, Sha3_256, true),
    hashed!(CKM_SHA3_384_RSA_PKCS, CKM_SHA3_384_RSA_PKCS_PSS, Sha3_384, true),
    hashed!(CKM_SHA3_512_RSA_PKCS, CKM_SHA3_512_RSA_PKCS_PSS, Sha3_512, true),
];

pub const PLAIN_ROWS: &[Mechanism] = PLAIN.as_flattened();
pub const HASHED_ROWS: &[Mechanism] = HASHED.as_flattened();
