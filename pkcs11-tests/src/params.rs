//! A good parameter for each mechanism. One that is not named here fails the matrix.

use crate::derivation::kdf;
use cryptoki_sys::*;
use std::ptr::{from_ref, null_mut};

/// A mechanism with a parameter that lives as long as the process.
pub fn with<T: 'static>(kind: CK_MECHANISM_TYPE, parameter: T) -> CK_MECHANISM {
    let parameter: &'static T = Box::leak(Box::new(parameter));
    CK_MECHANISM {
        mechanism: kind,
        pParameter: from_ref(parameter).cast_mut().cast(),
        ulParameterLen: size_of::<T>() as CK_ULONG,
    }
}

/// AWS CloudHSM's numbers (`include/strongroom.h`).
pub const CLOUDHSM_AES_GCM: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x1087;
pub const CLOUDHSM_WRAP_NO_PAD: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x2109;
pub const CLOUDHSM_WRAP_ZERO_PAD: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x216f;

/// CCM for so many bytes of data.
pub fn ccm(length: usize) -> CK_MECHANISM {
    with(
        CKM_AES_CCM,
        CK_CCM_PARAMS {
            ulDataLen: length as CK_ULONG,
            pNonce: Box::leak(Box::new([9u8; 13])).as_mut_ptr(),
            ulNonceLen: 13,
            pAAD: b"additional".as_ptr().cast_mut(),
            ulAADLen: 10,
            ulMACLen: 16,
        },
    )
}

/// A mechanism whose parameter lives as long as the process.
pub fn mechanism(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    let none = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
    let pss = |hash, mgf, length| with(kind, CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: length });
    match kind {
        CKM_RSA_PKCS_PSS | CKM_SHA256_RSA_PKCS_PSS => pss(CKM_SHA256, CKG_MGF1_SHA256, 32),
        CKM_SHA1_RSA_PKCS_PSS => pss(CKM_SHA_1, CKG_MGF1_SHA1, 20),
        CKM_SHA224_RSA_PKCS_PSS => pss(CKM_SHA224, CKG_MGF1_SHA224, 28),
        CKM_SHA384_RSA_PKCS_PSS => pss(CKM_SHA384, CKG_MGF1_SHA256, 0),
        CKM_SHA512_RSA_PKCS_PSS => pss(CKM_SHA512, CKG_MGF1_SHA512, 64),
        CKM_SHA3_224_RSA_PKCS_PSS => pss(CKM_SHA3_224, CKG_MGF1_SHA3_224, 28),
        CKM_SHA3_256_RSA_PKCS_PSS => pss(CKM_SHA3_256, CKG_MGF1_SHA3_256, 32),
        CKM_SHA3_384_RSA_PKCS_PSS => pss(CKM_SHA3_384, CKG_MGF1_SHA3_384, 48),
        CKM_SHA3_512_RSA_PKCS_PSS => pss(CKM_SHA3_512, CKG_MGF1_SHA3_512, 64),
        CKM_RSA_PKCS_OAEP => with(kind, oaep()),
        CKM_RSA_AES_KEY_WRAP => with(
            kind,
            CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: 256, pOAEPParams: Box::leak(Box::new(oaep())) },
        ),
        CKM_AES_CBC | CKM_AES_CBC_PAD | CKM_AES_CFB128 | CKM_AES_CFB8 | CKM_AES_OFB => with(kind, [7u8; 16]),
        CKM_AES_CTR => with(kind, CK_AES_CTR_PARAMS { ulCounterBits: 32, cb: [1; 16] }),
        CKM_AES_GCM => with(
            kind,
            CK_GCM_PARAMS {
                pIv: Box::leak(Box::new([9u8; 12])).as_mut_ptr(),
                ulIvLen: 12,
                ulIvBits: 96,
                pAAD: b"additional".as_ptr().cast_mut(),
                ulAADLen: 10,
                ulTagBits: 128,
            },
        ),
        CLOUDHSM_AES_GCM => with(
            kind,
            CK_GCM_PARAMS {
                pIv: null_mut(),
                ulIvLen: 0,
                ulIvBits: 0,
                pAAD: b"additional".as_ptr().cast_mut(),
                ulAADLen: 10,
                ulTagBits: 128,
            },
        ),
        CKM_AES_GMAC => with(
            kind,
            CK_GCM_PARAMS {
                pIv: Box::leak(Box::new([9u8; 12])).as_mut_ptr(),
                ulIvLen: 12,
                ulIvBits: 96,
                pAAD: null_mut(),
                ulAADLen: 0,
                ulTagBits: 128,
            },
        ),
        // As many bytes as the matrix encrypts; wrapping does not look at it.
        CKM_AES_CCM => ccm(1003),
        CKM_CHACHA20_POLY1305 => with(
            kind,
            CK_SALSA20_CHACHA20_POLY1305_PARAMS {
                pNonce: Box::leak(Box::new([9u8; 12])).as_mut_ptr(),
                ulNonceLen: 96,
                pAAD: b"additional".as_ptr().cast_mut(),
                ulAADLen: 10,
            },
        ),
        CKM_HKDF_DERIVE
        | CKM_HKDF_DATA
        | CKM_SP800_108_COUNTER_KDF
        | CKM_SP800_108_FEEDBACK_KDF
        | CKM_SP800_108_DOUBLE_PIPELINE_KDF
        | CKM_PKCS5_PBKD2 => kdf(kind, b"text"),
        CKM_AES_CMAC_GENERAL => with(kind, 8 as CK_ULONG),
        CKM_DES3_CMAC_GENERAL => with(kind, 5 as CK_ULONG),
        CKM_DES3_CBC | CKM_DES3_CBC_PAD => with(kind, [7u8; 8]),
        CKM_ML_DSA | CKM_SLH_DSA => with(
            kind,
            CK_SIGN_ADDITIONAL_CONTEXT {
                hedgeVariant: CKH_DETERMINISTIC_REQUIRED,
                pContext: b"context".as_ptr().cast_mut(),
                ulContextLen: 7,
            },
        ),
        CKM_HASH_ML_DSA | CKM_HASH_SLH_DSA => with(
            kind,
            CK_HASH_SIGN_ADDITIONAL_CONTEXT {
                hedgeVariant: CKH_HEDGE_REQUIRED,
                pContext: null_mut(),
                ulContextLen: 0,
                hash: CKM_SHA256,
            },
        ),
        CKM_HASH_ML_DSA_SHA224..=CKM_HASH_ML_DSA_SHAKE256
        | CKM_HASH_SLH_DSA_SHA224..=CKM_HASH_SLH_DSA_SHAKE256 => none,
        kind if is_general_hmac(kind) => with(kind, 16 as CK_ULONG),
        kind if needs_none(kind) => none,
        other => panic!("the matrix knows no parameter for mechanism {other:#x}"),
    }
}

