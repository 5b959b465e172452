//! Who may do what, through the module: every role against every operation, on objects of an owner who
//! shares them with one and not with another (shared design of roles; facts of AWS CloudHSM).

use cryptoki_sys::*;
use pkcs11_tests::keys::{OWNER, P256, SHARED_WITH, bytes, no, number, set, sign, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, SO_PIN, allow, call, cheap_config, make_user, tool_path};
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::null_mut;

const SUSPENDED: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0010;

/// A kind of user, and the PIN.
type Way = (CK_USER_TYPE, &'static [u8]);

/// Who asks, in the order of the expectations.
const ROLES: [(&str, Option<Way>); 5] = [
    ("nobody", None),
    ("owner", Some((CKU_USER, PIN))),
    ("sharer", Some((CKU_USER, b"bob:bob-9876"))),
    ("stranger", Some((CKU_USER, b"carol:carol-9876"))),
    ("officer", Some((CKU_SO, SO_PIN))),
];

/// What the owner has: fresh for each question.
struct Things {
    private: CK_OBJECT_HANDLE,
    public: CK_OBJECT_HANDLE,
    secret: CK_OBJECT_HANDLE,
    note: CK_OBJECT_HANDLE,
}

fn make_things(module: &Module, session: CK_SESSION_HANDLE) -> Things {
    let shared = || vec![yes(CKA_TOKEN), bytes(CKA_LABEL, b"thing"), bytes(SHARED_WITH, b"bob")];
    let public = [yes(CKA_TOKEN), bytes(CKA_LABEL, b"thing"), bytes(CKA_EC_PARAMS, P256)];
    let pair = module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &shared()).expect("pair");
    let usage = [CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_EXTRACTABLE].map(yes);
    let secret = [shared(), usage.to_vec(), vec![no(CKA_SENSITIVE), number(CKA_VALUE_LEN, 32)]].concat();
    let note = [number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN), no(CKA_PRIVATE), bytes(CKA_LABEL, b"thing")];
    Things {
        private: pair.private,
        public: pair.public,
        secret: module.generate(session, CKM_AES_KEY_GEN, &secret).expect("AES key"),
        note: module.create(session, &note).expect("note"),
    }
}

fn code<T>(result: Result<T, CK_RV>) -> CK_RV {
    result.err().unwrap_or(CKR_OK)
}

fn found(module: &Module, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> CK_RV {
    match module.find(session, &[bytes(CKA_LABEL, b"thing")]) {
        Ok(list) if list.contains(&object) => CKR_OK,
        Ok(_) => CKR_OBJECT_HANDLE_INVALID,
        Err(code) => code,
    }
}

fn verify(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
    let begun = call!(module, C_VerifyInit, session, &mut mechanism(CKM_ECDSA), key);
    if begun != CKR_OK {
        return begun;
    }
    let (mut hash, mut signature) = ([1; 32], [1; 64]);
    match call!(module, C_Verify, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), 64) {
        CKR_SIGNATURE_INVALID => CKR_OK,
        other => other,
    }
}

fn cipher(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, decrypt: bool) -> CK_RV {
    let mut ecb = mechanism(CKM_AES_ECB);
    let (mut data, mut out, mut length) = ([1; 16], [0; 16], 16);
    let begun = if decrypt {
        call!(module, C_DecryptInit, session, &mut ecb, key)
    } else {
        call!(module, C_EncryptInit, session, &mut ecb, key)
    };
    if begun != CKR_OK {
        return begun;
    }
    if decrypt {
        call!(module, C_Decrypt, session, data.as_mut_ptr(), 16, out.as_mut_ptr(), &mut length)
    } else {
        call!(module, C_Encrypt, session, data.as_mut_ptr(), 16, out.as_mut_ptr(), &mut length)
    }
}

