//! Slots and people: fixed numbers, tokens that know nothing of each other, several users, and a log
//! that tells what happened and no secret.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, no, number, yes};
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, call, check};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;

const SLOTS: [CK_SLOT_ID; 2] = [3, 70_000];

fn config(folder: &Path) -> PathBuf {
    let mut text = String::from("log = \"LOG\"\nlog_level = \"trace\"\n");
    text = text.replace("LOG", folder.join("log").to_str().expect("path"));
    for slot in [70_000, 3] {
        text += &format!(
            "[[slot]]\nid = {slot}\npath = \"{slot}.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n"
        );
    }
    let path = folder.join("config.toml");
    std::fs::write(&path, text).expect("configuration");
    path
}

fn open(module: &Module, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<CK_SESSION_HANDLE> {
    let mut session = 0;
    check(call!(module, C_OpenSession, slot, flags, null_mut(), None, &mut session))?;
    Ok(session)
}

fn info(module: &Module, slot: CK_SLOT_ID) -> CK_TOKEN_INFO {
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo, slot, &mut info), CKR_OK);
    info
}

fn init_token(module: &Module, slot: CK_SLOT_ID, label: &str) {
    let mut field = [b' '; 32];
    field[..label.len()].copy_from_slice(label.as_bytes());
    let (pin, length) = (SO_PIN.as_ptr().cast_mut(), SO_PIN.len() as CK_ULONG);
    check(call!(module, C_InitToken, slot, pin, length, field.as_mut_ptr())).expect("C_InitToken");
}

fn made_with_user(module: &Module, slot: CK_SLOT_ID, label: &str) -> CK_SESSION_HANDLE {
    init_token(module, slot, label);
    let session = open(module, slot, RW).expect("session");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, PIN).expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    session
}

fn state(module: &Module, session: CK_SESSION_HANDLE) -> CK_STATE {
    let mut info = CK_SESSION_INFO::default();
    assert_eq!(call!(module, C_GetSessionInfo, session, &mut info), CKR_OK);
    info.state
}

fn numbers_are_fixed(module: &Module) {
    let (mut slots, mut count) = ([0; 4], 4);
    assert_eq!(call!(module, C_GetSlotList, CK_FALSE, slots.as_mut_ptr(), &mut count), CKR_OK);
    assert_eq!(&slots[..count as usize], SLOTS);
    for slot in [0, 4, CK_ULONG::MAX] {
        assert_eq!(open(module, slot, RW), Err(CKR_SLOT_ID_INVALID));
        assert_eq!(call!(module, C_GetMechanismList, slot, null_mut(), &mut count), CKR_SLOT_ID_INVALID);
        assert_eq!(call!(module, C_CloseAllSessions, slot), CKR_SLOT_ID_INVALID);
    }
    let mut slot = CK_SLOT_INFO::default();
    assert_eq!(call!(module, C_GetSlotInfo, SLOTS[1], &mut slot), CKR_OK);
    assert_eq!(slot.flags, CKF_TOKEN_PRESENT, "present and not removable");
    assert!(
        slot.slotDescription.starts_with(b"Strongroom slot 70000 ") && slot.slotDescription.ends_with(b" ")
    );
    assert_eq!(&slot.manufacturerID, b"Strongroom                      ");
}

fn tokens_are_apart(module: &Module) {
    let (first, second) =
        (made_with_user(module, SLOTS[0], "caf\u{e9}"), made_with_user(module, SLOTS[1], "second"));
    let (one, two) = (info(module, SLOTS[0]), info(module, SLOTS[1]));
    assert!(one.label.starts_with("caf\u{e9}  ".as_bytes()) && two.label.starts_with(b"second  "));
    assert_ne!(one.serialNumber, two.serialNumber);
    let flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED;
    assert_eq!((one.flags, two.flags), (flags, flags));
    assert_eq!((one.ulMaxSessionCount, one.ulMaxRwSessionCount), (CK_EFFECTIVELY_INFINITE, 0));
    assert_eq!((one.ulMinPinLen, one.ulMaxPinLen), (4, 255));
    assert_eq!(one.utcTime, [b' '; 16], "no clock on the token");

    module.login(first, CKU_USER, PIN).expect("login");
    assert_eq!((state(module, first), state(module, second)), (CKS_RW_USER_FUNCTIONS, CKS_RW_PUBLIC_SESSION));
    let read_only = open(module, SLOTS[0], CKF_SERIAL_SESSION).expect("read-only session");
    assert_eq!(state(module, read_only), CKS_RO_USER_FUNCTIONS);
    let counts = |slot| (info(module, slot).ulSessionCount, info(module, slot).ulRwSessionCount);
    assert_eq!((counts(SLOTS[0]), counts(SLOTS[1])), ((2, 1), (1, 1)));

    let key = [number(CKA_VALUE_LEN, 16), yes(CKA_TOKEN), bytes(CKA_LABEL, b"mine")];
    let key = module.generate(first, CKM_AES_KEY_GEN, &key).expect("key");
    assert_eq!(module.find(second, &[bytes(CKA_LABEL, b"mine")]), Ok(vec![]));
    assert_eq!(module.attribute(second, key, CKA_LABEL), Err(CKR_OBJECT_HANDLE_INVALID));
    assert_eq!(module.destroy(read_only, key), Err(CKR_SESSION_READ_ONLY));
    assert_eq!(call!(module, C_CloseAllSessions, SLOTS[0]), CKR_OK);
    assert_eq!(state(module, second), CKS_RW_PUBLIC_SESSION, "the other slot's session lives");
    assert_eq!((counts(SLOTS[0]), counts(SLOTS[1])), ((0, 0), (1, 1)));
    assert_eq!(call!(module, C_CloseAllSessions, SLOTS[1]), CKR_OK);
}

