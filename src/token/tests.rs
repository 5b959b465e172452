//! People and their objects, several processes as several tokens on one file.

mod appliance;
mod deletion;
mod epochs;

use super::*;
use crate::audit::{Event, Note};
use crate::config::SealConfig;
use crate::object::template::{Draft, Origin};
use crate::object::{Object, Value};

mod custody;
mod lifecycle;
mod members;
mod races;
mod renewal;
mod replicate;
mod reset;
mod seal;
mod shareholders;

pub struct House {
    _folder: tempfile::TempDir,
    pub config: SlotConfig,
}

pub const OFFICER: &[u8] = b"officer-1";

impl House {
    pub fn new() -> House {
        House::of(crate::config::ResetPolicy::Keeps, &[])
    }

    /// With more officers, who have `pw-name` as users have.
    pub fn of(reset_policy: crate::config::ResetPolicy, officers: &[&str]) -> House {
        let folder = tempfile::tempdir().unwrap();
        let config = SlotConfig { reset_policy, ..SlotConfig::for_test(folder.path()) };
        let house = House { _folder: folder, config };
        let token = house.process();
        token.initialize(OFFICER, "test").unwrap();
        let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
        for (earlier, name) in officers.iter().enumerate() {
            token
                .create_user(access(&officer), name, Role::Officer, format!("pw-{name}").as_bytes())
                .unwrap();
            shareholders::own_password(&token, name);
            if shareholders::part(&token, name) == Some(Part::Waits) {
                token.request_reset(access(&officer), name).unwrap();
                let mut others = officers[..earlier].iter();
                while shareholders::part(&token, name) == Some(Part::Waits) {
                    let other = shareholders::officer(&token, others.next().unwrap());
                    token.approve_reset(access(&other), name).unwrap();
                }
            }
        }
        for name in ["user", "alice", "bob"] {
            token.create_user(access(&officer), name, Role::User, format!("pw-{name}").as_bytes()).unwrap();
        }
        house
    }

    /// A token as another process would have it.
    pub fn process(&self) -> Token {
        Token::new(self.config.clone())
    }
}

pub fn access(login: &Arc<Login>) -> Access<'_> {
    Access { login: Some(login), write: true, session: 1 }
}

pub fn insert(token: &Token, access: Access<'_>, object: Object) -> Result<Handle> {
    token.insert_all(access, vec![object], Note::of(Event::Generate)).map(|handles| handles[0])
}

/// What this thread has used of the processor: other work on the machine does not count.
pub fn processor_time() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

const NOBODY: Access<'static> = Access { login: None, write: true, session: 1 };

pub fn key(label: &str, private: bool) -> Object {
    let template = vec![
        (CKA_TOKEN, Value::Bool(true)),
        (CKA_PRIVATE, Value::Bool(private)),
        (CKA_LABEL, Value::Bytes(label.as_bytes().to_vec())),
    ];
    let asker = crate::object::template::Asker::User;
    let draft = Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), template, asker).unwrap();
    draft.complete(vec![(CKA_VALUE, Value::Secret([7; 32][..].into()))]).unwrap()
}

pub fn named(label: &str) -> crate::object::Template {
    vec![(CKA_LABEL, Value::Bytes(label.as_bytes().to_vec()))]
}

#[test]
fn users_see_their_own_and_officers_see_no_key() {
    let house = House::new();
    let token = house.process();
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    let bob = token.log_in(Role::User, Some("bob"), b"pw-bob").unwrap();
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    let open = insert(&token, access(&alice), key("open", false)).unwrap();
    assert_eq!(token.find(access(&alice), &named("hers")).unwrap(), [hers]);
    for other in [Some(&bob), Some(&officer), None] {
        let asker = Access { login: other, ..NOBODY };
        assert!(token.find(asker, &named("hers")).unwrap().is_empty());
        assert_eq!(token.object(asker, hers).err(), Some(Error::ObjectHandleInvalid));
        assert_eq!(token.key(asker, hers).err(), Some(Error::KeyHandleInvalid));
        assert!(token.destroy(asker, hers).is_err());
        assert_eq!(token.find(asker, &named("open")).unwrap(), [open]);
    }
    assert_eq!(token.key(access(&officer), open).err(), Some(Error::KeyFunctionNotPermitted));
    assert_eq!(insert(&token, NOBODY, key("open", false)).err(), Some(Error::UserNotLoggedIn));
    assert_eq!(insert(&token, access(&officer), key("x", true)).err(), Some(Error::UserNotLoggedIn));
    let reader = Access { write: false, ..access(&alice) };
    assert_eq!(insert(&token, reader, key("x", true)).err(), Some(Error::SessionReadOnly));
}

