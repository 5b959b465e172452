//! What was removed is in none of the token's files: bodies, data keys and index terms, whatever pages
//! they lay on and wherever these pages moved; and what is in no use of the file is blank.

use super::unused::unused;
use super::*;
use crate::crypto::random;

/// The bytes of the file, its log and the index beside it.
fn files(config: &SlotConfig) -> Vec<u8> {
    files_of(config, &["", "-wal", "-shm"])
}

fn files_of(config: &SlotConfig, suffixes: &[&str]) -> Vec<u8> {
    let mut all = Vec::new();
    for suffix in suffixes {
        let mut path = config.path.clone().into_os_string();
        path.push(suffix);
        all.extend(std::fs::read(path).unwrap_or_default());
    }
    all
}

/// Which of the pieces are in a heap of bytes, each with its name.
fn present<'a>(heap: &[u8], pieces: &'a [(String, Vec<u8>)]) -> Vec<&'a str> {
    use std::collections::HashMap;
    const SIZE: usize = 16;
    let mut wanted = HashMap::new();
    for (name, piece) in pieces {
        wanted.extend(piece.windows(SIZE).map(|window| (window, &**name)));
    }
    let mut found: Vec<_> = heap.windows(SIZE).filter_map(|window| wanted.get(window).copied()).collect();
    found.dedup();
    found
}

/// What lies in the file of these records now.
fn pieces(config: &SlotConfig, ids: &[u8]) -> Vec<(String, Vec<u8>)> {
    let connection = raw(config);
    let mut pieces = Vec::new();
    for id in ids {
        for (name, query) in [
            ("body", "SELECT body FROM records WHERE id = ?"),
            ("element", "SELECT element FROM records WHERE id = ?"),
            ("data key", "SELECT wrapped FROM keys WHERE object = ?"),
            ("term", "SELECT term FROM terms WHERE object = ?"),
        ] {
            let mut statement = connection.prepare(query).unwrap();
            let rows = statement.query_map([[*id; 16]], |row| row.get(0)).unwrap();
            pieces.extend(rows.map(|row| (format!("{name} of {id}"), row.unwrap())));
        }
    }
    pieces
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random::fill(&mut bytes).unwrap();
    bytes
}

fn put_random(store: &Store, id: u8, version: u64, length: usize) {
    store
        .write(|change| {
            let terms: Vec<Term> = (0..6).map(|kind| (kind, random_bytes(20))).collect();
            change.put(record(id, version, Id::NONE), BodyKey::Seal, &random_bytes(length), &terms)?;
            change.put_key(Id([id; 16]), Id([9; 16]), &random_bytes(60))
        })
        .unwrap();
}

fn remove(store: &Store, id: u8) {
    store.write(|change| change.remove(Kind::Object, Id([id; 16]))).unwrap();
}

#[test]
fn nothing_stays_of_many_records_of_all_sizes() {
    let (_folder, config, store) = fresh();
    let other = Store::open(&config).unwrap();
    // Small ones that share pages, and large ones with pages of their own.
    let ids: Vec<u8> = (1..=120).collect();
    for id in &ids {
        let length = [150, 700, 1_900, 9_000][usize::from(*id) % 4] + usize::from(*id);
        put_random(&store, *id, 1, length);
    }
    // Others come and go between them, so that pages are split and joined.
    let (stay, go): (Vec<u8>, Vec<u8>) = ids.iter().partition(|id| **id % 5 == 0);
    let mut gone = pieces(&config, &go);
    for id in go.iter().filter(|id| **id % 3 == 0) {
        put_random(&store, *id, 2, 1_000);
    }
    gone.extend(pieces(&config, &go));
    let kept = pieces(&config, &stay);
    assert!(gone.len() > 9 * go.len() - 1, "{}", gone.len());
    assert!(!present(&files(&config), &gone).is_empty(), "the search finds what is there");
    let mut order = go.clone();
    order.sort_by_key(|id| id.wrapping_mul(97));
    let connection = raw(&config);
    for id in &order {
        let _ = other.load(Kind::Object, Id([*id; 16])).unwrap();
        let going = samples(&connection, Kind::Object, Id([*id; 16]));
        remove(&store, *id);
        assert_eq!(left(&config, &going), vec![]);
    }
    assert_eq!(present(&files(&config), &gone), [""; 0]);
    assert!(!present(&files(&config), &kept).is_empty());
    assert!(store.verify().unwrap().faults.is_empty());
}

