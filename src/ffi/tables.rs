//! The function tables: exactly 2.40, 3.0 and 3.2, no entry NULL, and the interfaces that name them.

use super::memory::{read, string, write, write_list};
use super::{
    early_c_functions, general::*, keys::*, messages::*, objects::*, operations::*, sessions::*, tokens::*,
    trace, unsupported::*, wanted,
};
use crate::error::{Error, Result};
use cryptoki_sys::*;

/// Hands the names of the 2.40 functions, and those given, to a macro.
macro_rules! with_2_40 {
    ($make:ident $($more:ident)*) => {
        $make! {
            C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
            C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession
            C_CloseSession C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState
            C_Login C_Logout C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize
            C_GetAttributeValue C_SetAttributeValue C_FindObjectsInit C_FindObjects C_FindObjectsFinal
            C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate
            C_DecryptFinal C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign
            C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate
            C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover C_DigestEncryptUpdate C_DecryptDigestUpdate
            C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey C_GenerateKeyPair C_WrapKey C_UnwrapKey
            C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus C_CancelFunction
            C_WaitForSlotEvent
            $($more)*
        }
    };
}

macro_rules! with_3_0 {
    ($make:ident $($more:ident)*) => {
        with_2_40! { $make
            C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel C_MessageEncryptInit
            C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal
            C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext
            C_MessageDecryptFinal C_MessageSignInit C_SignMessage C_SignMessageBegin C_SignMessageNext
            C_MessageSignFinal C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin C_VerifyMessageNext
            C_MessageVerifyFinal
            $($more)*
        }
    };
}

macro_rules! with_3_2 {
    ($make:ident) => {
        with_3_0! { $make
            C_EncapsulateKey C_DecapsulateKey C_VerifySignatureInit C_VerifySignature
            C_VerifySignatureUpdate C_VerifySignatureFinal C_GetSessionValidationFlags C_AsyncComplete
            C_AsyncGetID C_AsyncJoin C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated
        }
    };
}

macro_rules! list_2_40 {
    ($($name:ident)*) => {
        CK_FUNCTION_LIST { version: CK_VERSION { major: 2, minor: 40 }, $($name: Some($name),)* }
    };
}

macro_rules! list_3_0 {
    ($($name:ident)*) => {
        CK_FUNCTION_LIST_3_0 { version: CK_VERSION { major: 3, minor: 0 }, $($name: Some($name),)* }
    };
}

macro_rules! list_3_2 {
    ($($name:ident)*) => {
        CK_FUNCTION_LIST_3_2 { version: CK_VERSION { major: 3, minor: 2 }, $($name: Some($name),)* }
    };
}

static LIST_2_40: CK_FUNCTION_LIST = with_2_40!(list_2_40);
static LIST_3_0: CK_FUNCTION_LIST_3_0 = with_3_0!(list_3_0);
static LIST_3_2: CK_FUNCTION_LIST_3_2 = with_3_2!(list_3_2);

const NAME: &[u8; 8] = b"PKCS 11\0";

struct Interfaces([(CK_INTERFACE, CK_VERSION); 3]);

// SAFETY: the pointers inside point to statics that nobody writes to.
unsafe impl Sync for Interfaces {}

const fn interface<T>(list: &'static T) -> CK_INTERFACE {
    CK_INTERFACE {
        pInterfaceName: NAME.as_ptr().cast_mut(),
        pFunctionList: std::ptr::from_ref(list).cast_mut().cast(),
        flags: CKF_INTERFACE_FORK_SAFE,
    }
}

/// The newest first: the default.
static INTERFACES: Interfaces = Interfaces([
    (interface(&LIST_3_2), CK_VERSION { major: 3, minor: 2 }),
    (interface(&LIST_3_0), CK_VERSION { major: 3, minor: 0 }),
    (interface(&LIST_2_40), CK_VERSION { major: 2, minor: 40 }),
]);

early_c_functions! {
    fn C_GetFunctionList(ppFunctionList: *mut *mut CK_FUNCTION_LIST) {
        write(ppFunctionList, (&raw const LIST_2_40).cast_mut())
    }

    fn C_GetInterfaceList(pList: *mut CK_INTERFACE, pulCount: *mut CK_ULONG) {
        let list = INTERFACES.0.map(|(interface, _)| interface);
        write_list(pList, wanted(pulCount)?, &list)
    }

    fn C_GetInterface(
        pInterfaceName: *mut CK_UTF8CHAR,
        pVersion: *mut CK_VERSION,
        ppInterface: *mut *mut CK_INTERFACE,
        flags: CK_FLAGS,
    ) {
        find_interface(pInterfaceName, pVersion, ppInterface, flags)
    }
}

/// No name means the default, no version the newest; all asked flags must be there.
unsafe fn find_interface(
    name: *const CK_UTF8CHAR,
    version: *const CK_VERSION,
    found: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> Result<()> {
    // SAFETY: NULL or a C string.
    let text = unsafe { string(name, 64) };
    trace::note(name, || format!("{text:?}"));
    let named = name.is_null() || text.as_deref() == Some("PKCS 11");
    let place = version;
    // SAFETY: NULL or a version.
    let version = if place.is_null() { None } else { Some(unsafe { read(place)? }) };
    version.inspect(|version| trace::note(place, || format!("{}.{}", version.major, version.minor)));
    let fits = |place: &&(CK_INTERFACE, CK_VERSION)| {
        let (interface, its) = place;
        let right = version.is_none_or(|v| (v.major, v.minor) == (its.major, its.minor));
        named && right && flags & !interface.flags == 0
    };
    let (interface, _) = INTERFACES.0.iter().find(fits).ok_or(Error::FunctionFailed)?;
    // SAFETY: NULL or room for a pointer.
    unsafe { write(found, std::ptr::from_ref(interface).cast_mut()) }
}
