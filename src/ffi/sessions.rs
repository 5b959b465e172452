//! Sessions and login (PKCS#11 3.2 §5.6).

use super::memory::{bytes, room, secret, user_name, with_output, write};
use super::{c_functions, wanted};
use crate::crypto::Secret;
use crate::error::Error;
use crate::session::LONGEST_STATE;
use cryptoki_sys::*;
use std::ptr::null;

c_functions! {
    fn C_OpenSession(
        slotID: CK_SLOT_ID,
        flags: CK_FLAGS,
        _pApplication: CK_VOID_PTR,
        _Notify: CK_NOTIFY,
        phSession: *mut CK_SESSION_HANDLE,
    ) |library| {
        let phSession = wanted(phSession)?;
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(Error::SessionParallelNotSupported);
        }
        if flags & CKF_ASYNC_SESSION != 0 {
            return Err(Error::SessionAsyncNotSupported);
        }
        write(phSession, library.open_session(slotID, flags & CKF_RW_SESSION != 0)?)
    }

    fn C_CloseSession(hSession: CK_SESSION_HANDLE) |library| {
        library.close_session(hSession)
    }

    fn C_CloseAllSessions(slotID: CK_SLOT_ID) |library| {
        library.close_all_sessions(slotID)
    }

    fn C_GetSessionInfo(hSession: CK_SESSION_HANDLE, pInfo: *mut CK_SESSION_INFO) |library| {
        let info = library.session_info(hSession)?;
        write(pInfo, CK_SESSION_INFO { slotID: info.slot, state: info.state, flags: info.flags, ulDeviceError: 0 })
    }

    fn C_Login(hSession: CK_SESSION_HANDLE, userType: CK_USER_TYPE, pPin: *mut CK_UTF8CHAR, ulPinLen: CK_ULONG) |library| {
        library.login(hSession, userType, None, &secret(pPin, ulPinLen)?)
    }

    fn C_LoginUser(
        hSession: CK_SESSION_HANDLE,
        userType: CK_USER_TYPE,
        pPin: *mut CK_UTF8CHAR,
        ulPinLen: CK_ULONG,
        pUsername: *mut CK_UTF8CHAR,
        ulUsernameLen: CK_ULONG,
    ) |library| {
        let name = user_name(pUsername, ulUsernameLen)?;
        library.login(hSession, userType, name.as_deref(), &secret(pPin, ulPinLen)?)
    }

    fn C_Logout(hSession: CK_SESSION_HANDLE) |library| {
        library.logout(hSession)
    }

    fn C_SessionCancel(hSession: CK_SESSION_HANDLE, flags: CK_FLAGS) |library| {
        library.cancel(hSession, flags)
    }

    fn C_GetSessionValidationFlags(
        hSession: CK_SESSION_HANDLE,
        _flagsType: CK_SESSION_VALIDATION_FLAGS_TYPE,
        pFlags: *mut CK_FLAGS,
    ) |library| {
        library.session_info(hSession)?;
        write(pFlags, 0)
    }

    fn C_SeedRandom(hSession: CK_SESSION_HANDLE, pSeed: *mut CK_BYTE, ulSeedLen: CK_ULONG) |library| {
        library.seed_random(hSession, bytes(pSeed, ulSeedLen)?)
    }

    fn C_GenerateRandom(hSession: CK_SESSION_HANDLE, pRandom: *mut CK_BYTE, ulRandomLen: CK_ULONG) |library| {
        library.generate_random(hSession, room(pRandom, ulRandomLen)?)
    }

    fn C_GetFunctionStatus(hSession: CK_SESSION_HANDLE) |library| {
        library.session_info(hSession)?;
        Err(Error::FunctionNotParallel)
    }

    fn C_CancelFunction(hSession: CK_SESSION_HANDLE) |library| {
        library.session_info(hSession)?;
        Err(Error::FunctionNotParallel)
    }

    fn C_GetOperationState(hSession: CK_SESSION_HANDLE, pState: *mut CK_BYTE, pulStateLen: *mut CK_ULONG) |library| {
        with_output((null(), 0), pState, pulStateLen, |_, output| library.save_state(hSession, output))
    }

    fn C_SetOperationState(
        hSession: CK_SESSION_HANDLE,
        pState: *mut CK_BYTE,
        ulStateLen: CK_ULONG,
        hEncryptionKey: CK_OBJECT_HANDLE,
        hAuthenticationKey: CK_OBJECT_HANDLE,
    ) |library| {
        // A copy: nobody may change it between its check and its use.
        let state = Secret::from(bytes(pState, ulStateLen.min(LONGEST_STATE + 1))?);
        library.restore_state(hSession, &state, hEncryptionKey, hAuthenticationKey)
    }
}
