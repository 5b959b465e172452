//! The parameters of derivations, in few words, and what comes of them. Parameters live as long as the
//! process.

use crate::keys::{Attribute, no, number, template, yes};
use crate::params::with;
use crate::{Module, Result, call, check};
use cryptoki_sys::*;
use std::ptr::null_mut;

fn kept<T: Clone + 'static>(items: &[T]) -> *mut T {
    Box::leak(items.to_vec().into_boxed_slice()).as_mut_ptr()
}

pub fn ecdh(kind: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, shared: &[u8], point: &[u8]) -> CK_MECHANISM {
    with(
        kind,
        CK_ECDH1_DERIVE_PARAMS {
            kdf,
            ulSharedDataLen: shared.len() as CK_ULONG,
            pSharedData: kept(shared),
            ulPublicDataLen: point.len() as CK_ULONG,
            pPublicData: kept(point),
        },
    )
}

/// HKDF-SHA-256, both halves, without salt.
pub const HKDF: CK_HKDF_PARAMS = CK_HKDF_PARAMS {
    bExtract: CK_TRUE,
    bExpand: CK_TRUE,
    prfHashMechanism: CKM_SHA256,
    ulSaltType: CKF_HKDF_SALT_NULL,
    pSalt: null_mut(),
    ulSaltLen: 0,
    hSaltKey: 0,
    pInfo: null_mut(),
    ulInfoLen: 0,
};

/// CKM_CONCATENATE_BASE_AND_DATA and its like with a text.
pub fn joined(kind: CK_MECHANISM_TYPE, text: &[u8]) -> CK_MECHANISM {
    with(kind, CK_KEY_DERIVATION_STRING_DATA { pData: kept(text), ulLen: text.len() as CK_ULONG })
}

/// A derivation that depends on a text: HKDF's info, SP 800-108's data, PBKDF2's password.
pub fn kdf(kind: CK_MECHANISM_TYPE, text: &[u8]) -> CK_MECHANISM {
    let (pointer, length) = (kept(text), text.len() as CK_ULONG);
    match kind {
        CKM_HKDF_DERIVE | CKM_HKDF_DATA => {
            with(kind, CK_HKDF_PARAMS { pInfo: pointer, ulInfoLen: length, ..HKDF })
        }
        CKM_PKCS5_PBKD2 => with(
            kind,
            CK_PKCS5_PBKD2_PARAMS2 {
                saltSource: CKZ_SALT_SPECIFIED,
                pSaltSourceData: kept(b"salt").cast(),
                ulSaltSourceDataLen: 4,
                iterations: 1000,
                prf: CKP_PKCS5_PBKD2_HMAC_SHA256,
                pPrfData: null_mut(),
                ulPrfDataLen: 0,
                pPassword: pointer,
                ulPasswordLen: length,
            },
        ),
        CKM_SP800_108_COUNTER_KDF => {
            sp800_108(kind, CKM_SHA256_HMAC, &[counter(CK_SP800_108_ITERATION_VARIABLE, 32), data(text)], b"")
        }
        _ => sp800_108(kind, CKM_SHA256_HMAC, &[chain(), data(text)], b""),
    }
}

/// The iteration variable of feedback and double-pipeline mode.
pub fn chain() -> CK_PRF_DATA_PARAM {
    CK_PRF_DATA_PARAM { type_: CK_SP800_108_ITERATION_VARIABLE, pValue: null_mut(), ulValueLen: 0 }
}

pub fn data(bytes: &[u8]) -> CK_PRF_DATA_PARAM {
    CK_PRF_DATA_PARAM {
        type_: CK_SP800_108_BYTE_ARRAY,
        pValue: kept(bytes).cast(),
        ulValueLen: bytes.len() as CK_ULONG,
    }
}

/// A field that holds a structure.
pub fn field<T: Clone + 'static>(kind: CK_PRF_DATA_TYPE, value: T) -> CK_PRF_DATA_PARAM {
    CK_PRF_DATA_PARAM { type_: kind, pValue: kept(&[value]).cast(), ulValueLen: size_of::<T>() as CK_ULONG }
}

/// A big-endian counter of so many bits: as the iteration variable of counter mode, or beside another.
pub fn counter(kind: CK_PRF_DATA_TYPE, bits: CK_ULONG) -> CK_PRF_DATA_PARAM {
    field(kind, CK_SP800_108_COUNTER_FORMAT { bLittleEndian: CK_FALSE, ulWidthInBits: bits })
}

pub fn sp800_108(
    kind: CK_MECHANISM_TYPE,
    prf: CK_SP800_108_PRF_TYPE,
    fields: &[CK_PRF_DATA_PARAM],
    initial: &[u8],
) -> CK_MECHANISM {
    let (count, first) = (fields.len() as CK_ULONG, kept(fields));
    if kind == CKM_SP800_108_FEEDBACK_KDF {
        let parameter = CK_SP800_108_FEEDBACK_KDF_PARAMS {
            prfType: prf,
            ulNumberOfDataParams: count,
            pDataParams: first,
            ulIVLen: initial.len() as CK_ULONG,
            pIV: kept(initial),
            ulAdditionalDerivedKeys: 0,
            pAdditionalDerivedKeys: null_mut(),
        };
        return with(kind, parameter);
    }
    with(
        kind,
        CK_SP800_108_KDF_PARAMS {
            prfType: prf,
            ulNumberOfDataParams: count,
            pDataParams: first,
            ulAdditionalDerivedKeys: 0,
            pAdditionalDerivedKeys: null_mut(),
        },
    )
}

impl Module {
    pub fn derive(
        &self,
        session: CK_SESSION_HANDLE,
        mut with: CK_MECHANISM,
        base: CK_OBJECT_HANDLE,
        attributes: &[Attribute],
    ) -> Result<CK_OBJECT_HANDLE> {
        let (mut list, mut key) = (template(attributes), 0);
        let count = list.len() as CK_ULONG;
        check(call!(self, C_DeriveKey, session, &mut with, base, list.as_mut_ptr(), count, &mut key))?;
        Ok(key)
    }

    /// The bytes of a generic secret of so many bytes.
    pub fn derived_value(
        &self,
        session: CK_SESSION_HANDLE,
        with: CK_MECHANISM,
        base: CK_OBJECT_HANDLE,
        length: CK_ULONG,
    ) -> Result<Vec<u8>> {
        let attributes = [
            number(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
            number(CKA_VALUE_LEN, length),
            no(CKA_SENSITIVE),
            yes(CKA_EXTRACTABLE),
        ];
        let key = self.derive(session, with, base, &attributes)?;
        self.attribute(session, key, CKA_VALUE)
    }
}
