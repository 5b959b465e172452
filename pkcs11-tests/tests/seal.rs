//! What opens a token's file, by `strongroom seal` and through the module: several seals of one token, each
//! kind of them, their exchange while programs work, a kill at every step of it, and what is refused.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, check, tool_path};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The module is one for the process.
static ONE: Mutex<()> = Mutex::new(());

fn write_config(path: &Path, seal: &str) {
    let text = format!(
        "log = \"stderr\"\n[[slot]]\npath = \"token.db\"\n[slot.seal]\n{seal}\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n"
    );
    std::fs::write(path, text).expect("configuration");
}

/// A folder with a token, its officer, its user, and a key of his; no process has it open.
struct Place {
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Place {
    fn new(seal: &str) -> Place {
        let place = Place::empty(seal);
        let module = Module::load();
        module.initialize(&place.config).expect("C_Initialize");
        module.make_token();
        let session = module.user();
        let key = [yes(CKA_TOKEN), yes(CKA_SIGN), bytes(CKA_LABEL, b"key"), number(CKA_VALUE_LEN, 32)];
        module.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &key).expect("key");
        assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
        place
    }

    fn empty(seal: &str) -> Place {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("words"), "correct horse\n").expect("passphrase");
        let config = folder.path().join("config.toml");
        write_config(&config, seal);
        Place { folder, config }
    }

    /// A copy of everything, in a folder of its own.
    fn copy(&self) -> Place {
        let folder = tempfile::tempdir().expect("temporary folder");
        for entry in std::fs::read_dir(self.folder.path()).expect("folder") {
            let entry = entry.expect("entry");
            if entry.file_type().expect("type").is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copy");
            }
        }
        let config = folder.path().join("config.toml");
        Place { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration of the same token with another seal.
    fn with(&self, seal: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let config = self.path(&format!("config-{}.toml", COUNT.fetch_add(1, Ordering::Relaxed)));
        write_config(&config, seal);
        config
    }

    /// `strongroom` in the place's folder, with the officer's password.
    fn tool(&self, config: &Path, words: &[&str]) -> Command {
        let mut command =
            Command::new(tool_path().canonicalize().expect("the strongroom command: build it first"));
        command.args(words).arg("--config").arg(config).current_dir(self.folder.path());
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
        command
    }

    fn done(&self, words: &[&str]) -> String {
        said(&self.tool(&self.config, words).output().expect("strongroom"))
    }

    /// Refused with a reason and a way out.
    fn refused(&self, words: &[&str], reason: &str) {
        let output = self.tool(&self.config, words).output().expect("strongroom");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(reason), "{words:?}: {text}");
        assert!(text.contains("What to do: "), "{words:?}: {text}");
    }

    /// Number and state of each seal.
    fn seals(&self, config: &Path) -> Vec<(u64, String)> {
        let text = said(&self.tool(config, &["seal", "status", "--json"]).output().expect("strongroom"));
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let seals = answer["data"]["seals"].as_array().expect("an array");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        seals.iter().map(|seal| (seal["number"].as_u64().expect("a number"), text(&seal["state"]))).collect()
    }

    /// What the module says of the token in a process of its own, and what it logs.
    fn through_the_module(&self, config: &Path, credentials: Option<&Path>) -> (String, String) {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "role_use", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("STRONGROOM_CONFIG", config).env_remove("CREDENTIALS_DIRECTORY");
        credentials.map(|folder| command.env("CREDENTIALS_DIRECTORY", folder));
        let output = command.output().expect("run");
        let (text, words) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text} {words}");
        let at = text.find("token ").expect("an answer") + "token ".len();
        (text[at..].lines().next().expect("a line").to_owned(), words.into_owned())
    }

    fn opens(&self, config: &Path, credentials: Option<&Path>) {
        let (answer, words) = self.through_the_module(config, credentials);
        assert_eq!(answer, "signs", "{}: {words}", config.display());
    }

    fn does_not_open(&self, config: &Path, credentials: Option<&Path>, why: &str) {
        let (answer, words) = self.through_the_module(config, credentials);
        assert_eq!(answer, format!("{CKR_TOKEN_NOT_RECOGNIZED:#x}"), "{words}");
        assert!(words.contains(why), "{why:?} is not in {words}");
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sign(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
    let (mut data, mut out, mut length) = ([7; 20], [0; 32], 32);
    match call!(module, C_SignInit, session, &mut mechanism(CKM_SHA256_HMAC), key) {
        CKR_OK => call!(module, C_Sign, session, data.as_mut_ptr(), 20, out.as_mut_ptr(), &mut length),
        other => other,
    }
}

fn the_key(module: &Module, session: CK_SESSION_HANDLE) -> CK_OBJECT_HANDLE {
    module.find(session, &[bytes(CKA_LABEL, b"key")]).expect("find")[0]
}

/// A role: opens the token, logs in and signs; says `token signs`, or the code of what failed.
#[test]
#[ignore = "a role of the tests below"]
fn role_use() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let mut info = CK_TOKEN_INFO::default();
    let code = call!(module, C_GetTokenInfo, 0, &mut info);
    if code != CKR_OK {
        assert_eq!(module.session(RW), Err(code));
        println!("token {code:#x}");
        return;
    }
    let session = module.user();
    assert_eq!(sign(&module, session, the_key(&module, session)), CKR_OK);
    println!("token signs");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
}

