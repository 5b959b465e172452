//! Three hosts: slots of one configuration, with an agent each.

mod contents;
mod programs;

use cryptoki_sys::*;
use pkcs11_tests::etcd::{Etcd, USER};
use pkcs11_tests::wires::Wires;
use pkcs11_tests::{PIN, RW, Result, SO_PIN, call, check, tool_path};
pub use programs::Programs;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub const A: usize = 0;
pub const B: usize = 1;
/// With durability `local`.
pub const C: usize = 2;

/// Longer than anything here may take on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What `look` finds, as soon as it does.
pub fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < LIMIT, "not in {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub struct Hosts {
    pub etcd: Etcd,
    pub programs: Programs,
    folder: tempfile::TempDir,
    pub config: PathBuf,
    pub wires: Vec<Wires>,
    /// What the agent and the commands of each host run under.
    pub environments: [Vec<(String, String)>; 3],
    /// What B and C asked to join with, as it lay in etcd: fingerprint and bytes.
    pub requests: Vec<(String, Vec<u8>)>,
    agents: Vec<Option<Child>>,
    /// One session a slot, with whoever is logged in.
    sessions: Mutex<[CK_SESSION_HANDLE; 3]>,
}

/// A host as a slot; `more`: lines of [slot.cluster].
fn slot(host: usize, id: usize, wires: &Wires, more: &str) -> String {
    let endpoints: Vec<String> =
        wires.ports.iter().map(|port| format!("\"https://127.0.0.1:{port}\"")).collect();
    let durability = if host == C { "local" } else { "quorum" };
    format!(
        "[[slot]]\nid = {id}\npath = \"host-{host}/token.db\"\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n\
         [slot.cluster]\nendpoints = [{}]\nca = \"ca.pem\"\ncertificate = \"host.pem\"\nkey = \"host.key\"\n\
         user = \"{USER}\"\npassword_file = \"engine.pw\"\ndurability = \"{durability}\"\n{more}\n",
        endpoints.join(", ")
    )
}

/// All hosts, in one process that keeps none of them in step.
fn configuration(wires: &[Wires]) -> String {
    wires.iter().enumerate().map(|(host, wires)| slot(host, host, wires, "background = false")).collect()
}

impl Hosts {
    /// A founds the cluster, B and C join it; the user exists, and all have an agent.
    pub fn new() -> Hosts {
        Hosts::with(&[])
    }

    /// The same, with more options for the members of etcd.
    pub fn with(options: &[&str]) -> Hosts {
        let folder = tempfile::tempdir().expect("temporary folder");
        let etcd = Etcd::start_with(folder.path(), options);
        let wires: Vec<Wires> = (0..3).map(|_| etcd.wires()).collect();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, configuration(&wires)).expect("configuration");
        let programs = Programs::load();
        let (agents, sessions) = (vec![None, None, None], Mutex::new([0; 3]));
        let (environments, requests) = Default::default();
        let mut hosts =
            Hosts { etcd, programs, folder, config, wires, environments, requests, agents, sessions };
        hosts.strongroom(A, &["cluster", "activate"], "");
        hosts.strongroom(
            A,
            &["user", "create", "user", "--role", "CU"],
            std::str::from_utf8(PIN).expect("text"),
        );
        hosts.strongroom(A, &["cluster", "init", "--name", "a"], "");
        hosts.start_agent(A);
        for (host, name) in [(B, "b"), (C, "c")] {
            hosts.join(host, name);
            hosts.start_agent(host);
        }
        hosts.module.initialize(&hosts.config).expect("C_Initialize");
        hosts
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A host's token.
    pub fn file(&self, host: usize) -> PathBuf {
        self.folder().join(format!("host-{host}/token.db"))
    }

    /// C_Finalize, something with the files, and C_Initialize.
    pub fn without_module(&self, work: impl FnOnce()) {
        assert_eq!(call!(self.module, C_Finalize, null_mut()), CKR_OK);
        *self.sessions.lock().expect("sessions") = [0; 3];
        work();
        self.module.initialize(&self.config).expect("C_Initialize");
    }

    pub fn command(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new(tool_path());
        command.args(words).arg("--config").arg(&self.config).args(["--slot", &host.to_string()]);
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        command.envs(self.environments[host].iter().cloned());
        command
    }

