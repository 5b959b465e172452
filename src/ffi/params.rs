//! Mechanism parameters by the shape that the mechanism's row names.

mod kdf;
mod message;

pub use kdf::give_handles;
pub use message::{give_message, message};

use super::memory::{bytes, read};
use super::{describe, trace};
use crate::crypto::Hash;
use crate::error::{Error, Result};
use crate::mechanism::params::{Input, Iv, Prf};
use crate::mechanism::{self, Mechanism, Params, Shape};
use cryptoki_sys::*;

/// CK_GCM_PARAMS as it was before ulIvBits: some clients still send it.
#[repr(C)]
#[derive(Clone, Copy)]
struct ShortGcmParams {
    pIv: *mut CK_BYTE,
    ulIvLen: CK_ULONG,
    pAAD: *mut CK_BYTE,
    ulAADLen: CK_ULONG,
    ulTagBits: CK_ULONG,
}

/// A hash by its number as a mechanism, as a mask generator, as a key derivation function, and as HMAC.
struct HashRow(
    CK_MECHANISM_TYPE,
    Option<CK_RSA_PKCS_MGF_TYPE>,
    Option<CK_EC_KDF_TYPE>,
    CK_MECHANISM_TYPE,
    Hash,
);

const HASHES: &[HashRow] = &[
    HashRow(CKM_SHA_1, Some(CKG_MGF1_SHA1), Some(CKD_SHA1_KDF), CKM_SHA_1_HMAC, Hash::Sha1),
    HashRow(CKM_SHA224, Some(CKG_MGF1_SHA224), Some(CKD_SHA224_KDF), CKM_SHA224_HMAC, Hash::Sha224),
    HashRow(CKM_SHA256, Some(CKG_MGF1_SHA256), Some(CKD_SHA256_KDF), CKM_SHA256_HMAC, Hash::Sha256),
    HashRow(CKM_SHA384, Some(CKG_MGF1_SHA384), Some(CKD_SHA384_KDF), CKM_SHA384_HMAC, Hash::Sha384),
    HashRow(CKM_SHA512, Some(CKG_MGF1_SHA512), Some(CKD_SHA512_KDF), CKM_SHA512_HMAC, Hash::Sha512),
    HashRow(CKM_SHA512_224, None, None, CKM_SHA512_224_HMAC, Hash::Sha512_224),
    HashRow(CKM_SHA512_256, None, None, CKM_SHA512_256_HMAC, Hash::Sha512_256),
    HashRow(CKM_SHA3_224, Some(CKG_MGF1_SHA3_224), Some(CKD_SHA3_224_KDF), CKM_SHA3_224_HMAC, Hash::Sha3_224),
    HashRow(CKM_SHA3_256, Some(CKG_MGF1_SHA3_256), Some(CKD_SHA3_256_KDF), CKM_SHA3_256_HMAC, Hash::Sha3_256),
    HashRow(CKM_SHA3_384, Some(CKG_MGF1_SHA3_384), Some(CKD_SHA3_384_KDF), CKM_SHA3_384_HMAC, Hash::Sha3_384),
    HashRow(CKM_SHA3_512, Some(CKG_MGF1_SHA3_512), Some(CKD_SHA3_512_KDF), CKM_SHA3_512_HMAC, Hash::Sha3_512),
];

fn found(fits: impl Fn(&HashRow) -> bool) -> Result<Hash> {
    HASHES.iter().find(|row| fits(row)).map(|row| row.4).ok_or(Error::MechanismParamInvalid)
}

fn hash(id: CK_MECHANISM_TYPE) -> Result<Hash> {
    found(|row| row.0 == id)
}

fn mgf(id: CK_RSA_PKCS_MGF_TYPE) -> Result<Hash> {
    found(|row| row.1 == Some(id))
}

/// A pseudo-random function by the number of its MAC.
fn prf(id: CK_MECHANISM_TYPE) -> Result<Prf> {
    if id == CKM_AES_CMAC { Ok(Prf::AesCmac) } else { found(|row| row.3 == id).map(Prf::Hmac) }
}

fn ecdh_kdf(id: CK_EC_KDF_TYPE) -> Result<Option<Hash>> {
    if id == CKD_NULL { Ok(None) } else { found(|row| row.2 == Some(id)).map(Some) }
}

/// The row and the owned parameter of a CK_MECHANISM.
///
/// # Safety
/// `given` is NULL or points to a mechanism whose parameter is as long as it says.
pub unsafe fn mechanism(given: *const CK_MECHANISM) -> Result<(&'static Mechanism, Params)> {
    let mut params = Params::None;
    // SAFETY: passed on.
    let row = unsafe { mechanism_into(&mut params, given)? };
    Ok((row, params))
}

