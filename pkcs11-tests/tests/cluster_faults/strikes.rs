//! kill -9 and a full disk at every step of a write: of the program that writes, of the agents, of etcd.

use crate::hosts::{A, B, C, Hosts, Programs, soon};
use crate::partitions::everywhere;
use cryptoki_sys::*;
use pkcs11_tests::keys::bytes;
use pkcs11_tests::steps;
use pkcs11_tests::wires::Way;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Which steps of the writer are struck, and which of an agent: all of them take minutes.
const EVERY: usize = 4;
const EVERY_OF_AN_AGENT: usize = 11;

/// What preloads `c/steps.c` for the files of a host.
fn struck(hosts: &Hosts, host: usize, mode: &str, step: usize) -> Vec<(String, String)> {
    let library = hosts.folder().join("steps.so");
    let library = if library.exists() { library } else { steps::build(hosts.folder()) };
    let folder = hosts.file(host).parent().expect("a folder").to_owned();
    let text = |path: std::path::PathBuf| path.to_str().expect("path").to_owned();
    let value = |name: &str, value: String| (name.to_owned(), value);
    vec![
        value("LD_PRELOAD", text(library)),
        value("STEPS_FOLDER", text(folder)),
        value("STEPS_MODE", mode.to_owned()),
        value("STEPS_AT", step.to_string()),
        value("STEPS_WHILE", text(hosts.folder().join("full"))),
    ]
}

/// The program that writes dies, or has no room, at each of its steps: the key is everywhere or nowhere.
pub fn the_writer(hosts: &mut Hosts) {
    let write = |mode: &str, step: usize, label: &str| {
        let mut role = Command::new(std::env::current_exe().expect("this program"));
        role.args(["--exact", "writers::role_struck", "--ignored", "--nocapture", "--test-threads=1"]);
        role.env("STRONGROOM_CONFIG", &hosts.config).stdin(Stdio::null());
        let preload = struck(hosts, A, mode, step);
        let preload = preload.into_iter().filter(|(name, _)| !["STEPS_MODE", "STEPS_AT"].contains(&&**name));
        role.envs(preload).env("MODE", mode).env("STEP", step.to_string()).env("LABEL", label);
        let said = role.output().expect("a process");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let line = text.lines().find_map(|line| line.split_once("result ")).map(|(_, rest)| rest.to_owned());
        let numbers = line.map(|line| line.split(' ').map(|word| word.parse().expect("a number")).collect());
        numbers.map(|numbers: Vec<usize>| (numbers[0] as CK_RV, numbers[1]))
    };
    let (code, count) = write("count", 0, "struck-count").expect("it ran");
    assert!(code == CKR_OK && count > 3, "{count} steps");
    let mut confirmed = vec!["struck-count".to_owned()];
    // Each step of a token's own is struck in `crash.rs`; here it is what the peers hear of it.
    let strikes: Vec<(usize, &str)> = (1..=count)
        .filter(|step| step % EVERY == 0)
        .zip(["kill", "full", "kill"].into_iter().cycle())
        .collect();
    for (step, mode) in strikes.iter().copied() {
        let label = format!("struck-{mode}-{step}");
        if let Some((CKR_OK, _)) = write(mode, step, &label) {
            confirmed.push(label);
        }
    }
    hosts.all_the_same();
    let users = [A, C].map(|host| hosts.user(host));
    for (step, mode) in strikes {
        let label = format!("struck-{mode}-{step}");
        let found = users.map(|user| hosts.find(user, &label).len());
        assert!(found == [0, 0] || found == [1, 1], "{label}: {found:?}");
        assert!(found[0] == 1 || !confirmed.contains(&label), "{label} was confirmed, and is lost");
    }
    println!("  {count} steps");
}

