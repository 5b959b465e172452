//! The three reset policies, and an attacker: he has the file, the seal key, some people's passwords, and
//! calls the store and the key chain as he likes.

use super::super::keychain::UserKeys;
use super::super::users::User;
use super::*;
use crate::config::ResetPolicy;
use crate::crypto::{Secret, shamir};
use crate::store::{BodyKey, Kind};

pub const QUORUM: ResetPolicy = ResetPolicy::Quorum { threshold: 2 };

/// Whom the attacker's own passwords open, and what follows from that.
pub struct Thief<'a> {
    store: &'a Store,
    users: Vec<User>,
    keys: Vec<UserKeys>,
    /// What he wrote down from earlier copies of the file.
    kept_secrets: Vec<Secret>,
    kept_data_keys: Vec<Secret>,
}

impl<'a> Thief<'a> {
    pub fn new(store: &'a Store, accomplices: &[&Arc<Login>]) -> Thief<'a> {
        let keys = accomplices.iter().map(|accomplice| accomplice.keys.clone()).collect();
        let mut thief =
            Thief { store, users: Vec::new(), keys, kept_secrets: Vec::new(), kept_data_keys: Vec::new() };
        thief.look();
        thief
    }

    /// Reads the users as they are now, and learns what he can.
    pub fn look(&mut self) {
        let store = self.store;
        let load = |header: crate::store::Header| {
            let record = store.load(Kind::User, header.id).unwrap().unwrap();
            User::decode(header, &store.open_body(&record, BodyKey::Seal).unwrap()).unwrap()
        };
        self.users = store.list(Kind::User).unwrap().into_iter().map(load).collect();
        while self.learn() {}
    }

    /// Writes down everything that he can compute from the file as it is.
    pub fn keep(&mut self) {
        self.kept_secrets.extend(self.users.iter().flat_map(|user| self.secrets(user)).collect::<Vec<_>>());
        for header in self.store.list(Kind::Object).unwrap() {
            self.kept_data_keys.extend(self.data_keys(header.id));
        }
    }

    /// The data keys of an object that his keys open.
    fn data_keys(&self, object: Id) -> Vec<Secret> {
        let holders = self.store.holders(object).unwrap();
        let pairs = holders.iter().flat_map(|holder| self.keys.iter().map(move |keys| (*holder, keys)));
        let open = |(holder, keys): (Id, &UserKeys)| {
            let wrapped = self.store.load_key(object, holder).unwrap()?;
            keys.open_data_key(object, holder, &wrapped).ok()
        };
        pairs.filter_map(open).collect()
    }

    /// The secrets that his keys open of a user's record: reset keys and what shares make.
    fn secrets(&self, of: &User) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self.kept_secrets.clone();
        for (user, keys) in self.users.iter().flat_map(|user| self.keys.iter().map(move |keys| (user, keys)))
        {
            secrets.extend(keys.take_reset_key(&user.reset_key).ok());
        }
        let mut shares = Vec::new();
        let requests = of.request.iter().flat_map(|request| {
            request.approvals.iter().map(|(from, sealed)| {
                (sealed, [&b"approval"[..], &of.header.id.0, &from.0, &request.nonce].concat())
            })
        });
        let dealt = of
            .reset_shares
            .iter()
            .map(|(officer, sealed)| (sealed, [&b"share"[..], &of.header.id.0, &officer.0].concat()));
        for (sealed, purpose) in dealt.chain(requests) {
            shares.extend(self.keys.iter().filter_map(|keys| keys.take_reset_share(&purpose, sealed).ok()));
        }
        for most in 1..=shares.len() {
            secrets.extend(shares.windows(most).filter_map(|some| shamir::combine(some).ok()));
        }
        secrets.extend(shares);
        // What is in the open to him, and keys taken for what they are not.
        secrets.extend(self.keys.iter().flat_map(|keys| [keys.own.clone(), keys.private.clone()]));
        secrets.extend([&b"password pepper"[..], b""].map(|purpose| self.store.derived_secret(purpose)));
        secrets
    }

    /// Opens one more user's keys, if he can.
    fn learn(&mut self) -> bool {
        for user in &self.users {
            if self.keys.iter().any(|keys| keys.public == user.public) {
                continue;
            }
            for secret in self.secrets(user) {
                let opened = UserKeys::unwrap_for_reset(&secret, &user.keys_for_reset, user.public)
                    .or_else(|_| UserKeys::unwrap(&secret, &user.keys, user.public));
                if let Ok(keys) = opened {
                    self.keys.push(keys);
                    return true;
                }
            }
        }
        false
    }

