//! Guessing PINs: by many processes at once, across restarts, by every call that takes a PIN; whose PIN
//! is whose. One story in one process, and roles of it in others.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, yes};
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, call, cheap_config, check, make_user};
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr::null_mut;

const WRONG: &[u8] = b"not-the-pin";
const ALICE: &[u8] = b"alice-9876";

fn flags(module: &Module) -> CK_FLAGS {
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo, 0, &mut info), CKR_OK);
    info.flags
}

fn logout(module: &Module, session: CK_SESSION_HANDLE) {
    assert_eq!(call!(module, C_Logout, session), CKR_OK);
}

fn set_pin(module: &Module, session: CK_SESSION_HANDLE, old: &[u8], new: &[u8]) -> Result<()> {
    let (old_at, new_at) = (old.as_ptr().cast_mut(), new.as_ptr().cast_mut());
    check(call!(module, C_SetPIN, session, old_at, old.len() as CK_ULONG, new_at, new.len() as CK_ULONG))
}

fn login_user(module: &Module, session: CK_SESSION_HANDLE, name: &[u8], pin: &[u8]) -> Result<()> {
    let (pin_at, name_at) = (pin.as_ptr().cast_mut(), name.as_ptr().cast_mut());
    let (pin_length, name_length) = (pin.len() as CK_ULONG, name.len() as CK_ULONG);
    check(call!(module, C_LoginUser, session, CKU_USER, pin_at, pin_length, name_at, name_length))
}

/// The officer gives the user his PIN anew, which unlocks him.
fn unlock(module: &Module, session: CK_SESSION_HANDLE) {
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, PIN).expect("C_InitPIN");
    logout(module, session);
    assert_eq!(flags(module) & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED), 0);
}

/// The same test binary, started again in a role of its own.
fn role(name: &str, config: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("STRONGROOM_CONFIG", config).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A role: guesses, each time a different PIN, until it is told that the user is locked.
#[test]
#[ignore = "a role of the test below"]
fn role_guesser() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    for guess in 0..20 {
        let pin = format!("guess {} {guess}", std::process::id());
        match module.login(session, CKU_USER, pin.as_bytes()) {
            Err(CKR_PIN_INCORRECT) => println!("guessed"),
            Err(CKR_PIN_LOCKED) => return println!("locked"),
            other => panic!("{other:x?}"),
        }
    }
    panic!("twenty guesses and not locked");
}

