//! Keys and users between two clones.

use super::*;
use crate::store::{Id, RecordRow};
use crate::token::Replicated;

struct Clones {
    _folder: tempfile::TempDir,
    house: House,
    here: Token,
    there: Token,
}

impl Clones {
    /// Both with the house's people.
    fn of(house: House) -> Clones {
        let here = house.process();
        let folder = tempfile::tempdir().unwrap();
        let config =
            SlotConfig { reset_policy: here.config.reset_policy, ..SlotConfig::for_test(folder.path()) };
        let there = Token::new(config);
        there.clone_of(&here, "there").unwrap();
        Clones { _folder: folder, house, here, there }
    }

    fn new() -> Clones {
        Clones::of(House::new())
    }

    fn user(&self, name: &str) -> Result<Replicated> {
        let (here, there) = (officer(&self.here), officer(&self.there));
        self.here.replicate_user(access(&here), name, &self.there, access(&there))
    }

    /// By its owner.
    fn key(&self, name: &str, label: &str) -> Result<Replicated> {
        let (here, there) = (person(&self.here, name), person(&self.there, name));
        let handle = self.here.find(access(&here), &named(label)).unwrap()[0];
        self.here.replicate(access(&here), handle, &self.there, access(&there))
    }
}

fn officer(token: &Token) -> Arc<Login> {
    token.log_in(Role::Officer, None, OFFICER).unwrap()
}

fn person(token: &Token, name: &str) -> Arc<Login> {
    token.log_in(Role::User, Some(name), format!("pw-{name}").as_bytes()).unwrap()
}

fn make(token: &Token, name: &str, label: &str) -> (Handle, Id) {
    let login = person(token, name);
    let handle = insert(token, access(&login), key(label, true)).unwrap();
    (handle, token.resolve(access(&login), handle).unwrap().0.unwrap().header.id)
}

fn value(token: &Token, login: &Arc<Login>, label: &str) -> Option<Vec<u8>> {
    let handle = *token.find(access(login), &named(label)).unwrap().first()?;
    Some(token.object(access(login), handle).unwrap().object().bytes(CKA_VALUE).to_vec())
}

fn row(token: &Token, id: Id) -> Option<RecordRow> {
    token.store().unwrap().whole(id).unwrap()
}

fn events(token: &Token, wanted: &str) -> usize {
    let (mut count, boss) = (0, officer(token));
    token
        .audit_lines(access(&boss), 1, |entry, _| {
            count += usize::from(entry.event == wanted);
            true
        })
        .unwrap();
    count
}

