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
pub(super) unsafe fn start(
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

/// Each macro is one shape of C function; a row says its purpose and its name.
macro_rules! inits {
    ($($purpose:ident $name:ident;)*) => {
        c_functions! {$(
            fn $name(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
                start(library, hSession, Purpose::$purpose, pMechanism, Some(hKey))
            }
        )*}
    };
}

/// Bytes in and bytes out: the whole message, or a part of it.
macro_rules! transforms {
    ($($purpose:ident $name:ident $call:ident;)*) => {
        c_functions! {$(
            fn $name(
                hSession: CK_SESSION_HANDLE,
                pData: *mut CK_BYTE,
                ulDataLen: CK_ULONG,
                pResult: *mut CK_BYTE,
                pulResultLen: *mut CK_ULONG,
            ) |library| {
                with_output((pData, ulDataLen), pResult, pulResultLen, |data, output| {
                    library.$call(hSession, Purpose::$purpose, data, output)
                })
            }
        )*}
    };
}

macro_rules! absorbers {
    ($($purpose:ident $name:ident;)*) => {
        c_functions! {$(
            fn $name(hSession: CK_SESSION_HANDLE, pPart: *mut CK_BYTE, ulPartLen: CK_ULONG) |library| {
                absorb(library, hSession, Purpose::$purpose, bytes(pPart, ulPartLen)?)
            }
        )*}
    };
}

macro_rules! finals {
    ($($purpose:ident $name:ident;)*) => {
        c_functions! {$(
            fn $name(hSession: CK_SESSION_HANDLE, pResult: *mut CK_BYTE, pulResultLen: *mut CK_ULONG) |library| {
                with_output((null(), 0), pResult, pulResultLen, |_, output| {
                    library.finish(hSession, Purpose::$purpose, output)
                })
            }
        )*}
    };
}

inits! {
    Encrypt C_EncryptInit;
    Decrypt C_DecryptInit;
    Sign C_SignInit;
    SignRecover C_SignRecoverInit;
    Verify C_VerifyInit;
    VerifyRecover C_VerifyRecoverInit;
}

transforms! {
    Encrypt C_Encrypt one_shot;
    Encrypt C_EncryptUpdate update;
    Decrypt C_Decrypt one_shot;
    Decrypt C_DecryptUpdate update;
    Digest C_Digest one_shot;
    Sign C_Sign one_shot;
    SignRecover C_SignRecover one_shot;
}

absorbers! {
    Digest C_DigestUpdate;
    Sign C_SignUpdate;
}

finals! {
    Encrypt C_EncryptFinal;
    Decrypt C_DecryptFinal;
    Digest C_DigestFinal;
    Sign C_SignFinal;
}

c_functions! {
    fn C_DigestInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM) |library| {
        start(library, hSession, Purpose::Digest, pMechanism, None)
    }

    fn C_DigestKey(hSession: CK_SESSION_HANDLE, hKey: CK_OBJECT_HANDLE) |library| {
        library.digest_key(hSession, hKey)
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
        library.verify_update(hSession, Purpose::Verify, bytes(pPart, ulPartLen)?)
    }

    fn C_VerifySignatureInit(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hKey: CK_OBJECT_HANDLE,
        pSignature: *mut CK_BYTE,
        ulSignatureLen: CK_ULONG,
    ) |library| {
        if pMechanism.is_null() {
            return library.stop(hSession, Purpose::VerifySignature);
        }
        if pSignature.is_null() {
            return Err(Error::ArgumentsBad);
        }
        let mut params = Params::None;
        let row = mechanism_into(&mut params, pMechanism)?;
        library.start_signature(hSession, row, &mut params, hKey, bytes(pSignature, ulSignatureLen)?)
    }

    fn C_VerifySignature(hSession: CK_SESSION_HANDLE, pData: *mut CK_BYTE, ulDataLen: CK_ULONG) |library| {
        library.verify_signature(hSession, bytes(pData, ulDataLen)?)
    }

    fn C_VerifySignatureUpdate(hSession: CK_SESSION_HANDLE, pPart: *mut CK_BYTE, ulPartLen: CK_ULONG) |library| {
        library.verify_update(hSession, Purpose::VerifySignature, bytes(pPart, ulPartLen)?)
    }

    fn C_VerifySignatureFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.verify_signature_final(hSession)
    }

    fn C_VerifyFinal(hSession: CK_SESSION_HANDLE, pSignature: *mut CK_BYTE, ulSignatureLen: CK_ULONG) |library| {
        if pSignature.is_null() {
            return Err(Error::ArgumentsBad);
        }
        library.verify_final(hSession, bytes(pSignature, ulSignatureLen)?)
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
