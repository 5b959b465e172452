//! The disaster: keys made through the `.so`, a backup, the host gone, and all of it again on another one. And
//! what people get for wrong secrets, damaged files and older backups.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, SO_PIN, call, cheap_config, make_user, tool_path};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

const BOB: &[u8] = b"bob:bob-9876";

/// The module is one for the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn strongroom(config: &Path, words: &[&str]) -> Output {
    let mut command = std::process::Command::new(tool_path());
    command.arg("--config").arg(config).args(words);
    command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
    command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
    command.output().expect("strongroom")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn said(config: &Path, words: &[&str]) -> String {
    let ran = strongroom(config, words);
    assert!(ran.status.success(), "{words:?}: {}", text(&ran));
    text(&ran)
}

fn refused(config: &Path, words: &[&str], why: &str) {
    let ran = strongroom(config, words);
    let said = text(&ran);
    assert_eq!(ran.status.code(), Some(1), "{words:?}: {said}");
    assert!(said.contains(why) && said.contains("What to do: "), "{words:?}: {said}");
}

/// A token with a user and bob, and a recovery key; the module is finalised.
struct Site {
    module: Module,
    folder: tempfile::TempDir,
    /// Where the recovery key is.
    safe: tempfile::TempDir,
    config: PathBuf,
    public: String,
}

impl Site {
    fn new() -> Site {
        let (folder, config) = cheap_config();
        let (module, safe) = (Module::load(), tempfile::tempdir().expect("temporary folder"));
        module.initialize(&config).expect("C_Initialize");
        module.make_token();
        make_user(&config, "bob", b"bob-9876");
        let key = safe.path().join("recovery");
        let told =
            said(&config, &["backup", "recovery-key", "generate", "--out", key.to_str().expect("path")]);
        let public = told.lines().next().expect("a line").to_owned();
        assert!(public.starts_with("strongroom-recovery-"));
        assert_eq!(mode(&key), 0o600);
        Site { module, folder, safe, config, public }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("path").to_owned()
    }

    fn recovery(&self) -> String {
        self.safe.path().join("recovery").to_str().expect("path").to_owned()
    }

    fn back_up(&self, name: &str) -> String {
        let file = self.path(name);
        said(&self.config, &["backup", "create", "--recipient", &self.public, "--out", &file]);
        assert_eq!(mode(Path::new(&file)), 0o600);
        file
    }

    fn finalize(&self) {
        assert_eq!(call!(self.module, C_Finalize, null_mut()), CKR_OK);
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("file").permissions().mode() & 0o777
}

fn the(module: &Module, session: CK_SESSION_HANDLE, label: &str, class: CK_ULONG) -> CK_OBJECT_HANDLE {
    let found = module.find(session, &[bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, class)]);
    let found = found.expect("C_FindObjects");
    assert_eq!(found.len(), 1, "{label}");
    found[0]
}

fn sign(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let (mut data, mut out, mut length) = ([7; 32], vec![0; 64], 64);
    assert_eq!(call!(module, C_SignInit, session, &mut mechanism(CKM_ECDSA), key), CKR_OK);
    assert_eq!(call!(module, C_Sign, session, data.as_mut_ptr(), 32, out.as_mut_ptr(), &mut length), CKR_OK);
    out
}

fn verify(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, signature: &mut [u8]) -> CK_RV {
    let mut data = [7; 32];
    assert_eq!(call!(module, C_VerifyInit, session, &mut mechanism(CKM_ECDSA), key), CKR_OK);
    call!(module, C_Verify, session, data.as_mut_ptr(), 32, signature.as_mut_ptr(), 64)
}

/// AES-CMAC of a text.
fn mac(module: &Module, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
    let (mut data, mut out, mut length) = (*b"text", vec![0; 16], 16);
    assert_eq!(call!(module, C_SignInit, session, &mut mechanism(CKM_AES_CMAC), key), CKR_OK);
    assert_eq!(call!(module, C_Sign, session, data.as_mut_ptr(), 4, out.as_mut_ptr(), &mut length), CKR_OK);
    out
}

