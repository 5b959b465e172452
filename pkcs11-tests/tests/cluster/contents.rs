//! Everything that a host's file holds for its peers, byte for byte. Read by a process of its own: whoever opens
//! the file beside the module in one process takes its locks away.

use super::Hosts;
use rusqlite::Connection;
use std::process::Command;

/// The columns of what must be the same on all hosts; positions, outboxes, logs and seals are each host's own.
const QUERIES: [&str; 3] = [
    "SELECT 'record ' || hex(id) || ' kind ' || kind || ' version ' || version || ' epoch ' || epoch || ' by ' || hex(author)
     || ' of ' || hex(owner) || ' flags ' || flags || ' element ' || hex(element) || ' body ' || hex(body)
     FROM records ORDER BY id, kind",
    "SELECT 'key ' || hex(object) || ' for ' || hex(holder) || ' is ' || hex(wrapped) FROM keys ORDER BY object, holder",
    "SELECT 'term ' || hex(term) || ' of ' || hex(object) FROM terms ORDER BY object, term",
];

/// A role: says what the file of the environment's FILE holds.
#[test]
#[ignore = "a role of the cluster's tests"]
fn role_contents() {
    let file = Connection::open(std::env::var("FILE").expect("FILE")).expect("the file");
    println!();
    for query in QUERIES {
        let mut statement = file.prepare(query).expect("a query");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        rows.for_each(|row| println!("{}", row.expect("a row")));
    }
}

impl Hosts {
    /// A line for each record, wrapped key and index entry of a host.
    pub fn contents(&self, host: usize) -> Vec<String> {
        let said = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "hosts::contents::role_contents",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("FILE", self.file(host))
            .output()
            .expect("a process");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8(said.stdout).expect("text");
        let known = |line: &&str| ["record ", "key ", "term "].iter().any(|kind| line.starts_with(kind));
        text.lines().filter(known).map(str::to_owned).collect()
    }

    /// All hosts hold the same bytes, and etcd holds each of these records.
    pub fn the_same_bytes(&self, members: &[usize]) {
        let mine = self.contents(members[0]);
        assert!(mine.len() > 5, "{mine:?}");
        for host in &members[1..] {
            let other = self.contents(*host);
            let differs = mine.iter().zip(&other).find(|(one, two)| one != two);
            assert_eq!((mine.len(), differs), (other.len(), None), "of host {host}");
        }
        // Asked once: each question is a process and a password, and a storm leaves thousands of records.
        let prefix = self.prefix();
        let there: std::collections::BTreeSet<String> = self.etcd.keys(&prefix).into_iter().collect();
        let ids = mine.iter().filter_map(|line| line.strip_prefix("record ")?.split_once(" kind "));
        for (id, _) in ids {
            let id = id.to_lowercase();
            let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
            let places = ["m", "r", "e"].map(|folder| format!("{prefix}{folder}/{id}"));
            assert!(places.iter().any(|place| there.contains(place)), "etcd lacks {id}");
        }
    }
}