#[test]
fn a_key_goes_with_owner_shares_and_version() {
    let clones = Clones::new();
    let (handle, id) = make(&clones.here, "alice", "hers");
    let alice = person(&clones.here, "alice");
    clones.here.share(access(&alice), handle, &["bob"]).unwrap();
    assert_eq!(value(&clones.there, &person(&clones.there, "alice"), "hers"), None, "by itself nothing goes");
    assert_eq!(clones.key("alice", "hers"), Ok(Replicated::Done));
    assert_eq!(row(&clones.there, id), row(&clones.here, id));
    for name in ["alice", "bob"] {
        assert_eq!(value(&clones.there, &person(&clones.there, name), "hers"), Some(vec![7; 32]));
    }
    assert_eq!(clones.key("alice", "hers"), Ok(Replicated::Same));
    // A later version follows; an older one does not go over a newer one.
    clones.here.modify(access(&alice), handle, named("newer")).unwrap();
    assert_eq!(clones.key("alice", "newer"), Ok(Replicated::Done));
    let her = person(&clones.there, "alice");
    let there = clones.there.find(access(&her), &named("newer")).unwrap()[0];
    clones.there.modify(access(&her), there, named("newest")).unwrap();
    clones.there.modify(access(&her), there, named("newest of all")).unwrap();
    assert_eq!(clones.key("alice", "newer"), Err(Error::ActionProhibited));
    assert!(value(&clones.there, &her, "newest of all").is_some());
    // Nor over its destruction.
    clones.there.destroy(access(&her), there).unwrap();
    assert_eq!(clones.key("alice", "newer"), Err(Error::ActionProhibited));
    let counts = [events(&clones.here, "replicated-out"), events(&clones.there, "replicated-in")];
    assert_eq!(counts, [2, 2], "what was refused left nothing in either log");
    assert_eq!(clones.there.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
}

#[test]
fn only_owners_and_officers_take_keys_there() {
    let clones = Clones::new();
    let (handle, id) = make(&clones.here, "alice", "hers");
    let alice = person(&clones.here, "alice");
    clones.here.share(access(&alice), handle, &["bob"]).unwrap();
    let (bob, his) = (person(&clones.here, "bob"), person(&clones.there, "bob"));
    let shared = clones.here.find(access(&bob), &named("hers")).unwrap()[0];
    let refused = clones.here.replicate(access(&bob), shared, &clones.there, access(&his));
    assert_eq!(refused, Err(Error::ActionProhibited), "a sharer");
    // By the id, too; and the right one on one side is not enough.
    let hers = person(&clones.there, "alice");
    let (boss, chief) = (officer(&clones.here), officer(&clones.there));
    for (login, there) in [(&bob, &his), (&bob, &hers), (&bob, &chief), (&alice, &his), (&boss, &his)] {
        let refused = clones.here.replicate_record(access(login), id, &clones.there, access(there));
        assert_eq!(refused, Err(Error::ObjectHandleInvalid));
    }
    let nobody = clones.here.replicate_record(NOBODY, id, &clones.there, access(&chief));
    assert_eq!(nobody, Err(Error::UserNotLoggedIn));
    let reader = Access { write: false, ..access(&alice) };
    let refused = clones.here.replicate(reader, handle, &clones.there, access(&hers));
    assert_eq!(refused, Err(Error::SessionReadOnly));
    assert_eq!(row(&clones.there, id), None);
    let done = clones.here.replicate_record(access(&boss), id, &clones.there, access(&chief));
    assert_eq!(done, Ok(Replicated::Done), "an officer, who never sees it");
    assert!(value(&clones.there, &hers, "hers").is_some());
    for name in ["alice", "nobody"] {
        let by_user = clones.here.replicate_user(access(&alice), name, &clones.there, access(&hers));
        assert_eq!(by_user, Err(Error::UserNotLoggedIn));
    }
}

#[test]
fn a_key_waits_for_its_people() {
    let clones = Clones::new();
    let boss = officer(&clones.here);
    for name in ["carol", "dave"] {
        clones.here.create_user(access(&boss), name, Role::User, format!("pw-{name}").as_bytes()).unwrap();
    }
    let (handle, id) = make(&clones.here, "carol", "hers");
    let carol = person(&clones.here, "carol");
    clones.here.share(access(&carol), handle, &["dave"]).unwrap();
    let chief = officer(&clones.there);
    let take = || clones.here.replicate_record(access(&boss), id, &clones.there, access(&chief));
    assert_eq!(take(), Err(Error::ActionProhibited), "no owner");
    assert_eq!(clones.user("carol"), Ok(Replicated::Done));
    assert_eq!(take(), Err(Error::ActionProhibited), "no sharer");
    assert_eq!(clones.user("dave"), Ok(Replicated::Done));
    assert_eq!(clones.user("dave"), Ok(Replicated::Same));
    assert_eq!(take(), Ok(Replicated::Done));
    for name in ["carol", "dave"] {
        assert_eq!(value(&clones.there, &person(&clones.there, name), "hers"), Some(vec![7; 32]));
    }
    // A password that an officer gives keeps the keys, and follows. One's own brings new keys, under which what
    // is there would not open.
    clones.here.reset_password(access(&boss), "carol", b"pw-later").unwrap();
    assert_eq!(clones.user("carol"), Ok(Replicated::Done));
    assert!(clones.there.log_in(Role::User, Some("carol"), b"pw-carol").is_err());
    let hers = clones.there.log_in(Role::User, Some("carol"), b"pw-later").unwrap();
    assert!(value(&clones.there, &hers, "hers").is_some());
    let carol = clones.here.log_in(Role::User, Some("carol"), b"pw-later").unwrap();
    clones.here.set_pin(access(&carol), b"pw-later", b"my-own-one").unwrap();
    assert_eq!(clones.user("carol"), Err(Error::ActionProhibited));
    assert_eq!(take(), Err(Error::ActionProhibited));
    assert!(value(&clones.there, &hers, "hers").is_some(), "it opens as before");
}

#[test]
fn a_user_comes_with_the_way_back_to_his_keys() {
    let clones = Clones::new();
    // The clone has another reset key by now: one of its officers left.
    let chief = officer(&clones.there);
    clones.there.create_user(access(&chief), "leaving", Role::Officer, b"pw-leaving").unwrap();
    clones.there.delete_user(access(&chief), "leaving", false).unwrap();
    let boss = officer(&clones.here);
    clones.here.create_user(access(&boss), "carol", Role::User, b"pw-carol").unwrap();
    make(&clones.here, "carol", "hers");
    assert_eq!(clones.user("carol"), Ok(Replicated::Done));
    assert_eq!(clones.key("carol", "hers"), Ok(Replicated::Done));
    clones.there.reset_password(access(&officer(&clones.there)), "carol", b"pw-there").unwrap();
    let carol = clones.there.log_in(Role::User, Some("carol"), b"pw-there").unwrap();
    assert_eq!(value(&clones.there, &carol, "hers"), Some(vec![7; 32]));
    // An older password does not go over the newer one; nor a name over another's.
    assert_eq!(clones.user("carol"), Err(Error::ActionProhibited));
    clones.there.log_in(Role::User, Some("carol"), b"pw-there").unwrap();
    for token in [&clones.here, &clones.there] {
        token.create_user(access(&officer(token)), "twice", Role::User, b"pw-twice").unwrap();
    }
    assert_eq!(clones.user("twice"), Err(Error::ActionProhibited));
    assert_eq!(clones.user("nobody"), Err(Error::ArgumentsBad));
    // Who was deleted there stays so.
    clones.there.delete_user(access(&officer(&clones.there)), "bob", true).unwrap();
    assert_eq!(clones.user("bob"), Err(Error::ActionProhibited));
    // An officer works there at once, and can give passwords.
    clones.here.create_user(access(&boss), "second", Role::Officer, b"pw-second").unwrap();
    assert_eq!(clones.user("second"), Ok(Replicated::Done));
    let second = clones.there.log_in(Role::Officer, Some("second"), b"pw-second").unwrap();
    clones.there.reset_password(access(&second), "carol", b"pw-third").unwrap();
    assert_eq!(clones.there.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
}

#[test]
fn an_officer_of_a_quorum_comes_without_a_part() {
    let policy = crate::config::ResetPolicy::Quorum { threshold: 2 };
    let clones = Clones::of(House::of(policy, &["first", "second"]));
    let boss = officer(&clones.here);
    let first = shareholders::officer(&clones.here, "first");
    clones.here.create_user(access(&boss), "third", Role::Officer, b"pw-third").unwrap();
    shareholders::own_password(&clones.here, "third");
    clones.here.request_reset(access(&boss), "third").unwrap();
    clones.here.approve_reset(access(&first), "third").unwrap();
    assert_eq!(shareholders::part(&clones.here, "third"), Some(Part::Holds));
    assert_eq!(clones.user("third"), Ok(Replicated::Done));
    assert_eq!(
        shareholders::part(&clones.there, "third"),
        Some(Part::Given),
        "the officers there say so, or not"
    );
}

#[test]
fn only_clones_replicate() {
    let (clones, other) = (Clones::new(), House::new());
    let (_, id) = make(&clones.here, "alice", "hers");
    let stranger = other.process();
    let (boss, chief) = (officer(&clones.here), officer(&stranger));
    let take = clones.here.replicate_record(access(&boss), id, &stranger, access(&chief));
    assert_eq!(take, Err(Error::ActionProhibited), "another seal key");
    let user = clones.here.replicate_user(access(&boss), "alice", &stranger, access(&chief));
    assert_eq!(user, Err(Error::ActionProhibited));
    let same = clones.house.process();
    let itself = officer(&same);
    let take = clones.here.replicate_record(access(&boss), id, &same, access(&itself));
    assert_eq!(take, Err(Error::ActionProhibited));
}
