//! The first password of one's own, and an attacker who gave the one before: he has the file and the seal key,
//! then and later, and kept all that he could compute.

use super::reset::{QUORUM, Thief, login, with_objects};
use super::shareholders::officer;
use super::*;
use crate::config::ResetPolicy;
use crate::store::Kind;
use std::collections::BTreeMap;

const POLICIES: [ResetPolicy; 3] = [ResetPolicy::Keeps, QUORUM, ResetPolicy::Destroys];

fn user(token: &Token, name: &str) -> Arc<Login> {
    login(token, Role::User, name)
}

/// Her first own password (the same one: what follows from it is another matter), and her login after it.
fn own(token: &Token, login: &Arc<Login>, password: &[u8]) -> Arc<Login> {
    token.set_pin(access(login), password, password).unwrap().expect("new keys")
}

fn given(token: &Token, name: &str) -> bool {
    token.user(name).unwrap().unwrap().given
}

/// Versions of all objects: what was sealed anew.
fn versions(token: &Token) -> BTreeMap<Id, u64> {
    let headers = token.store().unwrap().list(Kind::Object).unwrap();
    headers.into_iter().map(|header| (header.id, header.version)).collect()
}

/// All that is wrapped for someone, as it lies in the file.
fn wrapped(token: &Token) -> Vec<Vec<u8>> {
    let store = token.store().unwrap();
    let of = |id: Id| store.holders(id).unwrap().into_iter().map(move |holder| (id, holder));
    let pairs = store.list(Kind::Object).unwrap().into_iter().flat_map(|header| of(header.id));
    pairs.map(|(id, holder)| store.load_key(id, holder).unwrap().unwrap()).collect()
}

/// How many of these are anywhere in the file or SQLite's log.
fn traces(house: &House, of: &[Vec<u8>]) -> usize {
    let path = &house.config.path;
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_str().unwrap()));
    let bytes = [std::fs::read(path).unwrap(), std::fs::read(log).unwrap_or_default()].concat();
    of.iter().filter(|one| bytes.windows(one.len()).any(|at| at == one.as_slice())).count()
}

#[test]
fn who_gave_a_password_opens_nothing_after_the_first_own_one() {
    for policy in POLICIES {
        let house = with_objects(policy, &["other", "third"]);
        let token = house.process();
        let store = token.store().unwrap();
        let (alice, bob, third) = (user(&token, "alice"), user(&token, "bob"), officer(&token, "third"));
        let his = insert(&token, access(&bob), key("his", true)).unwrap();
        token.share(access(&bob), his, &["alice"]).unwrap();
        // Who gave alice's password logs in as she does, and keeps everything. With `keeps` an officer has the
        // reset key besides, and opens what he likes: that is the next test's.
        let givers = if policy == ResetPolicy::Keeps { vec![&alice] } else { vec![&alice, &third] };
        let mut thief = Thief::new(&store, &givers);
        thief.keep();
        assert_eq!(thief.opens(), (3, 3), "{policy:?}: the thief knows how");
        let before = wrapped(&token);
        assert_eq!(traces(&house, &before), before.len());
        let alice = own(&token, &alice, b"pw-alice");
        assert!(!given(&token, "alice") && given(&token, "bob"));
        let late = insert(&token, access(&alice), key("late", true)).unwrap();
        token.share(access(&alice), late, &["user"]).unwrap();
        thief.look();
        // Of hers nothing; of bob's the version whose data key he has, until bob changes it.
        assert_eq!(thief.opens(), (1, 4), "{policy:?}");
        token.modify(access(&bob), his, named("renamed")).unwrap();
        assert_eq!(thief.opens(), (0, 4), "{policy:?}");
        assert_eq!(traces(&house, &before), 0, "{policy:?}: no old wrapping is left in the file");
        // Everybody has what he had.
        for (name, labels) in
            [("alice", vec!["hers", "shared", "late", "renamed"]), ("user", vec!["shared", "late"])]
        {
            let there = house.process();
            let login = user(&there, name);
            for label in labels {
                let found = there.find(access(&login), &named(label)).unwrap();
                assert_eq!(found.len(), 1, "{policy:?}: {label} of {name}");
                assert_eq!(there.key(access(&login), found[0]).unwrap().value(), [7; 32]);
            }
        }
        assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
    }
}

#[test]
fn with_keeps_an_officer_opens_what_he_could_anyway() {
    let house = with_objects(ResetPolicy::Keeps, &["other"]);
    let token = house.process();
    own(&token, &user(&token, "alice"), b"pw-alice");
    let store = token.store().unwrap();
    assert_eq!(Thief::new(&store, &[&officer(&token, "other")]).opens(), (2, 2));
    // The library's own way to it: a reset keeps what she has, and her next own password renews again.
    let so = officer(&token, "so");
    token.reset_password(access(&so), "alice", b"pw-alice").unwrap();
    assert!(given(&token, "alice"));
    let alice = user(&token, "alice");
    assert_eq!(token.find(access(&alice), &named("hers")).unwrap().len(), 1);
    let next = own(&token, &alice, b"pw-alice");
    assert_ne!(alice.keys.public, next.keys.public);
    // An officer's first own password: he resets as before, and who made him opens no later reset key.
    token.create_user(access(&so), "late", Role::Officer, b"pw-late").unwrap();
    let former = officer(&token, "late");
    let late = own(&token, &former, b"pw-late");
    token.delete_user(access(&late), "so", false).unwrap();
    let mut thief = Thief::new(&store, &[&so, &former]);
    thief.keep();
    assert_eq!(thief.opens(), (0, 2));
    token.reset_password(access(&late), "alice", b"pw-alice").unwrap();
    assert_eq!(token.find(access(&user(&token, "alice")), &named("shared")).unwrap().len(), 1);
}

