//! What opens a token's file, by `strongroom seal` and through the module: several seals of one token, each
//! kind of them, their exchange while programs work, a kill at every step of it, and what is refused.

#[path = "seal/place.rs"]
mod place;
#[path = "seal/steps.rs"]
mod steps;

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, RW, SO_PIN, call, check, tool_path};
use place::{Place, said};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The module is one for the process.
static ONE: Mutex<()> = Mutex::new(());

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
