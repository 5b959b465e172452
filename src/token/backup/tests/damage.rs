//! Damaged, cut, lengthened, exchanged and foreign backups, and tokens that are damaged themselves.

use super::*;

fn refused(site: &Site, bytes: &[u8], what: &str) -> Error {
    let file = site.folder.path().join("damaged");
    std::fs::write(&file, bytes).unwrap();
    let read = site.read(&file).err();
    let Some(error) = read else { panic!("{what}: it was read") };
    assert!(matches!(error, Error::EncryptedDataInvalid | Error::ArgumentsBad), "{what}: {error}");
    let intact = BackupFile::open(&file).is_ok_and(BackupFile::is_intact);
    assert!(!intact, "{what}: it looks intact");
    error
}

#[test]
fn every_byte_counts_and_every_cut_is_seen() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    // More than one chunk.
    for number in 0..300 {
        insert(&token, access(&alice), key(&format!("key {number}"), true)).unwrap();
    }
    let file = site.back_up(&token);
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.len() > 3 * 65_552, "{}", bytes.len());
    let header = 700;
    let edges = (0..bytes.len()).filter(|at| *at < header || at % 2999 == 0 || bytes.len() - at <= 50);
    for at in edges {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        refused(&site, &wrong, &format!("byte {at} of {}", bytes.len()));
        if at % 13 == 0 || at > header {
            refused(&site, &bytes[..at], &format!("cut at {at}"));
        }
    }
    refused(&site, &[&bytes[..], b"x"].concat(), "a byte more");
    assert!(site.read(&file).is_ok());
}

/// With a checksum that is right: whoever can compute SHA-256 can make one.
#[test]
fn chunks_have_their_place() {
    use crate::crypto::Hash;
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    for number in 0..300 {
        insert(&token, access(&alice), key(&format!("key {number}"), true)).unwrap();
    }
    let one = std::fs::read(site.back_up(&token)).unwrap();
    let other = std::fs::read(site.back_up(&token)).unwrap();
    const CHUNK: usize = 65_552;
    let start = |bytes: &[u8]| 24 + u32::from_le_bytes(bytes[20..24].try_into().unwrap()) as usize;
    let body = |bytes: &[u8]| bytes[start(bytes)..bytes.len() - 32].to_vec();
    let summed = |bytes: Vec<u8>| [&bytes[..], &Hash::Sha256.digest(&bytes)].concat();
    let head = one[..start(&one)].to_vec();
    let chunks: Vec<_> = body(&one).chunks(CHUNK).map(<[u8]>::to_vec).collect();
    let with = |chunks: &[Vec<u8>]| summed([head.clone(), chunks.concat()].concat());
    let file = site.folder.path().join("crafted");
    let refused = |bytes: Vec<u8>, what: &str| {
        std::fs::write(&file, bytes).unwrap();
        assert!(BackupFile::open(&file).unwrap().is_intact(), "{what}");
        assert_eq!(site.read(&file).err(), Some(Error::EncryptedDataInvalid), "{what}");
    };
    std::fs::write(&file, with(&chunks)).unwrap();
    assert!(site.read(&file).is_ok(), "put together again it is the backup");
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    refused(with(&swapped), "swapped");
    refused(with(&chunks[..chunks.len() - 1]), "the last chunk cut off");
    refused(with(&chunks[1..]), "the first chunk dropped");
    refused(with(&[&chunks[..], &chunks[1..2]].concat()), "a chunk twice");
    let foreign: Vec<_> = body(&other).chunks(CHUNK).map(<[u8]>::to_vec).collect();
    let mut spliced = chunks.clone();
    spliced[1] = foreign[1].clone();
    refused(with(&spliced), "a chunk of another backup");
    refused(summed([head.clone(), body(&other)].concat()), "another backup's body");
    let text = String::from_utf8_lossy(&head).replace("\"label\":\"test\"", "\"label\":\"best\"");
    assert_eq!(text.len(), String::from_utf8_lossy(&head).len());
    let mut renamed = head.clone();
    let at = head.windows(8).position(|window| window == b":\"test\",").unwrap();
    renamed[at + 2] = b'b';
    refused(summed([renamed, body(&one)].concat()), "another label");
}

