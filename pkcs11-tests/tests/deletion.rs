//! Deletion leaves nothing: neither the key's own bytes nor what it was sealed as are in the token's file,
//! its log or the index beside it, whoever has the file open.
//!
//! The keys are used by processes of their own (`role_user`); this one only looks at the file, which a
//! process that has it open must not do.

use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, no, number, yes};
use pkcs11_tests::role::{self, Role};
use pkcs11_tests::{Module, RW, SO_PIN, call, cheap_config, make_user, tool_path};
use rusqlite::Connection;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::time::Duration;

const ALICE: &str = "alice:alice-9876";

/// A role: alice's process, which makes keys of known bytes, uses them and destroys them.
#[test]
#[ignore = "a role of the tests below"]
fn role_user() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, ALICE.as_bytes()).expect("alice");
    let named = |label: &str| module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).expect("find");
    role::play(|word, label| match word {
        "make" => {
            let key = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_GENERIC_SECRET)];
            let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE), yes(CKA_TOKEN)];
            let own = [
                bytes(CKA_LABEL, label.as_bytes()),
                bytes(CKA_ID, &id(label)),
                bytes(CKA_VALUE, &value(label)),
            ];
            module.create(session, &[&key[..], &open, &own].concat()).expect("key").to_string()
        }
        "read" => {
            let found = named(label);
            let read = found.first().map(|key| module.attribute(session, *key, CKA_VALUE));
            read.map_or("gone".to_owned(), |read| (read == Ok(value(label))).to_string())
        }
        "destroy" => module.destroy(session, named(label)[0]).err().unwrap_or(CKR_OK).to_string(),
        other => panic!("{other}"),
    });
}

/// The bytes of a key, known from its label: nothing like them is anywhere else.
fn value(label: &str) -> Vec<u8> {
    label.bytes().cycle().take(640).enumerate().map(|(at, byte)| byte ^ (at * 7 % 251) as u8).collect()
}

fn id(label: &str) -> Vec<u8> {
    value(label).iter().rev().take(20).map(|byte| byte ^ 0x55).collect()
}

/// A token with the user alice; its file.
fn token(config: &Path) -> PathBuf {
    let made = Command::new(tool_path())
        .args(["cluster", "activate", "--label", "test", "--config"])
        .arg(config)
        .env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"))
        .output()
        .expect("strongroom");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    make_user(config, "alice", b"alice-9876");
    config.with_file_name("token.db")
}

fn strongroom(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(config).env("STRONGROOM_PIN", ALICE);
    command.output().expect("strongroom")
}

fn files(file: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let mut path = file.to_owned().into_os_string();
        path.push(suffix);
        all.extend(std::fs::read(path).unwrap_or_default());
    }
    all
}

