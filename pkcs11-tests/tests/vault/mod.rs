//! A token in a folder, used through the `strongroom` command alone, and `openssl` beside it.

// Each test takes what it needs.
#![allow(dead_code)]

use pkcs11_tests::tool_path;
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Vault {
    folder: tempfile::TempDir,
}

/// What a command said where it should not have failed.
fn good(what: &str, ran: Output) -> Vec<u8> {
    let said = [&ran.stdout[..], &ran.stderr].concat();
    assert!(ran.status.success(), "{what}: {}", String::from_utf8_lossy(&said));
    ran.stdout
}

impl Vault {
    /// With an officer, the user `user` who acts, and the users alice and bob.
    pub fn new() -> Vault {
        let vault = Vault { folder: tempfile::tempdir().expect("temporary folder") };
        let config = "[[slot]]\npath = \"token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";
        std::fs::write(vault.path("strongroom.toml"), config).expect("configuration");
        vault.said(&["cluster", "activate"]);
        for name in ["user", "alice", "bob"] {
            vault.said(&["user", "create", name]);
        }
        vault
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command in the folder; passwords of people and of key files are in its environment.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command =
            Command::new(tool_path().canonicalize().expect("the strongroom command: build it first"));
        command
            .args(words)
            .current_dir(self.folder())
            .env("HOME", self.folder())
            .env("STRONGROOM_CONFIG", "strongroom.toml")
            .env("STRONGROOM_OFFICER_PASSWORD", "correct-horse")
            .env("STRONGROOM_PASSWORD", "battery-staple")
            .env("STRONGROOM_KEY_PASSWORD", "secret")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("strongroom")
    }

    pub fn said(&self, words: &[&str]) -> String {
        let said = good(&words.join(" "), self.run(words));
        String::from_utf8(said).expect("text").trim_end().to_owned()
    }

    /// What a command that must fail with this exit code says.
    pub fn refused(&self, code: i32, words: &[&str]) -> String {
        let ran = self.run(words);
        let said = String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr].concat()).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {said}");
        said
    }

    /// The data of an answer in JSON.
    pub fn json(&self, words: &[&str]) -> Json {
        let answer: Json = serde_json::from_str(&self.said(&[words, &["--json"]].concat())).expect("JSON");
        answer["data"].clone()
    }

    /// The rows of `key list`.
    pub fn keys(&self) -> Vec<Json> {
        self.json(&["key", "list"])["keys"].as_array().expect("keys").clone()
    }

    /// How many lines of the audit log have this event.
    pub fn events(&self, event: &str) -> Vec<Json> {
        let said = self.said(&["audit", "export"]);
        let lines = said.lines().map(|line| serde_json::from_str::<Json>(line).expect("a line of the log"));
        lines.filter(|line| line["event"] == event).collect()
    }

    /// `openssl` in the folder, its words parted by spaces.
    pub fn openssl(&self, words: &str) -> Vec<u8> {
        let mut command = Command::new("openssl");
        let ran = command.args(words.split(' ')).current_dir(self.folder()).stdin(Stdio::null()).output();
        good(words, ran.expect("openssl must be installed"))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("file");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("file")
    }

    /// That a private key of the token signs what openssl verifies with a public key in PEM.
    pub fn signs(&self, label: &str, mechanism: &str, public: &str) {
        self.write("message", "to be signed");
        let sign = ["crypto", "sign", "-m", mechanism, "--key-label", label, "--data-path", "message"];
        let format = if mechanism.starts_with("ecdsa") { "der" } else { "raw" };
        self.said(&[&sign[..], &["--out", "signature", "--signature-format", format]].concat());
        match mechanism {
            "eddsa" => self.openssl(&format!(
                "pkeyutl -verify -pubin -inkey {public} -rawin -in message -sigfile signature"
            )),
            _ => self.openssl(&format!("dgst -sha256 -verify {public} -signature signature message")),
        };
    }
}
