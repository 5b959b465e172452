//! Attacks below SQL: pages of an older copy of the file put back, singly and in pairs, and bytes
//! flipped. Whatever is served must be what was written last.

use super::*;

const PAGE: usize = 4096;

fn long(text: &str) -> String {
    text.repeat(60)
}

/// The file's bytes with the whole log moved into it.
fn bytes_of(config: &SlotConfig, store: &Store) -> Vec<u8> {
    store.suspend();
    raw(config).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    std::fs::read(&config.path).unwrap()
}

/// A file of `bytes` in its own folder, under the seal key of `config`.
fn copy_of(config: &SlotConfig, bytes: &[u8]) -> (tempfile::TempDir, SlotConfig) {
    let folder = tempfile::tempdir().unwrap();
    let mut copy = config.clone();
    copy.path = folder.path().join("token.db");
    std::fs::write(&copy.path, bytes).unwrap();
    (folder, copy)
}

/// What each record must read as; `None`: removed.
type Expected = Vec<(u8, Option<String>)>;

/// Asserts that nothing but the expected is served, and that `verify` sees what a load saw.
fn assert_never_altered(config: &SlotConfig, expected: &Expected, what: &str) -> bool {
    let Ok(store) = Store::open(config) else { return true };
    let mut refused = false;
    for (id, wanted) in expected {
        match text(&store, *id) {
            Ok(read) => assert_eq!(&read, wanted, "record {id} after {what}"),
            Err(_) => refused = true,
        }
    }
    match store.verify() {
        Ok(report) => assert!(!refused || !report.faults.is_empty(), "verify saw nothing after {what}"),
        Err(_) => refused = true,
    }
    refused
}

#[test]
fn no_page_of_an_older_copy_is_believed() {
    let (_folder, config, store) = fresh();
    for id in 1..=24 {
        put(&store, id, 1, &long(&format!("old text {id} "))).unwrap();
    }
    let older = bytes_of(&config, &store);
    let mut expected: Expected = (1..=25).map(|id| (id, Some(long(&format!("old text {id} "))))).collect();
    for id in [2, 9, 17] {
        let changed = long(&format!("new text {id} "));
        put(&store, id, 2, &changed).unwrap();
        expected[usize::from(id) - 1].1 = Some(changed);
    }
    store.write(|change| change.remove(Kind::Object, Id([5; 16]))).unwrap();
    expected[4].1 = None;
    put(&store, 25, 1, &long("old text 25 ")).unwrap();
    let newer = bytes_of(&config, &store);

    let common = older.len().min(newer.len()) / PAGE;
    let differ: Vec<usize> =
        (0..common).filter(|page| older[page * PAGE..][..PAGE] != newer[page * PAGE..][..PAGE]).collect();
    assert!(differ.len() > 5, "{differ:?}");
    let mut refused = 0;
    for (position, first) in differ.iter().enumerate() {
        for second in &differ[position..] {
            let mut mixed = newer.clone();
            for page in [first, second] {
                mixed[page * PAGE..][..PAGE].copy_from_slice(&older[page * PAGE..][..PAGE]);
            }
            let (_place, copy) = copy_of(&config, &mixed);
            let what = format!("pages {first} and {second}");
            refused += usize::from(assert_never_altered(&copy, &expected, &what));
        }
    }
    assert!(refused > differ.len(), "only {refused} of the mixed files were noticed");
}
