//! A token file that cannot be used, or not wholly: seal keys missing and wrong, a newer format, file
//! systems that take no writes, bits flipped anywhere. Clear codes, nothing lost, nothing altered served.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, number, yes};
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, call, cheap_config, check, tool_path};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The module is one for the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The module with a log beside the token.
struct Place {
    module: Module,
    folder: tempfile::TempDir,
    config: PathBuf,
}

const NOTES: usize = 12;
const PASSPHRASE: &str = "correct horse battery staple\n";

fn note_text(number: usize) -> Vec<u8> {
    format!("text of note {number} ").repeat(30).into_bytes()
}

impl Place {
    /// A token with a user and `NOTES` private notes; the library is finalised.
    fn new(extra: &str) -> Place {
        let (folder, config) = cheap_config();
        let text = std::fs::read_to_string(&config).expect("configuration");
        std::fs::write(&config, format!("log = {:?}\n{text}{extra}", folder.path().join("log")))
            .expect("configuration");
        std::fs::write(folder.path().join("words"), PASSPHRASE).expect("passphrase");
        let place = Place { module: Module::load(), folder, config };
        let module = &place.module;
        module.initialize(&place.config).expect("C_Initialize");
        module.make_token();
        let session = module.user();
        for number in 0..NOTES {
            module.create(session, &note(number)).expect("note");
        }
        place.finalize();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn initialize(&self) {
        self.module.initialize(&self.config).expect("C_Initialize");
    }

    fn finalize(&self) {
        assert_eq!(call!(self.module, C_Finalize, null_mut()), CKR_OK);
    }

    fn token_info(&self) -> (CK_RV, CK_FLAGS) {
        let mut info = CK_TOKEN_INFO::default();
        (call!(self.module, C_GetTokenInfo, 0, &mut info), info.flags)
    }

    /// All the notes are there and right.
    fn whole(&self, what: &str) {
        self.initialize();
        let session = self.module.session(RW).unwrap_or_else(|e| panic!("{what}: {e:#x}"));
        self.module.login(session, CKU_USER, PIN).unwrap_or_else(|e| panic!("{what}: {e:#x}"));
        assert_eq!(notes(&self.module, session).len(), NOTES, "{what}");
        self.finalize();
    }

    /// The log's text; the next call sees only what comes after it.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = std::fs::File::create(self.path("log"));
        text
    }

    fn verify(&self) -> (bool, String) {
        let mut command = Command::new(tool_path());
        let ran = command.arg("verify").arg("--config").arg(&self.config).output().expect("verify");
        assert!(ran.status.code().is_some(), "strongroom verify died: {:?}", ran.status);
        let words = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8_lossy(&words).into_owned())
    }
}

fn note(at: usize) -> Vec<pkcs11_tests::keys::Attribute> {
    vec![
        number(CKA_CLASS, CKO_DATA),
        yes(CKA_TOKEN),
        yes(CKA_PRIVATE),
        bytes(CKA_LABEL, format!("note {at}").as_bytes()),
        bytes(CKA_VALUE, &note_text(at)),
    ]
}

/// The numbers of the notes that are served; a note that is served altered fails.
fn notes(module: &Module, session: CK_SESSION_HANDLE) -> Vec<usize> {
    let mut served = Vec::new();
    for at in 0..NOTES {
        let label = format!("note {at}");
        let Ok(found) = module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]) else { continue };
        for object in found {
            let Ok(value) = module.attribute(session, object, CKA_VALUE) else { continue };
            assert_eq!(value, note_text(at), "an altered note is served");
            assert_eq!(module.attribute(session, object, CKA_PRIVATE), Ok(vec![CK_TRUE]));
            served.push(at);
        }
    }
    served
}

/// A file that cannot be used: the same code everywhere, the slot and its token present, and C_InitToken
/// takes nothing away.
fn unusable(place: &Place, what: &str, word: &str) {
    let before = std::fs::read(place.path("token.db")).expect("token file");
    place.log();
    place.initialize();
    let mut slot = CK_SLOT_INFO::default();
    assert_eq!(call!(place.module, C_GetSlotInfo, 0, &mut slot), CKR_OK, "{what}");
    assert_ne!(slot.flags & CKF_TOKEN_PRESENT, 0, "{what}");
    assert_eq!(place.token_info().0, CKR_TOKEN_NOT_RECOGNIZED, "{what}");
    assert_eq!(place.module.session(RW), Err(CKR_TOKEN_NOT_RECOGNIZED), "{what}");
    assert_eq!(place.module.init_token(SO_PIN), Err(CKR_TOKEN_NOT_RECOGNIZED), "{what}");
    place.finalize();
    assert!(
        std::fs::read(place.path("token.db")).expect("token file") == before,
        "{what}: the file was touched"
    );
    let log = place.log();
    assert!(log.contains(word), "{what}: the log does not say {word:?}: {log}");
    let (fine, words) = place.verify();
    assert!(!fine && words.contains(word), "{what}: strongroom verify says {words}");
}