#[test]
fn a_reader_keeps_the_traces_no_longer_than_it_reads() {
    let (_folder, config, store) = fresh();
    put_random(&store, 1, 1, 300);
    put_random(&store, 2, 1, 300);
    let gone = pieces(&config, &[1]);
    let reader = raw(&config);
    let reading = reader.unchecked_transaction().unwrap();
    let count: i64 = reading.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    remove(&store, 1);
    assert!(!present(&files(&config), &gone).is_empty(), "the reader still needs it");
    store.tidy(Duration::ZERO);
    assert!(!present(&files(&config), &gone).is_empty());
    drop(reading);
    store.tidy(Duration::ZERO);
    assert_eq!(present(&files(&config), &gone), [""; 0]);
    // A process that was killed before it could: the next one that writes.
    let gone = pieces(&config, &[2]);
    let reading = reader.unchecked_transaction().unwrap();
    let _: i64 = reading.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    remove(&store, 2);
    drop(reading);
    assert!(!present(&files(&config), &gone).is_empty());
    put_random(&Store::open(&config).unwrap(), 3, 1, 10);
    assert_eq!(present(&files(&config), &gone), [""; 0]);
}

/// Numbers that are the same in each run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit
    }

    fn id(&mut self) -> Id {
        Id(std::array::from_fn(|_| self.below(256) as u8))
    }
}

