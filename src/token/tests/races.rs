//! What an officer does between the proof of a password and what follows from it.

use super::*;
use crate::config::ResetPolicy;

/// The officer's word comes while the user's C_SetPIN stretches the new password.
#[test]
fn an_officers_reset_or_deletion_is_the_later_word() {
    for policy in [ResetPolicy::Keeps, ResetPolicy::Destroys] {
        let house = House::of(policy, &[]);
        let (here, there) = (house.process(), house.process());
        let so = there.log_in(Role::Officer, None, OFFICER).unwrap();
        for deleted in [false, true] {
            let name = if deleted { "bob" } else { "alice" };
            let old = format!("pw-{name}");
            let alice = here.log_in(Role::User, Some(name), old.as_bytes()).unwrap();
            insert(&here, access(&alice), key(name, true)).unwrap();
            let named = [format!("{name}:{old}"), format!("{name}:her-own")];
            // In a session of hers, and in a public one.
            for session in [access(&alice), NOBODY] {
                let proved = here.prove_present(session, named[0].as_bytes(), named[1].as_bytes());
                let Ok((login, new)) = proved else { continue };
                assert_eq!(new, b"her-own");
                match deleted {
                    true => drop(there.delete_user(access(&so), name, true)),
                    false => there.reset_password(access(&so), name, b"the officer's").unwrap(),
                }
                assert_eq!(
                    here.change_own(&login, new).err(),
                    Some(Error::PinIncorrect),
                    "{policy:?} {name}"
                );
            }
            let log_in = |password: &[u8]| house.process().log_in(Role::User, Some(name), password);
            assert!(log_in(b"her-own").is_err() && log_in(old.as_bytes()).is_err());
            assert_eq!(log_in(b"the officer's").is_ok(), !deleted);
        }
        // The other way round: she was first, and the officer's word still holds.
        let user = here.log_in(Role::User, Some("user"), b"pw-user").unwrap();
        here.set_pin(access(&user), b"pw-user", b"her-own").unwrap();
        there.reset_password(access(&so), "user", b"the officer's").unwrap();
        assert!(here.log_in(Role::User, Some("user"), b"the officer's").is_ok());
        assert!(here.verify(&mut |_, _| {}).unwrap().faults.is_empty());
    }
}

#[test]
fn who_is_deleted_while_he_logs_in_is_not_let_in() {
    let house = House::of(ResetPolicy::Destroys, &["other"]);
    let (here, there) = (house.process(), house.process());
    let so = there.log_in(Role::Officer, Some("other"), b"pw-other").unwrap();
    let store = here.store().unwrap();
    for (name, role) in [("alice", Role::User), ("bob", Role::User), ("so", Role::Officer)] {
        let user = here.find_user(&store, name).unwrap().unwrap();
        let password = if name == "so" { OFFICER.to_vec() } else { format!("pw-{name}").into_bytes() };
        let keys = here.prove(&store, &user, &password, None).unwrap();
        match name {
            // New keys: what the old ones opened is gone.
            "bob" => there.reset_password(access(&so), name, b"the officer's").unwrap(),
            _ => drop(there.delete_user(access(&so), name, true).unwrap()),
        }
        assert_eq!(here.admit(&store, user, keys).err(), Some(Error::PinIncorrect), "{name}");
        assert!(here.log_in(role, Some(name), &password).is_err());
    }
    let other = here.log_in(Role::Officer, Some("other"), b"pw-other").unwrap();
    assert!(!other.ended());
}