#[test]
fn seal_keys_missing_wrong_and_open_to_others() {
    let _alone = alone();
    let place = Place::new("");
    let seal = place.path("token.seal");
    let good = std::fs::read(&seal).expect("seal key");
    let put = |content: &[u8], mode: u32| {
        let _ = std::fs::remove_file(&seal);
        std::fs::write(&seal, content).expect("seal key");
        std::fs::set_permissions(&seal, PermissionsExt::from_mode(mode)).expect("mode");
    };
    std::fs::remove_file(&seal).expect("remove");
    unusable(&place, "no seal key", "token.seal: No such file");
    assert!(!seal.exists(), "no new key is made for an old file");
    put(&good, 0o644);
    unusable(&place, "a seal key for all to read", "chmod 600");
    let mut other = good.clone();
    let last = other.len() - 2;
    other[last] = if other[last] == b'0' { b'1' } else { b'0' };
    put(&other, 0o600);
    unusable(&place, "another seal key", "does not open");
    put(b"short\n", 0o600);
    unusable(&place, "half a seal key", "not 64 hex digits");
    put(b"", 0o600);
    unusable(&place, "an empty seal key", "not 64 hex digits");
    std::fs::remove_file(&seal).expect("remove");
    std::fs::create_dir(&seal).expect("folder");
    std::fs::set_permissions(&seal, PermissionsExt::from_mode(0o700)).expect("mode");
    unusable(&place, "a folder for a seal key", "token.seal");
    std::fs::remove_dir(&seal).expect("remove");
    put(&good, 0o600);
    place.whole("the seal key is back");
}

#[test]
fn passphrases() {
    let _alone = alone();
    let place = Place::new("[slot.seal]\npassphrase_file = \"words\"\n");
    let words = place.path("words");
    assert!(!place.path("token.seal").exists(), "no key file beside a passphrase");
    place.whole("sealed by a passphrase");
    std::fs::write(&words, "wrong horse\n").expect("passphrase");
    unusable(&place, "a wrong passphrase", "does not open");
    std::fs::write(&words, "\n").expect("passphrase");
    unusable(&place, "an empty passphrase", "empty");
    std::fs::remove_file(&words).expect("remove");
    unusable(&place, "no passphrase", "words: No such file");
    let config = std::fs::read_to_string(&place.config).expect("configuration");
    std::fs::write(&place.config, config.replace("passphrase_file = \"words\"", "key_file = \"words\""))
        .expect("write");
    unusable(&place, "a key file for a passphrase's token", "sealed by a passphrase");
    std::fs::write(&place.config, config).expect("write");
    std::fs::write(&words, PASSPHRASE).expect("passphrase");
    place.whole("the passphrase is back");
}

#[test]
fn other_formats_and_other_files() {
    let _alone = alone();
    let place = Place::new("");
    let file = place.path("token.db");
    let good = std::fs::read(&file).expect("token file");
    // SQLite's header: user_version at 60, application_id at 68.
    for (offset, value, word) in
        [(63, 200, "newer"), (60, 0x7f, "newer"), (63, 0, "unknown format"), (68, 0x11, "not a Strongroom")]
    {
        let mut other = good.clone();
        other[offset] = value;
        std::fs::write(&file, &other).expect("write");
        unusable(&place, &format!("header byte {offset} is {value}"), word);
    }
    std::fs::write(
        &file,
        b"a text file, and long enough to be taken for one of SQLite's by its size alone ....".repeat(9),
    )
    .expect("write");
    unusable(&place, "a text file", "not a token file");
    std::fs::write(&file, &good).expect("write");
    place.whole("the file is back");
}

