//! A folder with a token in it, and the `strongroom` command and the module over that token.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{Module, PIN, SO_PIN, call, tool_path};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

fn write_config(path: &Path, seal: &str) {
    let text = format!(
        "log = \"stderr\"\n[[slot]]\npath = \"token.db\"\n[slot.seal]\n{seal}\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n"
    );
    std::fs::write(path, text).expect("configuration");
}

/// A folder with a token, its officer, its user, and a key of his; no process has it open.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub config: PathBuf,
}

impl Place {
    pub fn new(seal: &str) -> Place {
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

    pub fn empty(seal: &str) -> Place {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("words"), "correct horse\n").expect("passphrase");
        let config = folder.path().join("config.toml");
        write_config(&config, seal);
        Place { folder, config }
    }

    /// A copy of everything, in a folder of its own.
    pub fn copy(&self) -> Place {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration of the same token with another seal.
    pub fn with(&self, seal: &str) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let config = self.path(&format!("config-{}.toml", COUNT.fetch_add(1, Ordering::Relaxed)));
        write_config(&config, seal);
        config
    }

    /// `strongroom` in the place's folder, with the officer's password.
    pub fn tool(&self, config: &Path, words: &[&str]) -> Command {
        let mut command =
            Command::new(tool_path().canonicalize().expect("the strongroom command: build it first"));
        command.args(words).arg("--config").arg(config).current_dir(self.folder.path());
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
        command
    }

    pub fn done(&self, words: &[&str]) -> String {
        said(&self.tool(&self.config, words).output().expect("strongroom"))
    }

    /// Refused with a reason and a way out.
    pub fn refused(&self, words: &[&str], reason: &str) {
        let output = self.tool(&self.config, words).output().expect("strongroom");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(reason), "{words:?}: {text}");
        assert!(text.contains("What to do: "), "{words:?}: {text}");
    }

    /// Number and state of each seal.
    pub fn seals(&self, config: &Path) -> Vec<(u64, String)> {
        let text = said(&self.tool(config, &["seal", "status", "--json"]).output().expect("strongroom"));
        let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let seals = answer["data"]["seals"].as_array().expect("an array");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        seals.iter().map(|seal| (seal["number"].as_u64().expect("a number"), text(&seal["state"]))).collect()
    }

    /// What the module says of the token in a process of its own, and what it logs.
    pub fn through_the_module(&self, config: &Path, credentials: Option<&Path>) -> (String, String) {
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

    pub fn opens(&self, config: &Path, credentials: Option<&Path>) {
        let (answer, words) = self.through_the_module(config, credentials);
        assert_eq!(answer, "signs", "{}: {words}", config.display());
    }

    pub fn does_not_open(&self, config: &Path, credentials: Option<&Path>, why: &str) {
        let (answer, words) = self.through_the_module(config, credentials);
        assert_eq!(answer, format!("{CKR_TOKEN_NOT_RECOGNIZED:#x}"), "{words}");
        assert!(words.contains(why), "{why:?} is not in {words}");
    }
}

pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
