//! Epochs in the file: a new one, records sealed anew, the earlier one closed.

use super::*;
use crate::store::rows::{Identity, RecordRow};
use crate::store::seal::{self, Keys};

fn learn(store: &Store, number: u32) -> Secret {
    let secret = Secret::random(32).unwrap();
    store.write(|change| change.learn_epochs([(number, secret.clone())])).unwrap();
    secret
}

/// All there is to seal anew, two records at a time; how many steps that took.
fn reseal(store: &Store) -> usize {
    let (mut mark, mut steps) = (Mark::default(), 0);
    while let Some(next) = store.write(|change| change.reseal(mark, 2)).unwrap() {
        (mark, steps) = (next, steps + 1);
    }
    steps
}

fn whole(store: &Store, id: u8) -> RecordRow {
    store.write(|change| change.whole(Id([id; 16]))).unwrap().unwrap()
}

fn private(store: &Store, id: u8, key: &Secret) {
    store
        .write(|change| change.put(record(id, 1, Id([8; 16])), BodyKey::Data(key), b"private", &[]))
        .unwrap();
}

#[test]
fn a_new_epoch_closes_the_earlier_one_and_everybody_follows() {
    let (_folder, config, store) = fresh();
    let (other, key) = (Store::open(&config).unwrap(), Secret::random(32).unwrap());
    for id in 1..=5 {
        put(&store, id, 1, "text").unwrap();
    }
    private(&store, 6, &key);
    let (old, before) = (store.ring().clone(), whole(&store, 1));
    assert_eq!((old.present(), store.stale()), (1, Ok(0)));
    assert_ne!(old.root, old.epochs[&1]);
    learn(&store, 2);
    assert_eq!(store.stale(), Ok(5));
    // Another process writes under the new epoch with its next transaction, and reads both.
    put(&other, 7, 1, "new").unwrap();
    assert_eq!(whole(&store, 7).record.header.epoch, 2);
    assert_eq!(text(&other, 1).unwrap().as_deref(), Some("text"));
    assert_eq!(store.write(|change| change.drop_epochs()), Ok(vec![]), "not while records need it");
    // Killed after the first step, it goes on from the start.
    store.write(|change| change.reseal(Mark::default(), 2)).unwrap();
    let again = Store::open(&config).unwrap();
    assert_eq!((again.stale(), reseal(&again), again.stale()), (Ok(3), 2, Ok(0)));
    assert_eq!(again.write(|change| change.drop_epochs()), Ok(vec![1]));
    again.refresh().unwrap();
    for store in [&store, &other, &again, &Store::open(&config).unwrap()] {
        store.refresh().unwrap();
        assert_eq!(store.ring().epochs.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(text(store, 1).unwrap().as_deref(), Some("text"));
        let record = store.load(Kind::Object, Id([6; 16])).unwrap().unwrap();
        assert_eq!(&store.open_body(&record, BodyKey::Data(&key)).unwrap()[..], b"private");
        assert_eq!(store.verify().unwrap().faults, Vec::<String>::new());
    }
    let after = whole(&store, 1);
    assert_eq!(after.record.header, Header { epoch: 2, ..before.record.header });
    assert_eq!((&after.keys, &after.terms), (&before.keys, &before.terms));
    // Who has the earlier secrets opens nothing of it, and nobody takes what he made up.
    let his = Keys::new(store.token_id(), Secret::random(32).unwrap(), old);
    assert!(seal::open(&his, &after.record, BodyKey::Seal).is_err());
    let claimed = Record { header: Header { epoch: 1, ..after.record.header }, ..after.record.clone() };
    assert!(seal::open(&his, &claimed, BodyKey::Seal).is_err());
    let header = Header { version: 9, ..before.record.header };
    let body = seal::seal(&his, &header, BodyKey::Seal, b"made up").unwrap();
    assert!(store.open_body(&Record { header, body }, BodyKey::Seal).is_err());
}

#[test]
fn hosts_that_seal_the_same_anew_make_the_same() {
    let (_folder, _config, one) = fresh();
    put(&one, 1, 1, "text").unwrap();
    put(&one, 2, 1, "more").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    let rows = [whole(&one, 1), whole(&one, 2)];
    let two = Store::create_from(&config, one.token_id(), one.ring().clone(), |change| {
        rows.iter().try_for_each(|row| change.adopt(row))
    })
    .unwrap();
    let secret = learn(&one, 2);
    two.write(|change| change.learn_epochs([(2, secret.clone())])).unwrap();
    assert_eq!((reseal(&one), reseal(&two)), (1, 1));
    assert_eq!(one.summary().unwrap(), two.summary().unwrap());
    assert_ne!(whole(&one, 1).record.body, rows[0].record.body);
    // Each of the two files has a key of its own: neither opens with what the other one's seal gives.
    assert!(one.keys.file != two.keys.file);
}

#[test]
fn a_file_of_before_has_its_seal_key_as_root_and_first_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    let (token, seal) = (Id::random().unwrap(), Secret::random(32).unwrap());
    let before = Keys::new(token, seal.clone(), Ring::of_before(&seal));
    let store = Store::create_with(&config, before, |_| Ok(())).unwrap();
    put(&store, 1, 1, "text").unwrap();
    assert_eq!(
        raw(&config).query_row("SELECT count(*) FROM meta WHERE name = 'ring'", [], |row| row.get(0)),
        Ok(0)
    );
    let store = Store::open(&config).unwrap();
    assert!(*store.ring() == Ring::of_before(&seal) && store.ring().encode() == seal);
    learn(&store, 2);
    reseal(&store);
    assert_eq!(store.write(|change| change.drop_epochs()), Ok(vec![1]));
    let again = Store::open(&config).unwrap();
    assert_eq!(text(&again, 1).unwrap().as_deref(), Some("text"));
    // The old key is the root still; bodies do not follow from it.
    let his = Keys::new(token, seal.clone(), Ring::of_before(&seal));
    assert!(seal::open(&his, &whole(&again, 1).record, BodyKey::Seal).is_err());
    let altered =
        |row: &[u8]| raw(&config).execute("UPDATE meta SET value = ? WHERE name = 'ring'", [row]).unwrap();
    let row: Vec<u8> =
        raw(&config).query_row("SELECT value FROM meta WHERE name = 'ring'", [], |row| row.get(0)).unwrap();
    for at in [0, 20, row.len() - 1] {
        let mut other = row.clone();
        other[at] ^= 1;
        altered(&other);
        assert_eq!(Store::open(&config).err(), Some(Error::DeviceError));
    }
    altered(&row);
    assert!(Store::open(&config).is_ok());
}

#[test]
fn a_ring_is_read_as_it_was_written() {
    let mut ring = Ring::random().unwrap();
    ring.epochs.insert(7, Secret::random(32).unwrap());
    let bytes = ring.encode();
    assert!(Ring::decode(&bytes) == Some(ring.clone()));
    assert!(Ring::decode(&bytes[..31]).is_none() && Ring::decode(&bytes[..bytes.len() - 1]).is_none());
    let identity = Identity { token: Id([1; 16]), ring, state: Vec::new() };
    assert_eq!(Check::new(&identity).err(), Some(Error::DeviceError), "its state is none");
}
