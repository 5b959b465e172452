//! What goes wrong in a cluster: whoever dies, is cut off, full, slow, put back, wrong or hostile. After each of
//! these all hosts hold the same bytes, what was confirmed is there, and what was destroyed is not.

#[path = "cluster_faults/conflicts.rs"]
mod conflicts;
#[path = "cluster_faults/engine.rs"]
mod engine;
#[path = "cluster/hosts.rs"]
#[allow(dead_code)]
mod hosts;
#[path = "cluster_faults/partitions.rs"]
mod partitions;
#[path = "cluster_faults/refused.rs"]
mod refused;
#[path = "cluster_faults/strikes.rs"]
mod strikes;
#[path = "cluster_faults/writers.rs"]
mod writers;

use hosts::{A, Hosts};
use std::time::Instant;

/// Its name, and what does it.
type Fault = (&'static str, fn(&mut Hosts));

/// One cluster goes through all of it, so what one fault leaves behind meets the next. FAULT in the environment: only
/// those with this in their name.
#[test]
fn a_cluster_survives() {
    let begun = Instant::now();
    let mut hosts = Hosts::with(&["--quota-backend-bytes", "25165824", "--max-txn-ops", "20000"]);
    println!("a cluster of three: {:?}", begun.elapsed());
    let user = hosts.user(A);
    hosts.pair(user, "constant");
    let faults: [Fault; 15] = [
        ("one-way partitions", partitions::one_way),
        ("flapping", partitions::flapping),
        ("members of etcd cut off", partitions::members_of_etcd),
        ("slow etcd", partitions::slow),
        ("conflicts", conflicts::made_apart),
        ("a wrong clock", conflicts::a_wrong_clock),
        ("20 processes, and one that forks", writers::many_and_forking),
        ("the writer dies at every step", strikes::the_writer),
        ("agents and members of etcd die around a send", strikes::around_a_send),
        ("the agent dies at every step", strikes::the_agent),
        ("a peer's disk is full", strikes::a_full_disk),
        ("an old copy of a file", engine::an_old_file),
        ("what an operator does", engine::an_operator),
        ("bad input", refused::bad_input),
        ("etcd full of foreign keys, and full", engine::full),
    ];
    let wanted = std::env::var("FAULT").unwrap_or_default();
    for (name, fault) in faults.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let begun = Instant::now();
        fault(&mut hosts);
        hosts.all_the_same();
        println!("{name}: {:?}", begun.elapsed());
    }
}