    /// How many private objects he can open, of all there are.
    pub fn opens(&self) -> (usize, usize) {
        let headers = self.store.list(Kind::Object).unwrap();
        let private: Vec<_> = headers.into_iter().filter(|header| header.owner != Id::NONE).collect();
        let opens = |header: &&crate::store::Header| {
            let record = self.store.load(Kind::Object, header.id).unwrap().unwrap();
            let data_keys = self.data_keys(header.id);
            let mut data_keys = data_keys.iter().chain(&self.kept_data_keys);
            let with_data_key =
                data_keys.any(|key| self.store.open_body(&record, BodyKey::Data(key)).is_ok());
            with_data_key || self.store.open_body(&record, BodyKey::Seal).is_ok()
        };
        (private.iter().filter(opens).count(), private.len())
    }
}

pub fn login(token: &Token, role: Role, name: &str) -> Arc<Login> {
    let password = if name == "so" { OFFICER.to_vec() } else { format!("pw-{name}").into_bytes() };
    token.log_in(role, Some(name), &password).unwrap()
}

/// Alice has two private objects and shares one of them with `user`; bob has none.
pub fn with_objects(policy: ResetPolicy, officers: &[&str]) -> House {
    let house = House::of(policy, officers);
    let token = house.process();
    let alice = login(&token, Role::User, "alice");
    insert(&token, access(&alice), key("hers", true)).unwrap();
    let shared = insert(&token, access(&alice), key("shared", true)).unwrap();
    token.share(access(&alice), shared, &["user"]).unwrap();
    house
}

/// What a thief with these people's passwords opens.
pub fn opened_by(house: &House, people: &[(Role, &str)]) -> (usize, usize) {
    let token = house.process();
    let accomplices: Vec<_> = people.iter().map(|(role, name)| login(&token, *role, name)).collect();
    let store = token.store().unwrap();
    Thief::new(&store, &accomplices.iter().collect::<Vec<_>>()).opens()
}

pub const SO: (Role, &str) = (Role::Officer, "so");
pub const OTHER: (Role, &str) = (Role::Officer, "other");
pub const THIRD: (Role, &str) = (Role::Officer, "third");
pub const BOB: (Role, &str) = (Role::User, "bob");

#[test]
fn file_seal_key_and_anothers_password_open_nothing() {
    for policy in [ResetPolicy::Keeps, QUORUM, ResetPolicy::Destroys] {
        let house = with_objects(policy, &["other", "third"]);
        assert_eq!(opened_by(&house, &[]), (0, 2), "{policy:?}");
        assert_eq!(opened_by(&house, &[BOB]), (0, 2), "{policy:?}");
        // That the thief knows how: what was shared with someone, and what is one's own.
        assert_eq!(opened_by(&house, &[(Role::User, "user")]), (1, 2), "{policy:?}");
        assert_eq!(opened_by(&house, &[(Role::User, "alice")]), (2, 2), "{policy:?}");
    }
}

#[test]
fn officers_with_a_program_of_their_own() {
    // As honest as software gets: with `keeps` one is enough.
    let keeps = with_objects(ResetPolicy::Keeps, &["other", "third"]);
    assert_eq!(opened_by(&keeps, &[OTHER]), (2, 2));
    let quorum = with_objects(QUORUM, &["other", "third"]);
    for alone in [SO, OTHER, THIRD] {
        assert_eq!(opened_by(&quorum, &[alone, BOB]), (0, 2), "{alone:?}");
    }
    assert_eq!(opened_by(&quorum, &[SO, THIRD]), (2, 2));
    let three = with_objects(ResetPolicy::Quorum { threshold: 3 }, &["other", "third"]);
    assert_eq!(opened_by(&three, &[SO, OTHER, BOB]), (0, 2));
    assert_eq!(opened_by(&three, &[SO, OTHER, THIRD]), (2, 2));
    let destroys = with_objects(ResetPolicy::Destroys, &["other", "third"]);
    assert_eq!(opened_by(&destroys, &[SO, OTHER, THIRD, BOB]), (0, 2));
}

