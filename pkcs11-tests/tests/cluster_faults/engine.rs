//! What is done to etcd and to files behind everybody's back: forgotten, put back, deleted, filled up.

use crate::hosts::{A, B, C, Hosts, soon};
use crate::partitions::everywhere;
use cryptoki_sys::*;
use pkcs11_tests::keys::bytes;
use std::path::Path;

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let path = entry.expect("entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("name"))).expect("copy");
    }
}

/// C gets an old copy of its files back. What it had confirmed since comes from the others, and what was destroyed
/// since stays so.
pub fn an_old_file(hosts: &mut Hosts) {
    let user = hosts.user(C);
    for label in ["old-kept", "old-destroyed", "old-changed"] {
        hosts.pair(user, label);
    }
    hosts.all_the_same();
    let (folder, copy) = (hosts.file(C).parent().expect("folder").to_owned(), hosts.folder().join("old"));
    hosts.stop_agent(C);
    hosts.without_module(|| copy_files(&folder, &copy));
    hosts.start_agent(C);
    let user = hosts.user(C);
    hosts.pair(user, "younger-than-the-copy");
    let of = |session, label: &str| hosts.find(session, label)[0];
    assert_eq!(hosts.destroy(user, of(user, "old-destroyed")), CKR_OK);
    assert_eq!(hosts.set(user, of(user, "old-changed"), &[bytes(CKA_ID, b"changed")]), CKR_OK);
    hosts.all_the_same();
    hosts.stop_agent(C);
    hosts.without_module(|| {
        std::fs::remove_dir_all(&folder).expect("folder");
        copy_files(&copy, &folder);
    });
    // Before it hears of anything it changes what is destroyed elsewhere, and the same attribute.
    let user = hosts.user(C);
    for label in ["old-destroyed", "old-changed"] {
        assert_eq!(hosts.set(user, hosts.find(user, label)[0], &[bytes(CKA_ID, b"by the copy")]), CKR_OK);
    }
    hosts.start_agent(C);
    everywhere(hosts, &["old-kept", "old-changed", "younger-than-the-copy"]);
    for host in [A, B, C] {
        let user = hosts.user(host);
        soon("it stays destroyed", || hosts.find(user, "old-destroyed").is_empty().then_some(()));
    }
}

fn cut_all(hosts: &Hosts) {
    hosts.wires.iter().for_each(pkcs11_tests::wires::Wires::cut);
    [A, B, C].iter().for_each(|host| drop(hosts.cut_off(*host)));
}

fn mend_all(hosts: &Hosts) {
    [A, B, C].iter().for_each(|host| hosts.mend(*host));
}

/// Where the record of a private key of A's lies.
fn place(hosts: &Hosts, label: &str) -> String {
    let key = hosts.find(hosts.user(A), label)[0];
    format!("{}r/{}", hosts.prefix(), hosts.unique_id(key))
}

pub fn an_operator(hosts: &mut Hosts) {
    forgets_what_c_did_not_hear(hosts);
    replays_and_reorders(hosts);
    deletes_while_nobody_looks(hosts);
    puts_back_an_older_snapshot(hosts);
}

/// Compaction past what C has read.
fn forgets_what_c_did_not_hear(hosts: &mut Hosts) {
    let user = hosts.user(A);
    hosts.pair(user, "compacted-destroyed");
    let there = hosts.user(C);
    soon("C has it", || hosts.find(there, "compacted-destroyed").first().copied());
    hosts.cut(C);
    hosts.pair(user, "compacted-made");
    assert_eq!(hosts.destroy(user, hosts.find(user, "compacted-destroyed")[0]), CKR_OK);
    hosts.etcd.control(&["compaction", &hosts.etcd.revision().to_string()]);
    hosts.mend(C);
    soon("C hears of it", || hosts.find(there, "compacted-destroyed").is_empty().then_some(()));
    everywhere(hosts, &["compacted-made"]);
}

fn replays_and_reorders(hosts: &mut Hosts) {
    let user = hosts.user(A);
    hosts.pair(user, "replayed");
    hosts.pair(user, "dead");
    let (replayed, dead) = (place(hosts, "replayed"), place(hosts, "dead"));
    let mut values = vec![(dead.clone(), hosts.etcd.get(&dead))];
    for round in 0..3 {
        values.push((replayed.clone(), hosts.etcd.get(&replayed)));
        let key = hosts.find(user, "replayed")[0];
        assert_eq!(hosts.set(user, key, &[bytes(CKA_ID, &[round])]), CKR_OK);
    }
    assert_eq!(hosts.destroy(user, hosts.find(user, "dead")[0]), CKR_OK);
    for (place, value) in values.iter().rev() {
        hosts.etcd.put(place, value);
        soon("the newest is back", || (hosts.etcd.get(place) != *value).then_some(()));
    }
    hosts.all_the_same();
    for host in [A, B, C] {
        let user = hosts.user(host);
        assert!(hosts.find(user, "dead").is_empty(), "{host}");
        assert_eq!(hosts.id_of(user, hosts.find(user, "replayed")[0]), [2], "{host}");
    }
}

