//! Three hosts of a cluster over three members of etcd, by the module and by the `strongroom` command. Hosts
//! are slots of one configuration, each with a token file, an agent and wires to etcd of its own.

#[path = "cluster/hosts.rs"]
#[allow(dead_code, reason = "shared by several tests")]
mod hosts;
#[path = "cluster/observation.rs"]
mod observation;

use cryptoki_sys::*;
use hosts::{A, B, C, Hosts, LIMIT, soon};
use pkcs11_tests::keys::bytes;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BOB: &[u8] = b"bob:bob-9876";

#[test]
fn a_cluster() {
    let mut hosts = Hosts::new();
    keys_made_on_one_host_are_used_on_another(&hosts);
    users_passwords_and_locks_are_the_same_everywhere(&hosts);
    what_is_destroyed_stays_so(&hosts);
    a_host_that_is_cut_off_goes_on(&hosts);
    the_operator_of_etcd_can_only_delay(&hosts);
    members_of_etcd_die_and_agents_too(&mut hosts);
    hosts.all_the_same();
    everybody_at_once(&hosts);
    observation::numbers_and_lines(&mut hosts);
    observation::records_are_compared_and_read_again(&mut hosts);
    observation::a_difference_is_noticed_and_healed(&mut hosts);
}

fn keys_made_on_one_host_are_used_on_another(hosts: &Hosts) {
    let user = hosts.user(A);
    let begun = Instant::now();
    hosts.pair(user, "made-on-a");
    let made = begun.elapsed();
    let there = hosts.user(B);
    let key = soon("the key is on B", || hosts.find(there, "made-on-a").first().copied());
    println!("made in {made:?}, found on another host {:?} after the call began", begun.elapsed());
    assert_eq!(hosts.sign(there, key), CKR_OK);
    // With another user's share, given on A, used on B.
    hosts.strongroom(A, &["user", "create", "bob", "--role", "CU"], "bob-9876");
    hosts.strongroom(A, &["key", "share", "made-on-a", "--with", "bob"], "");
    let bob = soon("bob can log in on B", || hosts.log_in(B, BOB).ok());
    let key = soon("bob finds what is shared", || hosts.find(bob, "made-on-a").first().copied());
    assert_eq!(hosts.sign(bob, key), CKR_OK);
    hosts.strongroom(A, &["key", "unshare", "made-on-a", "--with", "bob"], "");
    soon("it is his no more", || hosts.find(bob, "made-on-a").is_empty().then_some(()));
    hosts.log_out(bob);
    // A certificate's worth of public object, and an attribute changed on B seen on A.
    let user = hosts.user(B);
    let label = [bytes(CKA_LABEL, b"named-on-b")];
    let key = hosts.find(user, "made-on-a")[0];
    assert_eq!(hosts.set(user, key, &label), CKR_OK);
    let user = hosts.user(A);
    soon("the new name is on A", || hosts.find(user, "named-on-b").first().copied());
    assert!(hosts.find(user, "made-on-a").is_empty());
}

fn users_passwords_and_locks_are_the_same_everywhere(hosts: &Hosts) {
    let done = hosts.strongroom(B, &["user", "change-password", "bob", "--json"], "bob-new-1");
    assert!(done.contains("bob"), "{done}");
    soon("the new password is good on A", || hosts.log_in(A, b"bob:bob-new-1").ok());
    let old = hosts.log_in(A, BOB);
    assert_eq!(old.err(), Some(CKR_PIN_INCORRECT));
    for _ in 0..4 {
        assert_eq!(hosts.log_in(A, b"bob:wrong-pw").err(), Some(CKR_PIN_INCORRECT));
    }
    soon("the lock is on B", || {
        (hosts.log_in(B, b"bob:bob-new-1").err() == Some(CKR_PIN_LOCKED)).then_some(())
    });
    hosts.strongroom(B, &["user", "unlock", "bob"], "");
    soon("its end is on A", || hosts.log_in(A, b"bob:bob-new-1").ok());
    hosts.strongroom(C, &["user", "delete", "bob"], "");
    soon("bob is nobody on A", || {
        (hosts.log_in(A, b"bob:bob-new-1").err() == Some(CKR_PIN_INCORRECT)).then_some(())
    });
}