#[test]
fn a_quorum_resets_and_keeps_the_objects() {
    let house = with_objects(QUORUM, &["other", "third"]);
    let (here, there) = (house.process(), house.process());
    let (so, other) = (login(&here, Role::Officer, "so"), login(&there, Role::Officer, "other"));
    assert_eq!(here.reset_policy().unwrap(), QUORUM);
    let refused = Some(Error::ActionProhibited);
    let reset =
        |token: &Token, officer| token.reset_password(access(officer), "alice", b"new-password").err();
    assert_eq!(reset(&here, &so), refused, "not asked for");
    assert_eq!(there.approve_reset(access(&other), "alice").err(), refused, "not asked for");
    here.request_reset(access(&so), "alice").unwrap();
    assert_eq!(reset(&here, &so), refused, "one of two");
    assert_eq!(here.approve_reset(access(&so), "alice").err(), refused, "his own");
    assert_eq!(opened_by(&house, &[SO]), (0, 2));
    assert!(
        house.process().log_in(Role::User, Some("alice"), b"pw-alice").is_ok(),
        "until then nothing changed"
    );
    there.approve_reset(access(&other), "alice").unwrap();
    there.approve_reset(access(&other), "alice").unwrap();
    let pending = there.pending_resets(access(&other)).unwrap().remove(0);
    assert_eq!((pending.user.as_str(), pending.officer.as_str(), pending.needed), ("alice", "so", 2));
    assert_eq!(pending.approved, ["so", "other"]);
    assert_eq!(reset(&there, &other), refused, "it is for the one who asked");
    assert_eq!(opened_by(&house, &[OTHER, BOB]), (0, 2), "approving gives away nothing to the approver");
    assert_eq!(reset(&here, &so), None);
    assert_eq!(here.log_in(Role::User, Some("alice"), b"pw-alice").err(), Some(Error::PinIncorrect));
    let alice = here.log_in(Role::User, Some("alice"), b"new-password").unwrap();
    assert_eq!(here.find(access(&alice), &named("hers")).unwrap().len(), 1);
    assert!(here.pending_resets(access(&so)).unwrap().is_empty());
    assert_eq!(reset(&here, &so), refused, "an approval is good for one reset");
    assert_eq!(opened_by(&house, &[SO]), (0, 2), "nothing is left of it");
    assert!(here.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn requests_end() {
    let house = with_objects(QUORUM, &["other"]);
    let token = house.process();
    let (so, other) = (login(&token, Role::Officer, "so"), login(&token, Role::Officer, "other"));
    let refused = Some(Error::ActionProhibited);
    let finish = || token.reset_password(access(&so), "alice", b"new-password").err();
    token.request_reset(access(&so), "alice").unwrap();
    token.approve_reset(access(&other), "alice").unwrap();
    token.cancel_reset(access(&other), "alice").unwrap();
    assert_eq!(finish(), refused, "taken back");
    // An approval of an older request is not one of the newer.
    token.request_reset(access(&so), "alice").unwrap();
    token.approve_reset(access(&other), "alice").unwrap();
    let id = token.find_user(&token.store().unwrap(), "alice").unwrap().unwrap().header.id;
    let change = |work: &dyn Fn(&mut User)| {
        let changed = token.store().unwrap().write(|change| {
            let mut user = change.user(id)?.unwrap();
            work(&mut user);
            user.save(change)
        });
        changed.unwrap();
    };
    change(&|user| user.request.as_mut().unwrap().nonce[0] ^= 1);
    assert_eq!(finish(), refused);
    change(&|user| user.request.as_mut().unwrap().nonce[0] ^= 1);
    // A day later, and before it was asked for.
    change(&|user| user.request.as_mut().unwrap().begun -= 24 * 60 * 60 + 1);
    assert_eq!(finish(), refused);
    assert!(token.pending_resets(access(&so)).unwrap().is_empty());
    change(&|user| user.request.as_mut().unwrap().begun += 48 * 60 * 60);
    assert_eq!(finish(), refused);
    change(&|user| user.request.as_mut().unwrap().begun -= 24 * 60 * 60 - 1);
    assert_eq!(finish(), None);
}

#[test]
fn a_quorum_is_of_the_officers_of_the_day() {
    let house = with_objects(QUORUM, &["other"]);
    let token = house.process();
    let so = login(&token, Role::Officer, "so");
    let other = login(&token, Role::Officer, "other");
    token.create_user(access(&so), "late", Role::Officer, b"pw-late").unwrap();
    let late = login(&token, Role::Officer, "late");
    token.set_pin(access(&late), b"pw-late", b"pw-late").unwrap();
    let late = login(&token, Role::Officer, "late");
    token.request_reset(access(&so), "late").unwrap();
    token.approve_reset(access(&other), "late").unwrap();
    token.request_reset(access(&so), "alice").unwrap();
    let refused = Some(Error::ActionProhibited);
    assert_eq!(token.approve_reset(access(&late), "alice").err(), refused, "he has no share yet");
    let alice = login(&token, Role::User, "alice");
    token.set_pin(access(&alice), b"pw-alice", b"her-own-new").unwrap();
    token.request_reset(access(&so), "alice").unwrap();
    token.approve_reset(access(&late), "alice").unwrap();
    token.reset_password(access(&so), "alice", b"pw-alice").unwrap();
    // An officer's password that another sets opens no shares.
    token.reset_password(access(&so), "other", b"pw-other").unwrap();
    assert_eq!(opened_by(&house, &[OTHER, BOB]), (0, 2));
    assert_eq!(opened_by(&house, &[OTHER, SO]), (0, 2));
    // Too few officers: no user.
    let small = House { config: house.config.clone(), _folder: tempfile::tempdir().unwrap() };
    let config = SlotConfig { path: small._folder.path().join("small.db"), ..small.config };
    let token = Token::new(config);
    token.initialize(OFFICER, "small").unwrap();
    let so = login(&token, Role::Officer, "so");
    assert_eq!(token.init_pin(access(&so), b"some-pin").err(), refused);
    assert!(token.users().unwrap().len() == 1);
}

#[test]
fn a_destroying_reset_leaves_nothing() {
    let house = with_objects(ResetPolicy::Destroys, &[]);
    let (here, there) = (house.process(), house.process());
    let (so, alice) = (login(&here, Role::Officer, "so"), login(&there, Role::User, "alice"));
    let user = login(&there, Role::User, "user");
    let hers = there.find(access(&alice), &named("hers")).unwrap()[0];
    let shared = insert(&there, access(&user), key("of user", true)).unwrap();
    there.share(access(&user), shared, &["alice"]).unwrap();
    // A lock can be ended without a reset.
    for _ in 0..5 {
        assert!(there.log_in(Role::User, Some("alice"), b"guess").is_err());
    }
    here.unlock(access(&so), "alice").unwrap();
    assert!(there.log_in(Role::User, Some("alice"), b"pw-alice").is_ok());
    here.reset_password(access(&so), "alice", b"new-password").unwrap();
    assert_eq!(there.object(access(&alice), hers).err(), Some(Error::ObjectHandleInvalid));
    let late = insert(&there, access(&alice), key("late", true));
    assert_eq!(
        late.err(),
        Some(Error::UserNotLoggedIn),
        "the old login writes nothing that nobody could read"
    );
    assert_eq!(opened_by(&house, &[SO]), (0, 1), "of alice's nothing is there");
    let alice = there.log_in(Role::User, Some("alice"), b"new-password").unwrap();
    assert!(there.find(access(&alice), &named("hers")).unwrap().is_empty());
    assert!(there.find(access(&alice), &named("of user")).unwrap().is_empty());
    let mine = insert(&there, access(&alice), key("mine", true)).unwrap();
    there.share(access(&alice), mine, &["user"]).unwrap();
    there.share(access(&user), shared, &["alice"]).unwrap();
    assert_eq!(there.find(access(&alice), &named("of user")).unwrap(), [shared]);
    assert_eq!(here.delete_user(access(&so), "alice", true), Ok(1));
    assert!(there.find(access(&user), &named("mine")).unwrap().is_empty());
    assert!(there.log_in(Role::User, Some("alice"), b"new-password").is_err());
    // Her name is free, and says nothing of before.
    here.create_user(access(&so), "alice", Role::User, b"pw-alice").unwrap();
    let alice = login(&there, Role::User, "alice");
    assert!(there.find(access(&alice), &named("of user")).unwrap().is_empty());
    there.modify(access(&user), shared, named("renamed")).unwrap();
    assert!(here.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn among_ten_thousand_users_one_is_found_as_fast() {
    let house = House::new();
    let token = house.process();
    let store = token.store().unwrap();
    let fastest = |name: &str| {
        let once = |_| {
            let begun = processor_time();
            assert!(token.find_user(&store, name).unwrap().is_some());
            processor_time() - begun
        };
        (0..200).map(once).min().unwrap()
    };
    let few = fastest("bob");
    let bob = token.find_user(&store, "bob").unwrap().unwrap();
    let make = |numbers: std::ops::Range<u32>| {
        store.write(|change| {
            numbers.clone().try_for_each(|number| {
                let mut user =
                    User::new(&format!("user-{number}"), Role::User, bob.header.author, bob.stretch)?;
                user.public = bob.public;
                user.save(change)
            })
        })
    };
    let list = |wanted: usize| {
        let once = |_| {
            let begun = processor_time();
            assert_eq!(token.users().unwrap().len(), wanted);
            processor_time() - begun
        };
        (0..3).map(once).min().unwrap()
    };
    make(0..2_000).unwrap();
    let list_few = list(2_004);
    make(2_000..10_000).unwrap();
    let many = fastest("user-7777");
    let list_many = list(10_004);
    println!("find one: {few:?} of 4, {many:?} of 10,004; list all: {list_few:?} of 2,004, {list_many:?}");
    assert!(many < few * 3, "{few:?} of 4, {many:?} of 10,004");
    assert!(list_many < list_few * 15, "five times the users, squared is 25: {list_few:?}, {list_many:?}");
    // The promise is one second, kept by a debug build, too; the rest is room for a busy machine.
    assert!(list_many < std::time::Duration::from_secs(3), "{list_many:?}");
}
