//! The audit log as an organisation meets it: calls through the `.so`, the `strongroom` command, and an
//! outsider with an export, the public key and openssl.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, P256, bytes, no, number, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Fixture, RW, SO_PIN, call, check, fixture, tool_path};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

const AUDIT_USE: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0001;

/// The log is one for the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn audit(fixture: &Fixture, words: &[&str]) -> Output {
    let mut command = Command::new(tool_path());
    command.arg("--config").arg(&fixture.config).arg("audit").args(words);
    command.env("STRONGROOM_OFFICER_PASSWORD", "officer-1").output().expect("strongroom audit")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that must work says.
fn said(fixture: &Fixture, words: &[&str]) -> String {
    let ran = audit(fixture, words);
    assert!(ran.status.success(), "{words:?}: {}{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout)
}

fn entries(fixture: &Fixture, words: &[&str]) -> Vec<Value> {
    let all = said(fixture, &[&["list", "--json"], words].concat());
    all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn events(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["event"].as_str().expect("event")).collect()
}

/// What was recorded by this process while `work` ran.
fn recorded(fixture: &Fixture, work: impl FnOnce()) -> Vec<Value> {
    let before = entries(fixture, &[]).len();
    work();
    let here = |entry: &Value| entry["process"]["pid"] == std::process::id();
    entries(fixture, &[]).into_iter().skip(before).filter(here).collect()
}

fn aes(fixture: &Fixture, more: &[Attribute]) -> CK_OBJECT_HANDLE {
    let own = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN), bytes(CKA_LABEL, b"label that is not told")];
    fixture.module.generate(fixture.session, CKM_AES_KEY_GEN, &[&own, more].concat()).expect("key")
}

fn id(fixture: &Fixture, object: CK_OBJECT_HANDLE) -> String {
    text(&fixture.module.attribute(fixture.session, object, CKA_UNIQUE_ID).expect("CKA_UNIQUE_ID"))
}

fn set(fixture: &Fixture, object: CK_OBJECT_HANDLE, attribute: &Attribute) {
    let mut list = template(std::slice::from_ref(attribute));
    let code = call!(fixture.module, C_SetAttributeValue, fixture.session, object, list.as_mut_ptr(), 1);
    assert_eq!(code, CKR_OK);
}

fn wrap(fixture: &Fixture, under: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let (mut kind, mut length) = (mechanism(CKM_AES_KEY_WRAP), 0);
    let (module, session) = (&fixture.module, fixture.session);
    assert_eq!(call!(module, C_WrapKey, session, &mut kind, under, key, null_mut(), &mut length), CKR_OK);
    let mut wrapped = vec![0; length as usize];
    let code = call!(module, C_WrapKey, session, &mut kind, under, key, wrapped.as_mut_ptr(), &mut length);
    assert_eq!(code, CKR_OK);
    wrapped
}

fn unwrap(fixture: &Fixture, under: CK_OBJECT_HANDLE, wrapped: &mut [u8]) -> CK_OBJECT_HANDLE {
    let made = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), yes(CKA_TOKEN)];
    let (mut list, mut kind, mut key) = (template(&made), mechanism(CKM_AES_KEY_WRAP), 0);
    let code = call!(
        fixture.module,
        C_UnwrapKey,
        fixture.session,
        &mut kind,
        under,
        wrapped.as_mut_ptr(),
        wrapped.len() as CK_ULONG,
        list.as_mut_ptr(),
        list.len() as CK_ULONG,
        &mut key
    );
    assert_eq!(code, CKR_OK);
    key
}

fn cmac(fixture: &Fixture, key: CK_OBJECT_HANDLE) -> CK_RV {
    let (mut data, mut out, mut length) = (*b"text", [0; 16], 16);
    let (module, session) = (&fixture.module, fixture.session);
    match call!(module, C_SignInit, session, &mut mechanism(CKM_AES_CMAC), key) {
        CKR_OK => call!(module, C_Sign, session, data.as_mut_ptr(), 4, out.as_mut_ptr(), &mut length),
        refused => refused,
    }
}