/// A role: what a process sees that may not write. It gives up root first, if it has it.
#[test]
#[ignore = "a role of the test below"]
fn role_reader() {
    let module = Module::load();
    // SAFETY: plain system calls of a process with one thread that matters.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!((libc::setgid(65534), libc::setuid(65534)), (0, 0));
        }
    }
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo, 0, &mut info), CKR_OK);
    assert_ne!(info.flags & CKF_WRITE_PROTECTED, 0, "{:x}", info.flags);
    assert_eq!(module.init_token(SO_PIN), Err(CKR_TOKEN_WRITE_PROTECTED));
    let session = module.session(RW).expect("session");
    assert_eq!(module.login(session, CKU_USER, b"wrong-pin"), Err(CKR_PIN_INCORRECT));
    module.login(session, CKU_USER, PIN).expect("login");
    let served = notes(&module, session);
    assert_eq!(served.len(), NOTES, "{served:?}");
    let object = module.find(session, &[bytes(CKA_LABEL, b"note 1")]).expect("find")[0];
    let mut label = bytes(CKA_LABEL, b"x");
    let mut list =
        [CK_ATTRIBUTE { type_: CKA_LABEL, pValue: label.bytes.as_mut_ptr().cast(), ulValueLen: 1 }];
    let mut copy = 0;
    let (pin, length) = (PIN.as_ptr().cast_mut(), PIN.len() as CK_ULONG);
    let refused: [Result<()>; 5] = [
        module.create(session, &note(99)).map(drop),
        module.destroy(session, object),
        check(call!(module, C_SetAttributeValue, session, object, list.as_mut_ptr(), 1)),
        check(call!(module, C_CopyObject, session, object, list.as_mut_ptr(), 1, &mut copy)),
        check(call!(module, C_SetPIN, session, pin, length, pin, length)),
    ];
    assert_eq!(refused, [Err(CKR_TOKEN_WRITE_PROTECTED); 5]);
    module
        .generate(session, CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 32)])
        .expect("a session key needs no disk");
    assert_eq!(notes(&module, session).len(), NOTES);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
}

fn read_only(place: &Place, what: &str, files: u32, folder: u32) {
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("mode");
    };
    // SAFETY: asks only.
    let root = unsafe { libc::geteuid() } == 0;
    for entry in std::fs::read_dir(place.folder.path()).expect("folder") {
        let path = entry.expect("entry").path();
        mode(&path, if path.ends_with("token.seal") { 0o400 } else { files });
        if root {
            chown(&path, Some(65534), Some(65534)).expect("chown");
        }
    }
    if root {
        chown(place.folder.path(), Some(65534), Some(65534)).expect("chown");
    }
    mode(place.folder.path(), folder);
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "role_reader", "--ignored", "--nocapture", "--test-threads=1"]);
    let ran = command.env("STRONGROOM_CONFIG", &place.config).output().expect("run");
    mode(place.folder.path(), 0o700);
    let words = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{what}: {words}");
}

#[test]
fn files_and_folders_that_take_no_writes() {
    let _alone = alone();
    let place = Place::new("");
    std::fs::remove_file(place.path("log")).expect("no log");
    let config = std::fs::read_to_string(&place.config).expect("configuration");
    std::fs::write(&place.config, config.split_once('\n').expect("lines").1).expect("configuration");
    for (what, files, folder) in [
        ("a read-only file in a read-only folder", 0o400, 0o500),
        ("a read-only file in a folder that can be written", 0o400, 0o700),
    ] {
        read_only(&place, what, files, folder);
    }
    // A read-only copy of a token in the middle of work: the log beside the file holds the latest commits.
    std::fs::set_permissions(place.path("token.db"), PermissionsExt::from_mode(0o600)).expect("mode");
    place.initialize();
    let session = place.module.session(RW).expect("session");
    place.module.login(session, CKU_USER, PIN).expect("login");
    let one = place.module.find(session, &[bytes(CKA_LABEL, b"note 3")]).expect("find")[0];
    place.module.destroy(session, one).expect("destroy");
    place.module.create(session, &note(3)).expect("note");
    let copies = ["token.db", "token.db-wal", "token.seal", "config.toml"];
    let taken: Vec<_> = copies.map(|name| std::fs::read(place.path(name)).expect(name)).into_iter().collect();
    assert!(!taken[1].is_empty(), "nothing in the log");
    place.finalize();
    let copy = Place {
        module: Module::load(),
        folder: tempfile::tempdir().expect("folder"),
        config: PathBuf::new(),
    };
    let copy = Place { config: copy.path("config.toml"), ..copy };
    for (name, content) in copies.iter().zip(taken) {
        std::fs::write(copy.path(name), content).expect("write");
    }
    read_only(&copy, "a copy with its log", 0o400, 0o500);
}

