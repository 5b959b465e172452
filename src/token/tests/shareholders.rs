//! Reset policy `quorum`: officers who would be a quorum alone, with the token's own functions and with a
//! program of their own; and policy `keeps`: an officer who is deleted and kept what he had.

use super::super::keychain::UserKeys;
use super::super::users::User;
use super::reset::{BOB, OTHER, QUORUM, SO, THIRD, Thief, login, opened_by, with_objects};
use super::*;
use crate::config::ResetPolicy;
use crate::store::Kind;

const REFUSED: Option<Error> = Some(Error::ActionProhibited);

pub fn officer(token: &Token, name: &str) -> Arc<Login> {
    login(token, Role::Officer, name)
}

/// `by` makes an officer, who gives himself a password (the same one: the attacker knows it, too).
fn made(token: &Token, by: &Arc<Login>, name: &str) -> Arc<Login> {
    let password = format!("pw-{name}");
    token.create_user(access(by), name, Role::Officer, password.as_bytes()).unwrap();
    own_password(token, name)
}

pub fn own_password(token: &Token, name: &str) -> Arc<Login> {
    let password = format!("pw-{name}");
    let given = officer(token, name);
    token.set_pin(access(&given), password.as_bytes(), password.as_bytes()).unwrap();
    officer(token, name)
}

pub fn part(token: &Token, name: &str) -> Option<Part> {
    token.user(name).unwrap().unwrap().part
}

/// Alice's next own password deals shares to the shareholders of the day.
fn alice_changes(token: &Token) {
    let alice = login(token, Role::User, "alice");
    token.set_pin(access(&alice), b"pw-alice", b"pw-alice").unwrap();
}

#[test]
fn one_officer_alone_makes_no_quorum() {
    let house = with_objects(QUORUM, &["other", "third"]);
    let token = house.process();
    let so = officer(&token, "so");
    // Officers of his own, with passwords of their own: they manage, and wait for shares.
    let made: Vec<_> = ["eve", "mallory"].map(|name| made(&token, &so, name)).into();
    for name in ["eve", "mallory"] {
        assert_eq!(part(&token, name), Some(Part::Waits));
        token.request_reset(access(&so), name).unwrap();
        for by in made.iter().chain([&so]) {
            assert_eq!(token.approve_reset(access(by), name).err(), REFUSED, "{name} by {}", by.name);
        }
    }
    // They ask for themselves and for each other; his own yes stays one.
    token.request_reset(access(&made[0]), "eve").unwrap();
    token.approve_reset(access(&so), "eve").unwrap();
    assert_eq!(token.approve_reset(access(&so), "eve").err(), REFUSED);
    assert_eq!(token.approve_reset(access(&made[1]), "eve").err(), REFUSED);
    assert_eq!(part(&token, "eve"), Some(Part::Waits));
    alice_changes(&token);
    let his = [SO, (Role::Officer, "eve"), (Role::Officer, "mallory"), BOB];
    assert_eq!(opened_by(&house, &his), (0, 2));
    // Another's password in his hands: that one holds nothing any more, and the last two stay as they are.
    token.reset_password(access(&so), "third", b"pw-third").unwrap();
    own_password(&token, "third");
    assert_eq!(part(&token, "third"), Some(Part::Waits));
    assert_eq!(token.reset_password(access(&so), "other", b"pw-other").err(), REFUSED);
    assert_eq!(token.delete_user(access(&so), "other", true).err(), REFUSED);
    token.delete_user(access(&so), "eve", true).unwrap();
    alice_changes(&token);
    assert_eq!(opened_by(&house, &[SO, THIRD, (Role::Officer, "mallory")]), (0, 2));
    // And by the book: a reset that nobody else approves.
    token.request_reset(access(&so), "alice").unwrap();
    assert_eq!(token.approve_reset(access(&made[1]), "alice").err(), REFUSED, "no share");
    assert_eq!(token.reset_password(access(&so), "alice", b"pw-alice").err(), REFUSED);
    assert_eq!(opened_by(&house, &[SO, OTHER]), (2, 2), "two are enough, and were all along");
}