fn what_is_destroyed_stays_so(hosts: &Hosts) {
    let user = hosts.user(A);
    hosts.pair(user, "doomed");
    let away = hosts.user(C);
    let key = soon("it is on C", || hosts.find(away, "doomed").first().copied());
    hosts.cut(C);
    let user = hosts.user(A);
    let mine = hosts.find(user, "doomed")[0];
    assert_eq!(hosts.destroy(user, mine), CKR_OK);
    let there = hosts.user(B);
    soon("B has it no more", || hosts.find(there, "doomed").is_empty().then_some(()));
    // C knows nothing of it, uses it, and even changes it.
    let away = hosts.user(C);
    assert_eq!(hosts.sign(away, key), CKR_OK);
    for round in 0..3 {
        assert_eq!(hosts.set(away, key, &[bytes(CKA_ID, &[round])]), CKR_OK, "durability is local on C");
    }
    hosts.mend(C);
    soon("C has it no more", || hosts.find(away, "doomed").is_empty().then_some(()));
    hosts.all_the_same();
    assert_eq!(hosts.sign(away, key), CKR_KEY_HANDLE_INVALID);
    let user = hosts.user(B);
    assert!(hosts.find(user, "doomed").is_empty());
    let log = hosts.strongroom(C, &["audit", "list", "--json"], "");
    assert!(log.contains("overruled"), "C's log says that its change gave way");
}

fn a_host_that_is_cut_off_goes_on(hosts: &Hosts) {
    let user = hosts.user(B);
    hosts.pair(user, "before");
    let key = hosts.find(user, "before")[0];
    [B, C].iter().for_each(|host| hosts.cut(*host));
    assert_eq!(hosts.sign(user, key), CKR_OK, "signing needs nobody");
    // Durability quorum: refused, and nothing was done. Local: it works, and merges later.
    assert_eq!(hosts.try_pair(user, "refused").err(), Some(CKR_TOKEN_WRITE_PROTECTED));
    assert!(hosts.find(user, "refused").is_empty());
    let alone = hosts.user(C);
    // The login may be counted in the user's record, when a login elsewhere was not through as C was cut off.
    let pending = || hosts.status(C)["pending"].as_u64().expect("a number");
    let counted = pending();
    hosts.pair(alone, "made-alone");
    assert_eq!(pending(), counted + 2, "both halves");
    let user = hosts.user(A);
    hosts.pair(user, "made-meanwhile");
    [B, C].iter().for_each(|host| hosts.mend(*host));
    for host in [A, B, C] {
        let user = hosts.user(host);
        for label in ["made-alone", "made-meanwhile"] {
            let key = soon(label, || hosts.find(user, label).first().copied());
            assert_eq!(hosts.sign(user, key), CKR_OK);
        }
    }
    hosts.all_the_same();
}

/// Alters, replays, misplaces, deletes and invents values; each is refused, and put right by those who know.
fn the_operator_of_etcd_can_only_delay(hosts: &Hosts) {
    let user = hosts.user(A);
    let record = |label: &str| {
        let key = hosts.find(hosts.user(A), label)[0];
        format!("{}r/{}", hosts.prefix(), hosts.unique_id(key))
    };
    let (one, other) = (record("before"), record("made-alone"));
    let (genuine, old) = (hosts.etcd.get(&one), hosts.etcd.get(&other));
    assert!(!genuine.windows(6).any(|part| part == b"before"), "labels are sealed");
    let key = hosts.find(user, "made-alone")[0];
    assert_eq!(hosts.set(user, key, &[bytes(CKA_LABEL, b"newer")]), CKR_OK);
    let newer = hosts.etcd.get(&other);
    let mut altered = genuine.clone();
    *altered.last_mut().expect("bytes") ^= 1;
    let refused = hosts.status(A)["refused"].as_u64().expect("number");
    hosts.etcd.put(&one, &altered);
    soon("A refuses it", || (hosts.status(A)["refused"].as_u64() > Some(refused)).then_some(()));
    let said = hosts.status(A)["last_error"].to_string();
    assert!(said.contains("refused: altered"), "{said}");
    let right = || (hosts.etcd.get(&one) != altered).then_some(());
    soon("the right one is back", right);
    // A value of another place, an older one of the same place, none at all, and junk.
    hosts.etcd.put(&one, &newer);
    soon("the right one is back", || (hosts.etcd.get(&one) != newer).then_some(()));
    hosts.etcd.put(&other, &old);
    soon("the newer one is back", || (hosts.etcd.get(&other) != old).then_some(()));
    hosts.etcd.control(&["del", &one]);
    soon("it is back", || hosts.etcd.keys(&one).first().cloned());
    hosts.etcd.put(&format!("{}r/{}", hosts.prefix(), "00000000-0000-0000-0000-000000000001"), &genuine);
    hosts.etcd.put(&format!("{}r/no-name", hosts.prefix()), b"junk");
    hosts.etcd.put(&format!("{}m/{}", hosts.prefix(), "00000000-0000-0000-0000-000000000002"), &genuine);
    hosts.etcd.put("strongroom/join/junk", b"junk");
    for host in [A, B, C] {
        let user = hosts.user(host);
        let key = soon("all serve on", || hosts.find(user, "newer").first().copied());
        assert_eq!(hosts.sign(user, key), CKR_OK);
        let key = hosts.find(user, "before")[0];
        assert_eq!(hosts.sign(user, key), CKR_OK);
    }
    hosts.all_the_same();
}