    /// The command on a host; `password`: STRONGROOM_PASSWORD (empty: the user's).
    pub fn strongroom(&self, host: usize, words: &[&str], password: &str) -> String {
        let output = self.try_strongroom(host, words, password);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The same, whatever comes of it.
    pub fn try_strongroom(&self, host: usize, words: &[&str], password: &str) -> Output {
        let password = if password.is_empty() { std::str::from_utf8(PIN).expect("text") } else { password };
        self.command(host, words).env("STRONGROOM_PASSWORD", password).output().expect("strongroom")
    }

    /// The same of one that fails: what it says.
    pub fn failing(&self, host: usize, words: &[&str]) -> String {
        let output = self.try_strongroom(host, words, "");
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn join(&mut self, host: usize, name: &str) {
        let mut join = self.command(host, &["cluster", "join", "--name", name]);
        join.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut join = join.spawn().expect("strongroom");
        let mut lines = BufReader::new(join.stderr.take().expect("stderr")).lines();
        let fingerprint = lines.by_ref().map(|line| line.expect("line").trim().to_owned());
        let fingerprint = fingerprint.skip_while(|line| !line.is_empty()).nth(1).expect("a fingerprint");
        let place = format!("strongroom/join/{fingerprint}");
        soon("the request is there", || self.etcd.keys(&place).pop());
        self.requests.push((fingerprint.clone(), self.etcd.get(&place)));
        let approved = soon("it is approved", || {
            let approve = self.command(A, &["cluster", "approve", &fingerprint, "--json"]).output();
            let approve = approve.expect("strongroom");
            approve.status.success().then(|| String::from_utf8(approve.stdout).expect("text"))
        });
        let approved: Value = serde_json::from_str(&approved).expect("JSON");
        let code = approved["data"]["code"].as_str().expect("a code");
        writeln!(join.stdin.take().expect("stdin"), "{code}").expect("the code");
        let said: Vec<String> = lines.map(|line| line.expect("line")).collect();
        assert!(join.wait().expect("strongroom").success(), "{said:?}");
    }

    pub fn start_agent(&mut self, host: usize) {
        self.begin_agent(host);
        self.connected(host);
    }

    /// Starts it, and waits for nothing.
    pub fn begin_agent(&mut self, host: usize) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_of(host)).expect("log");
        // What one that was killed said.
        let _ = std::fs::remove_file(self.file(host).with_extension("sync"));
        let agent = self.command(host, &["agent"]).stderr(log).spawn().expect("agent");
        self.agents[host] = Some(agent);
    }

    fn log_of(&self, host: usize) -> PathBuf {
        self.folder().join(format!("agent-{host}.log"))
    }

    /// What a host's agent wrote to its standard error.
    pub fn log(&self, host: usize) -> String {
        std::fs::read_to_string(self.log_of(host)).unwrap_or_default()
    }

    /// Whether the agent is dead; then it is waited for.
    pub fn is_dead(&mut self, host: usize) -> bool {
        let dead = self.agents[host].as_mut().is_none_or(|agent| agent.try_wait().expect("agent").is_some());
        if dead {
            self.agents[host] = None;
        }
        dead
    }

    pub fn connected(&self, host: usize) {
        soon("the agent is connected", || (self.keeper(host)?["connected"] == true).then_some(()));
    }

    /// Waits until the agent knows that it is not, and why.
    pub fn cut_off(&self, host: usize) -> String {
        soon("the agent knows", || {
            let said = self.keeper(host)?;
            let why = said["last_error"].as_str().filter(|why| !why.is_empty())?.to_owned();
            (said["connected"] == false).then_some(why)
        })
    }

    /// A configuration with this host alone, as slot 0, for other processes on it.
    pub fn alone(&self, host: usize, more: &str) -> PathBuf {
        let name: String = more.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = self.folder.path().join(format!("host-{host}-{name}.toml"));
        std::fs::write(&path, slot(host, 0, &self.wires[host], more)).expect("configuration");
        path
    }

