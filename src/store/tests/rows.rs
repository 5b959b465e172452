//! Exports: of one moment, in nobody's way, and nothing deleted meanwhile stays.

use super::*;

/// Whether these bytes are anywhere in the token's files.
fn anywhere(config: &SlotConfig, bytes: &[u8]) -> Vec<String> {
    let folder = std::fs::read_dir(config.path.parent().unwrap()).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    };
    files.filter(holds).map(|path| path.display().to_string()).collect()
}

#[test]
fn an_export_is_of_one_moment_and_what_is_deleted_meanwhile_is_gone_after_it() {
    let (_folder, config, store) = fresh();
    let other = Store::open(&config).unwrap();
    for id in 1..=40 {
        put(&store, id, 1, &format!("text of {id} ").repeat(100)).unwrap();
    }
    let record = store.load(Kind::Object, Id([7; 16])).unwrap().unwrap();
    let deleted = record.body[16..48].to_vec();
    assert!(!anywhere(&config, &deleted).is_empty());
    let mut seen = Vec::new();
    let mut slowest = std::time::Duration::ZERO;
    other
        .export(&mut |row| {
            let Row::Record(row) = row else { return Ok(()) };
            seen.push(row.record.header.id.0[0]);
            // Everybody else works on, and their deletions succeed at once.
            if seen.len() == 2 {
                let start = std::time::Instant::now();
                let config = config.clone();
                let work = move || {
                    let store = Store::open(&config).unwrap();
                    store.write(|change| change.remove(Kind::Object, Id([7; 16]))).unwrap();
                    put(&store, 50, 1, "made meanwhile").unwrap();
                };
                // On a thread of its own: the export holds this one's locks.
                std::thread::spawn(work).join().unwrap();
                slowest = start.elapsed();
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
    assert!(slowest < std::time::Duration::from_secs(1), "{slowest:?}");
    assert!(!anywhere(&config, &deleted).is_empty(), "the reader kept it in SQLite's log");
    other.empty_log();
    assert_eq!(anywhere(&config, &deleted), Vec::<String>::new());
    assert_eq!(store.load(Kind::Object, Id([7; 16])).unwrap().map(|record| record.header), None);
    assert!(store.verify().unwrap().faults.is_empty());
}
