//! Key management (PKCS#11 3.2 §5.18).

use super::attributes::{Use, template};
use super::memory::{bytes, with_output, write};
use super::params::{give_handles, mechanism};
use super::{c_functions, wanted};
use crate::error::Error;
use cryptoki_sys::*;
use std::ptr::null;

c_functions! {
    fn C_GenerateKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
        phKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phKey = wanted(phKey)?;
        let (row, params) = mechanism(pMechanism)?;
        let template = template(pTemplate, ulCount, Use::Make)?;
        write(phKey, library.generate_key(hSession, row, params, template)?)
    }

    fn C_GenerateKeyPair(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        pPublicTemplate: *mut CK_ATTRIBUTE,
        ulPublicCount: CK_ULONG,
        pPrivateTemplate: *mut CK_ATTRIBUTE,
        ulPrivateCount: CK_ULONG,
        phPublicKey: *mut CK_OBJECT_HANDLE,
        phPrivateKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let (phPublicKey, phPrivateKey) = (wanted(phPublicKey)?, wanted(phPrivateKey)?);
        let (row, params) = mechanism(pMechanism)?;
        let public = template(pPublicTemplate, ulPublicCount, Use::Make)?;
        let private = template(pPrivateTemplate, ulPrivateCount, Use::Make)?;
        let (public, private) = library.generate_key_pair(hSession, row, params, public, private)?;
        write(phPublicKey, public)?;
        write(phPrivateKey, private)
    }

    fn C_WrapKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hWrappingKey: CK_OBJECT_HANDLE,
        hKey: CK_OBJECT_HANDLE,
        pWrappedKey: *mut CK_BYTE,
        pulWrappedKeyLen: *mut CK_ULONG,
    ) |library| {
        let (row, params) = mechanism(pMechanism)?;
        with_output((null(), 0), pWrappedKey, pulWrappedKeyLen, |_, output| {
            library.wrap_key(hSession, row, params, hWrappingKey, hKey, output)
        })
    }

    fn C_UnwrapKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hUnwrappingKey: CK_OBJECT_HANDLE,
        pWrappedKey: *mut CK_BYTE,
        ulWrappedKeyLen: CK_ULONG,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
        phKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phKey = wanted(phKey)?;
        let (row, params) = mechanism(pMechanism)?;
        let wrapped = bytes(pWrappedKey, ulWrappedKeyLen)?;
        let template = template(pTemplate, ulCount, Use::Make)?;
        write(phKey, library.unwrap_key(hSession, row, params, hUnwrappingKey, wrapped, template)?)
    }

    fn C_EncapsulateKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hPublicKey: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulAttributeCount: CK_ULONG,
        pCiphertext: *mut CK_BYTE,
        pulCiphertextLen: *mut CK_ULONG,
        phKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        if !pCiphertext.is_null() {
            wanted(phKey)?;
        }
        let (row, params) = mechanism(pMechanism)?;
        let template = template(pTemplate, ulAttributeCount, Use::Make)?;
        let mut key = None;
        with_output((null(), 0), pCiphertext, pulCiphertextLen, |_, output| {
            key = library.encapsulate_key(hSession, row, params, hPublicKey, template, output)?;
            Ok(())
        })?;
        key.map_or(Ok(()), |key| write(phKey, key))
    }

    fn C_DecapsulateKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hPrivateKey: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulAttributeCount: CK_ULONG,
        pCiphertext: *mut CK_BYTE,
        ulCiphertextLen: CK_ULONG,
        phKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phKey = wanted(phKey)?;
        let (row, params) = mechanism(pMechanism)?;
        let ciphertext = bytes(pCiphertext, ulCiphertextLen)?;
        let template = template(pTemplate, ulAttributeCount, Use::Make)?;
        write(phKey, library.decapsulate_key(hSession, row, params, hPrivateKey, ciphertext, template)?)
    }

    fn C_DeriveKey(
        hSession: CK_SESSION_HANDLE,
        pMechanism: *mut CK_MECHANISM,
        hBaseKey: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
        phKey: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phKey = wanted(phKey)?;
        let (row, params) = mechanism(pMechanism)?;
        let template = template(pTemplate, ulCount, Use::Make)?;
        let mut offending = None;
        match library.derive_key(hSession, row, params, hBaseKey, template, &mut offending) {
            Ok(handles) => {
                give_handles(pMechanism, |place| handles.get(place + 1).copied())?;
                write(phKey, *handles.first().ok_or(Error::GeneralError)? as CK_OBJECT_HANDLE)
            }
            Err(error) => {
                give_handles(pMechanism, |place| (offending == Some(place)).then_some(0))?;
                Err(error)
            }
        }
    }
}
