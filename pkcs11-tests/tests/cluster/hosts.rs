//! Three hosts: slots of one configuration, with an agent each.

use cryptoki_sys::*;
use pkcs11_tests::etcd::{Etcd, USER, Wires};
use pkcs11_tests::keys::{Attribute, P256, bytes, number, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, Result, SO_PIN, call, check, tool_path};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
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
    module: Module,
    folder: tempfile::TempDir,
    config: PathBuf,
    pub wires: Vec<Wires>,
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
        let folder = tempfile::tempdir().expect("temporary folder");
        let etcd = Etcd::start(folder.path());
        let wires: Vec<Wires> = (0..3).map(|_| etcd.wires()).collect();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, configuration(&wires)).expect("configuration");
        let module = Module::load();
        let (agents, sessions) = (vec![None, None, None], Mutex::new([0; 3]));
        let mut hosts = Hosts { etcd, module, folder, config, wires, agents, sessions };
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

    pub fn command(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new(tool_path());
        command.args(words).arg("--config").arg(&self.config).args(["--slot", &host.to_string()]);
        command.env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"));
        command
    }

    /// The command on a host; `password`: STRONGROOM_PASSWORD (empty: the user's).
    pub fn strongroom(&self, host: usize, words: &[&str], password: &str) -> String {
        let password = if password.is_empty() { std::str::from_utf8(PIN).expect("text") } else { password };
        let output =
            self.command(host, words).env("STRONGROOM_PASSWORD", password).output().expect("strongroom");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The same of one that fails: what it says.
    pub fn failing(&self, host: usize, words: &[&str]) -> String {
        let password = std::str::from_utf8(PIN).expect("text");
        let output = self.command(host, words).env("STRONGROOM_PASSWORD", password).output();
        let output = output.expect("strongroom");
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn join(&self, host: usize, name: &str) {
        let mut join = self.command(host, &["cluster", "join", "--name", name]);
        join.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut join = join.spawn().expect("strongroom");
        let mut lines = BufReader::new(join.stderr.take().expect("stderr")).lines();
        let fingerprint = lines.by_ref().map(|line| line.expect("line").trim().to_owned());
        let fingerprint = fingerprint.skip_while(|line| !line.is_empty()).nth(1).expect("a fingerprint");
        let approved = soon("the request is there", || {
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
        let log = self.folder.path().join(format!("agent-{host}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("log");
        let agent = self.command(host, &["agent"]).stderr(log).spawn().expect("agent");
        self.agents[host] = Some(agent);
        self.connected(host);
    }

    fn connected(&self, host: usize) {
        soon("the agent is connected", || (self.keeper(host)?["connected"] == true).then_some(()));
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
        let said = self.folder.path().join(format!("host-{host}/token.sync"));
        serde_json::from_slice(&std::fs::read(said).ok()?).ok()
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

    pub fn try_pair(&self, session: CK_SESSION_HANDLE, label: &str) -> Result<()> {
        let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
        let public = [&own[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
        self.module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own).map(drop)
    }

    pub fn pair(&self, session: CK_SESSION_HANDLE, label: &str) {
        self.try_pair(session, label).expect("a pair");
    }

    pub fn create(&self, session: CK_SESSION_HANDLE, object: &[Attribute]) -> CK_OBJECT_HANDLE {
        self.module.create(session, object).expect("an object")
    }

    /// Private keys of a label.
    pub fn find(&self, session: CK_SESSION_HANDLE, label: &str) -> Vec<CK_OBJECT_HANDLE> {
        let wanted = [bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, CKO_PRIVATE_KEY)];
        self.module.find(session, &wanted).expect("find")
    }

    pub fn sign(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        let begun = call!(self.module, C_SignInit, session, &mut mechanism(CKM_ECDSA), key);
        if begun != CKR_OK {
            return begun;
        }
        let (mut hash, mut signature, mut length) = ([1; 32], [0; 64], 64);
        call!(self.module, C_Sign, session, hash.as_mut_ptr(), 32, signature.as_mut_ptr(), &mut length)
    }

    pub fn set(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, values: &[Attribute]) -> CK_RV {
        let mut list = template(values);
        call!(self.module, C_SetAttributeValue, session, key, list.as_mut_ptr(), list.len() as CK_ULONG)
    }

    pub fn destroy(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> CK_RV {
        call!(self.module, C_DestroyObject, session, key)
    }

    pub fn id_of(&self, session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) -> Vec<u8> {
        self.module.attribute(session, key, CKA_ID).expect("an id")
    }

    /// CKA_UNIQUE_ID of a key that A's user sees.
    pub fn unique_id(&self, key: CK_OBJECT_HANDLE) -> String {
        let session = self.sessions.lock().expect("sessions")[A];
        let id = self.module.attribute(session, key, CKA_UNIQUE_ID).expect("an id");
        String::from_utf8(id).expect("text")
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        (0..3).for_each(|host| self.kill_agent(host));
        if std::thread::panicking() {
            for host in 0..3 {
                let log = self.folder.path().join(format!("agent-{host}.log"));
                eprintln!("agent {host}:\n{}", std::fs::read_to_string(log).unwrap_or_default());
            }
        }
    }
}
