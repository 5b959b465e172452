//! Message-based encryption, decryption, signing and verifying (PKCS#11 3.2 §5.9, §5.11, §5.14, §5.16).

use super::c_functions;
use super::memory::{bytes, with_output};
use super::params::{give_message, message};
use crate::error::{Error, Result};
use crate::mechanism::{Message, Params};
use crate::session::{Library, Purpose};
use cryptoki_sys::*;
use std::os::raw::c_void;

/// C_Message…Init of ciphers (those of signatures are as without messages). The parameter may be that of the first message or none: each message
/// brings its own.
unsafe fn start(
    library: &Library,
    session: CK_SESSION_HANDLE,
    purpose: Purpose,
    given: *const CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> Result<()> {
    if given.is_null() {
        return library.stop(session, purpose);
    }
    // SAFETY: the caller's mechanism.
    let given = unsafe { super::memory::read(given)? };
    let row = crate::mechanism::find(given.mechanism)?;
    library.start(session, purpose, row, &mut Params::None, Some(key))
}

unsafe fn read_message(
    library: &Library,
    session: CK_SESSION_HANDLE,
    purpose: Purpose,
    parameter: *const c_void,
    length: CK_ULONG,
) -> Result<Message> {
    let shape = library.message_shape(session, purpose)?;
    // SAFETY: the caller's parameter.
    unsafe { message(shape, parameter.cast(), length, purpose == Purpose::MessageEncrypt) }
}

/// Signatures take nothing with each message.
fn nothing(length: CK_ULONG) -> Result<()> {
    if length == 0 { Ok(()) } else { Err(Error::MechanismParamInvalid) }
}

c_functions! {
    fn C_MessageEncryptInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::MessageEncrypt, pMechanism, hKey)
    }

    fn C_EncryptMessage(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pAssociatedData: *mut CK_BYTE,
        ulAssociatedDataLen: CK_ULONG,
        pPlaintext: *mut CK_BYTE,
        ulPlaintextLen: CK_ULONG,
        pCiphertext: *mut CK_BYTE,
        pulCiphertextLen: *mut CK_ULONG,
    ) |library| {
        let mut message = read_message(library, hSession, Purpose::MessageEncrypt, pParameter, ulParameterLen)?;
        let aad = bytes(pAssociatedData, ulAssociatedDataLen)?;
        let mut done = false;
        with_output((pPlaintext, ulPlaintextLen), pCiphertext, pulCiphertextLen, |plain, output| {
            done = library.encrypt_message(hSession, &mut message, aad, plain, output)?;
            Ok(())
        })?;
        if done { give_message(&message, pParameter.cast(), ulParameterLen, true) } else { Ok(()) }
    }

    fn C_EncryptMessageBegin(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pAssociatedData: *mut CK_BYTE,
        ulAssociatedDataLen: CK_ULONG,
    ) |library| {
        let mut message = read_message(library, hSession, Purpose::MessageEncrypt, pParameter, ulParameterLen)?;
        let aad = bytes(pAssociatedData, ulAssociatedDataLen)?;
        library.begin_cipher(hSession, Purpose::MessageEncrypt, &mut message, aad)?;
        give_message(&message, pParameter.cast(), ulParameterLen, false)
    }

    fn C_EncryptMessageNext(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pPlaintextPart: *mut CK_BYTE,
        ulPlaintextPartLen: CK_ULONG,
        pCiphertextPart: *mut CK_BYTE,
        pulCiphertextPartLen: *mut CK_ULONG,
        flags: CK_FLAGS,
    ) |library| {
        let mut message = read_message(library, hSession, Purpose::MessageEncrypt, pParameter, ulParameterLen)?;
        // The nonce was made when the message began.
        message.fixed_bits = None;
        let last = flags & CKF_END_OF_MESSAGE != 0;
        let mut ended = false;
        with_output((pPlaintextPart, ulPlaintextPartLen), pCiphertextPart, pulCiphertextPartLen, |plain, output| {
            let tag = last.then_some(&mut message.tag[..]);
            ended = library.encrypt_next(hSession, plain, tag, output)?;
            Ok(())
        })?;
        give_message(&message, pParameter.cast(), ulParameterLen, last && ended)
    }

    fn C_MessageEncryptFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.finish_messages(hSession, Purpose::MessageEncrypt)
    }

    fn C_MessageDecryptInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        start(library, hSession, Purpose::MessageDecrypt, pMechanism, hKey)
    }

    fn C_DecryptMessage(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pAssociatedData: *mut CK_BYTE,
        ulAssociatedDataLen: CK_ULONG,
        pCiphertext: *mut CK_BYTE,
        ulCiphertextLen: CK_ULONG,
        pPlaintext: *mut CK_BYTE,
        pulPlaintextLen: *mut CK_ULONG,
    ) |library| {
        let message = read_message(library, hSession, Purpose::MessageDecrypt, pParameter, ulParameterLen)?;
        let aad = bytes(pAssociatedData, ulAssociatedDataLen)?;
        with_output((pCiphertext, ulCiphertextLen), pPlaintext, pulPlaintextLen, |sealed, output| {
            library.decrypt_message(hSession, &message, aad, sealed, output)
        })
    }

    fn C_DecryptMessageBegin(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pAssociatedData: *mut CK_BYTE,
        ulAssociatedDataLen: CK_ULONG,
    ) |library| {
        let mut message = read_message(library, hSession, Purpose::MessageDecrypt, pParameter, ulParameterLen)?;
        let aad = bytes(pAssociatedData, ulAssociatedDataLen)?;
        library.begin_cipher(hSession, Purpose::MessageDecrypt, &mut message, aad)
    }

    fn C_DecryptMessageNext(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pCiphertextPart: *mut CK_BYTE,
        ulCiphertextPartLen: CK_ULONG,
        pPlaintextPart: *mut CK_BYTE,
        pulPlaintextPartLen: *mut CK_ULONG,
        flags: CK_FLAGS,
    ) |library| {
        let message = read_message(library, hSession, Purpose::MessageDecrypt, pParameter, ulParameterLen)?;
        let tag = (flags & CKF_END_OF_MESSAGE != 0).then_some(&message.tag[..]);
        with_output((pCiphertextPart, ulCiphertextPartLen), pPlaintextPart, pulPlaintextPartLen, |sealed, output| {
            library.decrypt_next(hSession, sealed, tag, output)
        })
    }

    fn C_MessageDecryptFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.finish_messages(hSession, Purpose::MessageDecrypt)
    }

    fn C_MessageSignInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        super::operations::start(library, hSession, Purpose::MessageSign, pMechanism, Some(hKey))
    }

    fn C_SignMessage(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        pulSignatureLen: *mut CK_ULONG,
    ) |library| {
        nothing(ulParameterLen)?;
        with_output((pData, ulDataLen), pSignature, pulSignatureLen, |data, output| {
            library.sign_message(hSession, data, output)
        })
    }

    fn C_SignMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: *mut c_void, ulParameterLen: CK_ULONG) |library| {
        nothing(ulParameterLen)?;
        library.begin_signed(hSession, Purpose::MessageSign)
    }

    fn C_SignMessageNext(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        pulSignatureLen: *mut CK_ULONG,
    ) |library| {
        nothing(ulParameterLen)?;
        if pulSignatureLen.is_null() {
            return library.sign_next(hSession, bytes(pData, ulDataLen)?, None);
        }
        with_output((pData, ulDataLen), pSignature, pulSignatureLen, |data, output| {
            library.sign_next(hSession, data, Some(output))
        })
    }

    fn C_MessageSignFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.finish_messages(hSession, Purpose::MessageSign)
    }

    fn C_MessageVerifyInit(hSession: CK_SESSION_HANDLE, pMechanism: *mut CK_MECHANISM, hKey: CK_OBJECT_HANDLE) |library| {
        super::operations::start(library, hSession, Purpose::MessageVerify, pMechanism, Some(hKey))
    }

    fn C_VerifyMessage(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        ulSignatureLen: CK_ULONG,
    ) |library| {
        nothing(ulParameterLen)?;
        library.verify_message(hSession, bytes(pData, ulDataLen)?, bytes(pSignature, ulSignatureLen)?)
    }

    fn C_VerifyMessageBegin(hSession: CK_SESSION_HANDLE, pParameter: *mut c_void, ulParameterLen: CK_ULONG) |library| {
        nothing(ulParameterLen)?;
        library.begin_signed(hSession, Purpose::MessageVerify)
    }

    fn C_VerifyMessageNext(
        hSession: CK_SESSION_HANDLE,
        pParameter: *mut c_void,
        ulParameterLen: CK_ULONG,
        pData: *mut CK_BYTE,
        ulDataLen: CK_ULONG,
        pSignature: *mut CK_BYTE,
        ulSignatureLen: CK_ULONG,
    ) |library| {
        nothing(ulParameterLen)?;
        let signature = bytes(pSignature, ulSignatureLen)?;
        let last = !pSignature.is_null();
        library.verify_next(hSession, bytes(pData, ulDataLen)?, last.then_some(signature))
    }

    fn C_MessageVerifyFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.finish_messages(hSession, Purpose::MessageVerify)
    }
}
