//! `ci/bench cluster`: three hosts beside three members of etcd, all on this machine, and beside a bare client
//! of that etcd, which is the very code of `src/sync/engine.rs` and takes turns with us. Prints ratios; exits 1
//! when a promise of ARCHITECTURE.md, "Speed of a cluster", is broken.
//!
//! Usage: `cluster MODULE.so [RECORDS]`; the `strongroom` command lies beside the module.

#[path = "cluster/bare.rs"]
mod bare;
#[path = "cluster/hosts.rs"]
mod hosts;
#[path = "cluster/work.rs"]
mod work;

// The client of src/sync, as it is.
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/descriptors.rs"]
mod descriptors;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../../src/sync/etcd.rs"]
mod etcd;
#[allow(dead_code, unused_imports)]
#[path = "../../src/sync/line.rs"]
mod line;

/// What `engine` is told of the slot's configuration.
mod config {
    use std::path::PathBuf;

    pub struct ClusterConfig {
        pub endpoints: Vec<String>,
        pub ca: PathBuf,
        pub certificate: PathBuf,
        pub key: PathBuf,
        pub user: Option<(String, PathBuf)>,
        pub prefix: String,
    }
}

use hosts::Hosts;

/// What was measured against what was promised.
pub struct Promises(usize);

impl Promises {
    pub fn at_most(&mut self, what: &str, measured: f64, promised: f64) {
        self.said(what, measured, promised, measured <= promised);
    }

    pub fn at_least(&mut self, what: &str, measured: f64, promised: f64) {
        self.said(what, measured, promised, measured >= promised);
    }

    fn said(&mut self, what: &str, measured: f64, promised: f64, kept: bool) {
        println!("  {what}: {measured:.2} (promised {promised})");
        if !kept {
            println!("BROKEN PROMISE: {what}: {measured:.2}, promised {promised}");
            self.0 += 1;
        }
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(1).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let module = arguments.next().expect("usage: cluster MODULE.so [RECORDS]");
    let records: usize = arguments.next().map_or(100_000, |number| number.parse().expect("a number"));
    // For a profiler: `ONLY=stream` and the like runs the one piece and what it stands on.
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    let mut promises = Promises(0);
    println!("Three hosts, three members of etcd, one machine; load before: {}", load());
    let mut hosts = Hosts::new(module.as_ref());
    if wanted("latency") {
        work::latency(&mut hosts, &mut promises);
    }
    if wanted("stream") || wanted("catch-up") || wanted("join") {
        work::stream(&mut hosts, records, &mut promises);
    }
    if wanted("catch-up") {
        work::catch_up(&mut hosts, records, &mut promises);
    }
    if wanted("join") {
        work::join(&mut hosts, records, &mut promises);
    }
    if wanted("signing") {
        work::signing(&mut hosts, records.min(10_000), &mut promises);
    }
    println!("\nload after: {}; {} promises broken", load(), promises.0);
    drop(hosts);
    std::process::exit(i32::from(promises.0 > 0));
}