#[test]
fn one_fewer_than_the_quorum_gets_nothing_and_the_quorum_gets_all() {
    let house = with_objects(ResetPolicy::Quorum { threshold: 3 }, &["other", "third"]);
    let token = house.process();
    let (so, other, third) = (officer(&token, "so"), officer(&token, "other"), officer(&token, "third"));
    let eve = made(&token, &other, "eve");
    token.request_reset(access(&so), "eve").unwrap();
    token.approve_reset(access(&other), "eve").unwrap();
    assert_eq!(part(&token, "eve"), Some(Part::Waits), "two of three");
    let pending = token.pending_resets(access(&third)).unwrap().remove(0);
    assert!(pending.shareholder && pending.user == "eve" && pending.approved == ["so", "other"]);
    alice_changes(&token);
    assert_eq!(opened_by(&house, &[SO, OTHER, (Role::Officer, "eve")]), (0, 2));
    // Whoever sets her password now begins anew.
    token.approve_reset(access(&third), "eve").unwrap();
    assert_eq!(part(&token, "eve"), Some(Part::Holds));
    assert!(eve.keys.public == officer(&token, "eve").keys.public);
    alice_changes(&token);
    assert_eq!(opened_by(&house, &[SO, OTHER, (Role::Officer, "eve")]), (2, 2));
    let log = token.audit_verify(None).unwrap().found;
    assert!(log.faults.is_empty());
}

#[test]
fn approvals_end_with_those_who_gave_them() {
    let house = with_objects(ResetPolicy::Quorum { threshold: 2 }, &["other", "third", "fourth"]);
    let token = house.process();
    let so = officer(&token, "so");
    let approve = |by: &str, whom: &str| token.approve_reset(access(&officer(&token, by)), whom);
    made(&token, &so, "eve");
    for goes in ["third", "fourth"] {
        token.request_reset(access(&officer(&token, goes)), "eve").unwrap();
        token.request_reset(access(&so), "alice").unwrap();
        approve(goes, "alice").unwrap();
        // Deleted, or with a password that so gave.
        if goes == "third" {
            token.delete_user(access(&so), goes, false).unwrap();
        } else {
            token.reset_password(access(&so), goes, b"pw-fourth").unwrap();
        }
        assert_eq!(approve("other", "eve").err(), REFUSED, "who asked is gone");
        assert_eq!(token.reset_password(access(&so), "alice", b"pw-new").err(), REFUSED);
        assert_eq!(token.pending_resets(access(&so)).unwrap()[0].approved, ["so"]);
    }
    // An approval of someone who is reset meanwhile is void as well.
    token.request_reset(access(&so), "eve").unwrap();
    token.reset_password(access(&so), "eve", b"pw-eve").unwrap();
    own_password(&token, "eve");
    assert_eq!(approve("other", "eve").err(), REFUSED);
    assert_eq!(part(&token, "eve"), Some(Part::Waits));
}

#[test]
fn at_the_beginning_there_is_nobody_to_ask() {
    let house = House::of(QUORUM, &["other"]);
    let config = SlotConfig { path: house.config.path.with_file_name("new.db"), ..house.config.clone() };
    let token = Token::new(config);
    token.initialize(OFFICER, "new").unwrap();
    let so = officer(&token, "so");
    token.create_user(access(&so), "other", Role::Officer, b"pw-other").unwrap();
    assert_eq!(part(&token, "other"), Some(Part::Given));
    let user = |name| token.create_user(access(&so), name, Role::User, b"pw-user").err();
    assert_eq!(user("user"), REFUSED, "so knows other's password");
    assert_eq!(token.request_reset(access(&so), "other").err(), REFUSED);
    let given = officer(&token, "other");
    let other = own_password(&token, "other");
    assert_ne!(given.keys.public, other.keys.public, "what so may have kept opens nothing");
    assert_eq!(part(&token, "other"), Some(Part::Holds));
    assert_eq!(user("user"), None);
    made(&token, &so, "third");
    assert_eq!(part(&token, "third"), Some(Part::Waits));
    assert_eq!(token.request_reset(access(&so), "other").err(), REFUSED, "takes part already");
}