/// Runs a program of the system; the test fails where it is missing.
fn system(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("{program} (ci/install systemd): {e}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_provider_opens_and_nothing_else() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    assert_eq!(place.seals(&place.config), [(1, "in use".into())]);
    place.done(&["seal", "add", "--key-file", "second.seal"]);
    place.done(&["seal", "add", "--passphrase-file", "words"]);
    let mode = std::fs::metadata(place.path("second.seal")).expect("made").mode();
    assert_eq!(mode & 0o777, 0o600);
    let (second, words) =
        (place.with("key_file = \"second.seal\""), place.with("passphrase_file = \"words\""));
    for config in [&place.config, &second, &words] {
        place.opens(config, None);
    }
    let states = |all: [&str; 3]| (1..).zip(all.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(place.seals(&words), states(["intact", "intact", "in use"]));
    // A credential that systemd made of a key file.
    let held = place.path("credentials");
    std::fs::create_dir(&held).expect("folder");
    let encrypt =
        ["encrypt", "--with-key=tpm2-absent", "--name=strongroom", "second.seal", "strongroom.cred"];
    system("systemd-creds", &encrypt, place.folder.path());
    let decrypt = ["decrypt", "--name=strongroom", "strongroom.cred", "credentials/strongroom"];
    system("systemd-creds", &decrypt, place.folder.path());
    std::fs::set_permissions(held.join("strongroom"), PermissionsExt::from_mode(0o400)).expect("mode");
    let credential = place.with("credential = \"strongroom\"");
    place.opens(&credential, Some(&held));
    // One more, by its name.
    std::fs::write(held.join("third"), "e1".repeat(32)).expect("credential");
    std::fs::set_permissions(held.join("third"), PermissionsExt::from_mode(0o440)).expect("mode");
    let third = place.with("credential = \"third\"");
    place.does_not_open(&third, Some(&held), "credential third) does not open");
    let mut add = place.tool(&place.config, &["seal", "add", "--credential", "third"]);
    said(&add.env("CREDENTIALS_DIRECTORY", &held).output().expect("strongroom"));
    place.opens(&third, Some(&held));
    // What is wrong is said.
    place.does_not_open(&credential, None, "CREDENTIALS_DIRECTORY is not set");
    place.does_not_open(&credential, Some(place.folder.path()), "strongroom: No such file");
    std::fs::set_permissions(held.join("third"), PermissionsExt::from_mode(0o444)).expect("mode");
    place.does_not_open(&third, Some(&held), "may be read by others");
    std::fs::write(place.path("words"), "wrong horse\n").expect("passphrase");
    place.does_not_open(&words, None, "words) does not open");
    place.does_not_open(&place.with("passphrase_file = \"nowhere\""), None, "nowhere: No such file");
    let foreign = Place::new("key_file = \"token.seal\"");
    std::fs::copy(foreign.path("token.seal"), place.path("foreign.seal")).expect("copy");
    place.does_not_open(&place.with("key_file = \"foreign.seal\""), None, "foreign.seal) does not open");
    place.done(&["verify"]);
}

#[test]
fn what_is_refused() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    place.refused(&["seal", "remove", "1"], "the last good one");
    place.refused(&["seal", "remove", "1", "--force"], "the last good one");
    place.refused(&["seal", "remove", "5"], "there is no seal 5");
    place.refused(&["seal", "add", "--key-file", "token.seal"], "opens seal 1 already");
    place.done(&["seal", "add", "--passphrase-file", "words"]);
    place.refused(&["seal", "remove", "1"], "this configuration opens the token with");
    place.refused(&["seal", "rotate", "--new-passphrase-file", "words"], "No passphrase opens this token");
    for words in [&["seal", "add", "--key-file", "x.seal"][..], &["seal", "rotate"], &["seal", "remove", "2"]]
    {
        let by_user = [words, &["--user", "user"]].concat();
        place.refused(&by_user, "needs an officer");
        let nobody = place.tool(&place.config, words).env_remove("STRONGROOM_OFFICER_PASSWORD").output();
        assert_eq!(nobody.expect("strongroom").status.code(), Some(1), "{words:?}");
        let wrong = place.tool(&place.config, words).env("STRONGROOM_OFFICER_PASSWORD", "wrong-one").output();
        assert!(String::from_utf8_lossy(&wrong.expect("strongroom").stderr).contains("wrong"), "{words:?}");
        // Or three of these would lock the officer.
        place.done(&["audit", "list"]);
    }
    assert!(!place.path("x.seal").exists());
    assert_eq!(place.seals(&place.config).len(), 2);
    let credential = place.with("credential = \"token.seal\"");
    let mut rotate = place.tool(&credential, &["seal", "rotate"]);
    let output = rotate.env("CREDENTIALS_DIRECTORY", place.folder.path()).output().expect("strongroom");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("cannot be exchanged from here") && text.contains("seal add"), "{text}");
    let log = place.done(&["audit", "list"]);
    let recorded = ["seal-added", "seal-removed", "seal-rotated"].map(|event| log.matches(event).count());
    assert_eq!(recorded, [1, 0, 0], "{log}");
    // By force, and then the passphrase alone opens it.
    place.done(&["seal", "remove", "1", "--force"]);
    place.does_not_open(&place.config, None, "sealed by a passphrase; the configuration says key file");
    place.opens(&place.with("passphrase_file = \"words\""), None);
}

