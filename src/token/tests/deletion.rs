//! Users who are deleted, while they work in other processes.

use super::*;

/// A key in memory only.
fn session_key(token: &Token, login: &Arc<Login>) -> Handle {
    let mut object = key("in memory", true);
    object.set(CKA_TOKEN, Value::Bool(false));
    insert(token, access(login), object).unwrap()
}

#[test]
fn a_deleted_user_is_out_of_every_process() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let officer = here.log_in(Role::Officer, None, OFFICER).unwrap();
    let alice = there.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let bob = there.log_in(Role::User, Some("bob"), b"pw-bob").unwrap();
    let stored = insert(&there, access(&alice), key("hers", true)).unwrap();
    let kept = session_key(&there, &alice);
    assert!(there.key(access(&alice), kept).is_ok() && there.key(access(&alice), stored).is_ok());

    // She owns something: not by accident.
    assert_eq!(here.delete_user(access(&officer), "alice", false), Err(Error::ActionProhibited));
    assert!(there.key(access(&alice), stored).is_ok());
    assert_eq!(here.delete_user(access(&officer), "alice", true), Ok(1));

    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(there.key(access(&alice), kept).err(), Some(Error::KeyHandleInvalid));
    assert_eq!(there.key(access(&alice), stored).err(), Some(Error::KeyHandleInvalid));
    assert!(there.find(access(&alice), &named("hers")).unwrap().is_empty());
    assert!(alice.ended() && !bob.ended());
    assert_eq!(insert(&there, access(&alice), key("late", true)), Err(Error::UserNotLoggedIn));
    assert_eq!(insert(&there, access(&alice), key("late", false)), Err(Error::UserNotLoggedIn));
    let again = there.log_in(Role::User, Some("alice"), b"pw-alice");
    assert_eq!(again.err(), Some(Error::PinIncorrect));
    assert!(insert(&there, access(&bob), key("his", true)).is_ok());

    // Someone of her name is someone else.
    here.create_user(access(&officer), "alice", Role::User, b"pw-alice").unwrap();
    let other = there.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    assert!(there.find(access(&other), &named("hers")).unwrap().is_empty());
    assert!(here.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

/// Without a look at the file in between: what is written asks in its own transaction.
#[test]
fn nothing_is_stored_for_someone_deleted_a_moment_ago() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let officer = here.log_in(Role::Officer, None, OFFICER).unwrap();
    let alice = there.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    here.delete_user(access(&officer), "alice", false).unwrap();
    assert!(!alice.ended());
    assert_eq!(insert(&there, access(&alice), key("late", true)), Err(Error::UserNotLoggedIn));
}

#[test]
fn one_officer_always_stays() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let first = here.log_in(Role::Officer, None, OFFICER).unwrap();
    assert_eq!(here.delete_user(access(&first), "so", true), Err(Error::ActionProhibited));
    here.create_user(access(&first), "second", Role::Officer, b"pw-second").unwrap();
    let second = there.log_in(Role::Officer, Some("second"), b"pw-second").unwrap();
    assert_eq!(there.delete_user(access(&second), "so", false), Ok(0));
    // Nobody saw it here yet.
    assert_eq!(here.delete_user(access(&first), "second", false), Err(Error::UserNotLoggedIn));
    assert_eq!(here.create_user(access(&first), "x", Role::User, b"pw-x"), Err(Error::UserNotLoggedIn));
    let user = there.log_in(Role::User, Some("bob"), b"pw-bob").unwrap();
    assert_eq!(there.delete_user(access(&user), "alice", false), Err(Error::UserNotLoggedIn));
    assert_eq!(there.delete_user(NOBODY, "alice", false), Err(Error::UserNotLoggedIn));
    assert_eq!(there.delete_user(access(&second), "nobody", false), Err(Error::ArgumentsBad));
    assert_eq!(there.users().unwrap().len(), 4);
}
