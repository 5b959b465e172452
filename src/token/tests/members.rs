//! A token that is a member of a cluster: how it becomes one, and when a change is done. Peers are played.

use super::*;
use crate::config::{ClusterConfig, Durability};
use crate::store::keeper::{Condition, Keeper};
use crate::store::{Kind, RecordRow};
use crate::token::{JoinRequest, Joining};

fn quorum(house: &House) -> SlotConfig {
    let cluster = ClusterConfig {
        endpoints: vec!["https://127.0.0.1:1".into()],
        ca: "ca".into(),
        certificate: "certificate".into(),
        key: "key".into(),
        user: None,
        prefix: "strongroom/".into(),
        durability: Durability::Quorum,
        quorum_timeout_ms: 100,
        metrics: None,
        background: false,
    };
    SlotConfig { cluster: Some(cluster), ..house.config.clone() }
}

pub fn founded(house: &House) -> Token {
    let token = house.process();
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    token.found_cluster(access(&officer), "one").unwrap();
    assert_eq!(token.found_cluster(access(&officer), "one"), Err(Error::ActionProhibited));
    token
}

/// The peers have it all.
pub fn all_sent(token: &Token) -> Vec<RecordRow> {
    let store = token.store().unwrap();
    let sent = store.outgoing(1000).unwrap();
    let as_peer = (&*store, store.peer().unwrap().unwrap());
    token.write_from_peers(as_peer, |change| sent.iter().try_for_each(|whole| change.sent(whole))).unwrap();
    sent
}

#[test]
fn an_officer_who_is_gone_lets_nobody_in() {
    let house = House::new();
    let token = house.process();
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let leave = |name: &str| {
        token.create_user(access(&officer), name, Role::Officer, b"pw-gone").unwrap();
        let gone = token.log_in(Role::Officer, Some(name), b"pw-gone").unwrap();
        house.process().delete_user(access(&officer), name, false).unwrap();
        gone
    };
    let gone = leave("before");
    assert_eq!(token.found_cluster(access(&gone), "one"), Err(Error::UserNotLoggedIn));
    let gone = leave("after");
    token.found_cluster(access(&officer), "one").unwrap();
    let request = Joining::new("two").unwrap().request;
    assert_eq!(token.welcome(access(&gone), &request).err(), Some(Error::UserNotLoggedIn));
    assert_eq!(token.members().unwrap().len(), 1);
}