/// A token that this user cannot write: nothing is made, and the reason is given.
#[test]
fn a_token_that_cannot_be_written() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    // SAFETY: asks only.
    let root = unsafe { libc::geteuid() } == 0;
    // A copy: whoever reads may not enter the folder of the build.
    let tool = tempfile::tempdir().expect("folder");
    std::fs::set_permissions(tool.path(), PermissionsExt::from_mode(0o755)).expect("mode");
    std::fs::copy(tool_path(), tool.path().join("strongroom")).expect("copy");
    for entry in std::fs::read_dir(place.folder.path()).expect("folder") {
        let path = entry.expect("entry").path();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).expect("mode");
        if root {
            chown(&path, Some(65534), Some(65534)).expect("chown");
        }
    }
    if root {
        chown(place.folder.path(), Some(65534), Some(65534)).expect("chown");
    }
    for words in [&["seal", "add", "--key-file", "x.seal"][..], &["seal", "rotate"], &["seal", "remove", "1"]]
    {
        let mut command = Command::new(tool.path().join("strongroom"));
        command.args(words).arg("--config").arg(&place.config).current_dir(place.folder.path());
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        if root {
            command.uid(65534).gid(65534);
        }
        let output = command.output().expect("strongroom");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains("cannot be written by this user"),
            "{words:?}: {text}"
        );
    }
    assert!(!place.path("x.seal").exists());
    assert_eq!(place.seals(&place.config), [(1, "in use".into())]);
}

/// A program signs, others open the token again and again, and an officer exchanges the key meanwhile.
#[test]
fn rotation_disturbs_nobody() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    let past = place.copy();
    let module = Module::load();
    module.initialize(&place.config).expect("C_Initialize");
    let session = module.user();
    let key = the_key(&module, session);
    let (done, signed, opened) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let again = |count: &AtomicUsize, work: &dyn Fn()| {
        while !done.load(Ordering::Relaxed) {
            work();
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| again(&signed, &|| assert_eq!(sign(&module, session, key), CKR_OK)));
        scope.spawn(|| again(&opened, &|| drop(place.done(&["status"]))));
        for _ in 0..20 {
            place.done(&["seal", "rotate"]);
        }
        done.store(true, Ordering::Relaxed);
    });
    let (signed, opened) = (signed.into_inner(), opened.into_inner());
    assert!(signed > 1000 && opened > 10, "{signed} signatures, {opened} openings");
    module.create(session, &[number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN)]).expect("and it writes");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    assert_eq!(place.seals(&place.config), [(21, "in use".into())]);
    place.done(&["verify"]);
    place.opens(&place.config, None);
    // The old key opens the old copy, and nothing later; the new one nothing earlier.
    past.opens(&past.config, None);
    std::fs::copy(past.path("token.seal"), place.path("old.seal")).expect("copy");
    place.does_not_open(&place.with("key_file = \"old.seal\""), None, "or the one of its last rotation");
    std::fs::copy(place.path("token.seal"), past.path("new.seal")).expect("copy");
    past.does_not_open(&past.with("key_file = \"new.seal\""), None, "needs the key of its own day");
}