#[test]
fn keys_that_come_go_and_leave_are_recorded() {
    let (_alone, fixture) = (alone(), fixture());
    let (module, session) = (&fixture.module, fixture.session);
    let mut named = Vec::new();
    let told = recorded(fixture, || {
        let under = aes(fixture, &[yes(CKA_WRAP), yes(CKA_UNWRAP)]);
        let key = aes(fixture, &[yes(CKA_EXTRACTABLE)]);
        let (public, private) =
            ([bytes(CKA_EC_PARAMS, P256), yes(CKA_TOKEN)], [yes(CKA_TOKEN), yes(CKA_PRIVATE)]);
        let pair =
            module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).expect("C_GenerateKeyPair");
        let mut wrapped = wrap(fixture, under, key);
        let again = unwrap(fixture, under, &mut wrapped);
        let note = [number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN), yes(CKA_PRIVATE), bytes(CKA_VALUE, b"v")];
        let note = module.create(session, &note).expect("C_CreateObject");
        set(fixture, note, &bytes(CKA_LABEL, b"another"));
        named =
            [under, key, pair.public, pair.private, again, note].map(|object| id(fixture, object)).to_vec();
        module.destroy(session, again).expect("C_DestroyObject");
    });
    let expected = ["generate", "generate", "generate-pair", "wrap", "unwrap", "create", "modify", "destroy"];
    assert_eq!(events(&told), expected);
    let objects: Vec<_> = told.iter().map(|entry| entry["objects"].clone()).collect();
    let (under, key, public, private) = (&named[0], &named[1], &named[2], &named[3]);
    let about = |ids: &[&String]| serde_json::json!(ids);
    assert_eq!(objects[..4], [about(&[under]), about(&[key]), about(&[public, private]), about(&[key])]);
    assert_eq!(objects[4..], [&named[4], &named[5], &named[5], &named[4]].map(|id| about(&[id])));
    assert_eq!(
        (&told[3]["details"]["under"], &told[4]["details"]["under"]),
        (&about(&[under])[0], &about(&[under])[0])
    );
    assert_eq!(told[2]["details"]["mechanism"], "CKM_EC_KEY_PAIR_GEN");
    assert!(told.iter().all(|entry| entry["actor"]["name"] == "user" && entry["actor"]["role"] == "CU"));
    let all = format!("{told:?}");
    assert!(!all.contains("label that") && !all.contains("another"), "{all}");
    let of_key = entries(fixture, &["--object", key]);
    assert_eq!(events(&of_key), ["generate", "wrap"]);
}

#[test]
fn what_leaves_no_record() {
    let (_alone, fixture) = (alone(), fixture());
    let (module, session) = (&fixture.module, fixture.session);
    let key = aes(fixture, &[]);
    let told = recorded(fixture, || {
        let own = [number(CKA_VALUE_LEN, 32), no(CKA_TOKEN), yes(CKA_EXTRACTABLE), yes(CKA_WRAP)];
        let passing = module.generate(session, CKM_AES_KEY_GEN, &own).expect("session key");
        let other = [number(CKA_VALUE_LEN, 32), yes(CKA_EXTRACTABLE)];
        let other = module.generate(session, CKM_AES_KEY_GEN, &other).expect("session key");
        wrap(fixture, passing, other);
        module.destroy(session, passing).expect("destroy");
        assert_eq!((0..20).map(|_| cmac(fixture, key)).max(), Some(CKR_OK));
        let bad = module.generate(session, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 33), yes(CKA_TOKEN)]);
        assert!(bad.is_err());
    });
    assert_eq!(told, Vec::<Value>::new(), "session objects, uses of a plain key, calls that failed");
}

#[test]
fn a_key_that_asks_for_it_has_each_use_recorded() {
    let (_alone, fixture) = (alone(), fixture());
    let (module, session) = (&fixture.module, fixture.session);
    let key = aes(fixture, &[yes(AUDIT_USE)]);
    assert_eq!(module.attribute(session, key, AUDIT_USE), Ok(vec![CK_TRUE]));
    let told = recorded(fixture, || {
        assert_eq!((0..3).map(|_| cmac(fixture, key)).max(), Some(CKR_OK));
        let mut wrong = mechanism(CKM_ECDSA);
        assert_eq!(call!(module, C_SignInit, session, &mut wrong, key), CKR_KEY_TYPE_INCONSISTENT);
    });
    assert_eq!(events(&told), ["use", "use", "use"], "one for each, none for what did not begin");
    let details = (&told[0]["details"]["purpose"], &told[0]["details"]["mechanism"]);
    assert_eq!(details, (&"sign".into(), &"CKM_AES_CMAC".into()));
    assert_eq!(told[0]["objects"][0], id(fixture, key).as_str());
    // The owner may end it, and that is recorded.
    let told = recorded(fixture, || {
        set(fixture, key, &no(AUDIT_USE));
        assert_eq!(cmac(fixture, key), CKR_OK);
    });
    assert_eq!(events(&told), ["modify"]);
    assert_eq!(told[0]["details"]["attributes"], "CKA_STRONGROOM_AUDIT_USE");
    let plain = aes(fixture, &[]);
    assert_eq!(module.attribute(session, plain, AUDIT_USE), Ok(vec![CK_FALSE]), "keys of before too");
}

