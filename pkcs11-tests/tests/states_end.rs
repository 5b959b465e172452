//! Where a saved operation state is of no use any more: another slot, after logout, after C_Finalize.

use cryptoki_sys::*;
use pkcs11_tests::keys::P256;
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, call, check};
use std::ptr::null_mut;

fn save(module: &Module, session: CK_SESSION_HANDLE) -> Vec<u8> {
    let (mut state, mut length) = (vec![0; 1024], 1024);
    check(call!(module, C_GetOperationState, session, state.as_mut_ptr(), &mut length)).expect("save");
    state.truncate(length as usize);
    state
}

fn restore(module: &Module, session: CK_SESSION_HANDLE, state: &[u8], key: CK_OBJECT_HANDLE) -> Result<()> {
    let (pointer, length) = (state.as_ptr().cast_mut(), state.len() as CK_ULONG);
    check(call!(module, C_SetOperationState, session, pointer, length, 0, key))
}

/// A new session with a running digest.
fn digesting(module: &Module) -> CK_SESSION_HANDLE {
    let session = module.session(RW).expect("C_OpenSession");
    check(call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA256))).expect("C_DigestInit");
    check(call!(module, C_DigestUpdate, session, b"data".as_ptr().cast_mut(), 4)).expect("C_DigestUpdate");
    session
}

#[test]
fn a_state_ends_with_its_slot_login_and_library() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("config.toml");
    let slot = |id| {
        format!("[[slot]]\nid = {id}\npath = \"token-{id}.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n")
    };
    std::fs::write(&config, slot(0) + &slot(1)).expect("configuration");
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.init_token(SO_PIN).expect("C_InitToken");
    let (pin, length) = (SO_PIN.as_ptr().cast_mut(), SO_PIN.len() as CK_ULONG);
    check(call!(module, C_InitToken, 1, pin, length, [b' '; 32].as_mut_ptr())).expect("the other token");
    let officer = module.session(RW).expect("C_OpenSession");
    module.login(officer, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(officer, PIN).expect("C_InitPIN");
    check(call!(module, C_Logout, officer)).expect("C_Logout");
    module.login(officer, CKU_USER, PIN).expect("user login");

    let session = digesting(&module);
    let digest = save(&module, session);
    restore(&module, session, &digest, 0).expect("where it came from");
    let mut elsewhere = 0;
    check(call!(module, C_OpenSession, 1, RW, null_mut(), None, &mut elsewhere)).expect("C_OpenSession");
    assert_eq!(restore(&module, elsewhere, &digest, 0), Err(CKR_SAVED_STATE_INVALID), "another slot");

    let pair = module.ec(officer, P256);
    check(call!(module, C_SignInit, officer, &mut mechanism(CKM_ECDSA_SHA256), pair.private))
        .expect("C_SignInit");
    let signing = save(&module, officer);
    restore(&module, officer, &signing, pair.private).expect("with its key");
    check(call!(module, C_Logout, officer)).expect("C_Logout");
    assert_eq!(restore(&module, officer, &signing, pair.private), Err(CKR_KEY_CHANGED), "after logout");
    restore(&module, session, &digest, 0).expect("a digest needs no login");

    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
    module.initialize(&config).expect("C_Initialize");
    let session = digesting(&module);
    assert_eq!(restore(&module, session, &digest, 0), Err(CKR_SAVED_STATE_INVALID), "after C_Finalize");
    let again = save(&module, session);
    restore(&module, session, &again, 0).expect("a new one is good");
}