#[test]
fn a_reset_keeps_the_objects_and_ends_the_old_password_everywhere() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let alice = here.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    insert(&here, access(&alice), key("kept", true)).unwrap();
    there.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let officer = there.log_in(Role::Officer, None, OFFICER).unwrap();
    there.init_pin(access(&officer), b"alice:new-password").unwrap();
    assert_eq!(here.log_in(Role::User, Some("alice"), b"pw-alice").err(), Some(Error::PinIncorrect));
    let alice = here.log_in(Role::User, Some("alice"), b"new-password").unwrap();
    assert_eq!(here.find(access(&alice), &named("kept")).unwrap().len(), 1);
    assert_eq!(
        here.create_user(access(&alice), "eve", Role::User, b"password").err(),
        Some(Error::UserNotLoggedIn)
    );
    assert_eq!(
        there.create_user(access(&officer), "e e", Role::User, b"password").err(),
        Some(Error::ArgumentsBad)
    );
    assert_eq!(
        there.create_user(access(&officer), "bob", Role::User, b"password").err(),
        Some(Error::ArgumentsBad)
    );
}

#[test]
fn failures_count_across_processes() {
    let house = House::new();
    let tokens = [house.process(), house.process()];
    tokens[0].log_in(Role::User, Some("bob"), b"pw-bob").unwrap();
    for attempt in 0..5 {
        let wrong = tokens[attempt % 2].log_in(Role::User, Some("bob"), b"guess");
        assert_eq!(wrong.err(), Some(Error::PinIncorrect), "attempt {attempt}");
    }
    for token in &tokens {
        assert_eq!(token.log_in(Role::User, Some("bob"), b"pw-bob").err(), Some(Error::PinLocked));
        assert!(token.log_in(Role::User, Some("alice"), b"pw-alice").is_ok(), "others are not locked");
    }
    let bob = tokens[1].users().unwrap().into_iter().find(|user| user.name == "bob").unwrap();
    assert!(bob.locked && bob.failures == 5);
}

