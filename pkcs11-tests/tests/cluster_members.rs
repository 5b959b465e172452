//! A host leaves a cluster of three: what it has opens nothing that is written later, what it writes is refused,
//! it serves on alone; the others seal everything anew, also one that was away for two epochs, a deletion and a
//! compaction of etcd.

#[path = "cluster/hosts.rs"]
#[allow(dead_code, reason = "shared by several tests")]
mod hosts;

use cryptoki_sys::*;
use hosts::{A, B, C, Hosts, soon};
use pkcs11_tests::keys::{bytes, no, number, yes};
use serde_json::Value;

/// Values of etcd below a key, as somebody kept them.
fn kept(hosts: &Hosts, below: &str) -> Vec<(String, Vec<u8>)> {
    let keys = hosts.etcd.keys(below);
    keys.into_iter().map(|key| (key.clone(), hosts.etcd.get(&key))).collect()
}

/// Until a host has closed every epoch before this one, as its own log says.
fn closed(hosts: &Hosts, host: usize, before: u64) {
    let ended = format!("\"{}\"", before - 1);
    soon("the earlier epochs are closed", || {
        let log = hosts.strongroom(host, &["audit", "list", "--json"], "");
        log.lines().any(|line| line.contains("epoch-ended") && line.contains(&ended)).then_some(())
    });
    let status = hosts.status(host);
    assert_eq!((status["epoch"].as_u64(), status["to_seal_anew"].as_u64()), (Some(before), Some(0)));
}

#[test]
fn a_host_leaves() {
    let mut hosts = Hosts::new();
    let user = hosts.user(A);
    for label in ["before", "doomed"] {
        hosts.pair(user, label);
    }
    let by_b = hosts.user(B);
    hosts.pair(by_b, "by-b");
    let notes: Vec<String> = (0..30).map(|number| format!("note-{number}")).collect();
    let user = hosts.user(A);
    for note in &notes {
        let public =
            [yes(CKA_TOKEN), no(CKA_PRIVATE), number(CKA_CLASS, CKO_DATA), bytes(CKA_LABEL, note.as_bytes())];
        hosts.create(user, &public);
    }
    let away = hosts.user(C);
    soon("C has it all", || hosts.find(away, "by-b").first().copied());
    hosts.all_the_same();
    let everything = kept(&hosts, &hosts.prefix());
    hosts.kill_agent(C);
    removed(&mut hosts);
    the_removed_host_serves_on_alone(&mut hosts);
    closed(&hosts, A, 2);
    what_the_removed_host_kept_is_refused(&hosts, &everything);
    more_happens_meanwhile(&hosts);
    one_who_was_away_follows(&mut hosts);
    two_officers_at_once(&mut hosts);
}

fn removed(hosts: &mut Hosts) {
    let refused = hosts.failing(A, &["cluster", "remove", "nobody"]);
    assert!(refused.contains("No member is called nobody"), "{refused}");
    let refused = hosts.failing(B, &["cluster", "remove", "b"]);
    assert!(refused.contains("another member"), "{refused}");
    let said = hosts.strongroom(A, &["cluster", "remove", "b", "--json"], "");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["data"]["epoch"], 2);
    // kill -9 in the middle of sealing anew, again and again.
    for _ in 0..3 {
        hosts.kill_agent(A);
        hosts.start_agent(A);
    }
    let user = hosts.user(A);
    soon("the agent is back", || hosts.try_pair(user, "after").ok());
    let list = hosts.strongroom(A, &["cluster", "list"], "");
    assert!(!list.contains(" b "), "{list}");
}

fn the_removed_host_serves_on_alone(hosts: &mut Hosts) {
    let log = hosts.ended(B);
    assert!(log.contains("removed from"), "{log}");
    let user = hosts.user(B);
    let key = hosts.find(user, "before")[0];
    assert_eq!(hosts.sign(user, key), CKR_OK);
    assert!(hosts.find(user, "after").is_empty());
    assert_eq!(hosts.try_pair(user, "more").err(), Some(CKR_TOKEN_WRITE_PROTECTED));
    let said = hosts.failing(B, &["user", "create", "carl", "--role", "CU"]);
    assert!(said.contains("removed from the cluster"), "{said}");
    for words in [&["cluster", "rotate"][..], &["cluster", "remove", "a"], &["agent"]] {
        let said = hosts.failing(B, words);
        assert!(said.contains("removed"), "{words:?}: {said}");
    }
    assert!(hosts.strongroom(B, &["verify"], "").contains(" 0 faults"));
}