fn members_of_etcd_die_and_agents_too(hosts: &mut Hosts) {
    for member in 0..3 {
        hosts.etcd.kill_member(member);
        let label = format!("without-{member}");
        let user = hosts.user(A);
        soon("a majority is left", || hosts.try_pair(user, &label).ok());
        hosts.etcd.start_member(member);
        let there = hosts.user(B);
        soon("it is on B", || hosts.find(there, &label).first().copied());
    }
    hosts.kill_agent(B);
    let user = hosts.user(B);
    hosts.pair(user, "no-agent");
    let user = hosts.user(A);
    soon("the caller took it there", || hosts.find(user, "no-agent").first().copied());
    hosts.pair(user, "while-b-slept");
    hosts.start_agent(B);
    let there = hosts.user(B);
    let key = soon("B has read on", || hosts.find(there, "while-b-slept").first().copied());
    assert_eq!(hosts.sign(there, key), CKR_OK);
    assert!(hosts.stop_agent(B) < LIMIT, "a clean stop");
    hosts.start_agent(B);
}

/// All hosts make, rename, use and destroy the same few keys at once, while one after the other is cut off.
/// What was confirmed is there, what was destroyed is not, and all hold the same.
fn everybody_at_once(hosts: &Hosts) {
    let stop = AtomicBool::new(false);
    let (made, destroyed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let shared = ["common-0", "common-1", "common-2"];
    let user = hosts.user(A);
    shared.iter().for_each(|label| hosts.pair(user, label));
    let work = &|host: usize| {
        let user = hosts.user(host);
        for round in 0..10_000 {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let label = format!("storm-{host}-{round}");
            for key in hosts.find(user, shared[round % 3]) {
                hosts.set(user, key, &[bytes(CKA_ID, label.as_bytes())]);
                assert_eq!(hosts.sign(user, key), CKR_OK, "{label}");
            }
            if hosts.try_pair(user, &label).is_err() {
                continue;
            }
            if round % 3 < 2 {
                made.lock().expect("list").push(label);
            } else if hosts.destroy(user, hosts.find(user, &label)[0]) == CKR_OK {
                destroyed.lock().expect("list").push(label);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = [A, B, C].map(|host| scope.spawn(move || work(host)));
        for host in [C, B, A] {
            hosts.wires[host].cut();
            std::thread::sleep(Duration::from_millis(700));
            hosts.mend(host);
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().for_each(|worker| worker.join().expect("a host"));
    });
    hosts.all_the_same();
    let (made, destroyed) = (made.into_inner().expect("list"), destroyed.into_inner().expect("list"));
    println!("a storm: {} keys made and confirmed, {} destroyed", made.len(), destroyed.len());
    assert!(made.len() > 10 && !destroyed.is_empty());
    let mut ids = Vec::new();
    for host in [A, B, C] {
        let user = hosts.user(host);
        let there = |label: &String| hosts.find(user, label).len();
        assert!(made.iter().all(|label| there(label) == 1), "{host}: a confirmed key is lost");
        assert!(destroyed.iter().all(|label| there(label) == 0), "{host}: a destroyed key is back");
        ids.push(shared.map(|label| hosts.id_of(user, hosts.find(user, label)[0])));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn what_cannot_be() {
    let (folder, config) = pkcs11_tests::cheap_config();
    let strongroom = |words: &[&str]| {
        let mut command = std::process::Command::new(pkcs11_tests::tool_path());
        command.args(words).arg("--config").arg(&config).env("STRONGROOM_OFFICER_PASSWORD", "officer-1");
        let output = command.output().expect("strongroom");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(strongroom(&["cluster", "activate"]).0);
    for words in [&["agent"][..], &["cluster", "init"], &["cluster", "status"]] {
        let (done, said) = strongroom(words);
        assert!(!done && said.contains("names no etcd"), "{words:?}: {said}");
    }
    let text = std::fs::read_to_string(&config).expect("configuration");
    let more = "[slot.cluster]\nendpoints = [\"https://127.0.0.1:1\"]\nca = \"ca\"\ncertificate = \"c\"\nkey = \"k\"\n";
    std::fs::write(&config, text + more).expect("configuration");
    for words in [&["agent"][..], &["cluster", "status"]] {
        let (done, said) = strongroom(words);
        assert!(!done && said.contains("no member of a cluster"), "{words:?}: {said}");
    }
    let (done, said) = strongroom(&["cluster", "join"]);
    assert!(!done && said.contains("There is a token already"), "{said}");
    drop(folder);
}