fn oaep() -> CK_RSA_PKCS_OAEP_PARAMS {
    CK_RSA_PKCS_OAEP_PARAMS {
        hashAlg: CKM_SHA256,
        mgf: CKG_MGF1_SHA1,
        source: CKZ_DATA_SPECIFIED,
        pSourceData: b"label".as_ptr().cast_mut().cast(),
        ulSourceDataLen: 5,
    }
}

fn is_general_hmac(kind: CK_MECHANISM_TYPE) -> bool {
    matches!(
        kind,
        CKM_SHA_1_HMAC_GENERAL
            | CKM_SHA224_HMAC_GENERAL
            | CKM_SHA256_HMAC_GENERAL
            | CKM_SHA384_HMAC_GENERAL
            | CKM_SHA512_HMAC_GENERAL
            | CKM_SHA512_224_HMAC_GENERAL
            | CKM_SHA512_256_HMAC_GENERAL
            | CKM_SHA3_224_HMAC_GENERAL
            | CKM_SHA3_256_HMAC_GENERAL
            | CKM_SHA3_384_HMAC_GENERAL
            | CKM_SHA3_512_HMAC_GENERAL
    )
}

fn needs_none(kind: CK_MECHANISM_TYPE) -> bool {
    matches!(
        kind,
        CKM_RSA_PKCS
            | CKM_RSA_X_509
            | CKM_SHA1_RSA_PKCS
            | CKM_SHA224_RSA_PKCS
            | CKM_SHA256_RSA_PKCS
            | CKM_SHA384_RSA_PKCS
            | CKM_SHA512_RSA_PKCS
            | CKM_SHA3_224_RSA_PKCS
            | CKM_SHA3_256_RSA_PKCS
            | CKM_SHA3_384_RSA_PKCS
            | CKM_SHA3_512_RSA_PKCS
            | CKM_ECDSA
            | CKM_ECDSA_SHA1
            | CKM_ECDSA_SHA224
            | CKM_ECDSA_SHA256
            | CKM_ECDSA_SHA384
            | CKM_ECDSA_SHA512
            | CKM_ECDSA_SHA3_224
            | CKM_ECDSA_SHA3_256
            | CKM_ECDSA_SHA3_384
            | CKM_ECDSA_SHA3_512
            | CKM_EDDSA
            | CKM_AES_ECB
            | CKM_AES_CMAC
            | CKM_AES_KEY_WRAP
            | CLOUDHSM_WRAP_NO_PAD
            | CLOUDHSM_WRAP_ZERO_PAD
            | CKM_AES_KEY_WRAP_KWP
            | CKM_AES_KEY_WRAP_PAD
            | CKM_SHA_1_HMAC
            | CKM_SHA224_HMAC
            | CKM_SHA256_HMAC
            | CKM_SHA384_HMAC
            | CKM_SHA512_HMAC
            | CKM_SHA512_224_HMAC
            | CKM_SHA512_256_HMAC
            | CKM_SHA3_224_HMAC
            | CKM_SHA3_256_HMAC
            | CKM_SHA3_384_HMAC
            | CKM_SHA3_512_HMAC
            | CKM_SHA_1
            | CKM_SHA224
            | CKM_SHA256
            | CKM_SHA384
            | CKM_SHA512
            | CKM_SHA512_224
            | CKM_SHA512_256
            | CKM_SHA3_224
            | CKM_SHA3_256
            | CKM_SHA3_384
            | CKM_SHA3_512
            | CKM_RSA_PKCS_KEY_PAIR_GEN
            | CKM_EC_KEY_PAIR_GEN
            | CKM_EC_EDWARDS_KEY_PAIR_GEN
            | CKM_EC_MONTGOMERY_KEY_PAIR_GEN
            | CKM_ML_DSA_KEY_PAIR_GEN
            | CKM_SLH_DSA_KEY_PAIR_GEN
            | CKM_ML_KEM_KEY_PAIR_GEN
            | CKM_AES_KEY_GEN
            | CKM_CHACHA20_KEY_GEN
            | CKM_DES3_KEY_GEN
            | CKM_DES3_ECB
            | CKM_DES3_CMAC
            | CKM_GENERIC_SECRET_KEY_GEN
    )
}

/// A parameter that no mechanism takes: three bytes.
pub fn wrong(kind: CK_MECHANISM_TYPE) -> CK_MECHANISM {
    CK_MECHANISM { mechanism: kind, pParameter: b"xyz".as_ptr().cast_mut().cast(), ulParameterLen: 3 }
}
