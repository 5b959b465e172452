//! The `strongroom` command beside a program that has the module loaded: keys used by both, and users
//! deleted while they work.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, number, yes};
use pkcs11_tests::{Fixture, PIN, RW, SO_PIN, call, check, fixture, tool_path};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::ptr::null_mut;
use std::time::Duration;

/// Runs the command on the fixture's token, with the passwords of its officer and its user.
fn strongroom(fixture: &Fixture, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(tool_path())
        .args(arguments)
        .arg("--config")
        .arg(&fixture.config)
        .env("HOME", fixture.folder())
        .env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"))
        .env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strongroom");
    // One that fails early reads nothing.
    let _ = child.stdin.take().expect("input").write_all(input);
    child.wait_with_output().expect("strongroom")
}

fn said(fixture: &Fixture, arguments: &[&str], input: &[u8]) -> String {
    let ran = strongroom(fixture, arguments, input);
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text").trim_end().to_owned()
}

/// A key pair and an AES key that the user keeps in the token.
fn make_keys(fixture: &Fixture) {
    let (module, session) = (&fixture.module, fixture.open());
    let named = |label: &str| [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
    let pair = |kind, label: &str, more: &[_]| {
        let public = [&named(label)[..], more, &[yes(CKA_VERIFY), yes(CKA_ENCRYPT)]].concat();
        let private = [&named(label)[..], &[yes(CKA_SIGN), yes(CKA_DECRYPT)]].concat();
        module.generate_pair(session, kind, &public, &private).expect("pair");
    };
    pair(CKM_RSA_PKCS_KEY_PAIR_GEN, "rsa", &[number(CKA_MODULUS_BITS, 2048)]);
    let public = [&named("ec")[..], &[bytes(CKA_EC_PARAMS, P256), bytes(CKA_ID, &[0xab, 1])]].concat();
    let private = [&named("ec")[..], &[bytes(CKA_ID, &[0xab, 1])]].concat();
    module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).expect("pair");
    let aes = [&named("aes")[..], &[number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT), yes(CKA_DECRYPT)]].concat();
    module.generate(session, CKM_AES_KEY_GEN, &aes).expect("AES key");
}

#[test]
fn keys_work_from_the_command_line() {
    let fixture = fixture();
    make_keys(fixture);
    let run = |arguments: &[&str], input: &[u8]| strongroom(fixture, arguments, input);
    for (mechanism, key) in [
        ("ecdsa-sha256", ["--key-id", "ab:01"]),
        ("CKM_SHA384_RSA_PKCS_PSS", ["--key-label", "rsa"]),
        ("sha256_rsa_pkcs", ["--key-label", "rsa"]),
    ] {
        let work = |command| ["crypto", command, "--mechanism", mechanism, key[0], key[1]];
        let signature = said(fixture, &work("sign"), b"a text");
        let verify = [&work("verify")[..], &["--signature", &signature]].concat();
        assert!(run(&verify, b"a text").status.success(), "{mechanism}");
        let other = run(&verify, b"b text");
        assert_eq!(other.status.code(), Some(1), "{mechanism}");
        assert!(String::from_utf8_lossy(&other.stderr).contains("CKR_SIGNATURE_INVALID"), "{mechanism}");
    }
    for (mechanism, key) in
        [("aes-gcm", "aes"), ("aes-cbc-pad", "aes"), ("aes-ctr", "aes"), ("rsa-pkcs-oaep", "rsa")]
    {
        let work = |command| ["crypto", command, "--mechanism", mechanism, "--key-label", key];
        let file = fixture.folder().join(mechanism);
        let file = file.to_str().expect("path");
        let plain = [&b"a secret\n\0\xff"[..], b" of a few bytes"].concat();
        said(fixture, &[&work("encrypt")[..], &["--out", file]].concat(), &plain);
        let again = said(fixture, &work("encrypt"), &plain);
        assert!(!again.is_empty() && std::fs::read(file).expect("ciphertext") != plain, "{mechanism}");
        let decrypt = [&work("decrypt")[..], &["--data-path", file]].concat();
        assert_eq!(run(&decrypt, b"").stdout, plain, "{mechanism}");
    }
    let none = run(&["crypto", "sign", "-m", "ecdsa-sha256", "--key-label", "nothing"], b"x");
    assert_eq!(none.status.code(), Some(1));
    let both = run(&["crypto", "sign", "-m", "ecdsa-sha256"], b"x");
    assert_eq!(both.status.code(), Some(2), "which key?");
}

