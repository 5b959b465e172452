//! Three hosts as slots of one configuration: A founds the cluster, B is a member from the start, C joins when
//! it is told to. Agents are processes that can be frozen, so that etcd is alone for a while.

use crate::bare::Bare;
use crate::config::ClusterConfig;
use cryptoki_sys::*;
use pkcs11_tests::etcd::{Etcd, USER};
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, check};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

pub const A: usize = 0;
pub const B: usize = 1;
pub const C: usize = 2;

const LIMIT: Duration = Duration::from_secs(300);

/// What `look` finds, as soon as it does.
pub fn soon<T>(what: &str, pause: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < LIMIT, "not in {LIMIT:?}: {what}");
        std::thread::sleep(pause);
    }
}

/// A process of the `strongroom` command whose costs are of interest.
pub struct Costs {
    /// Most resident memory so far, in MiB.
    pub memory: f64,
    /// Of all its threads.
    pub processor: Duration,
}

fn costs_of(pid: u32) -> Option<Costs> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, in parentheses, come numbers: the 12th and 13th are ticks of user and system.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Costs { memory: kibibytes / 1024.0, processor: Duration::from_millis(ticks * 10) })
}

pub struct Hosts {
    pub module: Module,
    pub bare: Bare,
    tool: PathBuf,
    folder: tempfile::TempDir,
    agents: [Option<Child>; 3],
    _etcd: Etcd,
}

fn configuration(endpoints: &[String], durability: &str) -> String {
    let slot = |host| {
        format!(
            "[[slot]]\nid = {host}\npath = \"host-{host}/token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n\
             [slot.cluster]\nendpoints = {endpoints:?}\nca = \"ca.pem\"\ncertificate = \"host.pem\"\nkey = \"host.key\"\n\
             user = \"{USER}\"\npassword_file = \"engine.pw\"\ndurability = \"{durability}\"\nbackground = false\n"
        )
    };
    [A, B, C].map(slot).concat()
}

impl Hosts {
    pub fn new(library: &Path) -> Hosts {
        let folder = tempfile::tempdir().expect("temporary folder");
        let etcd = Etcd::start(folder.path());
        for durability in ["quorum", "local"] {
            let file = folder.path().join(format!("{durability}.toml"));
            std::fs::write(file, configuration(&etcd.endpoints(), durability)).expect("configuration");
        }
        let file = |name: &str| folder.path().join(name);
        let bare = Bare::connect(&ClusterConfig {
            endpoints: etcd.endpoints(),
            ca: file("ca.pem"),
            certificate: file("host.pem"),
            key: file("host.key"),
            user: Some((USER.into(), file("engine.pw"))),
            prefix: "strongroom/".into(),
        });
        // SAFETY: no other thread of this process reads the environment yet.
        unsafe { std::env::set_var("STRONGROOM_MODULE", library) };
        let module = Module::load();
        let (tool, agents) = (library.with_file_name("strongroom"), [const { None }; 3]);
        let mut hosts = Hosts { module, bare, tool, folder, agents, _etcd: etcd };
        hosts.strongroom(A, &["cluster", "activate"]);
        hosts.strongroom(A, &["user", "create", "user", "--role", "CU"]);
        hosts.strongroom(A, &["cluster", "init", "--name", "a"]);
        hosts.start_agent(A);
        hosts.join(B);
        hosts.start_agent(B);
        hosts.module.initialize(&hosts.configuration("quorum")).expect("C_Initialize");
        hosts
    }

    fn configuration(&self, durability: &str) -> PathBuf {
        self.folder.path().join(format!("{durability}.toml"))
    }

    /// With durability `local`: it makes what the module is to send.
    fn command(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new(&self.tool);
        command
            .args(words)
            .arg("--config")
            .arg(self.configuration("local"))
            .args(["--slot", &host.to_string()]);
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
        command
    }

