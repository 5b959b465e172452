//! Names and passwords of every odd kind, through the module and the `strongroom` command: the right answer,
//! the right words, and nothing stored half.

use cryptoki_sys::*;
use pkcs11_tests::alone::Alone;
use pkcs11_tests::{PIN, RW, SO_PIN, call, check, tool_path};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

/// Names that nobody gets: what is not a letter, digit or `. _ - @` of ASCII cannot have a twin that looks like it.
const REFUSED: &[&str] = &[
    "",
    " ",
    "al ice",
    " alice",
    "alice ",
    "a:b",
    "a/b",
    "a\nb",
    "a\tb",
    "a\u{7f}b",
    "a\u{1b}[2Jb",
    "caf\u{e9}",      // one form of é
    "cafe\u{301}",    // and its twin
    "\u{430}lice",    // a Cyrillic a
    "a\u{202e}ecila", // turns the direction of writing
    "alice\u{200b}",  // not to be seen
    "\u{ff41}lice",   // a wide a
    "\u{1f600}",
    "\u{fb01}sh",
    "stra\u{df}e",
];

fn strongroom(at: &Alone, arguments: &[&OsStr]) -> Output {
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(&at.config);
    command.env("STRONGROOM_OFFICER_PASSWORD", OsStr::from_bytes(SO_PIN));
    command.env("STRONGROOM_PASSWORD", OsStr::from_bytes(PIN)).output().expect("strongroom")
}

fn words(text: &[&str]) -> Vec<OsString> {
    text.iter().map(OsString::from).collect()
}

fn run(at: &Alone, arguments: &[&str]) -> Output {
    let arguments = words(arguments);
    strongroom(at, &arguments.iter().map(OsString::as_os_str).collect::<Vec<_>>())
}

