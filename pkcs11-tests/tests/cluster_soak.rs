//! A storm: programs on three hosts make, change, use and destroy keys while hosts, agents and members of etcd are
//! cut off, held, slowed, frozen and killed at random. `ci/soak` runs it for minutes.
//! SOAK_SECONDS: how long; SOAK_SEED: which storm.

#[path = "cluster/hosts.rs"]
#[allow(dead_code)]
mod hosts;

use cryptoki_sys::*;
use hosts::{A, B, C, Hosts, Programs, soon};
use pkcs11_tests::keys::bytes;
use pkcs11_tests::wires::Way;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Any numbers, the same ones for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// What the programs were told.
#[derive(Default)]
struct Told {
    made: Mutex<Vec<String>>,
    destroyed: Mutex<Vec<String>>,
}

/// A program on a host: most keys stay, some are destroyed, three are everybody's.
fn work(programs: &Programs, host: usize, user: CK_SESSION_HANDLE, told: &Told, stop: &AtomicBool) {
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let label = format!("storm-{host}-{round}");
        for key in programs.find(user, &format!("common-{}", round % 3)) {
            programs.set(user, key, &[bytes(CKA_ID, label.as_bytes())]);
            assert_eq!(programs.sign(user, key), CKR_OK, "{label}");
        }
        if programs.try_pair(user, &label).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        } else if round % 3 < 2 {
            told.made.lock().expect("list").push(label);
        } else if programs.destroy(user, programs.find(user, &label)[0]) == CKR_OK {
            told.destroyed.lock().expect("list").push(label);
        }
    }
}

/// One fault, for a while, and its end. Agents and members of etcd are the caller's alone.
fn fault(hosts: &mut Hosts, dice: &mut Dice) {
    let (host, member) = (dice.below(3) as usize, dice.below(3) as usize);
    let a_while = Duration::from_millis(100 + dice.below(1500));
    match dice.below(8) {
        0 => hosts.wires[host].cut(),
        1 => hosts.wires[host].hold(Way::There),
        2 => hosts.wires[host].hold(Way::Back),
        3 => hosts.wires[host].slow(Duration::from_millis(200)),
        4 => hosts.kill_agent(host),
        5 => hosts.etcd.kill_member(member),
        6 => hosts.etcd.freeze_member(member),
        _ => {
            let revision = hosts.etcd.revision();
            hosts.etcd.control(&["compaction", &revision.to_string()]);
        }
    }
    std::thread::sleep(a_while);
    hosts.wires[host].mend();
    if hosts.is_dead(host) {
        hosts.begin_agent(host);
    }
    hosts.etcd.revive(member);
}

#[test]
fn a_storm() {
    let (seconds, seed) = (number("SOAK_SECONDS", 10), number("SOAK_SEED", 1));
    println!("SOAK_SEED={seed}");
    let mut hosts = Hosts::new();
    let user = hosts.user(A);
    (0..3).for_each(|number| hosts.pair(user, &format!("common-{number}")));
    hosts.all_the_same();
    let users = [A, B, C].map(|host| hosts.user(host));
    let (told, stop, end) =
        (Told::default(), AtomicBool::new(false), Instant::now() + Duration::from_secs(seconds));
    let mut dice = Dice(seed);
    let mut faults = 0;
    let programs = Programs::load();
    std::thread::scope(|scope| {
        let (programs, told, stop) = (&programs, &told, &stop);
        let workers =
            [A, B, C].map(|host| scope.spawn(move || work(programs, host, users[host], told, stop)));
        while Instant::now() < end {
            fault(&mut hosts, &mut dice);
            faults += 1;
            if workers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        workers.into_iter().for_each(|worker| worker.join().expect("a program"));
    });
    [A, B, C].iter().for_each(|host| hosts.connected(*host));
    hosts.all_the_same();
    let (made, destroyed) =
        (told.made.into_inner().expect("list"), told.destroyed.into_inner().expect("list"));
    println!("{faults} faults; {} keys made and confirmed, {} destroyed", made.len(), destroyed.len());
    assert!(!made.is_empty() && !destroyed.is_empty());
    for host in [A, B, C] {
        let user = hosts.user(host);
        let there = |label: &String| hosts.find(user, label).len();
        let lost: Vec<_> = made.iter().filter(|label| there(label) != 1).collect();
        assert!(lost.is_empty(), "SOAK_SEED={seed}: confirmed keys are lost on {host}: {lost:?}");
        let back: Vec<_> = destroyed.iter().filter(|label| there(label) != 0).collect();
        assert!(back.is_empty(), "SOAK_SEED={seed}: destroyed keys are back on {host}: {back:?}");
        soon("it works on", || hosts.try_pair(user, "after-the-storm").ok());
    }
}