#[test]
fn logins_through_the_module() {
    let (_alone, fixture) = (alone(), fixture());
    let (module, session) = (&fixture.module, fixture.open());
    let told = recorded(fixture, || {
        check(call!(module, C_Logout, session)).expect("logout");
        let (mut name, mut pin) = (*b"mallory", *b"guess");
        let code = call!(module, C_LoginUser, session, CKU_USER, pin.as_mut_ptr(), 5, name.as_mut_ptr(), 7);
        assert_eq!(code, CKR_PIN_INCORRECT);
        module.login(session, CKU_SO, SO_PIN).expect("SO login");
        module.init_pin(session, pkcs11_tests::PIN).expect("C_InitPIN");
        check(call!(module, C_Logout, session)).expect("logout");
        module.login(session, CKU_USER, pkcs11_tests::PIN).expect("login");
    });
    let about = |entry: &Value| {
        let person = if entry["actor"].is_null() { &entry["user"] } else { &entry["actor"] };
        format!("{} {}", entry["event"].as_str().expect("event"), person["name"].as_str().expect("name"))
    };
    let told: Vec<_> = told.iter().map(about).collect();
    // The officer was logged in before, when the token was made, and has not logged out since but now.
    assert_eq!(told[..2], ["logout user", "login-failed mallory"]);
    assert_eq!(told[2..4], ["logins-repeated so", "password-reset so"], "{told:?}");
    assert!(told[4..].contains(&"login user".to_owned()), "{told:?}");
    check(call!(module, C_CloseSession, session)).expect("close");
}

fn openssl(words: &[&str], folder: &Path) -> Output {
    Command::new("openssl").args(words).current_dir(folder).output().expect("openssl must be installed")
}

/// The hash of a line, by openssl.
fn sha256(line: &str, folder: &Path) -> String {
    std::fs::write(folder.join("line"), line).expect("line");
    let ran = openssl(&["dgst", "-sha256", "-r", "line"], folder);
    text(&ran.stdout)[..64].to_owned()
}