fn names(at: &Alone) -> Vec<String> {
    let list = run(at, &["user", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let rows = list["data"]["users"].as_array().expect("users");
    rows.iter().map(|row| row["username"].as_str().expect("name").to_owned()).collect()
}

#[test]
fn odd_names_are_refused_everywhere() {
    let at = Alone::with_token();
    let module = &at.module;
    let before = names(&at);
    let (longest, longer) = ("n".repeat(64), "n".repeat(65));
    let bytes_256 = "n".repeat(256);
    for name in REFUSED.iter().copied().chain([&*longer, &*bytes_256]) {
        let made = run(&at, &["user", "create", name]);
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert_eq!(made.status.code(), Some(1), "{name:?}: {said}");
        assert!(said.contains("a user's name is 1 to 64 of letters, digits and . _ - @"), "{name:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\t']), "{name:?} steers the terminal");
        // As names of those who act, whom something is done to, with whom something is shared.
        for arguments in [
            &["user", "delete", name][..],
            &["user", "unlock", name],
            &["user", "set-password", name],
            &["key", "list", "--user", name],
            &["key", "share", "thing", "--with", name],
        ] {
            let told = run(&at, arguments);
            assert_eq!(told.status.code(), Some(1), "{arguments:?}: {told:?}");
        }
        let session = module.session(RW).expect("session");
        // C_LoginUser with an empty name is C_Login.
        for kind in [CKU_USER, CKU_SO].into_iter().filter(|_| !name.is_empty()) {
            assert_eq!(
                module.login_user(session, kind, name.as_bytes(), PIN),
                Err(CKR_PIN_INCORRECT),
                "{name:?}"
            );
        }
        // Nobody's name: all of it is the default user's password.
        let pin = [name.as_bytes(), b":pass-word"].concat();
        if pin.len() <= 255 {
            module.login(session, CKU_SO, SO_PIN).expect("SO login");
            module.init_pin(session, &pin).unwrap_or_else(|code| panic!("{name:?}: {code:x}"));
            check(call!(module, C_Logout, session)).expect("logout");
            module.login(session, CKU_USER, &pin).unwrap_or_else(|code| panic!("{name:?}: {code:x}"));
        }
        check(call!(module, C_CloseSession, session)).expect("close");
        assert_eq!(names(&at), before, "{name:?}");
    }
    // Bytes that are no text.
    let session = module.session(RW).expect("session");
    assert_eq!(module.login_user(session, CKU_USER, b"user\xff", PIN), Err(CKR_PIN_INCORRECT));
    let bytes = [OsStr::new("user"), OsStr::new("create"), OsStr::from_bytes(b"user\xff")];
    assert_eq!(strongroom(&at, &bytes).status.code(), Some(2));
    assert_eq!(names(&at), before);
    // What is allowed: to the last byte, and in two cases two users.
    for name in [&*longest, "A", "a", "_-.@", "0"] {
        let made = run(&at, &["user", "create", name]);
        assert!(made.status.success(), "{name}: {made:?}");
        module.login_user(session, CKU_USER, name.as_bytes(), PIN).expect(name);
        check(call!(module, C_Logout, session)).expect("logout");
    }
    assert_eq!(names(&at).len(), before.len() + 5);
    assert!(run(&at, &["verify"]).status.success());
}

/// The configuration's default names become users: the same rule.
#[test]
fn odd_default_names_make_nobody() {
    for (option, name) in
        [("default_officer", "a:b"), ("default_officer", "appliance"), ("default_user", "\u{e9}")]
    {
        let at = Alone::new();
        let text = std::fs::read_to_string(&at.config).expect("configuration");
        let text = text.replacen("id = 0\n", &format!("id = 0\n{option} = \"{name}\"\n"), 1);
        std::fs::write(&at.config, text).expect("configuration");
        at.module.initialize(&at.config).expect("C_Initialize");
        let made = at.module.init_token(SO_PIN);
        if option == "default_officer" {
            assert_eq!(made, Err(CKR_ARGUMENTS_BAD), "{name}");
            assert!(!at.folder().join("token.db").exists(), "{name}");
            continue;
        }
        made.expect("C_InitToken");
        let session = at.module.session(RW).expect("session");
        at.module.login(session, CKU_SO, SO_PIN).expect("SO login");
        assert_eq!(at.module.init_pin(session, PIN), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(names(&at), ["appliance", "so"]);
    }
}

/// Passwords, and whether they are of a length that is allowed.
fn passwords() -> Vec<(Vec<u8>, bool)> {
    let mut all = vec![
        (b"".to_vec(), false),
        (b"abc".to_vec(), false),
        (vec![b'p'; 256], false),
        (vec![b'p'; 4096], false),
        (b"abcd".to_vec(), true),
        (vec![b'p'; 255], true),
        (b":::::".to_vec(), true),
        (b"with:colons:in it".to_vec(), true),
        (b":at the front".to_vec(), true),
        (b"user:name in front".to_vec(), true),
        (b"nul\0in\0it\0".to_vec(), true),
        (b"\0\0\0\0".to_vec(), true),
        (b"\xff\xfe\x80no text".to_vec(), true),
        (b"line\r\nbreaks\n\n".to_vec(), true),
        (b"  blanks  ".to_vec(), true),
    ];
    // Both forms of é: as bytes they are two passwords.
    all.extend([("caf\u{e9}".into(), true), ("cafe\u{301}".into(), true)]);
    all
}

#[test]
fn odd_passwords_work_or_are_refused_whole() {
    let at = Alone::with_token();
    let module = &at.module;
    let session = module.session(RW).expect("session");
    let login = |pin: &[u8]| {
        let done = module.login(session, CKU_USER, &[b"user:", pin].concat());
        if done.is_ok() {
            check(call!(module, C_Logout, session)).expect("logout");
        }
        done
    };
    let mut present = PIN.to_vec();
    for (password, fine) in passwords() {
        let shown = String::from_utf8_lossy(&password[..password.len().min(20)]).into_owned();
        let named = [b"user:", &password[..]].concat();
        let expected = if fine { Ok(()) } else { Err(CKR_PIN_LEN_RANGE) };
        // By the officer.
        module.login(session, CKU_SO, SO_PIN).expect("SO login");
        assert_eq!(module.init_pin(session, &named), expected, "{shown:?}");
        if !fine {
            assert_eq!(module.init_pin(session, &password), Err(CKR_PIN_LEN_RANGE), "{shown:?}");
        }
        check(call!(module, C_Logout, session)).expect("logout");
        // By the user, there and back.
        if fine {
            present = password.clone();
        }
        login(&present).unwrap_or_else(|code| panic!("{shown:?}: {code:x}"));
        assert_eq!(
            module.set_pin(session, &[b"user:", &present[..]].concat(), &[b"user:", PIN].concat()),
            Ok(())
        );
        assert_eq!(login(PIN), Ok(()));
        assert_eq!(module.set_pin(session, &[b"user:", PIN].concat(), &named), expected, "{shown:?}");
        present = if fine { password.clone() } else { PIN.to_vec() };
        assert_eq!(login(&present), Ok(()), "{shown:?}");
        assert_eq!(module.login_user(session, CKU_USER, b"user", &present), Ok(()), "{shown:?}");
        check(call!(module, C_Logout, session)).expect("logout");
        if !fine {
            // Counted like every wrong one; the next right one ends it.
            assert_eq!(login(&password), Err(CKR_PIN_INCORRECT), "{shown:?}");
            assert_eq!(module.login_user(session, CKU_USER, b"user", &password), Err(CKR_PIN_INCORRECT));
            assert_ne!(at.flags() & CKF_USER_PIN_COUNT_LOW, 0, "{shown:?}");
            assert_eq!(login(&present), Ok(()));
        }
        assert_eq!(at.flags() & CKF_USER_PIN_COUNT_LOW, 0);
    }
    // The officer's own, and a new token's.
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    for (password, fine) in passwords().iter().filter(|(_, fine)| !fine) {
        assert_eq!(module.set_pin(session, SO_PIN, password), Err(CKR_PIN_LEN_RANGE), "{fine}");
    }
    check(call!(module, C_CloseSession, session)).expect("close");
    assert_eq!(module.init_token(b"not the officer's"), Err(CKR_PIN_INCORRECT));
    assert_eq!(names(&at), ["appliance", "so", "user"]);
}

#[test]
fn odd_passwords_by_the_command() {
    let at = Alone::with_token();
    let file = at.folder().join("password");
    let with = |arguments: &[&str], option: &str, file: &Path| {
        let mut all = words(arguments);
        all.extend([OsString::from(option), file.as_os_str().to_owned()]);
        strongroom(&at, &all.iter().map(OsString::as_os_str).collect::<Vec<_>>())
    };
    for (number, (password, fine)) in passwords().into_iter().enumerate() {
        std::fs::write(&file, &password).expect("password");
        let name = format!("user-{number}");
        let made = with(&["user", "create", &name], "--new-password-file", &file);
        assert_eq!(made.status.success(), fine, "{password:?}: {made:?}");
        if !fine {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            assert!(said.contains("A password has 4 to 255 bytes; nothing was changed."), "{said}");
            assert!(!names(&at).contains(&name));
            continue;
        }
        // The same file opens, and the same bytes through the module: line ends at the end of a file are its own.
        let listed = with(&["key", "list", "--user", &name], "--password-file", &file);
        assert!(listed.status.success(), "{password:?}: {listed:?}");
        let end = password.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        let session = at.module.session(RW).expect("session");
        assert_eq!(
            at.module.login_user(session, CKU_USER, name.as_bytes(), &password[..end]),
            Ok(()),
            "{password:?}"
        );
        check(call!(at.module, C_CloseSession, session)).expect("close");
    }
    // A password that begins with somebody's name and a colon is read as his: its owner's name goes before it.
    assert!(run(&at, &["user", "create", "alice"]).status.success());
    let session = at.module.session(RW).expect("session");
    at.module.set_pin(session, PIN, b"user:alice:secret").expect("C_SetPIN");
    assert_eq!(at.module.login(session, CKU_USER, b"alice:secret"), Err(CKR_PIN_INCORRECT));
    at.module.login(session, CKU_USER, b"user:alice:secret").expect("login");
}