/// Everything that tells of objects: what is sealed of them, their data keys, their terms in the index; and
/// what the keys are made of.
struct Traces(Vec<(&'static str, Vec<u8>)>);

const WINDOW: usize = 16;

impl Traces {
    /// Of the objects that came after those of `before`; terms that these have too (the class and the type
    /// of a key of the same owner) are no traces.
    fn of_new(file: &Path, before: &Objects, labels: &[&str]) -> Traces {
        let connection = Connection::open(file).expect("the file");
        let mut traces = Vec::new();
        for object in objects(file).iter().filter(|object| !before.contains(object)) {
            for (name, query) in [
                ("body", "SELECT body FROM records WHERE id = ?"),
                ("element", "SELECT element FROM records WHERE id = ?"),
                ("data key", "SELECT wrapped FROM keys WHERE object = ?"),
                ("term", "SELECT term FROM terms WHERE object = ?"),
            ] {
                traces.extend(column(&connection, query, object).into_iter().map(|bytes| (name, bytes)));
            }
        }
        for object in before {
            let common = column(&connection, "SELECT term FROM terms WHERE object = ?", object);
            traces.retain(|(_, bytes)| !common.contains(bytes));
        }
        assert!(traces.len() >= 6 * labels.len(), "{} traces of {} keys", traces.len(), labels.len());
        for label in labels {
            traces.extend([("value", value(label)), ("id", id(label))]);
        }
        Traces(traces)
    }

    /// What of them is in the files.
    fn left(&self, file: &Path) -> Vec<&str> {
        let mut wanted = HashMap::new();
        for (name, piece) in &self.0 {
            wanted.extend(piece.windows(WINDOW).map(|window| (window, *name)));
        }
        let heap = files(file);
        let mut found: Vec<_> =
            heap.windows(WINDOW).filter_map(|window| wanted.get(window).copied()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn column(connection: &Connection, query: &str, object: &[u8]) -> Vec<Vec<u8>> {
    let mut statement = connection.prepare(query).expect("query");
    let rows = statement.query_map([object], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("bytes")).collect()
}

type Objects = Vec<Vec<u8>>;

fn objects(file: &Path) -> Objects {
    let connection = Connection::open(file).expect("the file");
    let mut statement = connection.prepare("SELECT id FROM records WHERE kind = 3").expect("query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("id")).collect()
}

/// What is there before: sealed, so never the keys' own bytes.
const SEALED: [&str; 4] = ["body", "data key", "element", "term"];

#[test]
fn nothing_is_left_of_a_deleted_key() {
    let (_folder, config) = cheap_config();
    let file = token(&config);
    let (mut owner, mut other) = (Role::start(&config, "role_user"), Role::start(&config, "role_user"));
    for label in ["stays-1", "stays-2", "stays-3"] {
        owner.ask(&format!("make {label}"));
    }
    let before = objects(&file);
    let labels = ["by-module", "by-other", "by-command", "renewed"];
    for label in labels {
        owner.ask(&format!("make {label}"));
        assert_eq!(other.ask(&format!("read {label}")), "true", "another process has it open");
    }
    // An older form of one, too: it is sealed anew when it is rotated.
    let all = Traces::of_new(&file, &before, &labels);
    assert_eq!(all.left(&file), SEALED);
    let rotated = strongroom(&config, &["key", "rotate", "renewed"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let again = Traces::of_new(&file, &before, &labels);
    assert_eq!(owner.number("destroy by-module"), CKR_OK);
    assert_eq!(other.number("destroy by-other"), CKR_OK);
    let refused = strongroom(&config, &["key", "delete", "by-command"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--yes"));
    for label in ["by-command", "renewed", "renewed.v1"] {
        let deleted = strongroom(&config, &["key", "delete", label, "--yes"]);
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    }
    assert_eq!((all.left(&file), again.left(&file)), (vec![], vec![]));
    for label in labels {
        assert_eq!(
            (owner.ask(&format!("read {label}")), other.ask(&format!("read {label}"))),
            ("gone".into(), "gone".into())
        );
    }
    assert_eq!(owner.ask("read stays-2"), "true");
    owner.end();
    other.end();
    assert_eq!((all.left(&file), again.left(&file)), (vec![], vec![]));
    assert!(strongroom(&config, &["verify"]).status.success());
}

/// Who reads while a key is deleted keeps what he reads; when he is done it goes, with the next look of the
/// process that deleted it, or at its end.
#[test]
fn a_reader_delays_it_and_no_more() {
    let (_folder, config) = cheap_config();
    let file = token(&config);
    let mut owner = Role::start(&config, "role_user");
    let before = objects(&file);
    owner.ask("make by-module");
    let traces = Traces::of_new(&file, &before, &["by-module"]);
    let reader = Connection::open(&file).expect("the file");
    let begin = || {
        reader.execute_batch("BEGIN; SELECT count(*) FROM records;").expect("a reader");
    };
    begin();
    assert_eq!(owner.number("destroy by-module"), CKR_OK);
    assert_eq!(traces.left(&file), SEALED, "the reader still needs it");
    reader.execute_batch("COMMIT").expect("its end");
    // It tries again 50 ms after the last time.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(owner.ask("read by-module"), "gone");
    assert_eq!(traces.left(&file), [""; 0]);
    owner.ask("make by-command");
    let traces = Traces::of_new(&file, &before, &["by-command"]);
    // A command waits a second for readers at its end; this one reads for a third of it.
    begin();
    let deleting = std::thread::spawn({
        let config = config.clone();
        move || strongroom(&config, &["key", "delete", "by-command", "--yes"])
    });
    while !deleting.is_finished() && objects(&file).len() > before.len() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(traces.left(&file), SEALED);
    reader.execute_batch("COMMIT").expect("its end");
    let deleted = deleting.join().expect("the command");
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    assert_eq!(traces.left(&file), [""; 0]);
    owner.end();
}