/// What is stored of a record that nothing else has, in pieces of 16 bytes: of a body some.
fn samples(connection: &rusqlite::Connection, kind: Kind, id: Id) -> Vec<(&'static str, Vec<u8>)> {
    let mut samples = Vec::new();
    for (name, query) in [
        ("body", "SELECT body FROM records WHERE kind = ?2 AND id = ?1"),
        ("element", "SELECT element FROM records WHERE kind = ?2 AND id = ?1"),
        ("data key", "SELECT wrapped FROM keys WHERE object = ?1 AND ?2"),
        ("term", "SELECT term FROM terms WHERE object = ?1 AND ?2"),
    ] {
        let mut statement = connection.prepare_cached(query).unwrap();
        let rows = statement.query_map(params![id.0, kind as u8], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        for bytes in rows.map(|row| row.unwrap()) {
            let step = (bytes.len() / 2).max(16);
            samples.extend(bytes.windows(16).step_by(step).map(|piece| (name, piece.to_vec())));
        }
    }
    samples
}

/// Which of the samples are in the files, and in which page.
fn left(config: &SlotConfig, samples: &[(&'static str, Vec<u8>)]) -> Vec<(&'static str, usize)> {
    left_in(config, &["", "-wal", "-shm"], samples)
}

fn left_in(
    config: &SlotConfig,
    suffixes: &[&str],
    samples: &[(&'static str, Vec<u8>)],
) -> Vec<(&'static str, usize)> {
    let heap = files_of(config, suffixes);
    let find = |(name, piece): &(&'static str, Vec<u8>)| {
        memchr::memmem::find(&heap, piece).map(|at| (*name, at / 4096 + 1))
    };
    samples.iter().filter_map(find).collect()
}

/// A record of some kind and size, or its next version.
fn put_any(store: &Store, dice: &mut Dice, (kind, id, version): (Kind, Id, u64)) {
    let length = match dice.below(120) {
        0 => 70_000 + dice.below(30_000),
        1..=4 => 4_000 + dice.below(9_000),
        5..=19 => 1_000 + dice.below(2_000),
        _ => 60 + dice.below(500),
    };
    store
        .write(|change| {
            let header = Header { kind, id, version, ..record(0, 0, Id::NONE) };
            let terms: Vec<Term> =
                (0..1 + dice.below(7) as u64).map(|kind| (kind, random_bytes(20))).collect();
            change.put(header, BodyKey::Seal, &random_bytes(length), &terms)?;
            for _ in 0..if kind == Kind::Object { 1 + dice.below(3) } else { 0 } {
                change.put_key(id, dice.id(), &random_bytes(60))?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn nothing_stays_right_after_any_of_many_removals() {
    // In memory: it is not about the disk, and a disk takes long for thousands of syncs.
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let config = SlotConfig::for_test(folder.path());
    let store = Store::create(&config, |_| Ok(())).unwrap();
    let stores = [store, Store::open(&config).unwrap()];
    let connection = raw(&config);
    let (mut dice, mut live, mut gone, mut removals) = (Dice(4), Vec::new(), Vec::new(), 0);
    while removals < 2_000 {
        // One that forgets what it read with each write of the other, and one that is alone.
        let store = &stores[if removals % 400 < 100 { dice.below(2) } else { 0 }];
        // It grows and shrinks, so that pages are split and joined.
        let grows = live.len() < 20 || (live.len() < 100 && (removals / 100) % 2 == 0);
        match dice.below(10) {
            0 if !live.is_empty() => {
                let at = dice.below(live.len());
                let (kind, id, version): (Kind, Id, u64) = live[at];
                live[at].2 = version + 1;
                put_any(store, &mut dice, (kind, id, version + 1));
            }
            step if step < if grows { 7 } else { 3 } => {
                let kind = if dice.below(4) == 0 { Kind::User } else { Kind::Object };
                live.push((kind, dice.id(), 1));
                put_any(store, &mut dice, live[live.len() - 1]);
            }
            _ if live.is_empty() => {}
            _ => {
                let (kind, id, _) = live.swap_remove(dice.below(live.len()));
                let going = samples(&connection, kind, id);
                assert!(going.len() >= 3);
                // Nothing came back from the memory of a connection.
                assert_eq!(left_in(&config, &["-wal"], &gone), vec![], "removal {removals}");
                store.write(|change| change.remove(kind, id)).unwrap();
                removals += 1;
                assert_eq!(left(&config, &going), vec![], "removal {removals}");
                gone.extend(going);
                gone.drain(..gone.len().saturating_sub(200));
                if removals % 4 == 0 {
                    assert_eq!(unused(&config, &connection), [""; 0], "removal {removals}");
                }
            }
        }
    }
    assert!(stores[0].verify().unwrap().faults.is_empty());
}

#[test]
fn nothing_stays_of_an_exchanged_data_key() {
    let (_folder, config, store) = fresh();
    let connection = raw(&config);
    let (mut dice, object) = (Dice(5), Id([200; 16]));
    let (owner, sharer) = (Id([1; 16]), Id([2; 16]));
    let write = |version: u64, change: &mut Change<'_>| {
        let (header, terms) = (Header { id: object, ..record(0, version, owner) }, [(1, random_bytes(20))]);
        change.put(header, BodyKey::Seal, &random_bytes(600), &terms)?;
        change.put_key(object, owner, &random_bytes(60))
    };
    for _ in 0..60 {
        let other = dice.id();
        put_any(&store, &mut dice, (Kind::Object, other, 1));
    }
    for round in 0..40 {
        let version = 2 * round + 1;
        // With a sharer who loses it; or made anew for its owner alone.
        let shared = round % 2 == 0;
        let first = store.write(|change| {
            write(version, change)?;
            if shared { change.put_key(object, sharer, &random_bytes(80)) } else { Ok(()) }
        });
        let old = samples(&connection, Kind::Object, object);
        let second = store.write(|change| {
            write(version + 1, change)?;
            if shared { change.remove_key(object, sharer) } else { Ok(()) }
        });
        assert_eq!((first, second), (Ok(()), Ok(())));
        assert_eq!(left(&config, &old), vec![], "round {round}");
        let other = dice.id();
        put_any(&store, &mut dice, (Kind::Object, other, 1));
    }
    assert_eq!(unused(&config, &connection), [""; 0]);
}

#[test]
fn nothing_is_put_into_files_elsewhere() {
    let (_folder, config, _store) = fresh();
    let connection = Link::open(&config).unwrap().0.writer().unwrap();
    let much = "CREATE TEMP TABLE much (bytes BLOB); INSERT INTO much VALUES (randomblob(20000000)); DROP TABLE much;";
    connection.execute_batch(much).unwrap();
    connection.execute_batch("PRAGMA temp_store = FILE").unwrap();
    let refused = connection.execute_batch(much).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen), "{refused}");
}
