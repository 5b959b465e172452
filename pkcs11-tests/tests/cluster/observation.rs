//! What an operator sees of a cluster: the agent's numbers and lines, `cluster status` for monitors and as it
//! changes, records compared one by one, and a host that holds something else.

use super::hosts::{A, B, C, Hosts, soon};
use cryptoki_sys::{CKA_LABEL, CKR_OK};
use pkcs11_tests::keys::bytes;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// A program of which each line is kept.
struct Watched {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    new: Receiver<()>,
}

impl Watched {
    /// `standard_error`: its lines, else those of standard output.
    fn start(mut command: Command, standard_error: bool) -> Watched {
        let mut child = match standard_error {
            true => command.stderr(Stdio::piped()).spawn(),
            false => command.stdout(Stdio::piped()).spawn(),
        }
        .expect("strongroom");
        let output: Box<dyn std::io::Read + Send> = match standard_error {
            true => Box::new(child.stderr.take().expect("stderr")),
            false => Box::new(child.stdout.take().expect("stdout")),
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (ring, new) = channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                kept.lock().expect("lines").push(line);
                let _ = ring.send(());
            }
        });
        Watched { child, lines, new }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("lines").join("\n")
    }

    fn says(&self, wanted: &str) {
        soon(wanted, || self.text().contains(wanted).then_some(()));
    }

    fn next(&self) -> Value {
        self.new.recv_timeout(super::LIMIT).expect("a line");
        let line = self.lines.lock().expect("lines").remove(0);
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("it said:\n{}", self.text());
        }
    }
}

/// What a command answers, and its exit code.
fn ask(hosts: &Hosts, host: usize, words: &[&str]) -> (i32, Value) {
    let words = [words, &["--json"]].concat();
    let output = hosts.command(host, &words).output().expect("strongroom");
    let said = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().expect("an exit code"), said)
}

fn member<'a>(status: &'a Value, name: &str) -> &'a Value {
    let rows = status["members"].as_array().expect("members");
    rows.iter().find(|row| row["name"] == name).expect("the member")
}

/// What `cluster verify` found, but for users: a login may be counted in their records, or not.
fn findings(said: &Value) -> Vec<Value> {
    let all = said["shown"]["findings"].as_array().expect("findings");
    all.iter().filter(|one| one["kind"] != "user").cloned().collect()
}

/// By the parser of Prometheus' own client, which takes what is OpenMetrics and nothing else.
const PARSE: &str = r#"
import json, sys, urllib.error, urllib.request
from prometheus_client.openmetrics.parser import text_string_to_metric_families
url = sys.argv[1]
answer = urllib.request.urlopen(url + "/metrics")
assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"), answer.headers
families = list(text_string_to_metric_families(answer.read().decode()))
assert all(family.documentation for family in families)
def code(path, data=None):
    try:
        return urllib.request.urlopen(url + path, data).status
    except urllib.error.HTTPError as refused:
        return refused.code
assert (code("/"), code("/metrics", b"x")) == (404, 405)
print(json.dumps({
    " ".join([sample.name, *sample.labels.values()]): sample.value for family in families for sample in family.samples
}))
"#;