/// What each of a dozen processes gets that log in as bob at once.
fn logins_at_once(house: &House, password: &[u8]) -> Vec<Option<Error>> {
    let start = std::sync::Barrier::new(12);
    let attempt = || {
        let token = house.process();
        token.ready().unwrap();
        start.wait();
        token.log_in(Role::User, Some("bob"), password).err()
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..12).map(|_| scope.spawn(attempt)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn right_passwords_at_once_lock_nobody() {
    let house = House::new();
    assert_eq!(logins_at_once(&house, b"pw-bob"), vec![None; 12]);
    let bob = house.process().users().unwrap().into_iter().find(|user| user.name == "bob").unwrap();
    assert!(!bob.locked && bob.failures == 0);
}

#[test]
fn wrong_passwords_at_once_are_tried_no_more_often_than_one_after_another() {
    let house = House::new();
    let answers = logins_at_once(&house, b"guess");
    let count = |error| answers.iter().filter(|answer| **answer == Some(error)).count();
    assert_eq!((count(Error::PinIncorrect), count(Error::PinLocked)), (5, 7));
}

#[test]
fn attempts_of_killed_processes_count() {
    let house = House::new();
    let token = house.process();
    let (store, now) = (token.store().unwrap(), std::time::Duration::ZERO);
    let bob = || token.find_user(&store, "bob").unwrap().unwrap();
    for _ in 0..4 {
        token.begin_attempt(&store, &bob(), now).unwrap();
    }
    assert!(token.log_in(Role::User, Some("bob"), b"pw-bob").is_ok(), "one try was left; it ends the count");
    for _ in 0..5 {
        token.begin_attempt(&store, &bob(), now).unwrap();
    }
    assert_eq!(token.begin_attempt(&store, &bob(), now), Err(Error::PinLocked));
    assert_eq!(bob().failures, 5);
}

#[test]
fn other_processes_changes_are_seen() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let mine = here.log_in(Role::User, None, b"pw-user").unwrap();
    let theirs = there.log_in(Role::User, None, b"pw-user").unwrap();
    let handle = insert(&here, access(&mine), key("shared", true)).unwrap();
    let far = there.find(access(&theirs), &named("shared")).unwrap()[0];
    there.modify(access(&theirs), far, named("renamed")).unwrap();
    assert_eq!(here.object(access(&mine), handle).unwrap().object().bytes(CKA_LABEL), b"renamed");
    assert_eq!(here.find(access(&mine), &named("renamed")).unwrap(), [handle], "the handle stays");
    there.destroy(access(&theirs), far).unwrap();
    assert_eq!(here.object(access(&mine), handle).err(), Some(Error::ObjectHandleInvalid));
    assert!(here.find(access(&mine), &named("renamed")).unwrap().is_empty());
    // Made anew by another process: the old login opens nothing.
    there.initialize(OFFICER, "anew").unwrap();
    assert!(insert(&here, access(&mine), key("late", true)).is_err());
    assert!(here.log_in(Role::User, None, b"pw-user").is_err());
    assert_eq!(here.info().unwrap().label, "anew");
}

#[test]
fn a_stolen_file_without_its_seal_key_says_nothing() {
    let house = House::new();
    let mut thief = house.config.clone();
    thief.seal = SealConfig::KeyFile(house.config.path.with_extension("other"));
    let token = Token::new(thief);
    assert_eq!(token.ready().err(), Some(Error::TokenNotRecognized));
    assert!(token.users().is_err());
    assert!(token.log_in(Role::User, Some("alice"), b"pw-alice").is_err());
}

#[test]
fn a_session_without_objects_ends_without_a_mark() {
    let house = House::new();
    let token = house.process();
    let user = token.log_in(Role::User, None, b"pw-user").unwrap();
    let mine = Access { session: 7, ..access(&user) };
    let template = vec![(CKA_TOKEN, Value::Bool(false))];
    let asker = crate::object::template::Asker::User;
    let draft = Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), template, asker).unwrap();
    let object = draft.complete(vec![(CKA_VALUE, Value::Secret([7; 32][..].into()))]).unwrap();
    let handle = insert(&token, mine, object).unwrap();
    let before = token.generation();
    token.close_session(8);
    assert_eq!(token.generation(), before, "others' keys stay looked up");
    assert!(token.object(mine, handle).is_ok());
    token.close_session(7);
    assert!(token.generation() > before);
    assert_eq!(token.object(mine, handle).err(), Some(Error::ObjectHandleInvalid));
    assert!(token.find(mine, &Vec::new()).unwrap().iter().all(|found| *found != handle));
}

#[test]
fn a_login_without_the_memory_to_try_is_no_wrong_guess() {
    let house = House::new();
    let token = house.process();
    let store = token.store().unwrap();
    let bob = || token.find_user(&store, "bob").unwrap().unwrap();
    // A cost that Argon2id refuses stands for memory that is not there: no password is tried.
    let id = bob().header.id;
    store
        .write(|change| {
            let mut bob = change.user(id)?.unwrap();
            bob.stretch.memory_kib = 1;
            bob.save(change)
        })
        .unwrap();
    assert!(!matches!(
        token.log_in(Role::User, Some("bob"), b"pw-bob").err(),
        None | Some(Error::PinIncorrect | Error::PinLocked)
    ));
    assert_eq!((bob().attempts, bob().failures), (0, 0));
}
