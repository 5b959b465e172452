//! The parameters of key derivation: HKDF, SP 800-108, PBKDF2.

use super::{hash, inner, prf, small, structure};
use crate::crypto::sp800_108::Number;
use crate::crypto::{Hash, Secret};
use crate::error::{Error, Result};
use crate::ffi::attributes::{Use, template};
use crate::ffi::memory::{bytes, read, write};
use crate::mechanism::params::{Input, Kdf, KdfField};
use crate::mechanism::{Params, Shape};
use cryptoki_sys::*;

/// More fields, and more keys of one call, than anybody needs.
const MOST: CK_ULONG = 64;

pub unsafe fn hkdf(given: CK_HKDF_PARAMS) -> Result<Params> {
    // SAFETY: the caller's promises, passed on.
    unsafe {
        let extract = given.bExtract != 0;
        let salt = match given.ulSaltType {
            // Ignored, as the standard says.
            _ if !extract => None,
            CKF_HKDF_SALT_NULL => None,
            CKF_HKDF_SALT_DATA => Some(Input::Bytes(inner(given.pSalt, given.ulSaltLen)?)),
            CKF_HKDF_SALT_KEY => Some(Input::Key(given.hSaltKey)),
            _ => return Err(Error::MechanismParamInvalid),
        };
        let expand = given.bExpand != 0;
        let info = if expand { inner(given.pInfo, given.ulInfoLen)? } else { Vec::new() };
        Ok(Params::Hkdf { extract, expand, hash: hash(given.prfHashMechanism)?, salt, info })
    }
}

/// A CK_SP800_108_FEEDBACK_KDF_PARAMS, or a CK_SP800_108_KDF_PARAMS written as one without IV.
unsafe fn structure_of(
    shape: Shape,
    pointer: *const u8,
    length: CK_ULONG,
) -> Result<CK_SP800_108_FEEDBACK_KDF_PARAMS> {
    // SAFETY: the caller's promises, passed on.
    unsafe {
        if shape == Shape::FeedbackKdf {
            return structure(pointer, length);
        }
        let given: CK_SP800_108_KDF_PARAMS = structure(pointer, length)?;
        Ok(CK_SP800_108_FEEDBACK_KDF_PARAMS {
            prfType: given.prfType,
            ulNumberOfDataParams: given.ulNumberOfDataParams,
            pDataParams: given.pDataParams,
            ulIVLen: 0,
            pIV: std::ptr::null_mut(),
            ulAdditionalDerivedKeys: given.ulAdditionalDerivedKeys,
            pAdditionalDerivedKeys: given.pAdditionalDerivedKeys,
        })
    }
}

/// The list's items, copied.
unsafe fn list<T: Copy>(first: *const T, count: CK_ULONG) -> Result<Vec<T>> {
    if count > MOST || (first.is_null() && count > 0) {
        return Err(Error::MechanismParamInvalid);
    }
    // SAFETY: the caller's list has so many items.
    (0..count as usize).map(|place| unsafe { read(first.wrapping_add(place)) }).collect()
}

pub unsafe fn sp800_108(shape: Shape, pointer: *const u8, length: CK_ULONG) -> Result<Params> {
    // SAFETY: the caller's promises, passed on.
    unsafe {
        let given = structure_of(shape, pointer, length)?;
        let fields = list(given.pDataParams, given.ulNumberOfDataParams)?;
        let keys = list(given.pAdditionalDerivedKeys, given.ulAdditionalDerivedKeys)?;
        let template = |key: CK_DERIVED_KEY| {
            if key.phKey.is_null() {
                return Err(Error::MechanismParamInvalid);
            }
            template(key.pTemplate, key.ulAttributeCount, Use::Make)
        };
        Ok(Params::Kdf(Kdf {
            prf: prf(given.prfType)?,
            fields: fields.iter().map(|one| field(one)).collect::<Result<_>>()?,
            initial: inner(given.pIV, given.ulIVLen)?,
            more: keys.into_iter().map(template).collect::<Result<_>>()?,
            lengths: Vec::new(),
        }))
    }
}

