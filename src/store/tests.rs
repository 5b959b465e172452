//! The store's contract: what is written comes back, what is tampered with does not.

use super::*;
use crate::config::{SealConfig, SlotConfig};
use rusqlite::params;

fn record(id: u8, version: u64, owner: Id) -> Header {
    Header { kind: Kind::Object, id: Id([id; 16]), version, epoch: 1, author: Id::NONE, owner, flags: 7 }
}

fn fresh() -> (tempfile::TempDir, SlotConfig, Store) {
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    let store = Store::create(&config, |_| Ok(())).unwrap();
    (folder, config, store)
}

fn put(store: &Store, id: u8, version: u64, text: &str) -> Result<()> {
    store.write(|change| {
        let term = (3, text.as_bytes().to_vec());
        change.put(record(id, version, Id::NONE), BodyKey::Seal, text.as_bytes(), &[term])?;
        change.put_key(Id([id; 16]), Id([9; 16]), b"wrapped key")
    })
}

mod residue;
mod unused;

fn text(store: &Store, id: u8) -> Result<Option<String>> {
    let Some(record) = store.load(Kind::Object, Id([id; 16]))? else { return Ok(None) };
    Ok(Some(String::from_utf8(store.open_body(&record, BodyKey::Seal)?.to_vec()).unwrap()))
}

fn raw(config: &SlotConfig) -> rusqlite::Connection {
    rusqlite::Connection::open(&config.path).unwrap()
}

#[test]
fn a_commit_between_two_forks_is_seen() {
    let (_folder, config, store) = fresh();
    let other = Store::open(&config).unwrap();
    for version in 1..4 {
        let before = other.data_version().unwrap();
        other.suspend();
        put(&store, 1, version, "changed").unwrap();
        assert_ne!(other.data_version().unwrap(), before);
    }
}