fn many_processes_get_five_guesses(module: &Module, config: &Path) {
    let guessers: Vec<_> = (0..20).map(|_| role("role_guesser", config).spawn().expect("guesser")).collect();
    let (mut guessed, mut locked) = (0, 0);
    for guesser in guessers {
        let output = guesser.wait_with_output().expect("guesser");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        guessed += text.matches("guessed").count();
        locked += text.matches("locked").count();
    }
    assert_eq!((guessed, locked), (5, 20));
    let session = module.session(RW).expect("session");
    assert_ne!(flags(module) & CKF_USER_PIN_LOCKED, 0);
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_LOCKED), "even the right one, and here");
    assert_eq!(set_pin(module, session, PIN, PIN), Err(CKR_PIN_LOCKED));
    assert_eq!(login_user(module, session, b"user", PIN), Err(CKR_PIN_LOCKED));
    unlock(module, session);
    module.login(session, CKU_USER, PIN).expect("unlocked");
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// C_Login, C_LoginUser, C_SetPIN and the login for one operation all draw on the same five.
fn every_call_counts(module: &Module) {
    let session = module.session(RW).expect("session");
    assert_eq!(module.login(session, CKU_USER, WRONG), Err(CKR_PIN_INCORRECT));
    assert_eq!(login_user(module, session, b"user", WRONG), Err(CKR_PIN_INCORRECT));
    assert_eq!(module.login(session, CKU_USER, b"user:not-the-pin"), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(module) & CKF_USER_PIN_FINAL_TRY, 0);
    assert_eq!(set_pin(module, session, WRONG, PIN), Err(CKR_PIN_INCORRECT));
    assert_ne!(flags(module) & CKF_USER_PIN_FINAL_TRY, 0);
    module.login(session, CKU_USER, PIN).expect("the last try");
    assert_eq!(flags(module) & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY), 0, "counted anew");
    // For one operation, with the user logged in.
    let private = [yes(CKA_ALWAYS_AUTHENTICATE)];
    let pair = module
        .generate_pair(session, CKM_EC_KEY_PAIR_GEN, &[bytes(CKA_EC_PARAMS, P256)], &private)
        .expect("pair");
    let mut mechanism = CK_MECHANISM { mechanism: CKM_ECDSA, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(call!(module, C_SignInit, session, &mut mechanism, pair.private), CKR_OK);
    for _ in 0..5 {
        assert_eq!(module.login(session, CKU_CONTEXT_SPECIFIC, WRONG), Err(CKR_PIN_INCORRECT));
    }
    assert_ne!(flags(module) & CKF_USER_PIN_LOCKED, 0);
    assert_eq!(module.login(session, CKU_CONTEXT_SPECIFIC, PIN), Err(CKR_PIN_LOCKED));
    let (mut hash, mut signature, mut length) = ([1u8; 32], [0u8; 64], 64);
    let code = call!(module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut length);
    assert_eq!(code, CKR_USER_NOT_LOGGED_IN);
    logout(module, session);
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_LOCKED));
    unlock(module, session);
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// Prefixes that are users' names, that are not, and PINs with colons.
fn names_and_colons(module: &Module, config: &Path) {
    make_user(config, "alice", ALICE);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, b"alice:alice-9876").expect("alice");
    // A PIN of someone else's is no PIN of hers.
    assert_eq!(set_pin(module, session, PIN, b"stolen-pin"), Err(CKR_PIN_INCORRECT));
    assert_eq!(set_pin(module, session, b"user:user-1234", b"stolen-pin"), Err(CKR_PIN_INCORRECT));
    // A PIN with colons, set and used with and without the name.
    set_pin(module, session, ALICE, b"a:b:c-long").expect("C_SetPIN");
    logout(module, session);
    module.login(session, CKU_USER, b"alice:a:b:c-long").expect("colons in a PIN");
    logout(module, session);
    login_user(module, session, b"alice", b"a:b:c-long").expect("by name");
    logout(module, session);
    assert_eq!(
        module.login(session, CKU_USER, b"a:b:c-long"),
        Err(CKR_PIN_INCORRECT),
        "nobody's name: the user's PIN"
    );
    assert_eq!(module.login(session, CKU_USER, b"bob:user-1234"), Err(CKR_PIN_INCORRECT));
    assert_eq!(login_user(module, session, b"bob", PIN), Err(CKR_PIN_INCORRECT), "nobody of that name");
    assert_eq!(
        module.login(session, CKU_USER, b"so:officer-1"),
        Err(CKR_PIN_INCORRECT),
        "an officer is no user"
    );
    assert_eq!(
        module.login(session, CKU_SO, b"alice:a:b:c-long"),
        Err(CKR_PIN_INCORRECT),
        "and the other way"
    );
    unlock(module, session);
    // The default user's own PIN may begin like someone's name, if it is given with his own.
    module.login(session, CKU_USER, PIN).expect("user");
    set_pin(module, session, PIN, b"user:alice:odd").expect("C_SetPIN");
    logout(module, session);
    assert_eq!(module.login(session, CKU_USER, b"alice:odd"), Err(CKR_PIN_INCORRECT), "that is alice's");
    module.login(session, CKU_USER, b"user:alice:odd").expect("his own");
    set_pin(module, session, b"user:alice:odd", PIN).expect("back");
    logout(module, session);
    // Another user's lock is not his.
    for _ in 0..4 {
        assert_eq!(module.login(session, CKU_USER, b"alice:wrong"), Err(CKR_PIN_INCORRECT));
    }
    assert_eq!(module.login(session, CKU_USER, b"alice:a:b:c-long"), Err(CKR_PIN_LOCKED));
    assert_eq!(flags(module) & CKF_USER_PIN_LOCKED, 0, "the flags are about the default user");
    module.login(session, CKU_USER, PIN).expect("user");
    logout(module, session);
    check(call!(module, C_CloseSession, session)).expect("close");
}

/// The officer's five: through C_Login, C_SetPIN and C_InitToken.
fn officers_are_locked_too(module: &Module) {
    let session = module.session(RW).expect("session");
    let count = CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED;
    assert_eq!(flags(module) & count, 0);
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    assert_eq!(set_pin(module, session, WRONG, b"officer-2"), Err(CKR_PIN_INCORRECT));
    assert_eq!(flags(module) & count, CKF_SO_PIN_COUNT_LOW);
    logout(module, session);
    assert_eq!(module.login(session, CKU_SO, WRONG), Err(CKR_PIN_INCORRECT));
    check(call!(module, C_CloseSession, session)).expect("close");
    for left in [2, 1, 0] {
        assert_eq!(module.init_token(WRONG), Err(CKR_PIN_INCORRECT));
        let expected = [CKF_SO_PIN_LOCKED, CKF_SO_PIN_FINAL_TRY, 0][left] | CKF_SO_PIN_COUNT_LOW;
        assert_eq!(flags(module) & count, expected, "{left} left");
    }
    assert_eq!(module.init_token(SO_PIN), Err(CKR_PIN_LOCKED));
    let session = module.session(RW).expect("session");
    assert_eq!(module.login(session, CKU_SO, SO_PIN), Err(CKR_PIN_LOCKED));
    module.login(session, CKU_USER, PIN).expect("the user goes on");
    logout(module, session);
}

#[test]
fn five_guesses_and_no_more() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.init_token(SO_PIN).expect("C_InitToken");
    let session = module.session(RW).expect("session");
    unlock(&module, session);
    check(call!(module, C_CloseSession, session)).expect("close");
    many_processes_get_five_guesses(&module, &config);
    every_call_counts(&module);
    names_and_colons(&module, &config);
    officers_are_locked_too(&module);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    module.initialize(&config).expect("again");
    assert_ne!(flags(&module) & CKF_SO_PIN_LOCKED, 0, "a restart changes nothing");
}
