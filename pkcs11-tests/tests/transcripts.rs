//! The pages of `transcripts/`, run for real: they are the command line's documentation, and stay true.
//!
//! Each page has a folder, a home and a token of its own. In its `console` blocks a line `$ …` is run by bash,
//! `export` lasts to the page's end, and below stand standard output and error, and `? N` for an exit code
//! that is not 0. `SNAPSHOTS=overwrite cargo test -p pkcs11-tests --test transcripts` writes the pages anew.

use pkcs11_tests::{module_path, tool_path};
use snapbox::{Assert, Data, Redactions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A page being run.
struct Page {
    folder: tempfile::TempDir,
    exports: String,
}

impl Page {
    fn new() -> Page {
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = "[[slot]]\npath = \"token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";
        std::fs::write(folder.path().join("strongroom.toml"), config).expect("configuration");
        Page { folder, exports: String::new() }
    }

    /// What bash and the commands say.
    fn run(&mut self, line: &str) -> String {
        if line.starts_with("export ") {
            self.exports += &format!("{line}\n");
            return String::new();
        }
        let tools = tool_path().canonicalize().expect("the strongroom command: build it first");
        let path = std::env::var("PATH").unwrap_or_default();
        let ran = Command::new("bash")
            .arg("-c")
            .arg(format!("exec 2>&1\n{}{line}", self.exports))
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", tools.parent().expect("folder").display()))
            .env("HOME", self.folder.path())
            .env("STRONGROOM", module_path())
            .env("STRONGROOM_CONFIG", "strongroom.toml")
            .stdin(Stdio::null())
            .output()
            .expect("bash");
        let home = self.folder.path().to_str().expect("path");
        let mut said = String::from_utf8_lossy(&ran.stdout).replace(home, "[HOME]");
        if !said.is_empty() && !said.ends_with('\n') {
            said.push('\n');
        }
        match ran.status.code() {
            Some(0) => said,
            code => format!("{said}? {}\n", code.map_or("killed".into(), |code| code.to_string())),
        }
    }

    /// The page with what its commands say now.
    fn replayed(&mut self, text: &str) -> String {
        let (mut out, mut console, mut lines) = (String::new(), false, text.lines().peekable());
        while let Some(line) = lines.next() {
            let command = line.strip_prefix("$ ").filter(|_| console);
            if line.starts_with("```") {
                console = line == "```console";
            }
            if console && command.is_none() && !line.starts_with("```") {
                // What was said before, up to the next command.
                continue;
            }
            out += &format!("{line}\n");
            let Some(command) = command else { continue };
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                let more = lines.next().expect("a line goes on");
                out += &format!("{more}\n");
                command = format!("{}{}", command.trim_end_matches('\\'), more);
            }
            out += &self.run(&command);
        }
        out
    }
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let entries = std::fs::read_dir(folder).expect("transcripts").map(|entry| entry.expect("entry").path());
    let mut pages: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    assert!(pages.len() > 3, "only {} pages: the walk has gone blind", pages.len());
    pages
}

#[test]
fn the_pages_say_what_happens() {
    let mut redactions = Redactions::new();
    let changing = [
        ("[ID]", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("[SERIAL]", r"\b[0-9a-f]{16}\b"),
        ("[FINGERPRINT]", r"SHA256:[0-9a-f]{64}\b"),
        ("[KEYID]", r"\b[0-9a-f]{40}\b"),
        ("[DAY]", r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}\b"),
        ("[BUCKET]", r"bucket (?<redacted>[0-9]+)"),
        ("[TIME]", r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}Z"),
        ("[PID]", r"strongroom\[(?<redacted>[0-9]+)\]"),
        ("[VERSION]", r"\b[0-9]+\.[0-9]+\.[0-9]+\b"),
        ("[MOMENT]", r"\b[0-9]{8}T[0-9]{6}Z\b"),
        ("[RECOVERY]", r"strongroom-recovery-[0-9a-f]{72}"),
        ("[BYTES]", r"  (?<redacted>[0-9]{4,}) +[0-9]+ +passphrase"),
    ];
    for (name, pattern) in changing {
        redactions.insert(name, regex::Regex::new(pattern).expect("pattern")).expect("placeholder");
    }
    let module = module_path().canonicalize().expect("the module: build it first");
    redactions.insert("[MODULE]", module).expect("placeholder");
    let assert = Assert::new().action_env("SNAPSHOTS").redact_with(redactions).normalize_paths(false);
    for path in pages() {
        let page = Data::read_from(&path, None);
        let text = page.render().expect("text");
        let said = Page::new().replayed(&text);
        assert!(text.contains("\n$ strongroom"), "{}: no command", path.display());
        assert.eq(said, page);
    }
}