/// Where the row of a seal begins in a file's bytes: after its name.
fn row_at(file: &[u8], name: &str) -> usize {
    let at = file.windows(name.len()).position(|part| part == name.as_bytes()).expect("the row");
    at + name.len()
}

#[test]
fn a_removed_seal_is_gone_from_the_disk() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    place.done(&["seal", "add", "--key-file", "second.seal"]);
    let file = std::fs::read(place.path("token.db")).expect("token file");
    let at = row_at(&file, "seal-2");
    // Salt, and S as it is wrapped.
    let parts = [&file[at + 18..at + 34], &file[at + 54..at + 102]];
    let traces = || {
        let read = |name: &&str| std::fs::read(place.path(name)).unwrap_or_default();
        let files = ["token.db", "token.db-wal"].iter().map(read).collect::<Vec<_>>();
        let has =
            |part: &&[u8]| files.iter().any(|file| file.windows(part.len()).any(|bytes| bytes == *part));
        parts.iter().filter(|part| has(part)).count()
    };
    assert_eq!(traces(), 2);
    // A program that has it open, but reads nothing just now.
    let module = Module::load();
    module.initialize(&place.config).expect("C_Initialize");
    let session = module.user();
    place.done(&["seal", "remove", "2"]);
    assert_eq!(traces(), 0);
    check(call!(module, C_CloseSession, session)).expect("C_CloseSession");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    place.does_not_open(&place.with("key_file = \"second.seal\""), None, "does not open");
}

#[test]
fn a_damaged_seal_is_named_and_the_others_open() {
    let _one = ONE.lock();
    let place = Place::new("key_file = \"token.seal\"");
    place.done(&["seal", "add", "--passphrase-file", "words"]);
    let words = place.with("passphrase_file = \"words\"");
    let good = std::fs::read(place.path("token.db")).expect("token file");
    let at = row_at(&good, "seal-1");
    for (position, why) in
        [(0, "seal 1 in it is damaged"), (1, "seal 1 in it is damaged"), (60, "does not open")]
    {
        let mut altered = good.clone();
        altered[at + position] ^= if position == 1 { 3 } else { 0x40 };
        std::fs::write(place.path("token.db"), altered).expect("write");
        place.does_not_open(&place.config, None, why);
        place.opens(&words, None);
        assert_eq!(place.seals(&words), [(1, "altered".into()), (2, "in use".into())]);
        let verify = place.tool(&words, &["verify"]).output().expect("strongroom");
        assert!(String::from_utf8_lossy(&verify.stderr).contains("seal 1 was altered"), "{verify:?}");
        let doctor = place.tool(&words, &["doctor"]).output().expect("strongroom");
        assert!(String::from_utf8_lossy(&doctor.stderr).contains("seals: altered: 1"), "{doctor:?}");
    }
    said(&place.tool(&words, &["seal", "remove", "1"]).output().expect("strongroom"));
    said(&place.tool(&words, &["verify"]).output().expect("strongroom"));
}

/// Files of format 1 have one seal and no number in it.
#[test]
fn an_earlier_files_seal_is_one_of_several() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/format-1");
    for (name, seal) in
        [("key-file", "key_file = \"token.seal\""), ("passphrase", "passphrase_file = \"words\"")]
    {
        let place = Place::empty(seal);
        for file in std::fs::read_dir(vectors.join(name)).expect("vectors") {
            let file = file.expect("entry");
            std::fs::copy(file.path(), place.path(&file.file_name().to_string_lossy())).expect("copy");
            let mode = PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(place.path(&file.file_name().to_string_lossy()), mode).expect("mode");
        }
        assert_eq!(place.seals(&place.config), [(1, "in use".into())], "{name}");
        place.done(&["seal", "add", "--key-file", "second.seal"]);
        let second = place.with("key_file = \"second.seal\"");
        assert_eq!(place.seals(&second), [(1, "not checked".into()), (2, "in use".into())], "{name}");
        place.done(&["seal", "rotate"]);
        assert_eq!(place.seals(&place.config), [(2, "intact".into()), (3, "in use".into())], "{name}");
        place.done(&["verify"]);
    }
}

