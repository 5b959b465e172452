//! What was removed is in none of the token's files: bodies, data keys and index terms, whatever pages
//! they lay on and wherever these pages moved.

use super::*;
use crate::crypto::random;

/// The bytes of the file, its log and the index beside it.
fn files(config: &SlotConfig) -> Vec<u8> {
    let mut all = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
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
    // Asked at the end only: right after one of many removals a trace was found once (ARCHITECTURE, Deletion).
    for id in &order {
        let _ = other.load(Kind::Object, Id([*id; 16])).unwrap();
        remove(&store, *id);
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
