//! What one thread does while another one logs in, logs out, closes or forks.

use cryptoki_sys::*;
use pkcs11_tests::alone::Alone;
use pkcs11_tests::keys::{bytes, number};
use pkcs11_tests::{Module, PIN, RW, call};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn state(module: &Module, session: CK_SESSION_HANDLE) -> CK_STATE {
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(call!(module, C_GetSessionInfo, session, &mut info), CKR_OK);
    info.state
}

/// The last session closes while a login in it stretches the PIN: the next one must not find itself
/// logged in.
#[test]
fn no_login_outlives_the_last_session() {
    let alone = Alone::with_token();
    let module = &alone.module;
    for pause in [0, 1, 2, 4, 8] {
        // What was proved before is forgotten, or the login would take no time.
        alone.again();
        let session = module.session(RW).expect("session");
        std::thread::scope(|scope| {
            let login = scope.spawn(|| module.login(session, CKU_USER, PIN));
            std::thread::sleep(Duration::from_millis(pause));
            assert_eq!(call!(module, C_CloseSession, session), CKR_OK);
            let _ = login.join().expect("login");
        });
        let next = module.session(RW).expect("session");
        assert_eq!(state(module, next), CKS_RW_PUBLIC_SESSION, "closed after {pause} ms");
    }
}

