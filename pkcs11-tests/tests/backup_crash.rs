//! kill -9 and a full disk at every single step that making a backup and restoring one take on the disk: what
//! is called a backup is one, the token is as before or as after, and it can be done again.
//!
//! The command runs under `c/steps.c`, which counts the steps and strikes at the chosen one.

use pkcs11_tests::tool_path;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

const CONFIG: &str = "[[slot]]\npath = \"token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n";

/// Folders to start from, and the preloaded library.
struct Place {
    folder: tempfile::TempDir,
    preloaded: PathBuf,
}

fn strongroom(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(tool_path());
    command.arg("--config").arg(folder.join("config.toml")).args(words);
    command.env("STRONGROOM_OFFICER_PASSWORD", "officer-1").env("STRONGROOM_PASSWORD", "user-1234");
    command.env("STRONGROOM_BACKUP_PASSPHRASE", "many long words");
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn must(folder: &Path, words: &[&str]) -> String {
    let ran = strongroom(folder, words).output().expect("strongroom");
    assert!(ran.status.success(), "{words:?}: {}", text(&ran));
    text(&ran)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let path = entry.expect("entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("name"))).expect("copy");
    }
}

impl Place {
    /// `token`: a token with alice, a backup of that, and bob, who came later. `nothing`: the backup only.
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("temporary folder");
        let preloaded = pkcs11_tests::steps::build(folder.path());
        let (token, nothing) = (folder.path().join("token"), folder.path().join("nothing"));
        for folder in [&token, &nothing] {
            std::fs::create_dir(folder).expect("folder");
            std::fs::write(folder.join("config.toml"), CONFIG).expect("configuration");
        }
        must(&token, &["cluster", "activate"]);
        must(&token, &["user", "create", "alice"]);
        let backup = token.join("a.strongroom-backup");
        must(&token, &["backup", "create", "--out", backup.to_str().expect("path")]);
        must(&token, &["user", "create", "bob"]);
        std::fs::copy(&backup, nothing.join("a.strongroom-backup")).expect("copy");
        Place { folder, preloaded }
    }

    fn fresh(&self, base: &str) -> tempfile::TempDir {
        let copy = tempfile::tempdir().expect("temporary folder");
        copy_folder(&self.folder.path().join(base), copy.path());
        copy
    }
}

/// What is done, from what, and what of it must hold whatever happened.
struct Work {
    base: &'static str,
    words: fn(&Path) -> Vec<String>,
    /// Answers whether it happened.
    look: fn(&Path, &str) -> bool,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn users(folder: &Path) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&must(folder, &["user", "list", "--json"])).expect("JSON");
    let users = json["data"]["users"].as_array().expect("users");
    let names = users.iter().map(|user| user["username"].as_str().expect("name").to_owned());
    // The host's own identity stays with its file.
    names.filter(|name| name != "appliance").collect()
}

/// All that is called a backup opens; nothing else is left but a draft of a killed process.
fn look_at_backups(folder: &Path, what: &str) -> bool {
    must(folder, &["verify"]);
    assert_eq!(users(folder), ["alice", "bob", "so"], "{what}");
    let Ok(entries) = std::fs::read_dir(folder.join("new")) else { return false };
    let names: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    let is_backup = |path: &&PathBuf| path.extension().is_some_and(|e| e == "strongroom-backup");
    for backup in names.iter().filter(is_backup) {
        must(folder, &["backup", "verify", backup.to_str().expect("path")]);
    }
    let drafts = names.iter().filter(|path| !is_backup(path)).count();
    assert!(drafts == 0 || what.contains("kill") || what.contains("torn"), "{what}: {names:?}");
    names.iter().any(|path| is_backup(&path))
}

/// A restored token has no bob.
fn look_at_restored(folder: &Path, what: &str) -> bool {
    must(folder, &["verify"]);
    must(folder, &["audit", "verify"]);
    let users = users(folder);
    assert!(users == ["alice", "so"] || users == ["alice", "bob", "so"], "{what}: {users:?}");
    users.len() == 2
}

