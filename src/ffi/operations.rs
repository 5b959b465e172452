//! Encrypt, decrypt, digest, sign, verify, also with recovery (PKCS#11 3.2 §5.8 to §5.15): thin names over
//! the one life cycle in `session`.

use super::c_functions;
use super::memory::{bytes, with_output};
use super::params::mechanism_into;
use crate::error::{Error, Result};
use crate::mechanism::Params;
use crate::session::{Library, Output, Purpose};
use cryptoki_sys::*;
use std::ptr::null;

/// C_…Init: a NULL mechanism ends a running operation (3.0).
unsafe fn start(
    library: &Library,
    session: CK_SESSION_HANDLE,
    purpose: Purpose,
    given: *const CK_MECHANISM,
    key: Option<CK_OBJECT_HANDLE>,
) -> Result<()> {
    if given.is_null() {
        return library.stop(session, purpose);
    }
    let mut params = Params::None;
    // SAFETY: the caller's mechanism.
    let row = unsafe { mechanism_into(&mut params, given)? };
    library.start(session, purpose, row, &mut params, key)
}

/// Digest and sign take parts in and give nothing.
fn absorb(library: &Library, session: CK_SESSION_HANDLE, purpose: Purpose, part: &[u8]) -> Result<()> {
    library.update(session, purpose, part, &mut Output { buffer: None, length: 0 })
}

macro_rules! transforms {
    ($($purpose:ident: $init:ident $one_shot:ident $update:ident $finish:ident;)*) => {
        c_functions! {$(
            fn $init(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
                start(library, hSession, Purpose::$purpose, pMechanism, Some(hKey))
            }

            fn $one_shot(
                hSession: CK_SESSION_HANDLE,
                pData: *mut CK_BYTE,
                ulDataLen: CK_ULONG,
                pResult: *mut CK_BYTE,
                pulResultLen: *mut CK_ULONG,
            ) |library| {
                with_output((pData, ulDataLen), pResult, pulResultLen, |data, output| {
                    library.one_shot(hSession, Purpose::$purpose, data, output)
                })
            }

            fn $update(
                hSession: CK_SESSION_HANDLE,
                pPart: *mut CK_BYTE,
                ulPartLen: CK_ULONG,
                pResult: *mut CK_BYTE,
                pulResultLen: *mut CK_ULONG,
            ) |library| {
                with_output((pPart, ulPartLen), pResult, pulResultLen, |part, output| {
                    library.update(hSession, Purpose::$purpose, part, output)
                })
            }

            fn $finish(hSession: CK_SESSION_HANDLE, pResult: *mut CK_BYTE, pulResultLen: *mut CK_ULONG) |library| {
                with_output((null(), 0), pResult, pulResultLen, |_, output| {
                    library.finish(hSession, Purpose::$purpose, output)
                })
            }
        )*}
    };
}

transforms! {
    Encrypt: C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal;
    Decrypt: C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal;
}

c_functions! {
    fn C_DigestInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM) |library| {
        start(library, hSession, Purpose::Digest, pMechanism, None)
    }

    fn C_Digest(
        hSession: CK_SESSION_HANDLE,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pDigest: *mut CK_BYTE,
        pulDigestLen: *mut CK_ULONG,
    ) |library| {
        with_output((pData, ulDataLen), pDigest, pulDigestLen, |data, output| {
            library.one_shot(hSession, Purpose::Digest, data, output)
        })
    }

    fn C_DigestUpdate(hSession: CK_SESSION_HANDLE, pPart: *mut CK_BYTE, ulPartLen: CK_ULONG) |library| {
        absorb(library, hSession, Purpose::Digest, bytes(pPart, ulPartLen)?)
    }

    fn C_DigestKey(hSession: CK_SESSION_HANDLE, hKey: CK_OBJECT_HANDLE) |library| {
        library.digest_key(hSession, hKey)
    }

    fn C_DigestFinal(hSession: CK_SESSION_HANDLE, pDigest: *mut CK_BYTE, pulDigestLen: *mut CK_ULONG) |library| {
        with_output((null(), 0), pDigest, pulDigestLen, |_, output| library.finish(hSession, Purpose::Digest, output))
    }

    fn C_SignInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::Sign, pMechanism, Some(hKey))
    }

    fn C_Sign(
        hSession: CK_SESSION_HANDLE,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        pulSignatureLen: *mut CK_ULONG,
    ) |library| {
        with_output((pData, ulDataLen), pSignature, pulSignatureLen, |data, output| {
            library.one_shot(hSession, Purpose::Sign, data, output)
        })
    }

    fn C_SignUpdate(hSession: CK_SESSION_HANDLE, pPart: *mut CK_BYTE, ulPartLen: CK_ULONG) |library| {
        absorb(library, hSession, Purpose::Sign, bytes(pPart, ulPartLen)?)
    }

    fn C_SignFinal(hSession: CK_SESSION_HANDLE, pSignature: *mut CK_BYTE, pulSignatureLen: *mut CK_ULONG) |library| {
        with_output((null(), 0), pSignature, pulSignatureLen, |_, output| {
            library.finish(hSession, Purpose::Sign, output)
        })
    }

    fn C_SignRecoverInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::SignRecover, pMechanism, Some(hKey))
    }

    fn C_SignRecover(
        hSession: CK_SESSION_HANDLE,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        pulSignatureLen: *mut CK_ULONG,
    ) |library| {
        with_output((pData, ulDataLen), pSignature, pulSignatureLen, |data, output| {
            library.one_shot(hSession, Purpose::SignRecover, data, output)
        })
    }

    fn C_VerifyInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::Verify, pMechanism, Some(hKey))
    }

    fn C_Verify(
        hSession: CK_SESSION_HANDLE,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        ulSignatureLen: CK_ULONG,
    ) |library| {
        library.verify(hSession, bytes(pData, ulDataLen)?, bytes(pSignature, ulSignatureLen)?)
    }

    fn C_VerifyUpdate(hSession: CK_SESSION_HANDLE, pPart: *mut CK_BYTE, ulPartLen: CK_ULONG) |library| {
        library.verify_update(hSession, bytes(pPart, ulPartLen)?)
    }

    fn C_VerifyFinal(hSession: CK_SESSION_HANDLE, pSignature: *mut CK_BYTE, ulSignatureLen: CK_ULONG) |library| {
        if pSignature.is_null() {
            return Err(Error::ArgumentsBad);
        }
        library.verify_final(hSession, bytes(pSignature, ulSignatureLen)?)
    }

    fn C_VerifyRecoverInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::VerifyRecover, pMechanism, Some(hKey))
    }

    fn C_VerifyRecover(
        hSession: CK_SESSION_HANDLE,
        pSignature: *mut CK_BYTE,
        ulSignatureLen: CK_ULONG,
        pData: *mut CK_BYTE,
        pulDataLen: *mut CK_ULONG,
    ) |library| {
        with_output((pSignature, ulSignatureLen), pData, pulDataLen, |signature, output| {
            library.recover(hSession, signature, output)
        })
    }
}