fn wrap(
    module: &Module,
    session: CK_SESSION_HANDLE,
    with: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
) -> Result<Vec<u8>, CK_RV> {
    let (mut out, mut length) = (vec![0; 600], 600);
    let mut kwp = mechanism(CKM_AES_KEY_WRAP_KWP);
    let code = call!(module, C_WrapKey, session, &mut kwp, with, key, out.as_mut_ptr(), &mut length);
    out.truncate(length as usize);
    if code == CKR_OK { Ok(out) } else { Err(code) }
}

/// A key of the asker's own under the owner's key, and back: that uses the owner's key.
fn wrap_with(module: &Module, session: CK_SESSION_HANDLE, with: CK_OBJECT_HANDLE) -> CK_RV {
    let own = module.generate(
        session,
        CKM_AES_KEY_GEN,
        &[no(CKA_TOKEN), no(CKA_PRIVATE), yes(CKA_EXTRACTABLE), number(CKA_VALUE_LEN, 32)],
    );
    let mut wrapped = match own.and_then(|own| wrap(module, session, with, own)) {
        Ok(wrapped) => wrapped,
        Err(code) => return code,
    };
    let made = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), no(CKA_PRIVATE)];
    let (mut list, mut key) = (template(&made), 0);
    let mut kwp = mechanism(CKM_AES_KEY_WRAP_KWP);
    call!(
        module,
        C_UnwrapKey,
        session,
        &mut kwp,
        with,
        wrapped.as_mut_ptr(),
        wrapped.len() as CK_ULONG,
        list.as_mut_ptr(),
        list.len() as CK_ULONG,
        &mut key
    )
}

fn derive(module: &Module, session: CK_SESSION_HANDLE, things: &Things) -> CK_RV {
    let Ok(mut point) = module.attribute(session, things.public, CKA_EC_POINT) else {
        return CKR_GENERAL_ERROR;
    };
    let mut params = CK_ECDH1_DERIVE_PARAMS {
        kdf: CKD_NULL,
        ulSharedDataLen: 0,
        pSharedData: null_mut(),
        ulPublicDataLen: point.len() as CK_ULONG,
        pPublicData: point.as_mut_ptr(),
    };
    let mut ecdh = CK_MECHANISM {
        mechanism: CKM_ECDH1_DERIVE,
        pParameter: (&raw mut params).cast(),
        ulParameterLen: size_of::<CK_ECDH1_DERIVE_PARAMS>() as CK_ULONG,
    };
    let made = [no(CKA_PRIVATE), number(CKA_VALUE_LEN, 32)];
    let (mut list, mut key) = (template(&made), 0);
    call!(module, C_DeriveKey, session, &mut ecdh, things.private, list.as_mut_ptr(), 2, &mut key)
}

fn digest_key(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
    assert_eq!(call!(module, C_DigestInit, session, &mut mechanism(CKM_SHA256)), CKR_OK);
    let code = call!(module, C_DigestKey, session, key);
    let _ = call!(module, C_DigestInit, session, null_mut());
    code
}

fn copy(module: &Module, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> CK_RV {
    let session_object = [no(CKA_TOKEN)];
    let (mut list, mut made) = (template(&session_object), 0);
    call!(module, C_CopyObject, session, object, list.as_mut_ptr(), 1, &mut made)
}

fn create(module: &Module, session: CK_SESSION_HANDLE, token: bool, private: bool) -> CK_RV {
    let flag = |kind, set| if set { yes(kind) } else { no(kind) };
    let note = [number(CKA_CLASS, CKO_DATA), flag(CKA_TOKEN, token), flag(CKA_PRIVATE, private)];
    code(module.create(session, &note))
}

/// A secret key of the session that everybody sees and nothing hides.
fn session_key(module: &Module, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    let open = [no(CKA_PRIVATE), no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE), bytes(CKA_VALUE, &[9; 32])];
    let kind = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES)];
    module.create(session, &[&kind[..], &open[..]].concat()).expect("a session key")
}

type Question = fn(&Module, CK_SESSION_HANDLE, &Things) -> CK_RV;