unsafe fn field(given: &CK_PRF_DATA_PARAM) -> Result<KdfField> {
    let (pointer, length) = (given.pValue.cast::<u8>().cast_const(), given.ulValueLen);
    // SAFETY: the caller's promises, passed on; each structure is read whole and by value.
    unsafe {
        let counter = || {
            let format: CK_SP800_108_COUNTER_FORMAT = structure(pointer, length)?;
            number(format.bLittleEndian, format.ulWidthInBits, 4)
        };
        Ok(match given.type_ {
            CK_SP800_108_ITERATION_VARIABLE if length == 0 && pointer.is_null() => KdfField::Iteration(None),
            CK_SP800_108_ITERATION_VARIABLE => KdfField::Iteration(Some(counter()?)),
            CK_SP800_108_COUNTER => KdfField::Counter(counter()?),
            CK_SP800_108_DKM_LENGTH => {
                let format: CK_SP800_108_DKM_LENGTH_FORMAT = structure(pointer, length)?;
                let segments = match format.dkmLengthMethod {
                    CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS => false,
                    CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS => true,
                    _ => return Err(Error::MechanismParamInvalid),
                };
                let format = number(format.bLittleEndian, format.ulWidthInBits, 8)?;
                KdfField::Length { format, segments }
            }
            CK_SP800_108_BYTE_ARRAY => KdfField::Data(Input::Bytes(inner(pointer, length)?)),
            CK_SP800_108_KEY_HANDLE => KdfField::Data(Input::Key(structure(pointer, length)?)),
            _ => return Err(Error::MechanismParamInvalid),
        })
    }
}

/// Whole bytes only, 1 to `most` of them.
fn number(little: CK_BBOOL, bits: CK_ULONG, most: usize) -> Result<Number> {
    let bytes = small(bits)? / 8;
    if bits.is_multiple_of(8) && (1..=most).contains(&bytes) {
        return Ok(Number { little: little != 0, bytes });
    }
    Err(Error::MechanismParamInvalid)
}

/// Where the handles of further keys go: zero says whose template was at fault.
///
/// # Safety
/// `given` is a mechanism that was read before.
pub unsafe fn give_handles(given: *const CK_MECHANISM, which: impl Fn(usize) -> Option<u64>) -> Result<()> {
    // SAFETY: passed on; what is read again was checked when it was read first.
    unsafe {
        let given = read(given)?;
        let shape = match crate::mechanism::find(given.mechanism)?.params {
            shape @ (Shape::Kdf | Shape::FeedbackKdf) => shape,
            _ => return Ok(()),
        };
        let params = structure_of(shape, given.pParameter.cast(), given.ulParameterLen)?;
        let keys = list(params.pAdditionalDerivedKeys, params.ulAdditionalDerivedKeys)?;
        for (place, key) in keys.iter().enumerate() {
            if let Some(handle) = which(place) {
                write(key.phKey, handle as CK_OBJECT_HANDLE)?;
            }
        }
    }
    Ok(())
}

const PBKDF2_PRFS: &[(CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE, Hash)] = &[
    (CKP_PKCS5_PBKD2_HMAC_SHA1, Hash::Sha1),
    (CKP_PKCS5_PBKD2_HMAC_SHA224, Hash::Sha224),
    (CKP_PKCS5_PBKD2_HMAC_SHA256, Hash::Sha256),
    (CKP_PKCS5_PBKD2_HMAC_SHA384, Hash::Sha384),
    (CKP_PKCS5_PBKD2_HMAC_SHA512, Hash::Sha512),
    (CKP_PKCS5_PBKD2_HMAC_SHA512_224, Hash::Sha512_224),
    (CKP_PKCS5_PBKD2_HMAC_SHA512_256, Hash::Sha512_256),
];

/// The older structure is as long as the newer and has a pointer where that has the password's length.
/// No password is as long as the lowest address that a system maps, so the number says which it is.
pub unsafe fn pbkdf2(given: CK_PKCS5_PBKD2_PARAMS2) -> Result<Params> {
    const LOWEST_ADDRESS: CK_ULONG = 1 << 16;
    // SAFETY: the caller's promises, passed on.
    unsafe {
        let prf = PBKDF2_PRFS.iter().find(|(number, _)| *number == given.prf);
        let (_, hash) = prf.ok_or(Error::MechanismParamInvalid)?;
        let extra = !given.pPrfData.is_null() || given.ulPrfDataLen != 0;
        if given.saltSource != CKZ_SALT_SPECIFIED || extra {
            return Err(Error::MechanismParamInvalid);
        }
        let length = match given.ulPasswordLen {
            length if length < LOWEST_ADDRESS => length,
            pointer => read(pointer as *const CK_ULONG)?,
        };
        if length >= LOWEST_ADDRESS {
            return Err(Error::MechanismParamInvalid);
        }
        let iterations = u32::try_from(given.iterations).ok().filter(|iterations| *iterations > 0);
        let password = bytes(given.pPassword, length).map_err(|_| Error::MechanismParamInvalid)?;
        Ok(Params::Pbkdf2 {
            hash: *hash,
            password: Secret::from(password),
            salt: inner(given.pSaltSourceData.cast(), given.ulSaltSourceDataLen)?,
            iterations: iterations.ok_or(Error::MechanismParamInvalid)?,
        })
    }
}
