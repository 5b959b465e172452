//! Words that do not arrive: one way, now and then, late, or of members of etcd.

use crate::hosts::{A, B, C, Hosts, soon};
use cryptoki_sys::*;
use pkcs11_tests::wires::Way;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A hears no answers, B's requests do not arrive. Neither is told that anything is wrong.
pub fn one_way(hosts: &mut Hosts) {
    let hosts = &*hosts;
    let (users, there) = ([hosts.user(A), hosts.user(B)], hosts.user(C));
    // Their logins were counted, and are no news any more.
    hosts.all_the_same();
    let before = hosts.etcd.keys(&hosts.prefix()).len();
    // Time to hold A's answer before it arrives.
    hosts.wires[A].slow(Duration::from_secs(1));
    hosts.wires[B].hold(Way::There);
    std::thread::scope(|scope| {
        let write = |host: usize| hosts.try_pair(users[host], &format!("one-way-{host}"));
        let writers = [A, B].map(|host| scope.spawn(move || write(host)));
        soon("A's request arrives", || (hosts.etcd.keys(&hosts.prefix()).len() > before).then_some(()));
        hosts.wires[A].hold(Way::Back);
        soon("C hears of it", || hosts.find(there, "one-way-0").first().copied());
        for writer in writers {
            assert_eq!(writer.join().expect("a writer"), Err(CKR_PENDING), "nobody can know");
        }
        assert!(hosts.find(there, "one-way-1").is_empty(), "B's request did not");
    });
    for host in [A, B] {
        let why = hosts.cut_off(host);
        assert!(why.contains("no answer"), "{why}");
        let user = hosts.user(host);
        assert_eq!(hosts.try_pair(user, "refused"), Err(CKR_TOKEN_WRITE_PROTECTED));
        assert!(hosts.find(user, "refused").is_empty());
        let key = hosts.find(user, &format!("one-way-{host}"))[0];
        assert_eq!(hosts.sign(user, key), CKR_OK, "it is here, and pending");
    }
    [A, B].iter().for_each(|host| hosts.mend(*host));
    everywhere(hosts, &["one-way-0", "one-way-1"]);
}

/// Every host finds exactly one key of each label and signs with it.
pub fn everywhere(hosts: &Hosts, labels: &[&str]) {
    for host in [A, B, C] {
        let user = hosts.user(host);
        for label in labels {
            let key = soon(label, || hosts.find(user, label).first().copied());
            assert_eq!(hosts.sign(user, key), CKR_OK, "{label} on {host}");
            assert_eq!(hosts.find(user, label).len(), 1, "{label} on {host}");
        }
    }
}

/// Hosts writing while B's wires come and go.
pub fn flapping(hosts: &mut Hosts) {
    let hosts = &*hosts;
    let (stop, made) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let user = hosts.user(B);
    let write = || {
        for round in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let label = format!("flapping-{round}");
            match hosts.try_pair(user, &label) {
                Ok(()) => made.lock().expect("list").push(label),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(write);
        for round in 0..12 {
            hosts.wires[B].cut();
            std::thread::sleep(Duration::from_millis(20 * (round % 4)));
            hosts.wires[B].mend();
            std::thread::sleep(Duration::from_millis(200));
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
    });
    hosts.connected(B);
    let made = made.into_inner().expect("list");
    println!("  {} keys confirmed while the wires flapped", made.len());
    assert!(!made.is_empty());
    hosts.all_the_same();
    let there = hosts.user(C);
    for label in &made {
        assert_eq!(hosts.find(there, label).len(), 1, "{label} was confirmed, and is lost");
    }
}

/// First the member that all hosts talk to, then a second one: no majority is left.
pub fn members_of_etcd(hosts: &mut Hosts) {
    hosts.etcd.freeze_member(0);
    let user = hosts.user(A);
    let made = hosts.try_pair(user, "minority");
    assert!(matches!(made, Ok(()) | Err(CKR_PENDING)), "{made:x?}");
    everywhere(hosts, &["minority"]);
    hosts.etcd.freeze_member(1);
    for host in [A, C] {
        hosts.cut_off(host);
    }
    let user = hosts.user(A);
    assert_eq!(hosts.try_pair(user, "refused"), Err(CKR_TOKEN_WRITE_PROTECTED));
    let alone = hosts.user(C);
    hosts.pair(alone, "no-majority");
    hosts.etcd.thaw_member(0);
    hosts.etcd.thaw_member(1);
    [A, B, C].iter().for_each(|host| hosts.connected(*host));
    everywhere(hosts, &["no-majority"]);
}

/// Every word takes 200 ms.
pub fn slow(hosts: &mut Hosts) {
    hosts.wires.iter().for_each(|wires| wires.slow(Duration::from_millis(200)));
    let user = hosts.user(A);
    hosts.pair(user, "slowly");
    let there = hosts.user(B);
    let key = soon("it comes slowly", || hosts.find(there, "slowly").first().copied());
    assert_eq!(hosts.destroy(there, key), CKR_OK);
    let user = hosts.user(A);
    soon("it goes slowly", || hosts.find(user, "slowly").is_empty().then_some(()));
    [A, B, C].iter().for_each(|host| hosts.mend(*host));
}
