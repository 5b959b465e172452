//! Backups where a cluster is concerned, with three hosts and etcd: what is merged reaches everybody, what is
//! destroyed stays so unless an officer names it, and clones at another etcd, to which keys and users are taken.

#[path = "cluster/hosts.rs"]
#[allow(dead_code, reason = "shared by several tests")]
mod hosts;

use cryptoki_sys::*;
use hosts::{A, B, C, Hosts, soon};
use pkcs11_tests::etcd::{Etcd, USER};
use pkcs11_tests::keys::bytes;
use pkcs11_tests::wires::Wires;
use pkcs11_tests::{PIN, SO_PIN, tool_path};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PASSPHRASE: &str = "correct horse battery";
const BOB: &[u8] = b"bob:bob-9876";

#[test]
fn backups_and_clones_of_a_cluster() {
    let hosts = Hosts::new();
    let safe = tempfile::tempdir().expect("temporary folder");
    let stale = a_stale_backup_brings_nothing_back(&hosts, safe.path());
    what_a_lost_host_had_is_merged(&hosts, safe.path());
    an_officer_brings_back_by_name(&hosts, &stale);
    let far = Far::new(&hosts);
    let _agent = a_clone_at_another_etcd(&hosts, &far);
    keys_and_users_are_taken_there(&hosts, &far);
    a_clone_of_a_backup(&far, &stale);
    hosts.all_the_same();
}