fn state(fixture: &Fixture, session: CK_SESSION_HANDLE) -> CK_STATE {
    let mut info = CK_SESSION_INFO::default();
    check(call!(fixture.module, C_GetSessionInfo, session, &mut info)).expect("C_GetSessionInfo");
    info.state
}

/// In a process of its own, or it would log the others out.
#[test]
fn a_deleted_user_is_out_of_a_running_program() {
    let fixture = fixture();
    said(fixture, &["user", "create", "alice"], b"");
    let program = std::env::current_exe().expect("this test");
    let mut program = Command::new(program)
        .args(["--ignored", "--exact", "works_as_alice", "--nocapture"])
        .env("ALICE_CONFIG", &fixture.config)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test");
    let ready = fixture.folder().join("ready");
    for _ in 0..600 {
        if ready.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ready.exists(), "alice does not work");
    let kept = strongroom(fixture, &["user", "delete", "alice"], b"");
    assert_eq!(kept.status.code(), Some(1), "she owns a key");
    said(fixture, &["user", "delete", "alice", "--destroy-objects"], b"");
    std::fs::write(fixture.folder().join("deleted"), b"").expect("mark");
    assert!(program.wait().expect("alice").success(), "see above");
}

/// Not a test by itself: the program in which alice works.
#[test]
#[ignore = "started by a_deleted_user_is_out_of_a_running_program"]
fn works_as_alice() {
    let Some(config) = std::env::var_os("ALICE_CONFIG").map(std::path::PathBuf::from) else { return };
    let folder = config.parent().expect("folder");
    let module = pkcs11_tests::Module::load();
    module.initialize(&config).expect("C_Initialize");
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, &[b"alice:", PIN].concat()).expect("login");
    let key = |more: &[_]| {
        let all = [more, &[number(CKA_VALUE_LEN, 32), yes(CKA_SIGN)]].concat();
        module.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &all)
    };
    let (stored, in_memory) = (key(&[yes(CKA_TOKEN)]).expect("key"), key(&[yes(CKA_PRIVATE)]).expect("key"));
    let sign = |key| {
        let mut mechanism =
            CK_MECHANISM { mechanism: CKM_SHA256_HMAC, pParameter: null_mut(), ulParameterLen: 0 };
        let (mut data, mut out, mut length) = ([7; 16], [0; 64], 64);
        check(call!(module, C_SignInit, session, &mut mechanism, key))?;
        check(call!(module, C_Sign, session, data.as_mut_ptr(), 16, out.as_mut_ptr(), &mut length))
    };
    assert_eq!((sign(stored), sign(in_memory)), (Ok(()), Ok(())));
    std::fs::write(folder.join("ready"), b"").expect("mark");
    while !folder.join("deleted").exists() {
        assert!(sign(in_memory).is_ok() || sign(in_memory) == Err(CKR_KEY_HANDLE_INVALID));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(sign(in_memory), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(sign(stored), Err(CKR_KEY_HANDLE_INVALID));
    assert_eq!(key(&[yes(CKA_TOKEN)]), Err(CKR_USER_NOT_LOGGED_IN));
    let mut info = CK_SESSION_INFO::default();
    check(call!(module, C_GetSessionInfo, session, &mut info)).expect("C_GetSessionInfo");
    assert_eq!(info.state, CKS_RW_PUBLIC_SESSION);
    // Someone else logs in, without a C_Logout that nobody could know of.
    module.login(session, CKU_USER, PIN).expect("login");
    assert!(key(&[yes(CKA_TOKEN)]).is_ok());
}

#[test]
fn the_history_holds_commands_and_no_data() {
    let fixture = fixture();
    let lines = "login user\ncrypto hash -m sha256 --data top-secret\nuser list\nlogout\n";
    let said = said(fixture, &["interactive"], lines.as_bytes());
    assert!(said.contains("Logged in as user (CU)."), "{said}");
    let history = fixture.folder().join(".local/state/strongroom/history");
    let kept = std::fs::read_to_string(&history).expect("history");
    assert!(kept.contains("user list") && !kept.contains("top-secret"), "{kept}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(history).expect("history").permissions().mode() & 0o077, 0);
    assert_eq!(state(fixture, fixture.session), CKS_RW_USER_FUNCTIONS, "logged out over there only");
}