/// `strongroom` under `c/steps.c`, armed from its start.
fn under_steps(place: &Place, steps: &Path, words: &[&str], mode: &str, step: usize) -> Output {
    let mut command = place.tool(&place.config, words);
    command.env("LD_PRELOAD", steps).env("STEPS_FOLDER", place.folder.path());
    command.env("STEPS_MODE", mode).env("STEPS_AT", step.to_string());
    command.env("STEPS_LOG", place.folder.path().with_extension("steps"));
    command.output().expect("strongroom")
}

fn steps_of(place: &Place) -> Vec<String> {
    let path = place.folder.path().with_extension("steps");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

fn built_steps(folder: &Path) -> PathBuf {
    let (source, library) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("c/steps.c"), folder.join("steps.so"));
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(source);
    assert!(cc.arg("-ldl").status().expect("a C compiler").success());
    library
}

/// Killed there, or without room from there on: the configured file opens the token, and the next exchange
/// leaves one seal.
fn struck(base: &Place, steps: &Path, words: &[&str], mode: &str, step: usize, name: &str) {
    let place = base.copy();
    let output = under_steps(&place, steps, words, mode, step);
    let _ = steps_of(&place);
    let what =
        format!("{words:?} {mode} at step {step}, {name}: {}", String::from_utf8_lossy(&output.stderr));
    if mode != "full" {
        assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{what}");
    }
    let verify = place.tool(&place.config, &["verify"]).output().expect("strongroom");
    assert!(verify.status.success(), "{what}: {}", String::from_utf8_lossy(&verify.stderr));
    let states = place.seals(&place.config);
    let used = states.iter().filter(|(_, state)| state == "in use").count();
    let left = states.iter().filter(|(_, state)| state == "left over").count();
    assert!(used == 1 && used + left == states.len() && left <= 1, "{what}: {states:?}");
    let again = place.tool(&place.config, &["seal", "rotate"]).output().expect("strongroom");
    assert!(again.status.success(), "{what}: {}", String::from_utf8_lossy(&again.stderr));
    let after = place.seals(&place.config);
    assert!(after.len() == 1 && after[0].1 == "in use", "{what}: {after:?}");
}

/// The steps of one command, by three threads. The officer's login before it is the business of `crash.rs`.
fn strike(seal: &str, words: &[&str], modes: &[&str]) -> usize {
    let base = Place::new(seal);
    std::fs::write(base.path("new-words"), "battery staple\n").expect("passphrase");
    let folder = tempfile::tempdir().expect("folder");
    let steps = built_steps(folder.path());
    let whole = base.copy();
    let output = under_steps(&whole, &steps, words, "count", 0);
    said(&output);
    let names = steps_of(&whole);
    for wanted in ["rename ", "sync ", "write token.db-wal", "cut "] {
        assert!(names.iter().any(|name| name.starts_with(wanted)), "no {wanted:?} in {names:?}");
    }
    let begin = names.iter().position(|name| name.contains("draft")).expect("a draft") + 1;
    let wanted = |mode: &str, name: &str| match mode {
        // A passphrase costs much at each opening, and what is written is the same.
        "kill" if seal.starts_with("passphrase") => !name.starts_with("write"),
        "torn" => name.starts_with("write"),
        "full" => ["write", "make", "rename"].iter().any(|word| name.starts_with(word)),
        _ => true,
    };
    let strikes: Vec<(&str, usize)> = modes
        .iter()
        .flat_map(|mode| (begin..=names.len()).map(move |step| (*mode, step)))
        .filter(|(mode, step)| wanted(mode, &names[step - 1]))
        .collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((mode, step)) = strikes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    struck(&base, &steps, words, mode, *step, &names[step - 1]);
                }
            });
        }
    });
    strikes.len()
}

#[test]
fn killed_at_every_step_of_a_rotation() {
    let _one = ONE.lock();
    let struck = strike("key_file = \"token.seal\"", &["seal", "rotate"], &["kill", "torn", "full"]);
    assert!(struck > 80, "only {struck} strikes");
}

#[test]
fn killed_at_every_step_of_a_new_passphrase() {
    let _one = ONE.lock();
    let words = ["seal", "rotate", "--new-passphrase-file", "new-words"];
    let struck = strike("passphrase_file = \"words\"", &words, &["kill"]);
    assert!(struck > 15, "only {struck} strikes");
}