    pub fn strongroom(&self, host: usize, words: &[&str]) -> String {
        let output = self.command(host, words).output().expect("strongroom");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A host joins: how long it took from the approval to having everything, and the most memory.
    pub fn join(&self, host: usize) -> (Duration, Costs) {
        let mut join = self.command(host, &["cluster", "join", "--name", &format!("host-{host}")]);
        join.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut join = join.spawn().expect("strongroom");
        let mut lines = BufReader::new(join.stderr.take().expect("stderr")).lines();
        let fingerprint = lines.by_ref().map(|line| line.expect("line").trim().to_owned());
        let fingerprint = fingerprint.skip_while(|line| !line.is_empty()).nth(1).expect("a fingerprint");
        let code = soon("the request is there", Duration::from_millis(50), || {
            let approve = self.command(A, &["cluster", "approve", &fingerprint, "--json"]).output();
            let approve = approve.expect("strongroom");
            let said = String::from_utf8(approve.stdout).expect("text");
            let said: serde_json::Value = serde_json::from_str(&said).ok()?;
            said["data"]["code"].as_str().map(str::to_owned)
        });
        writeln!(join.stdin.take().expect("stdin"), "{code}").expect("the code");
        let (begun, mut costs) = (Instant::now(), None);
        while join.try_wait().expect("strongroom").is_none() {
            costs = costs_of(join.id()).or(costs);
            std::thread::sleep(Duration::from_millis(2));
        }
        let time = begun.elapsed();
        let said: Vec<String> = lines.map(|line| line.expect("line")).collect();
        assert!(join.wait().expect("strongroom").success(), "{said:?}");
        (time, costs.expect("it ran"))
    }

    /// Answers when the agent is connected and has everything.
    pub fn start_agent(&mut self, host: usize) {
        let log = std::fs::File::create(self.folder.path().join(format!("agent-{host}.log"))).expect("log");
        self.agents[host] = Some(self.command(host, &["agent"]).stderr(log).spawn().expect("agent"));
        soon("the agent is connected", Duration::from_millis(2), || self.is_connected(host).then_some(()));
    }

    /// Answers at once.
    pub fn begin_agent(&mut self, host: usize) {
        let log = std::fs::File::create(self.folder.path().join(format!("agent-{host}.log"))).expect("log");
        self.agents[host] = Some(self.command(host, &["agent"]).stderr(log).spawn().expect("agent"));
    }

    pub fn is_connected(&self, host: usize) -> bool {
        let said =
            std::fs::read(self.folder.path().join(format!("host-{host}/token.sync"))).unwrap_or_default();
        let said: Option<serde_json::Value> = serde_json::from_slice(&said).ok();
        said.is_some_and(|said| said["connected"] == true)
    }

    pub fn agent_costs(&self, host: usize) -> Costs {
        costs_of(self.agents[host].as_ref().expect("an agent").id()).expect("it runs")
    }

    fn signal(&self, host: usize, signal: i32) {
        let id = self.agents[host].as_ref().expect("an agent").id();
        // SAFETY: a signal to a child of ours that was not waited for.
        assert_eq!(unsafe { libc::kill(id as i32, signal) }, 0);
    }

    pub fn freeze(&self, host: usize) {
        self.signal(host, libc::SIGSTOP);
    }

    pub fn thaw(&self, host: usize) {
        self.signal(host, libc::SIGCONT);
    }

    pub fn stop_agent(&mut self, host: usize) {
        self.signal(host, libc::SIGTERM);
        let mut agent = self.agents[host].take().expect("an agent");
        assert!(agent.wait().expect("agent").success());
    }

    /// Makes so many records on A, half of them private keys, in the file alone.
    pub fn make_records(&self, records: usize, name: &str) {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).expect("folder");
        let mut random = std::fs::File::open("/dev/urandom").expect("random");
        for (number, left) in (0..records / 2).step_by(5_000).map(|done| (done / 5_000, records / 2 - done)) {
            let mut text = String::new();
            (0..left.min(5_000)).for_each(|_| text.push_str(&pem(&mut random)));
            std::fs::write(folder.join(format!("{name}-{number}.pem")), text).expect("a file of keys");
        }
        self.strongroom(A, &["key", "import", "pem", folder.to_str().expect("path")]);
    }

    /// Where the records of the token lie in etcd.
    pub fn records(&mut self) -> String {
        // No other names have so early letters but those of the token itself.
        let token: String = self.bare.first("strongroom/status/");
        format!("strongroom/{}/r/", token.split('/').nth(2).expect("a token"))
    }

    /// A session on a host with the user.
    pub fn user(&self, host: usize) -> CK_SESSION_HANDLE {
        let mut session = 0;
        let opened =
            call!(self.module, C_OpenSession, host as CK_SLOT_ID, RW, null_mut(), None, &mut session);
        check(opened).expect("C_OpenSession");
        self.module.login(session, CKU_USER, PIN).expect("C_Login");
        session
    }

    /// Whether two hosts hold the same, by the digest of everything.
    pub fn are_the_same(&self, host: usize) {
        soon("both hold the same", Duration::from_millis(200), || {
            let said = [A, host].map(|host| {
                let said = self.strongroom(host, &["cluster", "status", "--json"]);
                let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
                let rows = said["data"]["members"].as_array().expect("rows").clone();
                let same = |row: &serde_json::Value| row["same_digest"] == true;
                rows.into_iter().take(2).all(|row| same(&row) || row["last_seen"] == "")
            });
            said.iter().all(|same| *same).then_some(())
        });
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for agent in self.agents.iter_mut().flatten() {
            let _ = (agent.kill(), agent.wait());
        }
    }
}

/// An Ed25519 key as PKCS#8 in PEM.
fn pem(random: &mut impl std::io::Read) -> String {
    let mut seed = [0; 32];
    random.read_exact(&mut seed).expect("random");
    let der = [&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..], &seed].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64(&der))
}

/// Of a multiple of three bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |part: &[u8]| {
        let number = u32::from_be_bytes([0, part[0], part[1], part[2]]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(number >> shift & 63) as usize]))
    };
    bytes.chunks_exact(3).flat_map(four).collect()
}
