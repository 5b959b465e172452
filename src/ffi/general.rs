//! C_Initialize and its like (PKCS#11 3.2 §5.4).

use super::memory::{padded, read, string, write};
use super::signals::Quiet;
use super::{c_functions, early_c_functions, fork, trace};
use crate::error::{Error, Result};
use crate::session::Library;
use cryptoki_sys::*;

pub const MANUFACTURER: &str = "Strongroom";
/// Of the library and of its "hardware".
pub const VERSION: CK_VERSION = CK_VERSION { major: 0, minor: 1 };
/// The longest configuration string that C_Initialize takes.
const LONGEST: usize = 4096;

/// The configuration string of C_Initialize's arguments, and whether we may make threads. Locks are our own
/// whatever the flags and callbacks say.
unsafe fn arguments(place: *const CK_C_INITIALIZE_ARGS) -> Result<(Option<String>, bool)> {
    if place.is_null() {
        return Ok((None, true));
    }
    // SAFETY: not NULL: the caller's structure.
    let given = unsafe { read(place)? };
    let callbacks = [
        given.CreateMutex.is_some(),
        given.DestroyMutex.is_some(),
        given.LockMutex.is_some(),
        given.UnlockMutex.is_some(),
    ];
    if callbacks.contains(&true) && callbacks.contains(&false) {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: clients pass a string or NULL here.
    let text = unsafe { string(given.pReserved.cast(), LONGEST) };
    trace::note(place, || {
        let mutexes = if callbacks[0] { ", mutex functions" } else { "" };
        format!("flags {:#x}{mutexes}, {text:?}", given.flags)
    });
    Ok((text, given.flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS == 0))
}

early_c_functions! {
    fn C_Initialize(pInitArgs: CK_VOID_PTR) {
        let (config, threads) = arguments(pInitArgs.cast())?;
        fork::register();
        // A thread begins with the signals blocked that are blocked here.
        let _quiet = Quiet::new();
        Library::initialize(config.as_deref(), threads)
    }

    fn C_Finalize(pReserved: CK_VOID_PTR) {
        if pReserved.is_null() { Library::finalize() } else { Err(Error::ArgumentsBad) }
    }
}

c_functions! {
    fn C_GetInfo(pInfo: *mut CK_INFO) |_| {
        let info = CK_INFO {
            cryptokiVersion: CK_VERSION { major: 3, minor: 2 },
            manufacturerID: padded(MANUFACTURER),
            flags: 0,
            libraryDescription: padded("Strongroom software HSM"),
            libraryVersion: VERSION,
        };
        write(pInfo, info)
    }

    fn C_WaitForSlotEvent(flags: CK_FLAGS, pSlot: *mut CK_SLOT_ID, pReserved: CK_VOID_PTR) |library| {
        if !pReserved.is_null() || pSlot.is_null() {
            return Err(Error::ArgumentsBad);
        }
        write(pSlot, library.wait_for_slot_event(flags & CKF_DONT_BLOCK == 0)?)
    }
}
