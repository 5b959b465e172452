//! Objects (PKCS#11 3.2 §5.7).

use super::attributes::{Use, give, kinds, template};
use super::memory::{write, write_list};
use super::{c_functions, wanted};
use crate::error::Error;
use cryptoki_sys::*;

c_functions! {
    fn C_CreateObject(
        hSession: CK_SESSION_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
        phObject: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phObject = wanted(phObject)?;
        write(phObject, library.create_object(hSession, template(pTemplate, ulCount, Use::Make)?)?)
    }

    fn C_CopyObject(
        hSession: CK_SESSION_HANDLE,
        hObject: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
        phNewObject: *mut CK_OBJECT_HANDLE,
    ) |library| {
        let phNewObject = wanted(phNewObject)?;
        write(phNewObject, library.copy_object(hSession, hObject, template(pTemplate, ulCount, Use::Make)?)?)
    }

    fn C_DestroyObject(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE) |library| {
        library.destroy_object(hSession, hObject)
    }

    fn C_GetObjectSize(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE, pulSize: *mut CK_ULONG) |library| {
        let pulSize = wanted(pulSize)?;
        write(pulSize, library.object_size(hSession, hObject)? as CK_ULONG)
    }

    fn C_GetAttributeValue(
        hSession: CK_SESSION_HANDLE,
        hObject: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
    ) |library| {
        give(pTemplate, library.attributes(hSession, hObject, &kinds(pTemplate, ulCount)?)?)
    }

    fn C_SetAttributeValue(
        hSession: CK_SESSION_HANDLE,
        hObject: CK_OBJECT_HANDLE,
        pTemplate: *mut CK_ATTRIBUTE,
        ulCount: CK_ULONG,
    ) |library| {
        library.set_attributes(hSession, hObject, template(pTemplate, ulCount, Use::Make)?)
    }

    fn C_FindObjectsInit(hSession: CK_SESSION_HANDLE, pTemplate: *mut CK_ATTRIBUTE, ulCount: CK_ULONG) |library| {
        library.find_init(hSession, template(pTemplate, ulCount, Use::Search)?)
    }

    fn C_FindObjects(
        hSession: CK_SESSION_HANDLE,
        phObject: *mut CK_OBJECT_HANDLE,
        ulMax: CK_ULONG,
        pulCount: *mut CK_ULONG,
    ) |library| {
        if phObject.is_null() || pulCount.is_null() {
            return Err(Error::ArgumentsBad);
        }
        let found = library.find(hSession, usize::try_from(ulMax).unwrap_or(usize::MAX))?;
        write(pulCount, found.len() as CK_ULONG)?;
        write_list(phObject, pulCount, &found)
    }

    fn C_FindObjectsFinal(hSession: CK_SESSION_HANDLE) |library| {
        library.find_final(hSession)
    }
}
