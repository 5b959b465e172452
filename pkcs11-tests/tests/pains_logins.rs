//! What users of other tokens suffer from, one named test each: logins, slots and initialisation. Each
//! test has the module for itself, one after the other.

use cryptoki_sys::*;
use pkcs11_tests::alone::Alone;
use pkcs11_tests::keys::{bytes, no, number, yes};
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, check};
use std::os::raw::c_void;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

/// What this thread has worked, in nanoseconds: other work on the machine does not count.
fn worked() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for a time.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// p11tool opens, logs in and closes five times to list one token.
#[test]
fn five_logins_pay_one_kdf() {
    let at = Alone::with_token();
    let login = |pin: &[u8], wanted| {
        let session = at.module.session(RW).expect("session");
        let start = worked();
        assert_eq!(at.module.login(session, CKU_USER, pin), wanted);
        let spent = worked() - start;
        check(call!(at.module, C_CloseSession, session)).expect("close");
        spent
    };
    let kdf = login(b"not-the-pin", Err(CKR_PIN_INCORRECT));
    let first = login(PIN, Ok(()));
    let others: i64 = (0..4).map(|_| login(PIN, Ok(()))).sum();
    assert!(first > kdf / 3, "the first login pays: {first} of {kdf}");
    assert!(others < kdf, "four more logins cost {others} ns, one guess {kdf} ns");
    assert!(login(b"not-the-pin", Err(CKR_PIN_INCORRECT)) > kdf / 3, "a wrong PIN always pays");
}

/// Tokens that say "keypad" by mistake make clients send NULL; those without must refuse it, uncounted.
#[test]
fn null_pin_without_protected_path() {
    let at = Alone::with_token();
    let session = at.module.session(RW).expect("session");
    assert_eq!(at.flags() & CKF_PROTECTED_AUTHENTICATION_PATH, 0);
    for _ in 0..10 {
        assert_eq!(call!(at.module, C_Login, session, CKU_USER, null_mut(), 0), CKR_ARGUMENTS_BAD);
    }
    assert_eq!(at.flags() & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED), 0);
    assert_ne!(at.flags() & CKF_LOGIN_REQUIRED, 0);
    at.module.login(session, CKU_USER, PIN).expect("login");
}

/// Browsers and SSH list certificates and public keys before they ask for a PIN.
#[test]
fn certificate_readable_without_login() {
    let at = Alone::with_token();
    let session = at.module.session(RW).expect("session");
    at.module.login(session, CKU_USER, PIN).expect("login");
    let der = b"\x30\x03\x02\x01\x01";
    let certificate = [
        number(CKA_CLASS, CKO_CERTIFICATE),
        number(CKA_CERTIFICATE_TYPE, CKC_X_509),
        yes(CKA_TOKEN),
        no(CKA_PRIVATE),
        bytes(CKA_SUBJECT, b"\x30\x00"),
        bytes(CKA_ID, b"cert"),
        bytes(CKA_VALUE, der),
    ];
    at.module.create(session, &certificate).expect("certificate");
    check(call!(at.module, C_Logout, session)).expect("logout");
    let session = at.module.session(CKF_SERIAL_SESSION).expect("read-only session");
    let found = at.module.find(session, &[number(CKA_CLASS, CKO_CERTIFICATE)]).expect("find");
    assert_eq!(found.len(), 1);
    assert_eq!(at.module.attribute(session, found[0], CKA_VALUE), Ok(der.to_vec()));
    // SunPKCS11 wants an answer, and the id to pair it with a key.
    assert_eq!(at.module.attribute(session, found[0], CKA_TRUSTED), Ok(vec![CK_FALSE]));
    assert_eq!(at.module.attribute(session, found[0], CKA_ID), Ok(b"cert".to_vec()));
    // NSS calls the token "friendly" by this profile.
    let friendly = [number(CKA_CLASS, CKO_PROFILE), number(CKA_PROFILE_ID, CKP_PUBLIC_CERTIFICATES_TOKEN)];
    assert_eq!(at.module.find(session, &friendly).map(|found| found.len()), Ok(1));
}

/// Threads that go by this one's name: the test's own, and whatever it started.
fn threads() -> usize {
    let name = |task: PathBuf| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
    let own = name("/proc/thread-self".into());
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc");
    tasks.filter(|task| name(task.as_ref().expect("task").path()) == own).count()
}