#[test]
fn what_is_written_comes_back_in_every_process() {
    let (_folder, config, store) = fresh();
    let other = Store::open(&config).unwrap();
    let before = other.data_version().unwrap();
    let start = other.changes(u64::MAX).unwrap().upto;
    put(&store, 1, 1, "first").unwrap();
    put(&store, 2, 1, "second").unwrap();
    assert_ne!(other.data_version().unwrap(), before);
    assert_eq!(other.changes(start).unwrap().records.len(), 2);
    assert_eq!(text(&other, 1).unwrap().as_deref(), Some("first"));
    put(&other, 1, 2, "changed").unwrap();
    assert_eq!(put(&store, 1, 2, "late"), Err(Error::FunctionFailed));
    assert_eq!(text(&store, 1).unwrap().as_deref(), Some("changed"));
    assert_eq!(store.find(Kind::Object, &[Id::NONE], &[(3, b"changed".to_vec())]).unwrap().len(), 1);
    assert!(store.find(Kind::Object, &[Id::NONE], &[(3, b"first".to_vec())]).unwrap().is_empty());
    assert!(store.find(Kind::Object, &[Id([5; 16])], &[]).unwrap().is_empty());
    assert_eq!(store.find(Kind::Object, &[Id::NONE], &[]).unwrap().len(), 2);
    store.write(|change| change.remove(Kind::Object, Id([1; 16]))).unwrap();
    assert_eq!(text(&other, 1).unwrap(), None);
    assert_eq!(other.load_key(Id([1; 16]), Id([9; 16])).unwrap(), None);
    assert_eq!(other.verify().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_new_file_is_not_put_beside_a_former_ones_log() {
    let (_folder, config, store) = fresh();
    put(&store, 1, 1, "former").unwrap();
    let beside = |suffix: &str| std::path::PathBuf::from(format!("{}{suffix}", config.path.display()));
    // As a killed process leaves it.
    let former = raw(&config);
    former.execute_batch("UPDATE records SET version = 7").unwrap();
    let log = std::fs::read(beside("-wal")).unwrap();
    assert!(!log.is_empty());
    drop((store, former));
    for suffix in ["-wal", "-journal"] {
        std::fs::remove_file(&config.path).unwrap();
        std::fs::write(beside(suffix), &log).unwrap();
        for empty in [false, true] {
            if empty {
                std::fs::write(&config.path, b"").unwrap();
            }
            assert_eq!(Store::create(&config, |_| Ok(())).err(), Some(Error::DeviceError), "{suffix}");
            assert_eq!(std::fs::read(beside(suffix)).unwrap(), log, "it stays as it is");
        }
        std::fs::remove_file(beside(suffix)).unwrap();
        let store = Store::create(&config, |_| Ok(())).unwrap();
        assert_eq!(text(&store, 1).unwrap(), None);
        assert_eq!(store.verify().unwrap().faults, Vec::<String>::new());
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let (_folder, _config, store) = fresh();
    put(&store, 1, 1, "kept").unwrap();
    let failed: Result<()> = store.write(|change| {
        change.put(record(1, 2, Id::NONE), BodyKey::Seal, b"gone", &[])?;
        change.remove(Kind::Object, Id([1; 16]))?;
        Err(Error::FunctionCanceled)
    });
    assert_eq!(failed, Err(Error::FunctionCanceled));
    assert_eq!(text(&store, 1).unwrap().as_deref(), Some("kept"));
    assert!(store.verify().unwrap().faults.is_empty());
}

#[test]
fn tampering_is_noticed_and_the_rest_is_served() {
    let tricks = [
        "UPDATE records SET body = CAST(substr(body, 1, 20) || x'00' || substr(body, 22) AS BLOB) WHERE id = ?1",
        "UPDATE records SET flags = 6 WHERE id = ?1",
        "UPDATE records SET owner = x'05050505050505050505050505050505' WHERE id = ?1",
        "UPDATE records SET version = 9 WHERE id = ?1",
        "UPDATE records SET element = (SELECT element FROM records WHERE id <> ?1) WHERE id = ?1",
        "UPDATE records SET body = (SELECT body FROM records WHERE id <> ?1 AND kind = 3) WHERE id = ?1",
        "DELETE FROM records WHERE id = ?1",
        "DELETE FROM terms WHERE object = ?1",
        "DELETE FROM keys WHERE object = ?1",
        "UPDATE keys SET wrapped = x'00' WHERE object = ?1",
        "UPDATE digest SET sum = zeroblob(32) WHERE bucket = (SELECT bucket FROM records WHERE id = ?1)",
    ];
    for trick in tricks {
        let (_folder, config, store) = fresh();
        put(&store, 1, 1, "victim").unwrap();
        put(&store, 2, 1, "bystander").unwrap();
        let changed = raw(&config).execute(trick, [[1u8; 16]]).unwrap();
        assert!(changed > 0, "{trick}");
        let again = Store::open(&config).unwrap();
        assert_eq!(text(&again, 1), Err(Error::DeviceError), "{trick}");
        assert!(put(&again, 1, 2, "over it").is_err(), "{trick}");
        assert!(!again.verify().unwrap().faults.is_empty(), "{trick}");
        // A broken sum also breaks the root; everything else leaves the others usable.
        if !trick.contains("digest") {
            assert_eq!(text(&again, 2).unwrap().as_deref(), Some("bystander"), "{trick}");
        }
    }
}

#[test]
fn an_older_row_is_noticed_even_with_its_bucket() {
    let (_folder, config, store) = fresh();
    put(&store, 1, 1, "old").unwrap();
    let connection = raw(&config);
    connection
        .execute_batch("CREATE TABLE r AS SELECT * FROM records; CREATE TABLE d AS SELECT * FROM digest;")
        .unwrap();
    connection.execute_batch("CREATE TABLE t AS SELECT * FROM terms;").unwrap();
    put(&store, 1, 2, "new").unwrap();
    connection
        .execute_batch(
            "DELETE FROM records; INSERT INTO records SELECT * FROM r; DELETE FROM digest; INSERT INTO digest \
             SELECT * FROM d; DELETE FROM terms; INSERT INTO terms SELECT * FROM t;",
        )
        .unwrap();
    for store in [store, Store::open(&config).unwrap()] {
        assert_eq!(text(&store, 1), Err(Error::DeviceError));
        assert!(!store.verify().unwrap().faults.is_empty());
    }
}

#[test]
fn a_flipped_byte_never_gives_an_altered_record() {
    let (_folder, config, store) = fresh();
    for id in 1..20 {
        put(&store, id, 1, &format!("text of record {id}")).unwrap();
    }
    store.suspend();
    raw(&config).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let clean = std::fs::read(&config.path).unwrap();
    let mut noticed = 0;
    for offset in (0..clean.len()).step_by(211) {
        let mut bytes = clean.clone();
        bytes[offset] ^= 0x10;
        let folder = tempfile::tempdir().unwrap();
        let mut altered = config.clone();
        altered.path = folder.path().join("token.db");
        std::fs::write(&altered.path, &bytes).unwrap();
        let Ok(store) = Store::open(&altered) else {
            noticed += 1;
            continue;
        };
        for id in 1..20 {
            match text(&store, id) {
                Ok(Some(read)) => assert_eq!(read, format!("text of record {id}"), "offset {offset}"),
                Ok(None) => panic!("record {id} vanished without an error, offset {offset}"),
                Err(_) => noticed += 1,
            }
        }
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn the_file_holds_nothing_in_the_clear() {
    let (folder, _config, store) = fresh();
    put(&store, 1, 1, "a very visible text").unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"very visible"));
    }
}

#[test]
fn a_removed_record_leaves_no_bytes() {
    let (folder, config, store) = fresh();
    put(&store, 1, 1, "to be removed").unwrap();
    let body = store.load(Kind::Object, Id([1; 16])).unwrap().unwrap().body;
    let traces = || {
        let files = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(16).any(|window| window == &body[..16])).count()
    };
    assert!(traces() > 0);
    store.write(|change| change.remove(Kind::Object, Id([1; 16]))).unwrap();
    assert_eq!(traces(), 0, "{}", config.path.display());
}

#[test]
fn the_seal_key_must_be_there_and_right() {
    let (folder, config, _store) = fresh();
    let key = folder.path().join("token.seal");
    let good = std::fs::read(&key).unwrap();
    let opens = || Store::open(&config).map(drop);
    std::fs::remove_file(&key).unwrap();
    assert_eq!(opens(), Err(Error::TokenNotRecognized));
    std::fs::write(&key, &good).unwrap();
    assert_eq!(opens(), Err(Error::TokenNotRecognized), "mode 644 is refused");
    let set =
        |mode| std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    set(0o600);
    assert_eq!(opens(), Ok(()));
    let mut wrong = good.clone();
    let last = wrong.len() - 2;
    wrong[last] = if wrong[last] == b'0' { b'1' } else { b'0' };
    std::fs::write(&key, wrong).unwrap();
    assert_eq!(opens(), Err(Error::TokenNotRecognized));
    std::fs::write(&key, b"short").unwrap();
    assert_eq!(opens(), Err(Error::TokenNotRecognized));
}

#[test]
fn a_passphrase_seals_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = SlotConfig::for_test(folder.path());
    let file = folder.path().join("passphrase");
    config.seal = SealConfig::Passphrase(crate::config::PassphraseSource::File(file.clone()));
    std::fs::write(&file, "correct horse\n").unwrap();
    let store = Store::create(&config, |_| Ok(())).unwrap();
    put(&store, 1, 1, "sealed").unwrap();
    assert_eq!(text(&Store::open(&config).unwrap(), 1).unwrap().as_deref(), Some("sealed"));
    std::fs::write(&file, "wrong horse\n").unwrap();
    assert_eq!(Store::open(&config).err(), Some(Error::TokenNotRecognized));
}

