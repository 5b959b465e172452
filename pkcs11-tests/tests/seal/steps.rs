//! A kill, or a full disk, at every step of a seal's exchange.

use super::ONE;
use super::place::{Place, said};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

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