/// Flips one bit in every so many bytes of a file; what comes of it is either nothing, or noticed by
/// `strongroom verify`; the module serves no altered note, and does not fall over.
fn flips(place: &Place, file: &str, stride: usize, others: &[&str]) -> (usize, usize) {
    let keep: Vec<_> = [&[file], others]
        .concat()
        .iter()
        .map(|name| (place.path(name), std::fs::read(place.path(name)).ok()))
        .collect();
    let clean = keep[0].1.clone().expect("the file");
    let (mut struck, mut noticed) = (0, 0);
    for offset in (0..clean.len()).step_by(stride) {
        for (path, content) in &keep {
            match content {
                Some(content) => std::fs::write(path, content).expect("write"),
                None => drop(std::fs::remove_file(path)),
            }
        }
        let mut altered = clean.clone();
        altered[offset] ^= 1 << (offset / stride % 8);
        std::fs::write(&keep[0].0, &altered).expect("write");
        let what = format!("a bit of byte {offset} of {file}");
        let (fine, words) = place.verify();
        place.initialize();
        let served = match place.module.session(RW) {
            Err(code) => Err(code),
            Ok(session) => place.module.login(session, CKU_USER, PIN).map(|()| notes(&place.module, session)),
        };
        place.finalize();
        match served {
            Ok(served) if served.len() == NOTES => {}
            Ok(served) => assert!(!fine, "{what}: {served:?} are served, and verify says {words}"),
            Err(code) => {
                let known = [
                    CKR_DEVICE_ERROR,
                    CKR_TOKEN_NOT_RECOGNIZED,
                    CKR_PIN_INCORRECT,
                    CKR_USER_PIN_NOT_INITIALIZED,
                ];
                assert!(known.contains(&code), "{what}: {code:#x}");
                assert!(!fine, "{what}: {code:#x}, and verify says {words}");
            }
        }
        (struck, noticed) = (struck + 1, noticed + usize::from(!fine));
    }
    for (path, content) in keep {
        match content {
            Some(content) => std::fs::write(path, content).expect("write"),
            None => drop(std::fs::remove_file(path)),
        }
    }
    (struck, noticed)
}

#[test]
fn a_flipped_bit_anywhere() {
    let _alone = alone();
    let place = Place::new("");
    let (struck, noticed) = flips(&place, "token.db", 149, &["token.db-wal", "token.db-shm"]);
    assert!(struck > 300 && noticed > struck / 5, "{noticed} of {struck} noticed");
    place.whole("put back");
}

/// SQLite goes on writing to a file that was moved or deleted, as if nothing were lost.
#[test]
fn a_file_taken_away_takes_no_writes() {
    let _alone = alone();
    let place = Place::new("");
    place.initialize();
    let (module, session) = (&place.module, place.module.user());
    let third = module.find(session, &[bytes(CKA_LABEL, b"note 3")]).expect("find")[0];
    let names = ["token.db", "token.db-wal", "token.db-shm"];
    let refused = |word: &str| {
        place.log();
        assert_eq!(module.create(session, &note(0)), Err(CKR_DEVICE_REMOVED), "{word}: create");
        assert_eq!(module.destroy(session, third), Err(CKR_DEVICE_REMOVED), "{word}: destroy");
        assert!(place.log().contains(word), "the log does not say {word:?}");
        let mut fleeting = note(0);
        fleeting.remove(1);
        module.create(session, &fleeting).expect("an object of the session needs no file");
    };
    std::fs::create_dir(place.path("away")).expect("folder");
    for name in names {
        std::fs::rename(place.path(name), place.path("away").join(name)).expect(name);
    }
    refused("was removed");
    std::fs::copy(place.path("away").join(names[0]), place.path(names[0])).expect("copy");
    refused("another file");
    for name in names {
        std::fs::rename(place.path("away").join(name), place.path(name)).expect(name);
    }
    module.destroy(session, third).expect("destroy");
    module.create(session, &note(3)).expect("create");
    place.finalize();
    place.whole("back again");
}