#[test]
fn the_host_is_gone_and_everything_is_back() {
    let _alone = alone();
    let site = Site::new();
    let module = &site.module;
    let session = module.user();
    let named = [yes(CKA_TOKEN), bytes(CKA_LABEL, b"signing")];
    let public = [&named[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
    let private = [&named[..], &[yes(CKA_PRIVATE)]].concat();
    let pair = module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &private).expect("pair");
    let aes = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN), yes(CKA_PRIVATE), bytes(CKA_LABEL, b"secret")];
    let secret = module.generate(session, CKM_AES_KEY_GEN, &aes).expect("key");
    let id =
        String::from_utf8(module.attribute(session, pair.private, CKA_UNIQUE_ID).expect("id")).expect("id");
    said(&site.config, &["key", "share", &id, "--with", "bob"]);
    let (mut signature, tag) = (sign(module, session, pair.private), mac(module, session, secret));
    let file = site.back_up("a.strongroom-backup");
    site.finalize();

    // Another host: the file and the recovery key are all there is.
    let (folder, config) = cheap_config();
    let recovery = site.recovery();
    let moved = folder.path().join("carried.strongroom-backup");
    std::fs::copy(&file, &moved).expect("copy");
    let moved = moved.to_str().expect("path");
    let counted = said(&config, &["backup", "verify", "--json", moved, "--recovery-key", &recovery]);
    let counted: serde_json::Value = serde_json::from_str(&counted).expect("JSON");
    let data = &counted["data"];
    assert_eq!((&data["officers"], &data["users"], &data["shares"]), (&1.into(), &2.into(), &1.into()));
    assert_eq!((&data["private_keys"], &data["public_keys"]), (&1.into(), &1.into()));
    assert_eq!((&data["secret_keys"], &data["over_the_present_token"]), (&1.into(), &"there is none".into()));
    std::fs::remove_dir_all(site.folder.path()).expect("the host is gone");
    said(&config, &["backup", "restore", moved, "--recovery-key", &recovery]);
    said(&config, &["verify"]);
    said(&config, &["audit", "verify"]);
    assert_eq!(mode(&config.with_file_name("token.db")), 0o600);
    let module = &site.module;
    module.initialize(&config).expect("C_Initialize");
    let session = module.user();
    let public = the(module, session, "signing", CKO_PUBLIC_KEY);
    assert_eq!(verify(module, session, public, &mut signature), CKR_OK, "what the old host signed");
    assert_eq!(mac(module, session, the(module, session, "secret", CKO_SECRET_KEY)), tag);
    let mut fresh = sign(module, session, the(module, session, "signing", CKO_PRIVATE_KEY));
    assert_eq!(verify(module, session, public, &mut fresh), CKR_OK);
    assert_eq!(call!(module, C_Logout, session), CKR_OK);
    module.login(session, CKU_USER, BOB).expect("bob");
    let shared = the(module, session, "signing", CKO_PRIVATE_KEY);
    let mut his = sign(module, session, shared);
    assert_eq!(verify(module, session, public, &mut his), CKR_OK, "the share works");
    assert_ne!(module.destroy(session, shared), Ok(()), "and is no more than a share");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    let entries = said(&config, &["audit", "list", "--event", "restore"]);
    assert_eq!(entries.lines().count(), 1, "{entries}");
}

