//! The module beside itself, beside another token library, beside the host's own OpenSSL and SQLite,
//! and at the end of the process. Each scenario is a C program in a process of its own.

use pkcs11_tests::{c_program, cheap_config, module_path};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(command: &mut Command) -> Output {
    let ran = command.output().expect("run");
    let words = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{:?}: {words}", ran.status);
    ran
}

/// Runs a scenario of coexist.c with two tokens, a.toml and b.toml; answers what it said.
fn coexist(scenario: &str, arguments: &[&OsStr], folder: &Path) -> String {
    for name in ["a", "b"] {
        let text =
            format!("[[slot]]\nid = 0\npath = \"{name}.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n");
        std::fs::write(folder.join(name).with_extension("toml"), text).expect("configuration");
    }
    let mut command = Command::new(c_program("coexist", folder));
    command.arg(scenario).arg(module_path()).arg(folder).args(arguments);
    let ran = run(command.env("SOFTHSM2_CONF", folder.join("softhsm2.conf")));
    assert_eq!(ran.stdout, b"all well\n");
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary folder")
}

#[test]
fn loaded_twice_from_one_file_is_one_library() {
    coexist("same-file", &[], folder().path());
}

#[test]
fn two_copies_never_share_a_token() {
    let folder = folder();
    let copy = folder.path().join("other-name.so");
    std::fs::copy(module_path(), &copy).expect("a copy of the module");
    let words = coexist("two-copies", &[copy.as_os_str()], folder.path());
    let said =
        "a.db: open in another copy of Strongroom in this process; two copies would destroy it, load one";
    assert_eq!(words.matches(said).count(), 1, "{words}");
}

#[test]
fn loaded_local_deepbind_and_global() {
    for flag in ["local", "deepbind", "global"] {
        coexist("loading", &[OsStr::new(flag)], folder().path());
    }
}

/// A library of the system by its file name, as the dynamic linker's cache knows it.
fn library(name: &str) -> PathBuf {
    let cache = Command::new("/sbin/ldconfig").arg("-p").output().expect("ldconfig");
    let text = String::from_utf8_lossy(&cache.stdout).into_owned();
    let line = text.lines().find(|line| line.trim_start().starts_with(name) && line.contains("x86-64"));
    let path =
        line.and_then(|line| line.rsplit_once("=> ")).unwrap_or_else(|| panic!("{name} is not installed"));
    path.1.into()
}

#[test]
fn beside_softhsm_in_turns() {
    let folder = folder();
    let tokens = folder.path().join("softhsm");
    std::fs::create_dir(&tokens).expect("folder");
    let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
    std::fs::write(folder.path().join("softhsm2.conf"), text).expect("configuration of SoftHSM2");
    let softhsm = "/usr/lib/softhsm/libsofthsm2.so";
    assert!(Path::new(softhsm).exists(), "package softhsm2 is not installed");
    coexist("softhsm", &[OsStr::new(softhsm)], folder.path());
}

#[test]
fn host_libcrypto_untouched() {
    let (crypto, sqlite) = (library("libcrypto.so.3"), library("libsqlite3.so.0"));
    coexist("host-libraries", &[crypto.as_os_str(), sqlite.as_os_str()], folder().path());
}

/// Nothing is asked of a libcrypto or an SQLite that may lie in the process.
#[test]
fn nothing_is_imported_but_the_c_library() {
    let ran = run(Command::new("nm").args(["-D", "--undefined-only"]).arg(module_path()));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let foreign = |line: &&str| !line.contains("GLIBC_") && !line.contains("GCC_") && line.contains(" U ");
    let foreign: Vec<_> = text.lines().filter(foreign).collect();
    assert!(text.lines().count() > 50 && foreign.is_empty(), "{foreign:?}");
}

/// Ends a process in one way, with sessions open and the login standing.
fn exits(scenario: &str) {
    let (folder, config) = cheap_config();
    let program = c_program("exits", folder.path());
    run(Command::new(program).arg(scenario).arg(module_path()).env("STRONGROOM_CONFIG", config));
}

#[test]
fn crash_at_exit_without_finalize() {
    exits("plain");
    exits("quick-exit");
}

#[test]
fn dlclose_with_sessions_open() {
    exits("dlclose");
}

#[test]
fn atexit_handlers_call_the_module() {
    exits("finalize-at-exit");
}

#[test]
fn threads_call_during_exit() {
    for _ in 0..5 {
        exits("busy-threads");
    }
    exits("main-thread-gone");
}