/// One thread begins signatures again and again, the other logs out: after that there is none.
#[test]
fn no_signature_begins_after_the_logout() {
    let alone = Alone::with_token();
    let module = &alone.module;
    let keeper = module.session(RW).expect("session");
    let session = module.session(RW).expect("session");
    let over = AtomicBool::new(false);
    let keys = Mutex::new([0; 2]);
    let begin = || {
        // Two keys in turn: each is looked up anew.
        for round in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let mut mechanism =
                CK_MECHANISM { mechanism: CKM_SHA256_HMAC, pParameter: null_mut(), ulParameterLen: 0 };
            let key = keys.lock().expect("keys")[round % 2];
            let _ = call!(module, C_SignInit, session, null_mut(), 0);
            let _ = call!(module, C_SignInit, session, &mut mechanism, key);
        }
    };
    // Others wait for the session's lock, so what wants it next is often late.
    let digest = || {
        let mut data = vec![7; 1 << 16];
        while !over.load(Ordering::Relaxed) {
            let mut sha256 =
                CK_MECHANISM { mechanism: CKM_SHA256, pParameter: null_mut(), ulParameterLen: 0 };
            let (mut out, mut length) = ([0; 32], 32);
            let _ = call!(module, C_DigestInit, session, &mut sha256);
            let _ =
                call!(module, C_Digest, session, data.as_mut_ptr(), 1 << 16, out.as_mut_ptr(), &mut length);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(begin);
        scope.spawn(digest);
        for round in 0..50 {
            module.login(keeper, CKU_USER, PIN).expect("login");
            let key = || module.generate(keeper, CKM_GENERIC_SECRET_KEY_GEN, &[number(CKA_VALUE_LEN, 32)]);
            *keys.lock().expect("keys") = [key().expect("key"), key().expect("key")];
            std::thread::sleep(Duration::from_micros(200 + round % 7 * 30));
            assert_eq!(call!(module, C_Logout, keeper), CKR_OK);
            let end = Instant::now() + Duration::from_millis(1);
            while Instant::now() < end {
                let (mut data, mut out, mut length) = ([7; 16], [0; 64], 64);
                let code =
                    call!(module, C_Sign, session, data.as_mut_ptr(), 16, out.as_mut_ptr(), &mut length);
                if code == CKR_OK {
                    over.store(true, Ordering::Relaxed);
                }
                assert_eq!(code, CKR_OPERATION_NOT_INITIALIZED, "round {round}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// A pipe as the log, full to the brim, and its other end.
fn full_pipe(path: &Path) -> File {
    let name = std::ffi::CString::new(path.to_str().expect("path")).expect("path");
    // SAFETY: a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).expect("reader");
    let mut writer =
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).expect("writer");
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    reader
}

/// A thread waits for its log line to be taken while another one forks: the child does not wait for it.
#[test]
fn a_child_is_not_stuck_with_its_parents_log() {
    let alone = Alone::with_token();
    let module = &alone.module;
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    let pipe = alone.config.with_extension("pipe");
    let text = std::fs::read_to_string(&alone.config).expect("configuration");
    std::fs::write(&alone.config, format!("log = \"{}\"\nlog_level = \"trace\"\n{text}", pipe.display()))
        .expect("configuration");
    let reader = full_pipe(&pipe);
    module.initialize(&alone.config).expect("C_Initialize");
    let session = module.session(RW).expect("session");
    std::thread::scope(|scope| {
        let wrong = scope.spawn(|| module.login(session, CKU_USER, b"wrong-pin"));
        let failed = || {
            let mut info = CK_TOKEN_INFO::default();
            assert_eq!(call!(module, C_GetTokenInfo, 0, &mut info), CKR_OK);
            info.flags & CKF_USER_PIN_COUNT_LOW != 0
        };
        let end = Instant::now() + Duration::from_secs(20);
        while !failed() && Instant::now() < end {
            std::thread::yield_now();
        }
        // From the count to the line it is a moment.
        std::thread::sleep(Duration::from_millis(100));
        assert!(!wrong.is_finished(), "the log line was taken");
        // SAFETY: the child calls the module, whose handlers are for that, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child when it hangs.
            unsafe { libc::alarm(10) };
            let code = module.initialize(&alone.config).err().unwrap_or(0);
            // SAFETY: ends the child.
            unsafe { libc::_exit(code as i32) };
        }
        let mut status = 0;
        // SAFETY: waits for our child.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        // Lets the parent's own line go.
        let mut emptied = reader;
        let _ = std::io::Read::read(&mut emptied, &mut [0; 1 << 16]);
        assert_eq!(wrong.join().expect("login"), Err(CKR_PIN_INCORRECT));
        assert_eq!(status, 0, "the child's C_Initialize");
        drop(emptied);
    });
}

/// GnuTLS before 3.8 (p11tool, Knot DNS on Debian 12) asks for Ed25519 keys by the mechanism that signs.
#[test]
fn gnutls_makes_ed25519_keys_with_ckm_eddsa() {
    let alone = Alone::with_token();
    let module = &alone.module;
    let session = module.user();
    let mut info = CK_MECHANISM_INFO::default();
    assert_eq!(call!(module, C_GetMechanismInfo, 0, CKM_EDDSA, &mut info), CKR_OK);
    assert_eq!(info.flags & CKF_GENERATE_KEY_PAIR, CKF_GENERATE_KEY_PAIR);
    let public = [bytes(CKA_EC_PARAMS, pkcs11_tests::keys::ED25519)];
    let pair = module.generate_pair(session, CKM_EDDSA, &public, &[]).expect("pair");
    let (mut data, mut signature, mut length) = (*b"data", [0; 64], 64);
    let mut eddsa = CK_MECHANISM { mechanism: CKM_EDDSA, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(call!(module, C_SignInit, session, &mut eddsa, pair.private), CKR_OK);
    let code = call!(module, C_Sign, session, data.as_mut_ptr(), 4, signature.as_mut_ptr(), &mut length);
    assert_eq!((code, length), (CKR_OK, 64));
    assert_eq!(call!(module, C_VerifyInit, session, &mut eddsa, pair.public), CKR_OK);
    assert_eq!(call!(module, C_Verify, session, data.as_mut_ptr(), 4, signature.as_mut_ptr(), 64), CKR_OK);
    let p256 = [bytes(CKA_EC_PARAMS, pkcs11_tests::keys::P256)];
    assert!(module.generate_pair(session, CKM_EDDSA, &p256, &[]).is_err());
}