/// The same with the parameter written where it stays: moving it costs as much as reading it.
///
/// # Safety
/// As for [`mechanism`].
pub unsafe fn mechanism_into(params: &mut Params, given: *const CK_MECHANISM) -> Result<&'static Mechanism> {
    // SAFETY: passed on.
    unsafe {
        let place = given;
        let given = read(place)?;
        let row = mechanism::find(given.mechanism);
        let row = row.and_then(|row| {
            fill(params, row.params, given.pParameter.cast(), given.ulParameterLen).map(|()| row)
        });
        trace::note(place, || describe::mechanism(&given, row.map(|_| &*params)));
        row
    }
}

/// A structure of exactly its size.
unsafe fn structure<T: Copy>(pointer: *const u8, length: CK_ULONG) -> Result<T> {
    if pointer.is_null() || length != size_of::<T>() as CK_ULONG {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: it has the size of a `T`, which is plain data.
    unsafe { read(pointer.cast()) }
}

/// Bytes inside a parameter.
unsafe fn inner(pointer: *const u8, length: CK_ULONG) -> Result<Vec<u8>> {
    const LARGEST: CK_ULONG = 16 << 20;
    if length > LARGEST {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: passed on.
    unsafe { bytes(pointer, length) }.map(<[u8]>::to_vec).map_err(|_| Error::MechanismParamInvalid)
}

fn small(number: CK_ULONG) -> Result<usize> {
    usize::try_from(number).ok().filter(|n| *n <= 1 << 20).ok_or(Error::MechanismParamInvalid)
}

unsafe fn fill(out: &mut Params, shape: Shape, pointer: *const u8, length: CK_ULONG) -> Result<()> {
    if pointer.is_null() && length > 0 {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: passed on.
    unsafe {
        match shape {
            Shape::Gcm => gcm(out, pointer, length)?,
            _ => *out = params(shape, pointer, length)?,
        }
    }
    Ok(())
}

unsafe fn params(shape: Shape, pointer: *const u8, length: CK_ULONG) -> Result<Params> {
    // SAFETY: the caller's promises, passed on; each structure is read whole and by value.
    unsafe {
        match shape {
            Shape::None if length == 0 => Ok(Params::None),
            Shape::OptionalIv(_) | Shape::Eddsa | Shape::SignContext if length == 0 => Ok(Params::None),
            Shape::Iv(size) | Shape::OptionalIv(size) if length == size as CK_ULONG => {
                inner(pointer, length).map(Params::Iv)
            }
            Shape::MacLength => small(structure::<CK_ULONG>(pointer, length)?).map(Params::MacLength),
            Shape::Pss => {
                let given: CK_RSA_PKCS_PSS_PARAMS = structure(pointer, length)?;
                Ok(Params::Pss {
                    hash: hash(given.hashAlg)?,
                    mgf: mgf(given.mgf)?,
                    salt_length: small(given.sLen)?,
                })
            }
            Shape::Oaep => {
                let (hash, mgf, label) = oaep(structure(pointer, length)?)?;
                Ok(Params::Oaep { hash, mgf, label })
            }
            Shape::RsaAes => {
                let given: CK_RSA_AES_KEY_WRAP_PARAMS = structure(pointer, length)?;
                let inner = read(given.pOAEPParams).map_err(|_| Error::MechanismParamInvalid)?;
                let (hash, mgf, label) = oaep(inner)?;
                Ok(Params::RsaAes { key_bits: small(given.ulAESKeyBits)?, hash, mgf, label })
            }
            Shape::Ctr => {
                let given: CK_AES_CTR_PARAMS = structure(pointer, length)?;
                let counter_bits = small(given.ulCounterBits)? as u32;
                if !(1..=128).contains(&counter_bits) {
                    return Err(Error::MechanismParamInvalid);
                }
                Ok(Params::Ctr { counter_bits, block: given.cb })
            }
            Shape::Ecdh => {
                let given: CK_ECDH1_DERIVE_PARAMS = structure(pointer, length)?;
                Ok(Params::Ecdh {
                    kdf: ecdh_kdf(given.kdf)?,
                    shared: inner(given.pSharedData, given.ulSharedDataLen)?,
                    public: inner(given.pPublicData, given.ulPublicDataLen)?,
                })
            }
            Shape::Ccm => {
                let given: CK_CCM_PARAMS = structure(pointer, length)?;
                Ok(Params::Ccm {
                    // Larger than any message: refused when the data is not as long.
                    data_length: usize::try_from(given.ulDataLen).unwrap_or(usize::MAX),
                    nonce: inner(given.pNonce, given.ulNonceLen)?,
                    aad: inner(given.pAAD, given.ulAADLen)?,
                    tag_length: small(given.ulMACLen)?,
                })
            }
            Shape::ChaCha20Poly1305 => {
                let given: CK_SALSA20_CHACHA20_POLY1305_PARAMS = structure(pointer, length)?;
                Ok(Params::ChaCha20Poly1305 {
                    nonce: short_nonce(given.pNonce, given.ulNonceLen)?,
                    aad: inner(given.pAAD, given.ulAADLen)?,
                })
            }
            Shape::Eddsa => {
                let given: CK_EDDSA_PARAMS = structure(pointer, length)?;
                let context = inner(given.pContextData, given.ulContextDataLen)?;
                Ok(Params::Eddsa { prehash: given.phFlag != 0, context })
            }
            Shape::Hkdf => kdf::hkdf(structure(pointer, length)?),
            Shape::Kdf | Shape::FeedbackKdf => kdf::sp800_108(shape, pointer, length),
            Shape::KeyHandle => Ok(Params::Other(Input::Key(structure(pointer, length)?))),
            Shape::StringData => {
                let given: CK_KEY_DERIVATION_STRING_DATA = structure(pointer, length)?;
                Ok(Params::Other(Input::Bytes(inner(given.pData, given.ulLen)?)))
            }
            Shape::BitPosition => small(structure::<CK_ULONG>(pointer, length)?).map(Params::BitPosition),
            Shape::Pbkdf2 => kdf::pbkdf2(structure(pointer, length)?),
            Shape::SignContext => {
                let given: CK_SIGN_ADDITIONAL_CONTEXT = structure(pointer, length)?;
                sign_context(given.hedgeVariant, given.pContext, given.ulContextLen, None)
            }
            Shape::HashSignContext => {
                let given: CK_HASH_SIGN_ADDITIONAL_CONTEXT = structure(pointer, length)?;
                let hash = hash(given.hash).ok().filter(|hash| *hash != Hash::Sha1);
                let hash = hash.ok_or(Error::MechanismParamInvalid)?;
                sign_context(given.hedgeVariant, given.pContext, given.ulContextLen, Some(hash))
            }
            _ => Err(Error::MechanismParamInvalid),
        }
    }
}

/// RFC 8439's nonce. The standard counts it in bits; many clients in bytes.
unsafe fn short_nonce(pointer: *const u8, length: CK_ULONG) -> Result<[u8; 12]> {
    if !matches!(length, 12 | 96) {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: passed on.
    let bytes = unsafe { inner(pointer, 12)? };
    bytes[..].try_into().map_err(|_| Error::MechanismParamInvalid)
}

/// A context and whether the signature is hedged.
unsafe fn sign_context(
    hedge: CK_HEDGE_TYPE,
    context: *const u8,
    length: CK_ULONG,
    hash: Option<Hash>,
) -> Result<Params> {
    if hedge > CKH_DETERMINISTIC_REQUIRED {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: passed on.
    let context = unsafe { inner(context, length)? };
    Ok(Params::SignContext { deterministic: hedge == CKH_DETERMINISTIC_REQUIRED, context, hash })
}

/// Hash, hash of MGF1, label.
unsafe fn oaep(given: CK_RSA_PKCS_OAEP_PARAMS) -> Result<(Hash, Hash, Vec<u8>)> {
    // Source 0 with no data is how several clients say "no label".
    let labelled = given.source == CKZ_DATA_SPECIFIED;
    if !labelled && (given.source != 0 || given.ulSourceDataLen != 0) {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: passed on.
    let label = unsafe { inner(given.pSourceData.cast(), given.ulSourceDataLen)? };
    Ok((hash(given.hashAlg)?, mgf(given.mgf)?, label))
}

unsafe fn gcm(out: &mut Params, pointer: *const u8, length: CK_ULONG) -> Result<()> {
    // SAFETY: passed on; the length tells which of the two structures it is.
    unsafe {
        let (iv, iv_length, aad, aad_length, tag_bits) = if length == size_of::<ShortGcmParams>() as CK_ULONG
        {
            let given: ShortGcmParams = structure(pointer, length)?;
            (given.pIv, given.ulIvLen, given.pAAD, given.ulAADLen, given.ulTagBits)
        } else {
            let given: CK_GCM_PARAMS = structure(pointer, length)?;
            (given.pIv, given.ulIvLen, given.pAAD, given.ulAADLen, given.ulTagBits)
        };
        small(iv_length)?;
        let given = bytes(iv, iv_length).map_err(|_| Error::MechanismParamInvalid)?;
        let (aad, tag_bits) = (inner(aad, aad_length)?, small(tag_bits)?);
        *out = Params::Gcm { iv: Iv::default(), aad, tag_bits };
        if let Params::Gcm { iv, .. } = out {
            iv.set(given);
        }
        Ok(())
    }
}