/// It has etcd's certificate still, what lay there when it was a member, and what it signed itself.
fn what_the_removed_host_kept_is_refused(hosts: &Hosts, everything: &[(String, Vec<u8>)]) {
    let (mut own, mut others) = (0, 0);
    let now = kept(hosts, &hosts.prefix());
    for (key, value) in everything.iter().filter(|(key, _)| !key.contains("/m/")) {
        let there = &now.iter().find(|(name, _)| name == key).expect("still there").1;
        assert_ne!(there, value, "{key} was sealed anew");
        *if value[..16] == everything[0].1[..16] { &mut own } else { &mut others } += 1;
    }
    assert!(own > 0 && others > 0);
    // He puts some of it back, his own membership too, and rubbish where the epoch's key lies.
    let mut attacked: Vec<(String, Vec<u8>)> =
        everything.iter().filter(|(key, _)| key.contains("/r/")).step_by(12).cloned().collect();
    let member = everything.iter().filter(|(key, _)| key.contains("/m/"));
    let gone = member.filter(|(key, value)| hosts.etcd.get(key) != *value);
    attacked.extend(gone.cloned());
    let epoch = hosts.etcd.keys(&format!("{}e/", hosts.prefix()))[0].clone();
    attacked.push((epoch, everything[0].1.clone()));
    assert!(attacked.len() > 4, "{}", attacked.len());
    for (key, value) in &attacked {
        hosts.etcd.put(key, value);
    }
    for (key, value) in &attacked {
        soon("it is written over", || (hosts.etcd.get(key) != *value).then_some(()));
    }
    let list = hosts.strongroom(A, &["cluster", "list"], "");
    assert!(!list.contains(" b "), "{list}");
    let user = hosts.user(A);
    let key = hosts.find(user, "by-b")[0];
    assert_eq!(hosts.sign(user, key), CKR_OK, "what it made before is everybody's");
}

/// A key is destroyed, and its past goes out of etcd; another epoch.
fn more_happens_meanwhile(hosts: &Hosts) {
    let revision = hosts.status(A)["revision"].as_u64().expect("a revision");
    assert!(hosts.etcd.has_past("strongroom/", revision));
    let user = hosts.user(A);
    let doomed = hosts.find(user, "doomed")[0];
    assert_eq!(hosts.destroy(user, doomed), CKR_OK);
    hosts.strongroom(A, &["cluster", "rotate"], "");
    closed(hosts, A, 3);
    soon("the agent compacts etcd's history", || {
        (!hosts.etcd.has_past("strongroom/", revision)).then_some(())
    });
}

/// Also across the deletion and the compaction.
fn one_who_was_away_follows(hosts: &mut Hosts) {
    let away = hosts.user(C);
    hosts.pair(away, "made-away");
    let doomed = hosts.find(away, "doomed")[0];
    assert_eq!(hosts.set(away, doomed, &[bytes(CKA_ID, b"changed")]), CKR_OK);
    let said = hosts.status(C);
    assert_eq!(said["epoch"], 1);
    hosts.start_agent(C);
    hosts.same(&[A, C]);
    closed(hosts, C, 3);
    for host in [A, C] {
        let user = hosts.user(host);
        for label in ["made-away", "after", "before"] {
            let key = soon(label, || hosts.find(user, label).first().copied());
            assert_eq!(hosts.sign(user, key), CKR_OK);
        }
        assert!(hosts.find(user, "doomed").is_empty(), "what was destroyed comes back nowhere");
    }
}

fn two_officers_at_once(hosts: &mut Hosts) {
    let begin = |host: usize| {
        let said = hosts.strongroom(host, &["cluster", "rotate", "--json"], "");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        said["data"]["epoch"].as_u64().expect("a number")
    };
    let mut epochs = std::thread::scope(|scope| {
        let officers = [A, C].map(|host| scope.spawn(move || begin(host)));
        officers.map(|officer| officer.join().expect("an officer"))
    });
    epochs.sort_unstable();
    assert_eq!(epochs, [4, 5]);
    let user = hosts.user(A);
    hosts.pair(user, "in-the-last");
    let there = hosts.user(C);
    let key = soon("C follows", || hosts.find(there, "in-the-last").first().copied());
    assert_eq!(hosts.sign(there, key), CKR_OK);
    closed(hosts, A, 5);
    closed(hosts, C, 5);
    hosts.same(&[A, C]);
}
