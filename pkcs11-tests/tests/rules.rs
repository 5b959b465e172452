//! The library's rules, one story after the other in one process: initialisation, slots, sessions,
//! logins, lock-out, finalisation. One test, because it changes what all share.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, no, number, yes};
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, cheap_config, check};
use std::ptr::{addr_of_mut, null_mut};

fn state(module: &Module, session: CK_SESSION_HANDLE) -> CK_STATE {
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(call!(module, C_GetSessionInfo, session, &mut info), CKR_OK);
    info.state
}

fn token_flags(module: &Module) -> CK_FLAGS {
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo, 0, &mut info), CKR_OK);
    info.flags
}

fn initialise_forms(module: &Module, config: &std::path::Path) {
    let early = call!(module, C_GetInfo, &mut CK_INFO::default());
    assert_eq!(early, CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_CRYPTOKI_NOT_INITIALIZED);
    unsafe extern "C" fn lock(_: *mut std::os::raw::c_void) -> CK_RV {
        CKR_OK
    }
    let mut some = CK_C_INITIALIZE_ARGS { LockMutex: Some(lock), ..Default::default() };
    assert_eq!(
        call!(module, C_Initialize, addr_of_mut!(some).cast()),
        CKR_ARGUMENTS_BAD,
        "not all callbacks"
    );
    module.initialize(config).expect("with a configuration");
    assert_eq!(module.initialize(config), Err(CKR_CRYPTOKI_ALREADY_INITIALIZED));
    assert_eq!(call!(module, C_Finalize, addr_of_mut!(some).cast()), CKR_ARGUMENTS_BAD);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    // SAFETY: one thread.
    unsafe { std::env::set_var("STRONGROOM_CONFIG", config) };
    for flags in [0, 1, 2, 3] {
        let mut text = b"configdir='sql:/nowhere' certPrefix='' flags=readOnly\0".to_vec();
        let mut arguments = CK_C_INITIALIZE_ARGS { flags, ..Default::default() };
        arguments.pReserved = text.as_mut_ptr().cast();
        assert_eq!(call!(module, C_Initialize, addr_of_mut!(arguments).cast()), CKR_OK, "flags {flags}");
        assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    }
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
}

fn slots_before_a_token(module: &Module) {
    let (mut slots, mut count) = ([9; 1], 0);
    assert_eq!(call!(module, C_GetSlotList, CK_TRUE, slots.as_mut_ptr(), &mut count), CKR_BUFFER_TOO_SMALL);
    assert_eq!(call!(module, C_GetSlotList, CK_TRUE, slots.as_mut_ptr(), &mut count), CKR_OK);
    assert_eq!((slots, count), ([0], 1));
    assert_eq!(token_flags(module) & (CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED), 0);
    assert_eq!(module.session(RW), Err(CKR_TOKEN_NOT_RECOGNIZED));
    assert_eq!(call!(module, C_GetTokenInfo, 1, &mut CK_TOKEN_INFO::default()), CKR_SLOT_ID_INVALID);
    let no_event = call!(module, C_WaitForSlotEvent, CKF_DONT_BLOCK, &mut 0, null_mut());
    assert_eq!(no_event, CKR_NO_EVENT);
}

fn people(module: &Module) {
    assert_eq!(module.init_token(b"abc"), Err(CKR_PIN_LEN_RANGE));
    module.init_token(SO_PIN).expect("C_InitToken");
    assert_ne!(token_flags(module) & CKF_TOKEN_INITIALIZED, 0);
    let session = module.session(RW).expect("session");
    assert_eq!(module.init_token(SO_PIN), Err(CKR_SESSION_EXISTS));
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_USER_PIN_NOT_INITIALIZED));
    assert_eq!(module.init_pin(session, PIN), Err(CKR_USER_NOT_LOGGED_IN));
    assert_eq!(module.login(session, 77, PIN), Err(CKR_USER_TYPE_INVALID));
    let read_only = module.session(CKF_SERIAL_SESSION).expect("read-only session");
    assert_eq!(module.login(session, CKU_SO, SO_PIN), Err(CKR_SESSION_READ_ONLY_EXISTS));
    check(call!(module, C_CloseSession, read_only)).expect("close");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    assert_eq!(state(module, session), CKS_RW_SO_FUNCTIONS);
    assert_eq!(module.session(CKF_SERIAL_SESSION), Err(CKR_SESSION_READ_WRITE_SO_EXISTS));
    assert_eq!(module.session(0), Err(CKR_SESSION_PARALLEL_NOT_SUPPORTED));
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_USER_ANOTHER_ALREADY_LOGGED_IN));
    module.init_pin(session, PIN).expect("C_InitPIN");
    assert_ne!(token_flags(module) & CKF_USER_PIN_INITIALIZED, 0);
    let secret =
        [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), bytes(CKA_VALUE, &[1; 16])];
    assert_eq!(
        module.create(session, &secret),
        Err(CKR_USER_NOT_LOGGED_IN),
        "an officer makes no private objects"
    );
    check(call!(module, C_Logout, session)).expect("logout");
    assert_eq!(call!(module, C_Logout, session), CKR_USER_NOT_LOGGED_IN);
    assert_eq!(state(module, session), CKS_RW_PUBLIC_SESSION);

    // By name, with the name in the PIN and with C_LoginUser.
    module.login(session, CKU_USER, b"user:user-1234").expect("user:password");
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_USER_ALREADY_LOGGED_IN));
    let read_only = module.session(CKF_SERIAL_SESSION).expect("read-only session");
    assert_eq!(state(module, read_only), CKS_RO_USER_FUNCTIONS);
    let data = [number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN), no(CKA_PRIVATE)];
    assert_eq!(module.create(read_only, &data), Err(CKR_SESSION_READ_ONLY));
    check(call!(module, C_Logout, session)).expect("logout");
    let (pin, name) = (PIN.as_ptr().cast_mut(), b"user".as_ptr().cast_mut());
    check(call!(module, C_LoginUser, session, CKU_USER, pin, PIN.len() as CK_ULONG, name, 4))
        .expect("C_LoginUser");
    check(call!(module, C_CloseAllSessions, 0)).expect("close all");
    let session = module.session(RW).expect("session");
    assert_eq!(state(module, session), CKS_RW_PUBLIC_SESSION, "the last session closed ends the login");
    change_pin(module, session);
}