    /// What whoever keeps a host in step says; `None`: nobody did, or was killed.
    pub fn keeper(&self, host: usize) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.file(host).with_extension("sync")).ok()?).ok()
    }

    /// Starts an agent that is no part of this: it has to be stopped by whoever starts it.
    pub fn other_agent(&self, host: usize, words: &[&str]) -> Child {
        let words = [&["agent"], words].concat();
        self.command(host, &words).stderr(Stdio::piped()).spawn().expect("agent")
    }

    pub fn kill_agent(&mut self, host: usize) {
        if let Some(mut agent) = self.agents[host].take() {
            agent.kill().expect("kill");
            agent.wait().expect("agent");
        }
    }

    /// An agent that ends by itself; what it said.
    pub fn ended(&mut self, host: usize) -> String {
        let mut agent = self.agents[host].take().expect("an agent");
        let status = soon("the agent ends", || agent.try_wait().expect("agent"));
        assert!(!status.success());
        let log = self.folder.path().join(format!("agent-{host}.log"));
        std::fs::read_to_string(log).expect("log")
    }

    /// By SIGTERM; how long it took.
    pub fn stop_agent(&mut self, host: usize) -> Duration {
        let mut agent = self.agents[host].take().expect("an agent");
        let begun = Instant::now();
        // SAFETY: a signal to a child of ours that was not waited for.
        assert_eq!(unsafe { libc::kill(agent.id() as i32, libc::SIGTERM) }, 0);
        assert!(agent.wait().expect("agent").success());
        begun.elapsed()
    }

    /// Cuts a host off, and waits until it knows.
    pub fn cut(&self, host: usize) {
        self.wires[host].cut();
        soon("the agent knows", || self.status(host)["last_error"].as_str()?.contains("etcd").then_some(()));
    }

    pub fn mend(&self, host: usize) {
        self.wires[host].mend();
        self.connected(host);
    }

    /// What a host's own row of `cluster status` says.
    pub fn status(&self, host: usize) -> Value {
        let said = self.strongroom(host, &["cluster", "status", "--json"], "");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let rows = said["data"]["members"].as_array().expect("rows").clone();
        rows.into_iter().find(|row| row["here"] == true).expect("this host")
    }

    /// Waits until all hosts hold the same, by the digest of everything, and every file is sound.
    pub fn all_the_same(&self) {
        self.same(&[A, B, C]);
    }

    /// The same of those that are still members.
    pub fn same(&self, members: &[usize]) {
        soon("all hold the same", || {
            let said = self.strongroom(members[0], &["cluster", "status", "--json"], "");
            let said: Value = serde_json::from_str(&said).expect("JSON");
            let rows = said["data"]["members"].as_array().expect("rows").clone();
            let same = |row: &Value| row["same_digest"] == true && row["pending"] == 0;
            (rows.len() == members.len() && rows.iter().all(same)).then_some(())
        });
        self.the_same_bytes(members);
        for host in members {
            assert!(self.strongroom(*host, &["verify"], "").contains(" 0 faults"));
        }
    }

    /// What the keys of this token in etcd begin with.
    pub fn prefix(&self) -> String {
        let keys = self.etcd.keys("strongroom/");
        let record = keys.iter().find(|key| key.contains("/m/")).expect("a member");
        format!("{}/", record.split_once("/m/").expect("a member").0)
    }

    /// A session on a host, with the user.
    pub fn user(&self, host: usize) -> CK_SESSION_HANDLE {
        self.log_in(host, PIN).expect("the user")
    }

    /// A session on a host with somebody, who replaces whoever was logged in there.
    pub fn log_in(&self, host: usize, pin: &[u8]) -> Result<CK_SESSION_HANDLE> {
        let mut sessions = self.sessions.lock().expect("sessions");
        if sessions[host] == 0 {
            check(call!(
                self.module,
                C_OpenSession,
                host as CK_SLOT_ID,
                RW,
                null_mut(),
                None,
                &mut sessions[host]
            ))?;
        }
        call!(self.module, C_Logout, sessions[host]);
        self.module.login(sessions[host], CKU_USER, pin)?;
        Ok(sessions[host])
    }

    pub fn log_out(&self, session: CK_SESSION_HANDLE) {
        assert_eq!(call!(self.module, C_Logout, session), CKR_OK);
    }

    /// CKA_UNIQUE_ID of a key that A's user sees.
    pub fn unique_id(&self, key: CK_OBJECT_HANDLE) -> String {
        let session = self.sessions.lock().expect("sessions")[A];
        let id = self.module.attribute(session, key, CKA_UNIQUE_ID).expect("an id");
        String::from_utf8(id).expect("text")
    }
}

/// A program does the same on each host's slot.
impl std::ops::Deref for Hosts {
    type Target = Programs;
    fn deref(&self) -> &Programs {
        &self.programs
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        (0..3).for_each(|host| self.kill_agent(host));
        if std::thread::panicking() {
            for host in 0..3 {
                eprintln!("agent {host}:\n{}", self.log(host));
            }
        }
    }
}
