//! C_WaitForSlotEvent as strongSwan and NSS use it: many threads wait, C_Finalize frees them all, even
//! when C_Initialize follows at once.

use cryptoki_sys::*;
use pkcs11_tests::{Module, call, cheap_config};
use std::ptr::null_mut;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Whether the kernel says that a thread of this process sleeps.
fn sleeps(thread: libc::pid_t) -> bool {
    let state = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).expect("a living thread");
    state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

#[test]
fn blocking_wait_for_slot_event_freed_by_finalize() {
    const WAITERS: usize = 64;
    let (_folder, config) = cheap_config();
    let module: &'static Module = Box::leak(Box::new(Module::load()));
    module.initialize(&config).expect("C_Initialize");
    let (here, threads) = mpsc::channel();
    let (freed, codes) = mpsc::channel();
    for _ in 0..WAITERS {
        let (here, freed) = (here.clone(), freed.clone());
        std::thread::spawn(move || {
            // SAFETY: no arguments.
            here.send(unsafe { libc::gettid() }).expect("send");
            freed.send(call!(module, C_WaitForSlotEvent, 0, &mut 0, null_mut())).expect("send");
        });
    }
    let limit = Instant::now() + Duration::from_secs(60);
    for thread in threads.iter().take(WAITERS) {
        while !sleeps(thread) {
            assert!(Instant::now() < limit, "a waiter never waits");
            std::thread::yield_now();
        }
    }
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    module.initialize(&config).expect("C_Initialize");
    for freed in 0..WAITERS {
        let code = codes.recv_timeout(Duration::from_secs(10));
        assert_eq!(code, Ok(CKR_CRYPTOKI_NOT_INITIALIZED), "only {freed} were freed");
    }
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
}