const OK: CK_RV = CKR_OK;
const GONE: CK_RV = CKR_OBJECT_HANDLE_INVALID;
const NO_KEY: CK_RV = CKR_KEY_HANDLE_INVALID;
const NO: CK_RV = CKR_ACTION_PROHIBITED;
const LOGIN: CK_RV = CKR_USER_NOT_LOGGED_IN;
const SECRET: CK_RV = CKR_ATTRIBUTE_SENSITIVE;

/// Operation, what nobody, owner, sharer, stranger and officer are told.
#[rustfmt::skip]
const TABLE: &[(&str, [CK_RV; 5], Question)] = &[
    ("find a private key", [GONE, OK, OK, GONE, GONE], |m, s, t| found(m, s, t.private)),
    ("find a secret key", [GONE, OK, OK, GONE, GONE], |m, s, t| found(m, s, t.secret)),
    ("find a public key", [OK; 5], |m, s, t| found(m, s, t.public)),
    ("find a public object", [OK; 5], |m, s, t| found(m, s, t.note)),
    ("read a private key", [GONE, OK, OK, GONE, GONE], |m, s, t| code(m.attribute(s, t.private, CKA_LABEL))),
    ("read a public object", [OK; 5], |m, s, t| code(m.attribute(s, t.note, CKA_LABEL))),
    ("read a value that is not hidden", [GONE, OK, SECRET, GONE, GONE], |m, s, t| code(m.attribute(s, t.secret, CKA_VALUE))),
    ("digest such a value", [NO_KEY, OK, CKR_KEY_INDIGESTIBLE, NO_KEY, NO_KEY], |m, s, t| digest_key(m, s, t.secret)),
    ("read the owner", [GONE, OK, OK, GONE, GONE], |m, s, t| code(m.attribute(s, t.private, OWNER))),
    ("read the sharers", [GONE, OK, SECRET, GONE, GONE], |m, s, t| code(m.attribute(s, t.private, SHARED_WITH))),
    ("sign", [NO_KEY, OK, OK, NO_KEY, NO_KEY], |m, s, t| sign(m, s, t.private)),
    ("verify", [OK; 5], |m, s, t| verify(m, s, t.public)),
    ("encrypt", [NO_KEY, OK, OK, NO_KEY, NO_KEY], |m, s, t| cipher(m, s, t.secret, false)),
    ("decrypt", [NO_KEY, OK, OK, NO_KEY, NO_KEY], |m, s, t| cipher(m, s, t.secret, true)),
    ("derive", [NO_KEY, OK, OK, NO_KEY, NO_KEY], derive),
    ("wrap and unwrap with it", [CKR_WRAPPING_KEY_HANDLE_INVALID, OK, OK, CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID],
        |m, s, t| wrap_with(m, s, t.secret)),
    ("wrap it", [NO_KEY, OK, CKR_KEY_NOT_WRAPPABLE, NO_KEY, NO_KEY], |m, s, t| {
        let with = m.create(s, &[number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), no(CKA_PRIVATE),
            yes(CKA_WRAP), bytes(CKA_VALUE, &[9; 32])]);
        // An officer uses no secret key at all, be it public.
        match wrap(m, s, with.expect("wrapping key"), t.secret) {
            Err(CKR_KEY_FUNCTION_NOT_PERMITTED) => NO_KEY,
            other => code(other),
        }
    }),
    ("copy a private key", [GONE, OK, NO, GONE, GONE], |m, s, t| copy(m, s, t.private)),
    ("copy a secret key", [GONE, OK, NO, GONE, GONE], |m, s, t| copy(m, s, t.secret)),
    ("copy a public object", [OK; 5], |m, s, t| copy(m, s, t.note)),
    ("change a private key", [GONE, OK, NO, GONE, GONE], |m, s, t| set(m, s, t.private, CKA_LABEL, b"new")),
    ("change a public key", [LOGIN, OK, NO, NO, OK], |m, s, t| set(m, s, t.public, CKA_LABEL, b"new")),
    ("change a public object", [LOGIN, OK, NO, NO, OK], |m, s, t| set(m, s, t.note, CKA_LABEL, b"new")),
    ("suspend a private key", [GONE, OK, NO, GONE, GONE], |m, s, t| set(m, s, t.private, SUSPENDED, &[1])),
    ("suspend a public key", [LOGIN, OK, NO, NO, NO], |m, s, t| set(m, s, t.public, SUSPENDED, &[1])),
    ("read a public session key that is not hidden", [OK, OK, OK, OK, SECRET], |m, s, _| {
        code(m.attribute(s, session_key(m, s), CKA_VALUE))
    }),
    ("search for its value", [OK, OK, OK, OK, GONE], |m, s, _| {
        let key = session_key(m, s);
        match m.find(s, &[bytes(CKA_VALUE, &[9; 32])]) {
            Ok(list) if list.contains(&key) => CKR_OK,
            Ok(_) => CKR_OBJECT_HANDLE_INVALID,
            Err(code) => code,
        }
    }),
    ("share", [GONE, OK, NO, GONE, GONE], |m, s, t| set(m, s, t.private, SHARED_WITH, b"bob\ncarol")),
    ("unshare", [GONE, OK, NO, GONE, GONE], |m, s, t| set(m, s, t.private, SHARED_WITH, b"")),
    ("give away", [GONE, OK, NO, GONE, GONE], |m, s, t| set(m, s, t.private, OWNER, b"bob")),
    ("give a public object away", [LOGIN, OK, NO, NO, NO], |m, s, t| set(m, s, t.note, OWNER, b"bob")),
    ("destroy a private key", [GONE, OK, NO, GONE, GONE], |m, s, t| code(m.destroy(s, t.private))),
    ("destroy a public key", [LOGIN, OK, NO, NO, OK], |m, s, t| code(m.destroy(s, t.public))),
    ("destroy a public object", [LOGIN, OK, NO, NO, OK], |m, s, t| code(m.destroy(s, t.note))),
    ("make a private token object", [LOGIN, OK, OK, OK, LOGIN], |m, s, _| create(m, s, true, true)),
    ("make a public token object", [LOGIN, OK, OK, OK, OK], |m, s, _| create(m, s, true, false)),
    ("make a private session object", [LOGIN, OK, OK, OK, LOGIN], |m, s, _| create(m, s, false, true)),
    ("make a public session object", [OK; 5], |m, s, _| create(m, s, false, false)),
    ("set a user's PIN", [LOGIN, LOGIN, LOGIN, LOGIN, OK], |m, s, _| code(m.init_pin(s, PIN))),
    ("set one's own PIN, of the owner", [OK, OK, CKR_PIN_INCORRECT, CKR_PIN_INCORRECT, CKR_PIN_INCORRECT], |m, s, _| code(m.set_pin(s, PIN, PIN))),
    ("random", [OK; 5], |m, s, _| call!(m, C_GenerateRandom, s, [0; 8].as_mut_ptr(), 8)),
    ("digest", [OK; 5], |m, s, _| {
        assert_eq!(call!(m, C_DigestInit, s, &mut mechanism(CKM_SHA256)), CKR_OK);
        call!(m, C_Digest, s, [0; 8].as_mut_ptr(), 8, [0; 32].as_mut_ptr(), &mut 32)
    }),
];

