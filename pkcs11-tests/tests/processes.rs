//! Many processes and dying ones: a C host that forks, two writers on one file, kill -9 at any moment.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{Module, c_program, call, cheap_config, module_path, tool_path};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_c_host_forks_waits_and_exits() {
    let (folder, config) = cheap_config();
    let program = c_program("processes", folder.path());
    let ran =
        Command::new(program).arg(module_path()).env("STRONGROOM_CONFIG", config).output().expect("run");
    let words = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && ran.stdout == b"all well\n", "{:?}: {words}", ran.status);
}

#[test]
fn the_header_is_cplusplus_too() {
    let (folder, _) = cheap_config();
    let source = folder.path().join("header.cc");
    let text = "#include \"pkcs11.h\"\n#include \"strongroom.h\"\nstatic_assert(sizeof(CK_FUNCTION_LIST_3_2) == 840, \"3.2\");\nint main() { return 0; }\n";
    std::fs::write(&source, text).expect("source");
    let built = Command::new("c++")
        .args(["-Wall", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .status()
        .expect("a C++ compiler");
    assert!(built.success());
}

/// The same test binary, started again in a role of its own.
fn again(role: &str, config: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("STRONGROOM_CONFIG", config).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn make_token(module: &Module, config: &Path) {
    module.initialize(config).expect("C_Initialize");
    module.make_token();
}

fn token_key(module: &Module, session: CK_SESSION_HANDLE, label: &str) -> CK_OBJECT_HANDLE {
    let key = [number(CKA_VALUE_LEN, 32), yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
    module.generate(session, CKM_AES_KEY_GEN, &key).expect("token key")
}

/// A role: makes keys and says each one's name once it is made, for ever.
#[test]
#[ignore = "a role of the tests below"]
fn role_writer() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.user();
    let name = std::process::id();
    let rounds = std::env::var("ROUNDS").map_or(usize::MAX, |rounds| rounds.parse().expect("a number"));
    for round in 0..rounds {
        let label = format!("key {name} {round}");
        let key = token_key(&module, session, &label);
        println!("made {label}");
        if round % 3 == 2 {
            module.destroy(session, key).expect("destroy");
            println!("gone {label}");
        }
    }
}

/// What a writer said, by its last word on each key.
fn said(output: &str) -> Vec<(bool, String)> {
    let mut words: Vec<(bool, String)> = Vec::new();
    for line in output.lines() {
        let Some((place, made)) =
            line.find("made key").map(|p| (p, true)).or(line.find("gone key").map(|p| (p, false)))
        else {
            continue;
        };
        let label = line[place + 5..].to_owned();
        words.retain(|(_, known)| *known != label);
        words.push((made, label));
    }
    words
}

fn verify(config: &Path) {
    let ran = Command::new(tool_path())
        .arg("verify")
        .arg("--config")
        .arg(config)
        .output()
        .expect("the strongroom command");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

#[test]
fn two_writers_and_a_reader_share_the_file() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    make_token(&module, &config);
    let session = module.user();
    let writers: Vec<_> =
        (0..2).map(|_| again("role_writer", &config).env("ROUNDS", "30").spawn().expect("writer")).collect();
    let mut made = Vec::new();
    for writer in writers {
        let output = writer.wait_with_output().expect("writer");
        assert!(output.status.success());
        made.extend(said(&String::from_utf8_lossy(&output.stdout)));
    }
    assert_eq!(made.len(), 60);
    for (there, label) in &made {
        let found = module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).expect("find");
        assert_eq!(found.len(), usize::from(*there), "{label}");
    }
    // A key that another process destroys is gone for a running one within 100 ms.
    let key = token_key(&module, session, "shared");
    let mut mechanism = CK_MECHANISM { mechanism: CKM_AES_ECB, pParameter: null_mut(), ulParameterLen: 0 };
    assert_eq!(call!(module, C_EncryptInit, session, &mut mechanism, key), CKR_OK);
    assert_eq!(call!(module, C_SessionCancel, session, CKF_ENCRYPT), CKR_OK);
    let destroyer = again("role_destroyer", &config).status().expect("destroyer");
    assert!(destroyer.success());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(call!(module, C_EncryptInit, session, &mut mechanism, key), CKR_KEY_HANDLE_INVALID);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    verify(&config);
    killed_writers(&module);
}

#[test]
#[ignore = "a role of the test above"]
fn role_destroyer() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.user();
    let found = module.find(session, &[bytes(CKA_LABEL, b"shared")]).expect("find");
    module.destroy(session, found[0]).expect("destroy");
}

/// kill -9 at many moments: what was said to be done is done, and nothing is half done.
fn killed_writers(module: &Module) {
    let (_folder, config) = cheap_config();
    make_token(module, &config);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    let mut promised: Vec<(bool, String)> = Vec::new();
    for moment in 0..25u64 {
        let mut writer = again("role_writer", &config).spawn().expect("writer");
        std::thread::sleep(std::time::Duration::from_micros(60_000 + moment * 7_919));
        writer.kill().expect("kill");
        let output = writer.wait_with_output().expect("writer");
        promised.extend(said(&String::from_utf8_lossy(&output.stdout)));
    }
    assert!(promised.len() > 20, "the writers got only {} keys made", promised.len());
    verify(&config);
    module.initialize(&config).expect("C_Initialize");
    let session = module.user();
    for (position, (there, label)) in promised.iter().enumerate() {
        let found = module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).expect("find").len();
        // The last word of a killed writer may be followed by a destruction it could not announce.
        let last = promised
            .get(position + 1)
            .is_none_or(|(_, next)| next.split(' ').nth(1) != label.split(' ').nth(1));
        assert!(found == usize::from(*there) || (last && *there && found == 0), "{label}: {found}");
    }
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
}