#[test]
fn an_outsider_checks_an_export_with_openssl() {
    let (_alone, fixture) = (alone(), fixture());
    aes(fixture, &[]);
    let folder = tempfile::tempdir().expect("folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    said(fixture, &["export", "--output", &place("log.jsonl")]);
    assert!(
        !audit(fixture, &["export", "--output", &place("log.jsonl")]).status.success(),
        "never over a file"
    );
    std::fs::write(place("key.pem"), said(fixture, &["key"])).expect("key");
    let export = std::fs::read_to_string(place("log.jsonl")).expect("export");
    let lines: Vec<&str> = export.lines().collect();
    let mut previous = "0".repeat(64);
    for line in &lines {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(entry["previous"], previous.as_str());
        previous = sha256(line, folder.path());
    }
    let last: Value = serde_json::from_str(lines.last().expect("a line")).expect("JSON");
    assert_eq!(last["event"], "checkpoint");
    let detail = |name: &str| last["details"][name].as_str().expect("detail").to_owned();
    let (sequence, hash) = (lines.len() - 1, last["previous"].as_str().expect("hash"));
    let statement = format!("strongroom audit checkpoint 1\n{}\n{sequence}\n{hash}\n", detail("token"));
    std::fs::write(place("statement"), statement).expect("statement");
    let signature: Vec<u8> = (0..64)
        .map(|at| u8::from_str_radix(&detail("signature")[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    std::fs::write(place("signature"), signature).expect("signature");
    let check = [
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "statement",
        "-sigfile",
        "signature",
    ];
    let ran = openssl(&check, folder.path());
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
}

#[test]
fn the_command_says_what_is_wrong_with_an_export() {
    let (_alone, fixture) = (alone(), fixture());
    let folder = tempfile::tempdir().expect("folder");
    let place = |name: &str| folder.path().join(name).display().to_string();
    said(fixture, &["export", "--output", &place("log.jsonl")]);
    std::fs::write(place("key.pem"), said(fixture, &["key"])).expect("key");
    let whole = std::fs::read_to_string(place("log.jsonl")).expect("export");
    let fine = said(fixture, &["verify", &place("log.jsonl"), "--key", &place("key.pem")]);
    assert!(fine.contains("; 0 faults"), "{fine}");
    let answer: Value =
        serde_json::from_str(&said(fixture, &["verify", "--json", &place("log.jsonl")])).expect("JSON");
    let found = &answer["data"];
    assert_eq!((&found["first"], &found["faults"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(found["signed"].as_u64().expect("signed") + 1, found["last"].as_u64().expect("last"));
    let without = |gone: usize| {
        let lines =
            whole.lines().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| format!("{line}\n"));
        lines.collect::<String>()
    };
    for (what, changed, word) in [
        ("edited", whole.replacen("user-created", "user-creaTed", 1), "altered, or the log was forked"),
        ("cut", without(2), "missing"),
        ("a bit", whole.replacen("\"sequence\":3", "\"sequence\":7", 1), "missing"),
        ("not one", "what is this\n".to_owned(), "no entry"),
        ("empty", String::new(), "no entries"),
    ] {
        std::fs::write(place("changed"), &changed).expect("write");
        let ran = audit(fixture, &["verify", &place("changed"), "--key", &place("key.pem")]);
        let words = text(&ran.stdout) + &text(&ran.stderr);
        assert!(!ran.status.success() && words.contains(word), "{what}: {words}");
    }
}

#[test]
fn the_tokens_log_must_go_on_from_what_was_exported() {
    let (_alone, fixture) = (alone(), fixture());
    let folder = tempfile::tempdir().expect("folder");
    let export = folder.path().join("log.jsonl").display().to_string();
    said(fixture, &["export", "--output", &export]);
    aes(fixture, &[]);
    said(fixture, &["verify", "--against", &export]);
    // A copy of the token from before, which went on otherwise: whole and signed, and not the one exported.
    for name in ["config.toml", "token.db", "token.db-wal", "token.seal"] {
        std::fs::copy(fixture.folder().join(name), folder.path().join(name)).expect("copy");
    }
    let copy = |words: &[&str]| {
        let mut command = Command::new(tool_path());
        command.arg("--config").arg(folder.path().join("config.toml")).arg("audit").args(words);
        command.env("STRONGROOM_OFFICER_PASSWORD", "officer-1").output().expect("strongroom")
    };
    assert!(copy(&["verify", "--against", &export]).status.success(), "a copy of now has it all");
    let others = folder.path().join("other.jsonl").display().to_string();
    let ran = copy(&["export", "--output", &others]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    said(fixture, &["verify", &others]);
    aes(fixture, &[]);
    let ran = audit(fixture, &["verify", "--against", &others]);
    let words = text(&ran.stderr);
    assert!(!ran.status.success() && words.contains("cut, forked or put"), "{words}");
}

#[test]
fn reading_needs_an_officer() {
    let (_alone, fixture) = (alone(), fixture());
    for words in [&["list"][..], &["export"], &["follow"]] {
        let mut command = Command::new(tool_path());
        command.arg("--config").arg(&fixture.config).arg("audit").args(words);
        let ran = command.env("STRONGROOM_OFFICER_PASSWORD", "no-officer").output().expect("strongroom");
        assert!(!ran.status.success() && ran.stdout.is_empty(), "{words:?}: {}", text(&ran.stdout));
        let user = [words, &["--officer", "user"]].concat();
        let ran = audit(fixture, &user);
        assert!(!ran.status.success() && ran.stdout.is_empty(), "{user:?}: {}", text(&ran.stdout));
        // Of its two wrong passwords the officer's count ends with the next right one.
        said(fixture, &["list", "--last", "1"]);
    }
    let session = fixture.module.session(RW).expect("session");
    check(call!(fixture.module, C_CloseSession, session)).expect("close");
}

#[test]
fn follow_tells_what_happens_next() {
    use std::io::{BufRead, BufReader};
    let (_alone, fixture) = (alone(), fixture());
    let mut command = Command::new(tool_path());
    command.arg("--config").arg(&fixture.config).args(["audit", "follow", "--json", "--event", "generate"]);
    command.env("STRONGROOM_OFFICER_PASSWORD", "officer-1").stdout(std::process::Stdio::piped());
    let mut follower = command.spawn().expect("strongroom");
    let told = BufReader::new(follower.stdout.take().expect("output"));
    let before = entries(fixture, &["--event", "generate"]).len();
    // It follows once its own login is there; what is made until then it may pass over.
    let by = |pid: u32| entries(fixture, &[]).iter().any(|entry| entry["process"]["pid"] == pid);
    while !by(follower.id()) {}
    let maker = std::thread::spawn(move || told.lines().next().expect("a line").expect("text"));
    let mut made = before;
    while !maker.is_finished() {
        aes(fixture, &[]);
        made += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let line: Value = serde_json::from_str(&maker.join().expect("reader")).expect("JSON");
    assert_eq!((&line["event"], &line["actor"]["name"]), (&"generate".into(), &"user".into()));
    assert!(made > before);
    follower.kill().expect("kill");
    follower.wait().expect("wait");
}