#[test]
fn foreign_files_are_told_apart() {
    let site = Site::new();
    for (text, error) in [
        (&b""[..], Error::ArgumentsBad),
        (b"SQLite format 3\0", Error::ArgumentsBad),
        (b"strongroom backup 2\nxxxxxxxxxxxxxx", Error::ArgumentsBad),
        (b"strongroom backup 1\n", Error::EncryptedDataInvalid),
        (b"strongroom backup 1\n\xff\xff\xff\xff{}", Error::EncryptedDataInvalid),
        (b"strongroom backup 1\n\x02\0\0\0{}0123456789012345678901234567890123", Error::EncryptedDataInvalid),
    ] {
        assert_eq!(refused(&site, text, "foreign"), error, "{}", String::from_utf8_lossy(text));
    }
    let nowhere = site.read(&site.folder.path().join("nowhere")).err();
    assert_eq!(nowhere, Some(Error::DeviceError));
}

#[test]
fn a_damaged_backup_changes_nothing() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    for number in 0..150 {
        insert(&token, access(&alice), key(&format!("key {number}"), true)).unwrap();
    }
    let file = site.back_up(&token);
    insert(&token, access(&alice), key("later", true)).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for at in [100, 900, bytes.len() / 2, bytes.len() - 40, bytes.len() - 1] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x40;
        let damaged = site.folder.path().join("damaged");
        std::fs::write(&damaged, wrong).unwrap();
        for what in [What::Whole, What::User("alice")] {
            assert!(site.restore(&token, &damaged, what, true).is_err(), "byte {at}");
            assert_eq!(sees(&token, &alice, "later"), 1);
        }
        let (folder, config) = elsewhere();
        let there = Token::new(config);
        assert!(site.restore(&there, &damaged, What::Whole, true).is_err(), "byte {at}");
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "token.seal"), "{left:?}");
    }
    whole(&token);
}

/// Where the officer can still log in, the damage goes with what was damaged.
#[test]
fn a_damaged_token_is_mended_by_its_backup() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("hers", true)).unwrap();
    let file = site.back_up(&token);
    let raw = rusqlite::Connection::open(&site.house.config.path).unwrap();
    let mut mended = 0;
    for damage in [
        "UPDATE records SET body = zeroblob(50) WHERE kind = 3",
        "DELETE FROM records WHERE kind = 3",
        "DELETE FROM digest WHERE bucket = (SELECT bucket FROM records WHERE kind = 3)",
    ] {
        raw.execute(damage, []).unwrap();
        let fresh = site.house.process();
        assert_ne!(fresh.verify(&mut |_, _| {}).map(|report| report.faults), Ok(Vec::new()), "{damage}");
        if fresh.log_in(Role::Officer, None, OFFICER).is_err() {
            // Then its files have to be moved away.
            let (_folder, config) = elsewhere();
            site.restore(&Token::new(config), &file, What::Whole, false).unwrap();
            continue;
        }
        site.restore(&fresh, &file, What::Whole, true).unwrap();
        whole(&fresh);
        assert_eq!(sees(&fresh, &person(&fresh, "alice"), "hers"), 1, "{damage}");
        mended += 1;
    }
    assert!(mended > 0);
}

/// A backup that could not be restored must not be taken for one.
#[test]
fn of_a_damaged_token_there_is_no_backup() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("hers", true)).unwrap();
    let officer = officer(&token);
    let raw = rusqlite::Connection::open(&site.house.config.path).unwrap();
    raw.execute("DELETE FROM terms WHERE object = (SELECT id FROM records WHERE kind = 3)", []).unwrap();
    let place = Place::File(site.folder.path().join("x"));
    let recipients = [Recipient::Recovery(site.public)];
    let made = token.back_up(access(&officer), &place, &recipients, SystemTime::now(), &mut quiet());
    assert_eq!(made.err(), Some(Error::DeviceError));
    assert_eq!(std::fs::read_dir(site.folder.path()).unwrap().count(), 0);
}