#[test]
fn a_deleted_officer_keeps_nothing_that_opens_anything() {
    let house = with_objects(ResetPolicy::Keeps, &["other", "third"]);
    let token = house.process();
    let (so, third) = (officer(&token, "so"), officer(&token, "third"));
    let store = token.store().unwrap();
    let kept = token.find_user(&store, "third").unwrap().unwrap();
    let reset = third.keys.take_reset_key(&kept.reset_key).unwrap();
    let user = |name: &str| token.find_user(&store, name).unwrap().unwrap();
    let opens = |user: &User| UserKeys::unwrap_for_reset(&reset, &user.keys_for_reset, user.public).is_ok();
    assert!(opens(&user("alice")), "the thief knows how");
    token.delete_user(access(&so), "third", false).unwrap();
    for name in ["alice", "bob", "user", "so", "other"] {
        assert!(!opens(&user(name)), "{name}");
        assert!(third.keys.take_reset_key(&user(name).reset_key).is_err());
    }
    // Those who stay reset as before, and logins go on.
    let other = officer(&house.process(), "other");
    token.create_user(access(&so), "late", Role::User, b"pw-late").unwrap();
    token.create_user(access(&other), "new", Role::Officer, b"pw-new").unwrap();
    let new = officer(&token, "new");
    for name in ["alice", "late", "so"] {
        token.reset_password(access(&new), name, b"another-one").unwrap();
    }
    let alice = token.log_in(Role::User, Some("alice"), b"another-one").unwrap();
    assert_eq!(token.find(access(&alice), &named("hers")).unwrap().len(), 1);
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

/// He has a program of his own, and everything that it could read and keep while he was an officer.
#[test]
fn a_deleted_officer_opens_nothing_that_comes_after_him() {
    let house = with_objects(ResetPolicy::Keeps, &["other", "third"]);
    let token = house.process();
    let so = officer(&token, "so");
    let store = token.store().unwrap();
    let mut thief = Thief::new(&store, &[&officer(&token, "third")]);
    thief.keep();
    assert_eq!(thief.opens(), (2, 2), "he knows how");
    token.delete_user(access(&so), "third", false).unwrap();
    token.create_user(access(&so), "late", Role::User, b"pw-late").unwrap();
    let late = login(&token, Role::User, "late");
    insert(&token, access(&late), key("late's", true)).unwrap();
    thief.look();
    assert_eq!(thief.opens(), (2, 3), "what he could open before");
    // New keys of those whose keys he has: the way back for a reset is closed to him, too.
    for name in ["alice", "user"] {
        let password = format!("pw-{name}");
        token.set_pin(access(&login(&token, Role::User, name)), password.as_bytes(), b"her-own").unwrap();
        token.reset_password(access(&so), name, password.as_bytes()).unwrap();
    }
    let alice = login(&token, Role::User, "alice");
    let shared = token.find(access(&alice), &named("shared")).unwrap()[0];
    token.modify(access(&alice), shared, named("renamed")).unwrap();
    thief.look();
    assert_eq!(thief.opens(), (0, 3));
}

#[test]
fn an_officers_keys_of_before_are_replaced_by_his_next_password() {
    let house = with_objects(ResetPolicy::Keeps, &["other"]);
    let token = house.process();
    let (so, store) = (officer(&token, "so"), token.store().unwrap());
    let as_before = store.write(|change| {
        let mut user = change.user(so.user)?.unwrap();
        user.keys_for_reset = so.keys.wrap_for_reset(&so.keys.take_reset_key(&user.reset_key)?)?;
        user.save(change)
    });
    as_before.unwrap();
    let renewed = token.set_pin(access(&so), OFFICER, OFFICER).unwrap().unwrap();
    assert_ne!(renewed.keys.public, so.keys.public);
    assert!(token.find_user(&store, "so").unwrap().unwrap().keys_for_reset.is_empty());
    token.reset_password(access(&renewed), "alice", b"another-one").unwrap();
    assert!(token.set_pin(access(&renewed), OFFICER, OFFICER).unwrap().is_none(), "once");
}

#[test]
fn an_officer_of_thousands_of_users_is_deleted_in_time() {
    let house = House::of(ResetPolicy::Keeps, &["other", "third"]);
    let token = house.process();
    let store = token.store().unwrap();
    let so = officer(&token, "so");
    let made = |numbers: std::ops::Range<u32>| {
        let bob = token.find_user(&store, "bob").unwrap().unwrap();
        let written = store.write(|change| {
            for number in numbers {
                let name = format!("user-{number}");
                let mut user = User::new(&name, Role::User, bob.header.author, bob.stretch)?;
                (user.public, user.keys_for_reset) = (bob.public, bob.keys_for_reset.clone());
                user.save(change)?;
            }
            Ok(())
        });
        written.unwrap();
    };
    let delete = |name: &str| {
        let begun = processor_time();
        token.delete_user(access(&so), name, false).unwrap();
        processor_time() - begun
    };
    made(0..500);
    let few = delete("third");
    made(500..2000);
    let many = delete("other");
    assert_eq!(store.list(Kind::User).unwrap().len(), 2004);
    println!("an officer deleted among 500 users: {few:?}, among 2,000: {many:?}");
    assert!(many < few * 10, "four times the users, squared is 16: {few:?}, {many:?}");
}