/// Firefox: no threads allowed, mutex callbacks and OS locking, and NSS's own parameters.
#[test]
fn nss_flags_3_with_mutex_callbacks_and_parameters() {
    unsafe extern "C" fn make(_: *mut *mut c_void) -> CK_RV {
        CKR_OK
    }
    unsafe extern "C" fn use_it(_: *mut c_void) -> CK_RV {
        CKR_OK
    }
    let at = Alone::new();
    // SAFETY: the tests of this file run one at a time.
    unsafe { std::env::set_var("STRONGROOM_CONFIG", &at.config) };
    let mut text =
        b"configdir='sql:/nowhere' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly \0".to_vec();
    let mut arguments = CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(make),
        DestroyMutex: Some(use_it),
        LockMutex: Some(use_it),
        UnlockMutex: Some(use_it),
        flags: CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK,
        pReserved: text.as_mut_ptr().cast(),
    };
    assert_eq!(
        std::thread::scope(|scope| scope.spawn(threads).join()).expect("thread"),
        2,
        "a thread is seen"
    );
    assert_eq!(call!(at.module, C_Initialize, (&raw mut arguments).cast()), CKR_OK);
    at.module.init_token(SO_PIN).expect("C_InitToken");
    at.module.session(RW).expect("session");
    assert_eq!(threads(), 1, "a thread was made");
}

fn slots(module: &Module) -> Vec<CK_SLOT_ID> {
    let (mut list, mut count) = ([0; 8], 8);
    assert_eq!(call!(module, C_GetSlotList, CK_TRUE, list.as_mut_ptr(), &mut count), CKR_OK);
    list[..count as usize].to_vec()
}

fn two_slots(folder: &Path) -> PathBuf {
    let slot = |id: u32| {
        format!("[[slot]]\nid = {id}\npath = \"{id}.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n")
    };
    let path = folder.join("two.toml");
    std::fs::write(&path, slot(900) + &slot(5)).expect("configuration");
    path
}

/// SoftHSM2 gives a token a new slot when it is initialised, and shows one more that nobody asked for.
#[test]
fn slot_numbers_never_move() {
    let at = Alone::new();
    let config = two_slots(at.folder());
    at.module.initialize(&config).expect("C_Initialize");
    assert_eq!(slots(&at.module), [5, 900]);
    let (pin, mut label) = (SO_PIN.as_ptr().cast_mut(), [b'x'; 32]);
    assert_eq!(call!(at.module, C_InitToken, 900, pin, SO_PIN.len() as CK_ULONG, label.as_mut_ptr()), CKR_OK);
    assert_eq!(slots(&at.module), [5, 900]);
    assert_eq!(call!(at.module, C_Finalize, null_mut()), CKR_OK);
    at.module.initialize(&config).expect("C_Initialize");
    assert_eq!(slots(&at.module), [5, 900]);
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(at.module, C_GetTokenInfo, 900, &mut info), CKR_OK);
    assert_eq!(info.label, label);
}

/// A program that cannot read its configuration is told why, not given another token.
#[test]
fn unreadable_configuration_is_an_error() {
    let at = Alone::new();
    assert_eq!(at.module.initialize(Path::new("config=/no/such/file.toml")), Err(CKR_ARGUMENTS_BAD));
    std::fs::write(at.folder().join("bad.toml"), "slots = 3").expect("file");
    assert_eq!(at.module.initialize(&at.folder().join("bad.toml")), Err(CKR_ARGUMENTS_BAD));
    at.module.initialize(&at.config).expect("a good one after");
}

/// Two users of one module in a process: the second is told, and late calls after C_Finalize as well.
#[test]
fn second_initialize_and_late_calls_are_told() {
    let at = Alone::with_token();
    let session = at.module.session(RW).expect("session");
    assert_eq!(at.module.initialize(&at.config), Err(CKR_CRYPTOKI_ALREADY_INITIALIZED));
    assert_eq!(call!(at.module, C_Finalize, null_mut()), CKR_OK);
    assert_eq!(call!(at.module, C_CloseSession, session), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(call!(at.module, C_Logout, session), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(call!(at.module, C_Finalize, null_mut()), CKR_CRYPTOKI_NOT_INITIALIZED);
    at.module.initialize(&at.config).expect("again");
    assert_eq!(call!(at.module, C_CloseSession, session), CKR_SESSION_HANDLE_INVALID);
}
