//! What long-lived hosts do: finalise while others work, open and close for ever. Nothing crashes,
//! hangs or grows.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, call, cheap_config, check};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One round of a worker; `false` when the library or the session went away under it.
fn work(module: &Module) -> bool {
    let gone = |code: CK_RV| {
        let away = [
            CKR_CRYPTOKI_NOT_INITIALIZED,
            CKR_SESSION_HANDLE_INVALID,
            CKR_KEY_HANDLE_INVALID,
            CKR_OBJECT_HANDLE_INVALID,
            CKR_OPERATION_NOT_INITIALIZED,
            CKR_USER_NOT_LOGGED_IN,
            CKR_SLOT_ID_INVALID,
        ];
        assert!(code == CKR_OK || away.contains(&code), "{code:#x}");
        code != CKR_OK
    };
    let mut session = 0;
    if gone(call!(module, C_OpenSession, 0, RW, null_mut(), None, &mut session)) {
        return false;
    }
    let usage = [number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT)];
    let key = match module.generate(session, CKM_AES_KEY_GEN, &usage) {
        Err(code) => return !gone(code),
        Ok(key) => key,
    };
    let (mut text, mut out, mut length) = ([7u8; 64], [0u8; 64], 64);
    for _ in 0..20 {
        if gone(call!(module, C_EncryptInit, session, &mut mechanism(CKM_AES_CBC), key))
            || gone(call!(module, C_Encrypt, session, text.as_mut_ptr(), 64, out.as_mut_ptr(), &mut length))
        {
            return false;
        }
    }
    !gone(call!(module, C_CloseSession, session))
}

fn finalise_under_load(module: &Module, config: &Path) {
    let (stop, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    rounds.fetch_add(usize::from(work(module)), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..30 {
            let before = rounds.load(Ordering::Relaxed);
            module.user();
            while rounds.load(Ordering::Relaxed) < before + 10 {
                std::thread::yield_now();
            }
            assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
            module.initialize(config).expect("C_Initialize");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Bytes of memory that this process has in use.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

/// What many repetitions add to memory, after as many that warm it up.
fn growth(times: usize, mut work: impl FnMut()) -> usize {
    (0..times).for_each(|_| work());
    let before = resident();
    (0..times).for_each(|_| work());
    resident().saturating_sub(before)
}

fn nothing_grows(module: &Module, config: &Path) {
    const MOST: usize = 2 << 20;
    let keeper = module.session(RW).expect("session");
    module.login(keeper, CKU_USER, PIN).expect("login");
    let sessions = growth(20_000, || {
        let session = module.session(RW).expect("session");
        check(call!(module, C_CloseSession, session)).expect("close");
    });
    assert!(sessions < MOST, "20,000 sessions leave {sessions} bytes");
    let pair = module.ec(keeper, P256);
    let operations = growth(5_000, || {
        let (mut hash, mut out, mut length) = ([1u8; 32], [0u8; 64], 64);
        assert_eq!(call!(module, C_SignInit, keeper, &mut mechanism(CKM_ECDSA), pair.private), CKR_OK);
        let code = call!(module, C_Sign, keeper, hash.as_mut_ptr(), 32, out.as_mut_ptr(), &mut length);
        assert_eq!(code, CKR_OK);
    });
    assert!(operations < MOST, "5,000 signatures leave {operations} bytes");
    let objects = growth(5_000, || {
        let key = module.generate(keeper, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 32)]).expect("key");
        module.destroy(keeper, key).expect("destroy");
    });
    assert!(objects < MOST, "5,000 session keys leave {objects} bytes");
    let token_objects = growth(300, || {
        let key = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN)];
        let key = module.generate(keeper, CKM_AES_KEY_GEN, &key).expect("key");
        module.destroy(keeper, key).expect("destroy");
    });
    assert!(token_objects < MOST, "300 token keys leave {token_objects} bytes");
    let libraries = growth(300, || {
        assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
        module.initialize(config).expect("C_Initialize");
        module.session(RW).expect("session");
    });
    assert!(libraries < MOST, "300 initialisations leave {libraries} bytes");
}

#[test]
fn a_long_life() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    finalise_under_load(&module, &config);
    nothing_grows(&module, &config);
}