/// A second user, made by the command; each sees what is his.
fn people_are_apart(module: &Module, config: &Path) {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let made = Command::new(target.join("debug/strongroom"))
        .args(["--slot", "3", "user", "create", "anna", "--config"])
        .arg(config)
        .env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"))
        .env("STRONGROOM_PASSWORD", "annas-pass")
        .output()
        .expect("the strongroom command");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let session = open(module, SLOTS[0], RW).expect("session");
    let login = |pin: &[u8], name: &[u8]| {
        let (pin, pin_length) = (pin.as_ptr().cast_mut(), pin.len() as CK_ULONG);
        let (name, length) = (name.as_ptr().cast_mut(), name.len() as CK_ULONG);
        check(call!(module, C_LoginUser, session, CKU_USER, pin, pin_length, name, length))
    };
    let mine = [bytes(CKA_LABEL, b"mine")];
    assert_eq!(login(b"annas-pass", b"nobody"), Err(CKR_PIN_INCORRECT));
    assert_eq!(login(PIN, b"anna"), Err(CKR_PIN_INCORRECT));
    assert_eq!(login(b"annas-pass", b"an\xffa"), Err(CKR_PIN_INCORRECT));
    assert_eq!(login(b"annas-pass", &[b'a'; 5000]), Err(CKR_ARGUMENTS_BAD));
    login(b"annas-pass", b"anna").expect("C_LoginUser");
    assert_eq!(module.find(session, &mine), Ok(vec![]), "another user's private key");
    let own = [number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN), bytes(CKA_LABEL, b"annas"), yes(CKA_PRIVATE)];
    module.create(session, &own).expect("object");
    let shared = [number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN), bytes(CKA_LABEL, b"open"), no(CKA_PRIVATE)];
    module.create(session, &shared).expect("object");
    check(call!(module, C_Logout, session)).expect("logout");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"annas")]), Ok(vec![]));
    module.login(session, CKU_USER, b"anna:annas-pass").expect("the name in the PIN");
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"annas")]).expect("find").len(), 1);
    check(call!(module, C_Logout, session)).expect("logout");
    login(PIN, b"").expect("no name is the default user");
    assert_eq!(module.find(session, &mine).expect("find").len(), 1);
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"annas")]), Ok(vec![]));
    assert_eq!(module.find(session, &[bytes(CKA_LABEL, b"open")]).expect("find").len(), 1, "public");
}

fn the_log_tells_no_secret(folder: &Path) {
    let log = std::fs::read_to_string(folder.join("log")).expect("log");
    assert!(log.contains("C_LoginUser: CKR_PIN_INCORRECT"), "calls and their codes:\n{log}");
    assert!(log.contains("C_OpenSession: CKR_SLOT_ID_INVALID"));
    for secret in [PIN, SO_PIN, b"annas-pass"] {
        let secret = std::str::from_utf8(secret).expect("text");
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn two_tokens_and_two_users() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let module = Module::load();
    // A configuration that cannot be used is refused, and a better one is taken after it.
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "[[slot]]\nid = \"zero\"\n").expect("configuration");
    assert_eq!(module.initialize(&broken), Err(CKR_ARGUMENTS_BAD));
    let config = config(folder.path());
    module.initialize(&config).expect("C_Initialize");
    numbers_are_fixed(&module);
    tokens_are_apart(&module);
    people_are_apart(&module, &config);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    the_log_tells_no_secret(folder.path());
}
