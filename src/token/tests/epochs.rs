//! A member is removed and an epoch begins. Peers are played: what one sends, the others are given.

use super::members::{all_sent, founded};
use super::*;
use crate::store::{BodyKey, Change, Kind, Mark, RecordRow};
use crate::token::Joining;
use crate::token::epochs::{Learned, learn};

/// A host that joined, with everything.
fn joined(first: &Token, name: &str) -> (tempfile::TempDir, Token) {
    let officer = first.log_in(Role::Officer, None, OFFICER).unwrap();
    let asks = Joining::new(name).unwrap();
    let welcome = first.welcome(access(&officer), &asks.request).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    asks.open(&welcome.sealed).unwrap().make(&config).unwrap();
    let token = Token::new(config);
    give(&token, &all_records(first));
    (folder, token)
}

fn all_records(token: &Token) -> Vec<RecordRow> {
    let store = token.store().unwrap();
    let ids = store.all_ids().unwrap();
    store.write(|change| ids.iter().map(|id| Ok(change.whole(*id)?.unwrap())).collect()).unwrap()
}

fn as_peer<T>(token: &Token, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> T {
    let store = token.store().unwrap();
    let peer = store.peer().unwrap().unwrap();
    let done = token.write_from_peers((&store, peer), work).unwrap();
    store.refresh().unwrap();
    done
}

fn give(token: &Token, rows: &[RecordRow]) {
    as_peer(token, |change| rows.iter().try_for_each(|row| change.adopt(row)));
}

fn finish(token: &Token) -> Vec<u32> {
    let mut mark = Mark::default();
    while let Some(next) = as_peer(token, |change| change.reseal(mark, 3)) {
        mark = next;
    }
    as_peer(token, |change| change.drop_epochs())
}

#[test]
fn who_is_removed_gets_no_later_epoch() {
    let house = House::new();
    let one = founded(&house);
    let ((_two_folder, two), (_out_folder, out)) = (joined(&one, "two"), joined(&one, "out"));
    let officer = one.log_in(Role::Officer, None, OFFICER).unwrap();
    let alice = one.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    all_sent(&one);
    let (own, other) = (one.peer().unwrap().unwrap(), out.peer().unwrap().unwrap());
    assert_eq!(one.remove_member(access(&alice), other), Err(Error::UserNotLoggedIn));
    assert_eq!(one.remove_member(NOBODY, other), Err(Error::UserNotLoggedIn));
    assert_eq!(one.remove_member(access(&officer), own), Err(Error::ActionProhibited));
    assert_eq!(one.remove_member(access(&officer), Id([1; 16])), Err(Error::ArgumentsBad));
    one.remove_member(access(&officer), other).unwrap();
    one.remove_member(access(&officer), other).unwrap();
    assert_eq!(one.members().unwrap().len(), 2);
    let new = one.new_epoch(access(&officer)).unwrap();
    assert_eq!(new.number, 2);
    one.keep_epoch(access(&officer), &one.store().unwrap(), &new).unwrap();
    let sent = all_sent(&one);
    assert!(sent.iter().any(|row| row.record.header.kind == Kind::Gone && row.record.header.id == other));
    // The one who stays takes it; the one who left gets nothing of it, and knows why.
    for token in [&two, &out] {
        give(token, &sent);
        give(token, std::slice::from_ref(&new.row));
    }
    assert_eq!(as_peer(&two, learn), Learned { new: Some(2), missing: None });
    assert_eq!(as_peer(&two, learn), Learned::default(), "once");
    assert_eq!(as_peer(&out, learn), Learned { new: None, missing: Some(2) });
    assert_eq!((two.was_removed(), out.was_removed()), (Ok(false), Ok(true)));
    // What is written from now on: he has it, and it does not open.
    let handle = insert(&one, access(&alice), key("after", true)).unwrap();
    let made = all_sent(&one);
    let alice = one.set_pin(access(&alice), b"pw-alice", b"alice-new").unwrap().unwrap_or(alice);
    let changed = all_sent(&one);
    let store = out.store().unwrap();
    for row in changed.iter().filter(|row| row.record.header.kind == Kind::User) {
        assert_eq!(row.record.header.epoch, 2);
        assert!(store.open_body(&row.record, BodyKey::Seal).is_err());
    }
    let tell = |purpose| {
        store.open_for(
            (purpose, Some(1)),
            b"key",
            &one.store().unwrap().seal_for((purpose, Some(2)), b"key", b"x").unwrap(),
        )
    };
    assert!(tell("strongroom cluster").is_none());
    give(&two, &made);
    give(&two, &changed);
    // All is sealed anew, each by himself, and the earlier epoch is closed.
    assert_eq!((finish(&one), finish(&two)), (vec![1], vec![1]));
    assert_eq!(one.epoch(), Ok((2, 0)));
    assert_eq!(one.store().unwrap().summary().unwrap(), two.store().unwrap().summary().unwrap());
    let there = two.log_in(Role::User, None, b"alice:alice-new").unwrap();
    assert_eq!(two.find(access(&there), &named("after")).unwrap().len(), 1);
    for token in [&one, &two] {
        assert_eq!(token.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
    }
    one.destroy(access(&alice), handle).unwrap();
    // A host that joins now gets the present epoch alone.
    let (_folder, three) = joined(&one, "three");
    assert_eq!(three.store().unwrap().ring().epochs.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(as_peer(&three, learn), Learned::default());
    // Alone, the one who left serves what he had.
    out.log_in(Role::Officer, None, OFFICER).unwrap();
    assert!(!out.users().unwrap().is_empty());
}

#[test]
fn a_member_of_before_there_were_epochs_publishes_its_key() {
    let house = House::new();
    let one = founded(&house);
    let (_folder, two) = joined(&one, "two");
    let store = one.store().unwrap();
    let officer = one.log_in(Role::Officer, None, OFFICER).unwrap();
    let id = two.peer().unwrap().unwrap();
    // As its record was then.
    let old = one.members().unwrap().into_iter().find(|member| member.id == id).unwrap();
    let fields = crate::object::Object::new(vec![
        (1, Value::Bytes(b"two".to_vec())),
        (30, Value::Bytes(old.signs.to_vec())),
    ]);
    let header = store.list(Kind::Member).unwrap().into_iter().find(|header| header.id == id).unwrap();
    let header = crate::store::Header { version: header.version + 1, ..header };
    store.write(|change| change.put(header, BodyKey::Seal, &fields.encode(), &[])).unwrap();
    assert_eq!(one.new_epoch(access(&officer)).err(), Some(Error::ActionProhibited));
    give(&two, &all_sent(&one));
    two.publish_receiving_key().unwrap();
    let sent = all_sent(&two);
    assert_eq!(sent.iter().filter(|row| row.record.header.id == id).count(), 1);
    two.publish_receiving_key().unwrap();
    assert!(all_sent(&two).is_empty(), "once");
    give(&one, &sent);
    assert_eq!(one.members().unwrap().into_iter().find(|member| member.id == id), Some(old));
    assert_eq!(one.new_epoch(access(&officer)).map(|new| new.number), Ok(2));
}