/// The agent, or a member of etcd, dies while a request is on its way, and while its answer is.
pub fn around_a_send(hosts: &mut Hosts) {
    let mut labels = Vec::new();
    for (name, way) in [("request", Way::There), ("answer", Way::Back)] {
        for victim in ["agent", "etcd-0", "etcd-1"] {
            let label = format!("{name}-{victim}");
            let user = hosts.user(A);
            hosts.all_the_same();
            let records = |hosts: &Hosts| hosts.etcd.keys(&hosts.prefix()).len();
            let (before, held) = (records(hosts), hosts.contents(A).len());
            match way {
                Way::There => hosts.wires[A].hold(way),
                // Time to hold the answer before it arrives.
                Way::Back => hosts.wires[A].slow(Duration::from_secs(1)),
            }
            let made = held_write(hosts, user, &label, |hosts| {
                match way {
                    Way::There => soon("it is made here", || (hosts.contents(A).len() > held).then_some(())),
                    Way::Back => {
                        soon("etcd has it", || (records(hosts) > before).then_some(()));
                        hosts.wires[A].hold(way);
                    }
                }
                match victim {
                    "agent" => hosts.kill_agent(A),
                    "etcd-0" => hosts.etcd.kill_member(0),
                    _ => hosts.etcd.kill_member(1),
                }
                hosts.wires[A].mend();
                match victim {
                    "agent" => hosts.start_agent(A),
                    "etcd-0" => hosts.etcd.start_member(0),
                    _ => hosts.etcd.start_member(1),
                }
            });
            assert!(matches!(made, Ok(()) | Err(CKR_PENDING)), "{label}: {made:x?}");
            labels.push(label);
        }
    }
    [A, B, C].iter().for_each(|host| hosts.connected(*host));
    everywhere(hosts, &labels.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A write on A by a thread of its own, and what happens meanwhile.
fn held_write(
    hosts: &mut Hosts,
    user: CK_SESSION_HANDLE,
    label: &str,
    meanwhile: impl FnOnce(&mut Hosts),
) -> pkcs11_tests::Result<()> {
    let (programs, own) = (Programs::load(), label.to_owned());
    let writer = std::thread::spawn(move || programs.try_pair(user, &own));
    meanwhile(hosts);
    writer.join().expect("the writer")
}

/// C's agent dies at steps on the disk, later and later: it takes what others wrote, sends what C wrote, and notes both.
pub fn the_agent(hosts: &mut Hosts) {
    hosts.stop_agent(C);
    let (mut step, mut before) = (1, Vec::new());
    loop {
        // Each dead one leaves its work to the next: to adopt, to destroy, to send.
        let label = format!("agent-{step}");
        let (here, there) = (hosts.user(A), hosts.user(C));
        hosts.pair(here, &format!("{label}-adopted"));
        hosts.pair(there, &format!("{label}-sent"));
        if let Some(last) = before.last() {
            let old = hosts.find(here, &format!("agent-{last}-adopted"));
            assert_eq!(hosts.destroy(here, old[0]), CKR_OK);
        }
        hosts.environments[C] = struck(hosts, C, "kill", step);
        hosts.begin_agent(C);
        let survived = soon("it dies, or has done it all", || {
            if hosts.is_dead(C) {
                return Some(false);
            }
            let there = hosts.user(B);
            let all = hosts.keeper(C).is_some_and(|said| said["connected"] == true)
                && !hosts.find(there, &format!("{label}-sent")).is_empty()
                && hosts.status(C)["pending"] == 0;
            all.then_some(true)
        });
        if survived {
            break;
        }
        before.push(step);
        step += EVERY_OF_AN_AGENT;
    }
    hosts.environments[C].clear();
    hosts.kill_agent(C);
    hosts.start_agent(C);
    println!("  {step} steps");
    assert!(before.len() > 2, "{before:?}");
    hosts.all_the_same();
    let there = hosts.user(C);
    for before in before {
        assert!(hosts.find(there, &format!("agent-{before}-adopted")).is_empty());
        assert_eq!(hosts.find(there, &format!("agent-{before}-sent")).len(), 1);
    }
    assert_eq!(hosts.find(there, &format!("agent-{step}-adopted")).len(), 1);
}

/// C's agent finds no room for what the others wrote. It says so, and goes on when there is room.
pub fn a_full_disk(hosts: &mut Hosts) {
    hosts.stop_agent(C);
    hosts.environments[C] = struck(hosts, C, "while", 0);
    hosts.start_agent(C);
    let full = hosts.folder().join("full");
    std::fs::write(&full, "").expect("a file");
    let user = hosts.user(A);
    hosts.pair(user, "no-room-on-c");
    let key = hosts.find(user, "constant")[0];
    assert_eq!(hosts.set(user, key, &[bytes(CKA_ID, b"no room")]), CKR_OK);
    soon("C's agent notices", || hosts.log(C).contains("the disk is full").then_some(()));
    assert!(!hosts.is_dead(C));
    let there = hosts.user(C);
    assert!(hosts.find(there, "no-room-on-c").is_empty());
    std::fs::remove_file(&full).expect("room");
    let key = soon("there is room", || hosts.find(there, "no-room-on-c").first().copied());
    assert_eq!(hosts.sign(there, key), CKR_OK);
    hosts.environments[C].clear();
    hosts.stop_agent(C);
    hosts.start_agent(C);
}