fn change_pin(module: &Module, session: CK_SESSION_HANDLE) {
    let set = |old: &[u8], new: &[u8]| {
        let (old_len, new_len) = (old.len() as CK_ULONG, new.len() as CK_ULONG);
        check(call!(
            module,
            C_SetPIN,
            session,
            old.as_ptr().cast_mut(),
            old_len,
            new.as_ptr().cast_mut(),
            new_len
        ))
    };
    assert_eq!(set(b"wrong", b"new-pin"), Err(CKR_PIN_INCORRECT));
    assert_eq!(set(PIN, b"abc"), Err(CKR_PIN_LEN_RANGE));
    module.login(session, CKU_USER, PIN).expect("login");
    let key = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN), bytes(CKA_LABEL, b"survivor")];
    module.generate(session, CKM_AES_KEY_GEN, &key).expect("token key");
    set(PIN, b"new-pin").expect("C_SetPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_INCORRECT), "the old PIN is forgotten");
    module.login(session, CKU_USER, b"new-pin").expect("new PIN");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"survivor")]).expect("find").len(), 1);
    set(b"new-pin", PIN).expect("back");
    check(call!(module, C_Logout, session)).expect("logout");
}

fn lock_out(module: &Module, config: &std::path::Path) {
    let session = module.session(RW).expect("session");
    assert_eq!(token_flags(module) & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_LOCKED), 0);
    for wrong in 1..=5 {
        assert_eq!(module.login(session, CKU_USER, b"wrong-pin"), Err(CKR_PIN_INCORRECT), "attempt {wrong}");
        let flags = token_flags(module);
        assert_ne!(flags & CKF_USER_PIN_COUNT_LOW, 0);
        assert_eq!(flags & CKF_USER_PIN_FINAL_TRY != 0, wrong == 4, "attempt {wrong}");
        assert_eq!(flags & CKF_USER_PIN_LOCKED != 0, wrong == 5, "attempt {wrong}");
    }
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_LOCKED), "even the right one");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    module.initialize(config).expect("again");
    let session = module.session(RW).expect("session");
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_PIN_LOCKED), "a restart changes nothing");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, PIN).expect("reset");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, PIN).expect("unlocked");
    assert_eq!(
        module.find(session, &[bytes(CKA_LABEL, b"survivor")]).expect("find").len(),
        1,
        "a reset keeps the keys"
    );
    check(call!(module, C_CloseSession, session)).expect("close");
}

fn made_anew(module: &Module) {
    assert_eq!(module.init_token(b"not-the-pin"), Err(CKR_PIN_INCORRECT));
    module.init_token(SO_PIN).expect("C_InitToken again");
    let session = module.session(RW).expect("session");
    assert_eq!(module.login(session, CKU_USER, PIN), Err(CKR_USER_PIN_NOT_INITIALIZED));
    assert_eq!(
        module.find(session, &[bytes(CKA_LABEL, b"survivor")]).expect("find"),
        Vec::<CK_OBJECT_HANDLE>::new()
    );
    let profiles = module.find(session, &[number(CKA_CLASS, CKO_PROFILE)]).expect("find");
    assert_eq!(profiles.len(), 4, "readable without login");
    assert_eq!(module.destroy(session, profiles[0]), Err(CKR_ACTION_PROHIBITED));
}

#[test]
fn from_the_first_call_to_the_last() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    initialise_forms(&module, &config);
    slots_before_a_token(&module);
    people(&module);
    assert_eq!(call!(module, C_CloseAllSessions, 0), CKR_OK);
    lock_out(&module, &config);
    made_anew(&module);
    let waiter = std::thread::scope(|scope| {
        let module = &module;
        let wait = move |module: &Module| call!(module, C_WaitForSlotEvent, 0, &mut 0, null_mut());
        let waiting = scope.spawn(move || wait(module));
        while !waiting.is_finished() && call!(module, C_GetInfo, &mut CK_INFO::default()) == CKR_OK {
            assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
        }
        waiting.join().expect("waiter")
    });
    assert_eq!(waiter, CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_eq!(call!(module, C_GetInfo, &mut CK_INFO::default()), CKR_CRYPTOKI_NOT_INITIALIZED);
}