#[test]
fn every_role_and_every_operation() {
    let (_folder, config) = cheap_config();
    // One secret key shows all its uses.
    allow(&config, &["wrap_and_decrypt", "foreign_wrapping_keys"]);
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    // Before activation there is one thing to do.
    assert_eq!(module.session(RW), Err(CKR_TOKEN_NOT_RECOGNIZED));
    unactivated(&module, &config);
    module.make_token();
    make_user(&config, "bob", b"bob-9876");
    make_user(&config, "carol", b"carol-9876");
    let session = module.session(RW).expect("session");
    let mut wrong = Vec::new();
    for (question, expected, ask) in TABLE {
        for ((role, login), expected) in ROLES.iter().zip(expected) {
            module.login(session, CKU_USER, PIN).expect("owner");
            let things = make_things(&module, session);
            assert_eq!(call!(module, C_Logout, session), CKR_OK);
            if let Some((kind, pin)) = login {
                module.login(session, *kind, pin).unwrap_or_else(|code| panic!("{role}: {code:x}"));
            }
            let answer = ask(&module, session, &things);
            if answer != *expected {
                wrong.push(format!("{role}: {question}: {answer:#x}, not {expected:#x}"));
            }
            if login.is_some() {
                assert_eq!(call!(module, C_Logout, session), CKR_OK);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    appliance(&module, session, &config);
}

fn command(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(config);
    command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
    command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
    command.env("STRONGROOM_NEW_PASSWORD", "another-one").output().expect("strongroom")
}

/// What needs someone who is logged in, as the command has it.
const COMMANDS: &[&[&str]] = &[
    &["user", "create", "eve"],
    &["user", "delete", "user"],
    &["user", "unlock", "user"],
    &["user", "set-password", "user"],
    &["user", "change-password"],
    &["reset", "request", "user"],
    &["reset", "list"],
    &["audit", "list"],
    &["audit", "export"],
    &["key", "list"],
    &["key", "share", "thing", "--with", "bob"],
    &["key", "transfer", "thing", "--to", "bob"],
    &["crypto", "sign", "-m", "ecdsa-sha256", "--key-label", "thing", "--data", "x"],
];

/// Before activation there is one thing to do: nobody has a role, and no session opens.
fn unactivated(module: &Module, config: &Path) {
    for flags in [CKF_SERIAL_SESSION, RW] {
        assert_eq!(module.session(flags), Err(CKR_TOKEN_NOT_RECOGNIZED));
    }
    for arguments in COMMANDS.iter().chain(&[&["user", "list"][..], &["verify"], &["audit", "verify"]]) {
        let told = command(config, arguments);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(
            String::from_utf8_lossy(&told.stderr).contains("cluster activate"),
            "{arguments:?}: {told:?}"
        );
    }
    assert!(command(config, &["cluster", "info"]).status.success(), "basic information");
    assert!(command(config, &["mechanism", "list"]).status.success());
}

/// The host (AU): no login of any kind and no name of a person; it checks the state, and that needs nobody.
fn appliance(module: &Module, session: CK_SESSION_HANDLE, config: &Path) {
    for kind in 3..8 {
        assert_eq!(module.login(session, kind, PIN), Err(CKR_USER_TYPE_INVALID));
    }
    let name = b"appliance";
    for kind in [CKU_USER, CKU_SO] {
        for pin in [PIN, SO_PIN] {
            assert_eq!(module.login_user(session, kind, name, pin), Err(CKR_PIN_INCORRECT));
        }
    }
    for arguments in COMMANDS {
        let told = command(config, &[arguments, &["--user", "appliance"][..]].concat());
        assert_eq!(told.status.code(), Some(1), "{arguments:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains("nobody logs in as it"), "{told:?}");
    }
    for arguments in [&["user", "create", "appliance"][..], &["user", "delete", "appliance"]] {
        let told = command(config, arguments);
        assert!(String::from_utf8_lossy(&told.stderr).contains("this host's own identity"), "{told:?}");
    }
    let list = command(config, &["user", "list", "--json"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains(r#""username":"appliance","role":"AU""#));
    let info = command(config, &["cluster", "info", "--json"]);
    assert!(String::from_utf8_lossy(&info.stdout).contains(r#""appliance":"SHA256:"#));
    let verified = command(config, &["verify"]);
    assert!(verified.status.success(), "{verified:?}");
}