#[test]
fn a_token_made_anew_forgets_everything() {
    let (_folder, config, store) = fresh();
    put(&store, 1, 1, "old").unwrap();
    let again =
        Store::create(&config, |change| change.put(record(2, 1, Id::NONE), BodyKey::Seal, b"new", &[]))
            .unwrap();
    assert_ne!(again.token_id(), store.token_id());
    assert_eq!(text(&again, 1).unwrap(), None);
    assert_eq!(text(&again, 2).unwrap().as_deref(), Some("new"));
    assert!(text(&store, 2).is_err(), "the old seal key opens nothing of the new token");
    assert!(again.verify().unwrap().faults.is_empty());
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    assert!(!Store::exists(&config));
    std::fs::write(&config.path, b"this is no database, but it is long enough to be looked at as one ......")
        .unwrap();
    assert_eq!(Store::open(&config).err(), Some(Error::TokenNotRecognized));
    std::fs::remove_file(&config.path).unwrap();
    raw(&config).execute_batch("CREATE TABLE x (y)").unwrap();
    assert_eq!(Store::open(&config).err(), Some(Error::TokenNotRecognized));
}

#[test]
fn a_full_disk_loses_nothing() {
    let (_folder, _config, store) = fresh();
    put(&store, 1, 1, "kept").unwrap();
    store.write(|_| Ok(())).unwrap();
    {
        let writer = store.writer.lock();
        let connection = writer.as_ref().unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }
    let long = "x".repeat(100_000);
    assert_eq!(put(&store, 2, 1, &long), Err(Error::DeviceMemory));
    assert_eq!(text(&store, 1).unwrap().as_deref(), Some("kept"));
    assert_eq!(text(&store, 2).unwrap(), None);
    assert!(store.verify().unwrap().faults.is_empty());
}

#[test]
fn many_writers_share_the_file() {
    let (_folder, config, store) = fresh();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let config = &config;
            scope.spawn(move || {
                let store = Store::open(config).unwrap();
                for round in 0..20u8 {
                    put(&store, 1 + thread * 20 + round, 1, "text").unwrap();
                }
            });
        }
    });
    assert_eq!(store.list(Kind::Object).unwrap().len(), 80);
    assert!(store.verify().unwrap().faults.is_empty());
}

mod pages;
mod rows;
mod seals;

#[test]
fn drafts_of_killed_processes_go_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let stale =
        ["token.draft-1-0", "token.draft-1-0-wal", "token.draft-1-0-shm", "token.draft-77-12-journal"];
    let others =
        ["token.draft-1", "token.draft-1-0-notes", "token.draft-x-0", "token2.draft-1-0", "token.db-wal"];
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for name in stale.iter().chain(&others) {
        std::fs::File::create(place(name)).unwrap().set_modified(hour_ago).unwrap();
    }
    std::fs::write(place("token.draft-2-0"), "somebody is making it now").unwrap();
    let _ = super::connection::draft_of(&place("token.db"));
    assert!(stale.iter().all(|name| !place(name).exists()));
    assert!(others.iter().chain(&["token.draft-2-0"]).all(|name| place(name).exists()));
}