fn metrics(port: u16) -> Value {
    // Debian's own, whose package it is.
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", PARSE, &format!("http://127.0.0.1:{port}")]);
    let output = python.output().expect("python3");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ci/install python3-prometheus-client: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

pub fn numbers_and_lines(hosts: &mut Hosts) {
    hosts.stop_agent(B);
    let (code, said) = ask(hosts, B, &["cluster", "status", "--check"]);
    let said = said["data"].as_str().expect("a line");
    assert!(code == 2 && said.starts_with("CRITICAL - nobody keeps this host in step"), "{code}: {said}");
    let public = hosts.command(B, &["agent", "--metrics", "0.0.0.0:9464"]).output().expect("strongroom");
    assert_eq!(public.status.code(), Some(2), "an address that others reach must be asked for");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
    let agent = hosts.command(B, &["agent", "--metrics", &format!("127.0.0.1:{port}")]);
    let agent = Watched::start(agent, true);
    for line in
        ["connected to https://", "caught up: ", "a appeared, and is in step", "c appeared, and is in step"]
    {
        agent.says(&format!("strongroom: cluster: {line}"));
    }
    hosts.pair(hosts.user(A), "counted");
    hosts.pair(hosts.user(B), "counted-too");
    let now = soon("all numbers are right", || {
        let now = metrics(port);
        let (_, status) = ask(hosts, B, &["cluster", "status"]);
        let here = member(&status["data"], "b");
        let number = |name: &str| now[format!("strongroom_cluster_{name}")].as_f64();
        let right = number("records") == here["records"].as_f64()
            && number("applied_revision") == here["revision"].as_f64()
            && number("lag_revisions") == Some(0.0)
            && [number("peer_in_step a"), number("peer_in_step c")] == [Some(1.0); 2]
            && number("taken_records_total") >= Some(2.0);
        right.then_some(now)
    });
    let number = |name: &str| now[format!("strongroom_cluster_{name}")].as_f64().expect(name);
    assert_eq!(
        (number("connected"), number("outbox_records"), number("disconnections_total")),
        (1.0, 0.0, 0.0)
    );
    assert!(number("sent_records_total") >= 2.0 && number("etcd_revision") >= number("applied_revision"));
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    assert!((clock.as_secs_f64() - number("last_contact_timestamp_seconds")).abs() < 30.0);
    assert_eq!(number("peer_digest_differs c"), 0.0);
    assert_eq!(now[format!("strongroom_build_info {}", env!("CARGO_PKG_VERSION"))], 1.0, "{now}");

    // Cut off: said once, however often it tries; and the numbers come all the same.
    hosts.wires[B].cut();
    agent.says("cluster: cut off after");
    soon("it tried often", || (metrics(port)["strongroom_cluster_connected"] == 0.0).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(agent.text().matches("cut off").count(), 1, "{}", agent.text());
    hosts.wires[B].mend();
    soon("it is back", || (metrics(port)["strongroom_cluster_disconnections_total"] == 1.0).then_some(()));
    agent.says(", after ");
    let (code, said) = ask(hosts, A, &["cluster", "status", "--check"]);
    assert_eq!((code, &said["data"]["state"]), (0, &"ok".into()), "{said}");
    drop(agent);
    hosts.start_agent(B);
}

pub fn records_are_compared_and_read_again(hosts: &mut Hosts) {
    hosts.all_the_same();
    // What no member wrote, and so no member writes over: the operator made it up, and takes it away.
    for invented in
        ["r/no-name", "r/00000000-0000-0000-0000-000000000001", "m/00000000-0000-0000-0000-000000000002"]
    {
        hosts.etcd.control(&["del", &format!("{}{invented}", hosts.prefix())]);
    }
    let (code, said) = ask(hosts, A, &["cluster", "verify"]);
    assert_eq!((code, &said["data"]["findings"]), (0, &Value::Array(Vec::new())), "{said}");
    assert_eq!(
        said["data"]["records"],
        member(&ask(hosts, A, &["cluster", "status"]).1["data"], "a")["records"]
    );
    // While nobody is there to put it right: altered, deleted, foreign, and made on A only.
    let user = hosts.user(A);
    let place = |label: &str| {
        let key = hosts.find(user, label)[0];
        (hosts.unique_id(key), format!("{}r/{}", hosts.prefix(), hosts.unique_id(key)))
    };
    let ((altered, place_1), (deleted, place_2)) = (place("counted"), place("counted-too"));
    let foreign = format!("{}r/foreign", hosts.prefix());
    let watch = hosts.command(C, &["cluster", "status", "--watch", "1", "--json"]);
    let watch = Watched::start(watch, false);
    assert_eq!(member(&watch.next(), "c")["state"], "in step");
    for host in [A, B, C] {
        hosts.stop_agent(host);
    }
    assert_eq!(
        member(&watch.next(), "c")["state"],
        "not kept in step",
        "a line for a change, and for nothing else"
    );
    let mut value = hosts.etcd.get(&place_1);
    *value.last_mut().expect("bytes") ^= 1;
    hosts.etcd.put(&place_1, &value);
    hosts.etcd.control(&["del", &place_2]);
    hosts.etcd.put(&foreign, b"junk");
    let alone = hosts.user(C);
    hosts.pair(alone, "on-c-alone");
    let (code, said) = ask(hosts, C, &["cluster", "verify"]);
    assert_eq!(code, 1);
    let found = findings(&said);
    let about = |record: &str| found.iter().find(|one| one["record"] == record).expect("a finding");
    assert_eq!((found.len(), &about(&altered)["difference"]), (5, &"refused".into()), "{said}");
    assert_eq!(about(&deleted)["difference"], "missing in etcd");
    assert_eq!((&about(&foreign)["difference"], &about(&foreign)["kind"]), (&"refused".into(), &"".into()));
    let pending = found.iter().filter(|one| one["pending"] == true);
    assert_eq!(pending.count(), 2, "both halves of a pair that waits in the outbox");
    assert!(
        said["shown"]["members"].as_array().expect("members").iter().all(|row| row["same_digest"] != false)
    );
    // With nobody there the command itself reads everything and sends what etcd lacks, to the last.
    let (code, said) = ask(hosts, C, &["cluster", "resync"]);
    assert_eq!((code, &said["data"]["by_agent"]), (0, &false.into()), "{said}");
    assert!(said["data"]["sent"].as_u64() >= Some(4), "{said}");
    hosts.etcd.control(&["del", &foreign]);
    assert_eq!(ask(hosts, C, &["cluster", "verify"]).0, 0);
    let (code, said) = ask(hosts, A, &["cluster", "verify"]);
    let differences: Vec<Value> = findings(&said).iter().map(|one| one["difference"].clone()).collect();
    assert_eq!((code, differences), (1, vec!["missing here".into(); 2]), "{said}");
    [A, B, C].iter().for_each(|host| hosts.start_agent(*host));
    let (code, said) = ask(hosts, A, &["cluster", "resync"]);
    assert_eq!((code, &said["data"]["by_agent"]), (0, &true.into()), "{said}");
    hosts.all_the_same();
    assert_eq!(ask(hosts, A, &["cluster", "verify"]).0, 0);
}

/// A change that never left its host, as a lost outbox would leave it: nothing waits, and yet it differs.
pub fn a_difference_is_noticed_and_healed(hosts: &mut Hosts) {
    hosts.stop_agent(A);
    let agent = Watched::start(hosts.command(A, &["agent"]), true);
    agent.says("c appeared, and is in step");
    hosts.stop_agent(C);
    let alone = hosts.user(C);
    let renamed = hosts.set(alone, hosts.find(alone, "on-c-alone")[0], &[bytes(CKA_LABEL, b"never-sent")]);
    assert_eq!(renamed, CKR_OK);
    let (_, described) = ask(hosts, C, &["status"]);
    let file = described["data"]["file"].as_str().expect("a file").to_owned();
    // By a process of its own: what opens the file in this one would take the module's locks along.
    let lose = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.execute('DELETE FROM outbox')\ndb.commit()";
    let lost = Command::new("python3").args(["-c", lose, &file]).status().expect("python3");
    assert!(lost.success());
    hosts.start_agent(C);
    agent.says("c says that it has everything, and its digest");
    let (code, said) = ask(hosts, A, &["cluster", "status"]);
    let row = member(&said["data"], "c");
    assert_eq!((code, &row["state"], &row["pending"]), (0, &"differs".into(), &0.into()), "{said}");
    let (code, said) = ask(hosts, C, &["cluster", "verify"]);
    let findings = findings(&said);
    assert!(code == 1 && findings.len() == 1, "{said}");
    assert_eq!((&findings[0]["difference"], &findings[0]["pending"]), (&"newer here".into(), &false.into()));
    let digests = said["shown"]["members"].as_array().expect("members");
    assert_eq!(digests.iter().filter(|row| row["same_digest"] == false).count(), 2, "{said}");
    assert_eq!(ask(hosts, C, &["cluster", "resync"]).0, 0);
    agent.says("c is in step again");
    let there = hosts.user(B);
    soon("it was sent", || hosts.find(there, "never-sent").first().copied());
    assert_eq!(agent.text().matches("its digest").count(), 1, "told once");
    drop(agent);
    hosts.start_agent(A);
    hosts.all_the_same();
}