fn look_at_new_host(folder: &Path, what: &str) -> bool {
    folder.join("token.db").exists() && look_at_restored(folder, what)
}

const WORKS: [Work; 3] = [
    Work {
        base: "token",
        words: |folder| words(&["backup", "create", "--folder", folder.join("new").to_str().expect("path")]),
        look: look_at_backups,
    },
    Work {
        base: "token",
        words: |folder| {
            let file = folder.join("a.strongroom-backup");
            words(&["backup", "restore", "--force", file.to_str().expect("path")])
        },
        look: look_at_restored,
    },
    Work {
        base: "nothing",
        words: |folder| {
            words(&["backup", "restore", folder.join("a.strongroom-backup").to_str().expect("path")])
        },
        look: look_at_new_host,
    },
];

fn run(place: &Place, work: &Work, folder: &Path, mode: &str, step: usize) -> (Output, Vec<String>) {
    let list = (work.words)(folder);
    let log =
        place.folder.path().join(format!("{}.steps", folder.file_name().expect("name").to_string_lossy()));
    let mut command = strongroom(folder, &list.iter().map(String::as_str).collect::<Vec<_>>());
    command.env("LD_PRELOAD", &place.preloaded).env("STEPS_FOLDER", folder).env("STEPS_LOG", &log);
    command.env("STEPS_MODE", mode).env("STEPS_AT", step.to_string());
    let output = command.output().expect("strongroom");
    let steps = std::fs::read_to_string(&log).expect("steps").lines().map(str::to_owned).collect();
    let _ = std::fs::remove_file(&log);
    (output, steps)
}

fn strike(place: &Place, work: &Work, mode: &str, step: usize, kind: &str) -> bool {
    let folder = place.fresh(work.base);
    let path = folder.path();
    let (output, _) = run(place, work, path, mode, step);
    let what = format!("{:?} {mode} at step {step} ({kind})", (work.words)(Path::new("")));
    let done = (work.look)(path, &what);
    if mode == "full" {
        let words = text(&output);
        assert_eq!(output.status.success(), done, "{what}: {words}");
        assert!(done || words.contains("What to do: "), "{what}: {words}");
    } else {
        assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{what}: {}", text(&output));
    }
    // And again, with room and alive: names are told apart by the second.
    if !done {
        let list = (work.words)(path);
        let _ = std::fs::remove_dir_all(path.join("new"));
        must(path, &list.iter().map(String::as_str).collect::<Vec<_>>());
        assert!((work.look)(path, "again"), "{what}, again");
    }
    done
}

#[test]
fn every_step_of_a_backup_and_of_a_restore() {
    let place = Place::new();
    let mut strikes = Vec::new();
    for work in &WORKS {
        let whole = place.fresh(work.base);
        assert!(!(work.look)(whole.path(), "before"));
        let (output, steps) = run(&place, work, whole.path(), "count", 0);
        assert!(output.status.success(), "{}", text(&output));
        assert!((work.look)(whole.path(), "whole"), "{}", text(&output));
        for (at, step) in steps.iter().enumerate() {
            strikes.push((work, "kill", at + 1, step.clone()));
            if step.starts_with("write") {
                strikes.push((work, "torn", at + 1, step.clone()));
            }
            if ["write", "make", "link", "folder", "rename"].iter().any(|wants| step.starts_with(wants)) {
                strikes.push((work, "full", at + 1, step.clone()));
            }
        }
    }
    assert!(strikes.len() > 100, "only {} strikes", strikes.len());
    let (next, before, after) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((work, mode, step, kind)) = strikes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = strike(&place, work, mode, *step, kind);
                    if done { &after } else { &before }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(before.into_inner() > 50 && after.into_inner() > 5);
}