#[test]
fn a_host_joins_by_an_officers_yes_and_a_code() {
    let (house, other) = (House::new(), House::new());
    let (token, foreign) = (founded(&house), founded(&other));
    let asks = Joining::new("two").unwrap();
    let request = JoinRequest::decode(&asks.request.encode()).unwrap();
    assert_eq!(request, asks.request);
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    assert!(token.welcome(access(&alice), &request).is_err());
    assert!(token.welcome(NOBODY, &request).is_err());
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let welcome = token.welcome(access(&officer), &request).unwrap();
    let secrets = token.store().unwrap().ring().encode();
    assert!(!welcome.sealed.windows(8).any(|part| secrets.windows(8).any(|secret| part == secret)));
    // Not for another host, and not altered.
    assert!(Joining::new("two").unwrap().open(&welcome.sealed).is_err());
    let mut altered = welcome.sealed.clone();
    altered[40] ^= 1;
    assert!(asks.open(&altered).is_err());
    // A stranger's token opens, and does not know the code.
    let his = foreign.log_in(Role::Officer, None, OFFICER).unwrap();
    let his = foreign.welcome(access(&his), &request).unwrap();
    assert_ne!(asks.open(&his.sealed).unwrap().code(), welcome.code);
    let joined = asks.open(&welcome.sealed).unwrap();
    assert_eq!(joined.code(), welcome.code);
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    joined.make(&config).unwrap();
    assert_eq!(asks.open(&welcome.sealed).unwrap().make(&config), Err(Error::ActionProhibited));
    let two = Token::new(config);
    let names: Vec<String> = two.members().unwrap().into_iter().map(|member| member.name).collect();
    assert!(names.len() == 2 && names.contains(&"two".to_owned()), "{names:?}");
    assert_eq!(two.peer().unwrap(), Some(request.member.id));
    assert_eq!(two.appliance().unwrap().map(|host| host.id), Some(request.member.id));
    assert_eq!(two.store().unwrap().pending().unwrap(), 0);
    // What the first one sends is what the second one has, byte for byte, and opens there.
    let (store, sent) = (two.store().unwrap(), all_sent(&token));
    two.write_from_peers((&store, request.member.id), |change| {
        sent.iter().try_for_each(|whole| change.adopt(whole))
    })
    .unwrap();
    assert_eq!(store.summary().unwrap(), token.store().unwrap().summary().unwrap());
    two.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    assert_eq!(two.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
}

#[test]
fn what_the_peers_lack_is_known() {
    let house = House::new();
    let token = founded(&house);
    let store = token.store().unwrap();
    assert_eq!(store.pending().unwrap(), store.summary().unwrap().1, "all that was there before");
    all_sent(&token);
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    let handle = insert(&token, access(&alice), key("hers", true)).unwrap();
    let sent = all_sent(&token);
    let made = sent.iter().find(|whole| whole.record.header.kind == Kind::Object).unwrap();
    assert_eq!(Some(made.record.header.author), store.peer().unwrap());
    // What changed while it was on its way is still to be sent.
    token.modify(access(&alice), handle, named("new")).unwrap();
    let old = store.outgoing(10).unwrap();
    token.modify(access(&alice), handle, named("newer")).unwrap();
    let as_peer = (&*store, store.peer().unwrap().unwrap());
    token.write_from_peers(as_peer, |change| change.sent(&old[0])).unwrap();
    assert_eq!(store.pending().unwrap(), 1);
    // Destroyed: the keys are gone, a word of it stays.
    token.destroy(access(&alice), handle).unwrap();
    let gone = all_sent(&token).pop().unwrap();
    assert_eq!((gone.record.header.kind, gone.record.header.id), (Kind::Gone, made.record.header.id));
    assert!(gone.keys.is_empty() && gone.terms.is_empty());
    assert!(store.holders(made.record.header.id).unwrap().is_empty());
    assert_eq!(token.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
    // A token made anew is nobody's peer, and takes nothing of the old one.
    let anew = house.process();
    anew.initialize(OFFICER, "anew").unwrap();
    assert_eq!((anew.peer().unwrap(), anew.store().unwrap().pending().unwrap()), (None, 0));
    let late = token.write_from_peers(as_peer, |change| change.adopt(made));
    assert_eq!(late, Err(Error::TokenNotRecognized));
}

#[test]
fn a_quorum_write_tells_what_became_of_it() {
    let house = House::new();
    founded(&house);
    let token = Token::new(quorum(&house));
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    let count = || token.find(access(&alice), &Vec::new()).unwrap().len();
    let before = count();
    let make = |label: &str| insert(&token, access(&alice), key(label, true));
    // Nobody keeps it in step, or he is cut off: nothing was done.
    assert_eq!(make("alone").err(), Some(Error::TokenWriteProtected));
    let keeper = Keeper::become_for(token.path()).unwrap().unwrap();
    let cut_off = Condition { last_error: "etcd cannot be reached".into(), ..Condition::default() };
    keeper.tell(&cut_off).unwrap();
    assert_eq!(make("cut off").err(), Some(Error::TokenWriteProtected));
    assert_eq!(count(), before);
    // The majority goes away meanwhile: it is there, and waits.
    keeper.tell(&Condition { connected: true, ..Condition::default() }).unwrap();
    assert_eq!(make("pending").err(), Some(Error::Pending));
    assert_eq!(count(), before + 1);
    // It is sent, or a peer was faster.
    let agent = |overrules: bool| {
        let other = house.process();
        std::thread::spawn(move || {
            let store = other.store().unwrap();
            let as_peer = (&*store, store.peer().unwrap().unwrap());
            let end = std::time::Instant::now() + std::time::Duration::from_secs(3);
            while std::time::Instant::now() < end {
                let waiting = store.outgoing(100).unwrap();
                if waiting.iter().any(|whole| whole.record.header.kind == Kind::Object) {
                    let settled = |change: &mut crate::store::Change<'_>| {
                        waiting.iter().try_for_each(|whole| match overrules {
                            true => change.overruled(whole.record.header.id, whole.record.header.version),
                            false => change.sent(whole),
                        })
                    };
                    return other.write_from_peers(as_peer, settled).unwrap();
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            panic!("nothing to send");
        })
    };
    all_sent(&token);
    let patient = |house: &House| {
        let mut config = quorum(house);
        config.cluster.as_mut().unwrap().quorum_timeout_ms = 3000;
        Token::new(config)
    };
    let token = patient(&house);
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    all_sent(&token);
    let sends = agent(false);
    insert(&token, access(&alice), key("sent", true)).unwrap();
    sends.join().unwrap();
    let overrules = agent(true);
    assert_eq!(insert(&token, access(&alice), key("lost", true)).err(), Some(Error::FunctionFailed));
    overrules.join().unwrap();
}

#[test]
fn what_gets_stricter_and_locks_count_above_versions() {
    let house = House::new();
    let token = founded(&house);
    let alice = token.log_in(Role::User, None, b"alice:pw-alice").unwrap();
    let handle = insert(&token, access(&alice), key("hers", true)).unwrap();
    let flags = |kind| {
        let found = all_sent(&token).into_iter().filter(|whole| whole.record.header.kind == kind);
        found.map(|whole| whole.record.header.flags).max().unwrap()
    };
    let loose = flags(Kind::Object);
    token.modify(access(&alice), handle, vec![(CKA_SENSITIVE, Value::Bool(true))]).unwrap();
    let sensitive = flags(Kind::Object);
    assert!(sensitive >= loose && sensitive & 1 == 1, "{loose} {sensitive}");
    for _ in 0..house.config.max_failures {
        let _ = token.log_in(Role::User, None, b"bob:wrong-pw");
    }
    let locked = flags(Kind::User);
    assert_eq!(locked % 2, 1);
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    all_sent(&token);
    token.unlock(access(&officer), "bob").unwrap();
    assert_eq!(flags(Kind::User), locked + 1);
}