/// The command with some configuration and slot; as the officer and, with `password`, the user.
fn command(config: &Path, slot: usize, words: &[&str], password: &str) -> Command {
    let mut command = Command::new(tool_path());
    command.args(words).arg("--config").arg(config).args(["--slot", &slot.to_string()]);
    command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
    command.env("STRONGROOM_BACKUP_PASSPHRASE", PASSPHRASE);
    let password = if password.is_empty() { std::str::from_utf8(PIN).expect("text") } else { password };
    command.env("STRONGROOM_PASSWORD", password);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn said(command: &mut Command) -> String {
    let output = command.output().expect("strongroom");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(command: &mut Command, why: &[&str]) {
    let output = command.output().expect("strongroom");
    let said = text(&output);
    assert!(!output.status.success(), "{command:?}: {said}");
    assert!(why.iter().all(|word| said.contains(word)), "{why:?} in {said}");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn back_up(hosts: &Hosts, host: usize, file: PathBuf) -> PathBuf {
    let name = file.to_str().expect("text").to_owned();
    said(&mut command(&hosts.config, host, &["backup", "create", "--out", &name], ""));
    file
}

fn restore(hosts: &Hosts, host: usize, file: &Path, more: &[&str]) -> Command {
    let words = [&["backup", "restore", file.to_str().expect("text"), "--json"], more].concat();
    command(&hosts.config, host, &words, "")
}

fn everywhere(hosts: &Hosts, label: &str, there: bool) {
    for host in [A, B, C] {
        let user = hosts.user(host);
        let found = || (hosts.find(user, label).is_empty() != there).then_some(());
        soon(&format!("{label} on {host}: {there}"), found);
        if there {
            assert_eq!(hosts.sign(user, hosts.find(user, label)[0]), CKR_OK, "{label} on {host}");
        }
    }
}

/// With the id of what was destroyed.
fn a_stale_backup_brings_nothing_back(hosts: &Hosts, safe: &Path) -> (PathBuf, String) {
    let user = hosts.user(A);
    hosts.pair(user, "kept");
    hosts.pair(user, "doomed");
    hosts.strongroom(A, &["user", "create", "bob", "--role", "CU"], "bob-9876");
    hosts.strongroom(A, &["key", "share", "kept", "--with", "bob"], "");
    let stale = back_up(hosts, A, safe.join("stale.strongroom-backup"));
    let doomed = hosts.find(user, "doomed")[0];
    let id = hosts.unique_id(doomed);
    assert_eq!(hosts.destroy(user, doomed), CKR_OK);
    hosts.strongroom(A, &["user", "delete", "bob"], "");
    everywhere(hosts, "doomed", false);
    // Nobody chose; and a user cannot.
    refused(&mut restore(hosts, A, &stale, &["--force"]), &["--merge", "--new-cluster"]);
    for more in [&["--only-user", "bob"][..], &["--only-key", &id]] {
        refused(&mut restore(hosts, A, &stale, more), &["--merge", "--new-cluster"]);
    }
    refused(&mut restore(hosts, A, &stale, &["--merge", "--user", "user"]), &["an officer"]);
    let merged = json(&said(&mut restore(hosts, A, &stale, &["--merge"])));
    let data = &merged["data"];
    assert_eq!((&data["users"], &data["objects"]), (&0.into(), &0.into()), "{data}");
    assert_eq!(data["merged"]["destroyed"], 2, "the key and bob: {data}");
    hosts.all_the_same();
    everywhere(hosts, "doomed", false);
    for host in [A, B, C] {
        assert_eq!(hosts.log_in(host, BOB).err(), Some(CKR_PIN_INCORRECT));
    }
    (stale, id)
}

/// C is cut off, makes keys, and all that is left of them is its backup.
fn what_a_lost_host_had_is_merged(hosts: &Hosts, safe: &Path) {
    hosts.cut(C);
    let user = hosts.user(C);
    hosts.pair(user, "only-on-c");
    let file = back_up(hosts, C, safe.join("c.strongroom-backup"));
    let user = hosts.user(A);
    assert!(hosts.find(user, "only-on-c").is_empty());
    let merged = json(&said(&mut restore(hosts, A, &file, &["--merge"])));
    assert_eq!(merged["data"]["objects"], 2, "both halves: {merged}");
    let there = hosts.user(B);
    let key = soon("B has it from A", || hosts.find(there, "only-on-c").first().copied());
    assert_eq!(hosts.sign(there, key), CKR_OK);
    hosts.mend(C);
    hosts.all_the_same();
    everywhere(hosts, "only-on-c", true);
}

fn an_officer_brings_back_by_name(hosts: &Hosts, (stale, id): &(PathBuf, String)) {
    said(&mut restore(hosts, B, stale, &["--merge", "--only-key", id]));
    everywhere(hosts, "doomed", true);
    said(&mut restore(hosts, A, stale, &["--merge", "--only-user", "bob"]));
    for host in [A, B, C] {
        let bob = soon("bob is back", || hosts.log_in(host, BOB).ok());
        let key = soon("with what is shared with him", || hosts.find(bob, "kept").first().copied());
        assert_eq!(hosts.sign(bob, key), CKR_OK);
        hosts.log_out(bob);
    }
    hosts.all_the_same();
    // What came back is changed and destroyed like all others.
    let user = hosts.user(C);
    let key = hosts.find(user, "doomed")[0];
    assert_eq!(hosts.set(user, key, &[bytes(CKA_LABEL, b"doomed-again")]), CKR_OK);
    everywhere(hosts, "doomed-again", true);
    let user = hosts.user(B);
    assert_eq!(hosts.destroy(user, hosts.find(user, "doomed-again")[0]), CKR_OK);
    everywhere(hosts, "doomed-again", false);
    hosts.all_the_same();
}

/// Another region: an etcd of its own and a host with three slots. 0: the clone there. 1: a clone in the first
/// etcd, with a prefix of its own. 2: without one.
struct Far {
    etcd: Etcd,
    _wires: Wires,
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Far {
    fn new(hosts: &Hosts) -> Far {
        let folder = tempfile::tempdir().expect("temporary folder");
        let etcd = Etcd::start(folder.path());
        let wires = etcd.wires();
        let near = hosts.config.parent().expect("folder").display().to_string();
        let slot = |id: usize, wires: &Wires, place: &str, prefix: &str| {
            let endpoints: Vec<String> =
                wires.ports.iter().map(|port| format!("\"https://127.0.0.1:{port}\"")).collect();
            format!(
                "[[slot]]\nid = {id}\npath = \"far-{id}/token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n\
                 [slot.cluster]\nendpoints = [{}]\nca = \"{place}ca.pem\"\ncertificate = \"{place}host.pem\"\n\
                 key = \"{place}host.key\"\nuser = \"{USER}\"\npassword_file = \"{place}engine.pw\"\n\
                 prefix = \"{prefix}\"\n",
                endpoints.join(", ")
            )
        };
        let near = format!("{near}/");
        let slots = [
            slot(0, &wires, "", "strongroom/"),
            slot(1, &hosts.wires[A], &near, "strongroom/clone/"),
            slot(2, &hosts.wires[A], &near, "strongroom/"),
        ];
        let config = folder.path().join("far.toml");
        std::fs::write(&config, slots.concat()).expect("configuration");
        Far { etcd, _wires: wires, folder, config }
    }

    fn command(&self, slot: usize, words: &[&str]) -> Command {
        command(&self.config, slot, words, "")
    }

    fn agent(&self, slot: usize) -> Agent {
        let agent = self.command(slot, &["agent"]).stderr(Stdio::null()).spawn().expect("agent");
        let said = self.folder.path().join(format!("far-{slot}/token.sync"));
        let agent = Agent(agent);
        soon("the far agent is connected", || {
            (json(&std::fs::read_to_string(&said).ok()?)["connected"] == true).then_some(())
        });
        agent
    }

    fn labels(&self, slot: usize) -> String {
        said(&mut self.command(slot, &["key", "list", "--json"]))
    }

    fn signs(&self, slot: usize, label: &str) {
        let words =
            ["crypto", "sign", "--mechanism", "ecdsa-sha256", "--key-label", label, "--data", "x", "--json"];
        said(&mut self.command(slot, &words));
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a host that joins, and it is none; with its agent.
fn a_clone_at_another_etcd(hosts: &Hosts, far: &Far) -> Agent {
    let near = hosts.config.to_str().expect("text");
    let words = ["cluster", "clone", "--from-config", near, "--from-slot", "1", "--name", "far"];
    let mut clone = far.command(0, &words);
    let mut clone = clone.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let clone = clone.as_mut().expect("strongroom");
    let mut lines = BufReader::new(clone.stderr.take().expect("stderr")).lines();
    let fingerprint = lines.by_ref().map(|line| line.expect("line").trim().to_owned());
    let fingerprint = fingerprint.skip_while(|line| !line.is_empty()).nth(1).expect("a fingerprint");
    let approve = ["cluster", "approve", &fingerprint, "--as-clone", "--json"];
    let approved = soon("the request is there", || {
        let output = command(&hosts.config, A, &approve, "").output().expect("strongroom");
        output.status.success().then(|| json(&text(&output)))
    });
    let code = approved["data"]["code"].as_str().expect("a code");
    writeln!(clone.stdin.take().expect("stdin"), "{code}").expect("the code");
    let told: Vec<String> = lines.map(|line| line.expect("line")).collect();
    assert!(clone.wait().expect("strongroom").success(), "{told:?}");
    assert!(!far.folder.path().join("far-0/token.clone").exists());
    // All of it, with members of its own on both sides.
    far.signs(0, "kept");
    far.signs(0, "only-on-c");
    let agent = far.agent(0);
    soon("everything is in the far etcd", || {
        let status = json(&said(&mut far.command(0, &["cluster", "status", "--json"])));
        let rows = status["data"]["members"].as_array().expect("rows").clone();
        (rows.len() == 1 && rows[0]["pending"] == 0).then_some(())
    });
    let members = |etcd: &Etcd| -> Vec<String> {
        etcd.keys("strongroom/").into_iter().filter(|key| key.contains("/m/")).collect()
    };
    let (here, there) = (members(&hosts.etcd), members(&far.etcd));
    assert_eq!((here.len(), there.len()), (3, 1));
    assert!(!here.contains(&there[0]));
    let log = hosts.strongroom(A, &["audit", "list", "--json"], "");
    assert!(log.contains("clone-approved"));
    assert!(said(&mut far.command(0, &["audit", "list", "--json"])).contains("cluster-cloned"));
    assert!(said(&mut far.command(0, &["verify"])).contains(" 0 faults"));
    agent
}

fn keys_and_users_are_taken_there(hosts: &Hosts, far: &Far) {
    let user = hosts.user(A);
    hosts.pair(user, "later");
    assert!(!far.labels(0).contains("later"), "nothing goes by itself");
    let to = far.config.to_str().expect("text").to_owned();
    let replicate = |words: &[&str], who: &str, password: &str, there: &str| {
        let words = [words, &["--to-config", &to, "--user", who, "--json"]].concat();
        let mut command = command(&hosts.config, A, &words, password);
        command.env("STRONGROOM_DESTINATION_PIN", there);
        command
    };
    let pin = std::str::from_utf8(PIN).expect("text");
    let officer = std::str::from_utf8(SO_PIN).expect("text");
    let owner = |key: &str| replicate(&["key", "replicate", key], "user", "", pin);
    refused(&mut replicate(&["key", "replicate", "later"], "user", "", "wrong-one"), &["is wrong"]);
    let done = json(&said(&mut owner("later")));
    assert_eq!(done["data"]["replicated"], 2, "both halves");
    far.signs(0, "later");
    assert_eq!(json(&said(&mut owner("later")))["data"]["same"], 2);
    // People first; a user takes nobody.
    hosts.strongroom(A, &["user", "create", "carol", "--role", "CU"], "carol-9876");
    hosts.strongroom(A, &["key", "share", "later", "--with", "carol"], "");
    refused(&mut owner("later"), &["strongroom user replicate carol"]);
    refused(&mut replicate(&["user", "replicate", "carol"], "user", "", pin), &["an officer"]);
    said(&mut replicate(&["user", "replicate", "carol"], "so", "", officer));
    let private = hosts.find(hosts.user(A), "later")[0];
    let id = hosts.unique_id(private);
    said(&mut replicate(&["key", "replicate", &id], "so", "", officer));
    let shared = command(&far.config, 0, &["key", "list", "--user", "carol", "--json"], "carol-9876");
    let mut shared = shared;
    assert!(said(&mut shared).contains("later"));
    // What was destroyed there stays so.
    said(&mut far.command(0, &["key", "delete", "later", "--yes"]));
    refused(&mut owner("later"), &["destroyed there"]);
    let logs = [
        (hosts.strongroom(A, &["audit", "list", "--json"], ""), "replicated-out"),
        (said(&mut far.command(0, &["audit", "list", "--json"])), "replicated-in"),
    ];
    for (log, event) in logs {
        assert_eq!(log.matches(event).count(), 4, "both halves, carol, and the private half with her share");
    }
    assert!(said(&mut far.command(0, &["verify"])).contains(" 0 faults"));
}

/// Of a member's backup: never in the place of the cluster that goes on.
fn a_clone_of_a_backup(far: &Far, (stale, _): &(PathBuf, String)) {
    let file = stale.to_str().expect("text");
    refused(&mut far.command(2, &["backup", "restore", file]), &["cluster join", "--new-cluster"]);
    refused(
        &mut far.command(2, &["cluster", "clone", "--from-backup", file]),
        &["There is a cluster of this token"],
    );
    assert!(!far.folder.path().join("far-2/token.db").exists());
    said(&mut far.command(1, &["cluster", "clone", "--from-backup", file, "--name", "cheap"]));
    far.signs(1, "doomed");
    let listed = said(&mut far.command(1, &["cluster", "list", "--json"]));
    assert_eq!(json(&listed)["data"]["members"].as_array().map(Vec::len), Some(1), "{listed}");
    // A token that is in none, and where it can become a member.
    said(&mut far.command(2, &["backup", "restore", file, "--new-cluster"]));
    refused(&mut far.command(2, &["cluster", "init"]), &["There is a cluster of this token", "prefix"]);
    assert!(said(&mut far.command(2, &["verify"])).contains(" 0 faults"));
}