#[test]
fn a_quorum_still_resets() {
    let house = with_objects(QUORUM, &["other", "third"]);
    let token = house.process();
    own(&token, &user(&token, "alice"), b"pw-alice");
    let (so, other) = (officer(&token, "so"), officer(&token, "other"));
    token.request_reset(access(&so), "alice").unwrap();
    token.approve_reset(access(&other), "alice").unwrap();
    token.reset_password(access(&so), "alice", b"pw-alice").unwrap();
    let alice = user(&token, "alice");
    assert_eq!(token.find(access(&alice), &named("hers")).unwrap().len(), 1);
    // He who finished it kept her keys; the next password of her own ends that.
    let store = token.store().unwrap();
    let mut thief = Thief::new(&store, &[&so, &alice]);
    thief.keep();
    assert_eq!(thief.opens(), (2, 2));
    own(&token, &alice, b"pw-alice");
    thief.look();
    assert_eq!(thief.opens(), (0, 2));
}

#[test]
fn it_happens_once_and_other_logins_end() {
    for policy in POLICIES {
        let house = with_objects(policy, &["other"]);
        let (here, there) = (house.process(), house.process());
        let (alice, far) = (user(&here, "alice"), user(&there, "alice"));
        let hers = there.find(access(&far), &named("hers")).unwrap()[0];
        let before = versions(&here);
        let next = own(&here, &alice, b"pw-alice");
        assert!(alice.ended() && !next.ended());
        let renewed = versions(&here);
        assert!(before.iter().all(|(id, version)| renewed[id] == version + 1), "{policy:?}");
        assert_eq!(there.object(access(&far), hers).err(), Some(Error::ObjectHandleInvalid), "{policy:?}");
        assert!(far.ended());
        assert_eq!(insert(&there, access(&far), key("x", true)).err(), Some(Error::UserNotLoggedIn));
        let far = user(&there, "alice");
        assert!(there.object(access(&far), hers).is_ok(), "the handle stays");
        // From the second on her keys are her own.
        assert!(here.set_pin(access(&next), b"pw-alice", b"hers-alone").unwrap().is_none());
        assert_eq!(versions(&here), renewed, "{policy:?}");
        assert!(!far.ended() && there.object(access(&far), hers).is_ok());
        let mut changed = Vec::new();
        let reading = here.audit_lines(access(&officer(&here, "so")), 1, |entry, _| {
            changed.extend(Some(entry).filter(|entry| entry.event == Event::PasswordChanged.name()));
            true
        });
        reading.unwrap();
        let details: Vec<_> = changed.iter().rev().take(2).map(|entry| &entry.details).collect();
        assert!(details[0].is_empty(), "{details:?}");
        assert_eq!(
            (&*details[1]["keys"], &*details[1]["objects"], &*details[1]["shares"]),
            ("renewed", "2", "0")
        );
    }
}

#[test]
fn a_token_of_before_is_mended_by_its_officers_login() {
    let house = with_objects(ResetPolicy::Keeps, &[]);
    let token = house.process();
    let so = officer(&token, "so");
    let as_before = token.store().unwrap().write(|change| change.set_own_field(22, None));
    as_before.unwrap();
    let alice = user(&token, "alice");
    // Without the way back for a reset there are no new keys: nothing may be lost by a forgotten password.
    assert!(token.set_pin(access(&alice), b"pw-alice", b"pw-alice").unwrap().is_none());
    assert!(given(&token, "alice"));
    officer(&house.process(), "so");
    own(&token, &user(&token, "alice"), b"pw-alice");
    token.reset_password(access(&so), "alice", b"pw-alice").unwrap();
    assert_eq!(token.find(access(&user(&token, "alice")), &named("hers")).unwrap().len(), 1);
}

#[test]
fn a_failure_changes_nothing() {
    let house = with_objects(ResetPolicy::Destroys, &[]);
    let token = house.process();
    let alice = user(&token, "alice");
    let store = token.store().unwrap();
    // One of her data keys is another's: it does not open.
    let id = *versions(&token).keys().next_back().unwrap();
    store.write(|change| change.put_key(id, alice.user, &[7; 60])).unwrap();
    let before = (versions(&token), wrapped(&token));
    assert_eq!(token.set_pin(access(&alice), b"pw-alice", b"her-own").err(), Some(Error::DeviceError));
    assert_eq!((versions(&token), wrapped(&token)), before);
    assert!(given(&token, "alice") && !alice.ended());
    assert!(house.process().log_in(Role::User, Some("alice"), b"pw-alice").is_ok());
}

#[test]
fn a_thousand_objects_go_over_in_time() {
    let house = House::new();
    let token = house.process();
    let took = |name: &str, many: usize| {
        let login = user(&token, name);
        let objects = (0..many).map(|number| key(&format!("key-{number}"), true)).collect();
        token.insert_all(access(&login), objects, Note::of(Event::Generate)).unwrap();
        let begun = processor_time();
        own(&token, &login, format!("pw-{name}").as_bytes());
        processor_time() - begun
    };
    let (none, few, many) = (took("user", 0), took("bob", 250), took("alice", 1000));
    println!("first own password: {none:?} with no objects, {few:?} with 250, {many:?} with 1,000");
    assert!(many < few * 10, "four times the objects, squared is 16: {few:?}, {many:?}");
}