#[test]
fn a_program_that_runs_sees_what_was_restored_under_it() {
    let _alone = alone();
    let site = Site::new();
    let module = &site.module;
    let session = module.user();
    let note = |label: &str| {
        let value = bytes(CKA_VALUE, b"text");
        [
            number(CKA_CLASS, CKO_DATA),
            yes(CKA_TOKEN),
            yes(CKA_PRIVATE),
            bytes(CKA_LABEL, label.as_bytes()),
            value,
        ]
    };
    let count = |label: &str| {
        module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).expect("C_FindObjects").len()
    };
    let old = module.create(session, &note("old")).expect("note");
    let id = module.attribute(session, old, CKA_UNIQUE_ID).expect("id");
    let id = String::from_utf8(id).expect("id");
    let file = site.back_up("a.strongroom-backup");
    let recovery = site.recovery();
    let restore = |more: &[&str]| {
        strongroom(&site.config, &[&["backup", "restore", &file, "--recovery-key", &recovery], more].concat())
    };
    module.destroy(session, old).expect("C_DestroyObject");
    module.create(session, &note("new")).expect("note");
    let words = text(&restore(&[]));
    assert!(words.contains("newer than this backup") && words.contains("--force"), "{words}");
    assert_eq!((count("old"), count("new")), (0, 1));
    // One object, into the token as it is.
    let ran = restore(&["--only-key", &id]);
    assert!(ran.status.success(), "{}", text(&ran));
    assert_eq!((count("old"), count("new")), (1, 1));
    assert_eq!(
        module.attribute(session, the(module, session, "old", CKO_DATA), CKA_VALUE),
        Ok(b"text".to_vec())
    );
    // All of it.
    let ran = restore(&["--force"]);
    assert!(ran.status.success(), "{}", text(&ran));
    assert_eq!((count("old"), count("new")), (1, 0));
    module.create(session, &note("after")).expect("the login is good still");
    // A user who was deleted, while he was logged in.
    said(&site.config, &["user", "delete", "user", "--destroy-objects"]);
    assert!(module.create(session, &note("late")).is_err());
    let ran = restore(&["--only-user", "user"]);
    assert!(ran.status.success(), "{}", text(&ran));
    site.finalize();
    module.initialize(&site.config).expect("C_Initialize");
    let session = module.user();
    let found = module.find(session, &[bytes(CKA_LABEL, b"old")]).expect("C_FindObjects");
    assert_eq!(found.len(), 1);
    site.finalize();
    said(&site.config, &["verify"]);
    said(&site.config, &["audit", "verify"]);
    let entries = said(&site.config, &["audit", "list", "--event", "restore", "--json"]);
    let what = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).expect("JSON");
        (entry["details"]["what"].clone(), entry["details"]["forced"].clone())
    };
    let entries: Vec<_> = entries.lines().map(what).collect();
    let null = serde_json::Value::Null;
    assert_eq!(
        entries,
        [("key".into(), null.clone()), ("whole".into(), "true".into()), ("user".into(), null)]
    );
}

#[test]
fn wrong_secrets_and_damaged_files_get_words_and_change_nothing() {
    let _alone = alone();
    let site = Site::new();
    site.finalize();
    let file = site.back_up("a.strongroom-backup");
    let (recovery, other, words) = (site.recovery(), site.path("other"), site.path("words"));
    said(&site.config, &["backup", "recovery-key", "generate", "--out", &other]);
    std::fs::write(&words, "no such words\n").expect("passphrase");
    let (folder, config) = cheap_config();
    for config in [&site.config, &config] {
        let restore = |file: &str, more: &[&str], why: &str| {
            refused(config, &[&["backup", "restore", file, "--force"], more].concat(), why);
            refused(config, &[&["backup", "verify", file], more].concat(), why);
        };
        restore(&file, &["--recovery-key", &other], "the recovery key does not open this backup");
        restore(&file, &["--passphrase-file", &words], "the passphrase does not open this backup");
        restore(&file, &["--recovery-key", &words], "is no recovery key");
        restore(&site.path("config.toml"), &["--recovery-key", &recovery], "not a Strongroom backup");
        restore(&site.path("nowhere"), &["--recovery-key", &recovery], "No such file");
        let bytes = std::fs::read(&file).expect("backup");
        let damaged = site.path("damaged");
        for (change, why) in [
            (0, "not a Strongroom backup"),
            (19, "newer"),
            (30, "damaged"),
            (bytes.len() / 2, "damaged"),
            (bytes.len() - 1, "damaged"),
        ] {
            let mut wrong = bytes.clone();
            wrong[change] ^= 2;
            std::fs::write(&damaged, wrong).expect("file");
            restore(&damaged, &["--recovery-key", &recovery], why);
        }
        for length in [10, 22, 200, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&damaged, &bytes[..length]).expect("file");
            restore(&damaged, &["--recovery-key", &recovery], if length == 10 { "not a" } else { "cut off" });
        }
    }
    assert!(!folder.path().join("token.db").exists(), "no half token");
    said(&site.config, &["verify"]);
    said(&site.config, &["backup", "restore", &file, "--recovery-key", &recovery]);
    // A token in which nobody can log in stands in the way, and says so.
    let kept = std::fs::read(site.path("token.db")).expect("token");
    std::fs::write(site.path("token.db"), "damaged for good").expect("token");
    refused(&site.config, &["backup", "restore", &file, "--recovery-key", &recovery], "move its files away");
    std::fs::write(site.path("token.db"), kept).expect("token");
    // Another token's is refused whatever is said.
    let foreign = Site::new();
    foreign.finalize();
    let theirs = foreign.back_up("b.strongroom-backup");
    let recovery = foreign.recovery();
    refused(
        &site.config,
        &["backup", "restore", &theirs, "--force", "--recovery-key", &recovery],
        "never overwritten",
    );
}