/// No host hears of the deletion; each of them finds that etcd lacks what it has.
fn deletes_while_nobody_looks(hosts: &mut Hosts) {
    let user = hosts.user(A);
    hosts.pair(user, "deleted");
    hosts.pair(user, "the-newest");
    let (deleted, members) = (place(hosts, "deleted"), format!("{}m/", hosts.prefix()));
    let member = hosts.etcd.keys(&members)[0].clone();
    hosts.all_the_same();
    cut_all(hosts);
    hosts.etcd.control(&["del", &deleted]);
    hosts.etcd.control(&["del", &member]);
    mend_all(hosts);
    soon("it is back", || hosts.etcd.keys(&deleted).first().cloned());
    soon("the member is back", || hosts.etcd.keys(&member).first().cloned());
}

/// It has gone on since, so that its revision is beyond what all hosts have read.
fn puts_back_an_older_snapshot(hosts: &mut Hosts) {
    let user = hosts.user(A);
    hosts.pair(user, "destroyed-after-the-snapshot");
    hosts.etcd.save("snapshot");
    hosts.pair(user, "made-after-the-snapshot");
    assert_eq!(hosts.destroy(user, hosts.find(user, "destroyed-after-the-snapshot")[0]), CKR_OK);
    hosts.all_the_same();
    let made = place(hosts, "made-after-the-snapshot");
    cut_all(hosts);
    let before = hosts.etcd.revision();
    hosts.etcd.put_back("snapshot");
    assert!(hosts.etcd.keys(&made).is_empty(), "it was put back");
    while hosts.etcd.revision() <= before + 3 {
        hosts.etcd.put("elsewhere", b"going on");
    }
    mend_all(hosts);
    soon("it is there again", || hosts.etcd.keys(&made).first().cloned());
    everywhere(hosts, &["made-after-the-snapshot"]);
    for host in [A, B, C] {
        let user = hosts.user(host);
        assert!(hosts.find(user, "destroyed-after-the-snapshot").is_empty(), "{host}");
    }
}

/// Tens of thousands of keys of nobody, then no room at all.
pub fn full(hosts: &mut Hosts) {
    let prefix = hosts.prefix();
    let junk = format!("{prefix}r/x");
    for thousands in 0..2 {
        let names = (0..10_000).map(|number| format!("{junk}{thousands}-{number}"));
        hosts.etcd.put_many(names);
    }
    hosts.etcd.put_many((0..2_000).map(|number| format!("strongroom/join/{number}")));
    let user = hosts.user(A);
    hosts.pair(user, "among-foreign-keys");
    everywhere(hosts, &["among-foreign-keys"]);
    let said = hosts.keeper(B).expect("a keeper")["last_error"].to_string();
    assert!(said.contains("refused: no name of ours"), "{said}");
    let list = hosts.strongroom(A, &["cluster", "list", "--json"], "");
    assert!(list.contains("\"c\"") && list.len() < 10_000, "{list}");
    // One that starts among them reads them all.
    hosts.kill_agent(B);
    hosts.start_agent(B);
    hosts.etcd.fill_up("filler/");
    let user = hosts.user(A);
    let made = hosts.try_pair(user, "no-room-in-etcd");
    assert!(matches!(made, Err(CKR_PENDING | CKR_TOKEN_WRITE_PROTECTED)), "{made:x?}");
    let why = hosts.cut_off(A);
    assert!(why.contains("space exceeded"), "{why}");
    assert_eq!(hosts.try_pair(user, "refused"), Err(CKR_TOKEN_WRITE_PROTECTED));
    let alone = hosts.user(C);
    hosts.pair(alone, "local-without-room");
    for words in [
        &["del", "--prefix", "filler/"][..],
        &["del", "--prefix", &junk],
        &["del", "--prefix", "strongroom/join/"],
    ] {
        hosts.etcd.control(words);
    }
    hosts.etcd.control(&["compaction", &hosts.etcd.revision().to_string()]);
    hosts.etcd.control(&["defrag"]);
    hosts.etcd.control(&["alarm", "disarm"]);
    [A, B, C].iter().for_each(|host| hosts.connected(*host));
    everywhere(hosts, &["local-without-room"]);
}
