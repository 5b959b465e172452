//! Three members of etcd on loopback with mutual TLS and user authentication, which can be killed, frozen, filled
//! up and put back. Needs Debian's etcd-server, etcd-client and openssl.

use crate::wires::Wires;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The user that tokens are to etcd; the file with its password lies in the folder.
pub const USER: &str = "strongroom";
const PASSWORD: &str = "engine-pw-1";
const ROOT: &str = "root:root-pw-1";

pub struct Etcd {
    folder: PathBuf,
    ports: Vec<u16>,
    peers: Vec<u16>,
    members: Vec<Option<Child>>,
    options: Vec<String>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; ci/install etcd-server etcd-client openssl"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A CA, and a certificate for 127.0.0.1 that serves for every end.
fn certificates(folder: &Path) {
    let openssl = |words: &str| run(Command::new("openssl").current_dir(folder).args(words.split(' ')));
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(&format!("req -new {key} -keyout host.key -out host.csr -subj /CN={USER}"));
    let usage = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
    std::fs::write(folder.join("usage"), usage).expect("file");
    openssl(
        "x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out host.pem -days 2 -extfile usage",
    );
}

impl Etcd {
    /// Starts them and waits until they have a leader and ask for a password.
    pub fn start(folder: &Path) -> Etcd {
        Etcd::start_with(folder, &[])
    }

    /// The same, with more options for each.
    pub fn start_with(folder: &Path, options: &[&str]) -> Etcd {
        certificates(folder);
        std::fs::write(folder.join("engine.pw"), PASSWORD).expect("password");
        let ports = (0..3).map(|_| free_port()).collect();
        let peers = (0..3).map(|_| free_port()).collect();
        let (members, options) = (vec![None, None, None], options.iter().map(|o| (*o).to_owned()).collect());
        let mut etcd = Etcd { folder: folder.to_owned(), ports, peers, members, options };
        (0..3).for_each(|member| etcd.start_member(member));
        etcd.wait();
        for words in [
            format!("user add {ROOT}"),
            "user grant-role root root".into(),
            format!("user add {USER}:{PASSWORD}"),
            "role add strongroom".into(),
            "role grant-permission strongroom --prefix=true readwrite strongroom/".into(),
            format!("user grant-role {USER} strongroom"),
            "auth enable".into(),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            run(&mut etcd.command(&words, false));
        }
        etcd
    }

    /// All members, as each of them is told.
    fn cluster(&self) -> String {
        let one = |member: usize| format!("m{member}={}", url(self.peers[member]));
        (0..3).map(one).collect::<Vec<_>>().join(",")
    }

    pub fn start_member(&mut self, member: usize) {
        let (client, peer) = (url(self.ports[member]), url(self.peers[member]));
        let log = std::fs::File::create(self.folder.join(format!("etcd-{member}.log"))).expect("log");
        let child = Command::new("etcd")
            .current_dir(&self.folder)
            .args(["--name", &format!("m{member}"), "--data-dir", &format!("etcd-{member}")])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.cluster(), "--initial-cluster-state", "new"])
            .args(["--cert-file", "host.pem", "--key-file", "host.key", "--trusted-ca-file", "ca.pem"])
            .args(["--peer-cert-file", "host.pem", "--peer-key-file", "host.key"])
            .args(["--peer-trusted-ca-file", "ca.pem", "--client-cert-auth", "--peer-client-cert-auth"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap"])
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd; ci/install etcd-server");
        self.members[member] = Some(child);
    }

    /// kill -9.
    pub fn kill_member(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&self, member: usize, signal: i32) {
        let child = self.members[member].as_ref().expect("a member that runs");
        // SAFETY: a signal to a child of ours that was not waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    }

    /// Its connections stay open, and it says nothing: as one that is behind a cable that was pulled.
    pub fn freeze_member(&self, member: usize) {
        self.signal(member, libc::SIGSTOP);
    }

    pub fn thaw_member(&self, member: usize) {
        self.signal(member, libc::SIGCONT);
    }

    /// Thaws it, or starts it if it was killed.
    pub fn revive(&mut self, member: usize) {
        match self.members[member] {
            Some(_) => self.thaw_member(member),
            None => self.start_member(member),
        }
    }

    /// A snapshot of what is there now.
    pub fn save(&self, name: &str) {
        run(&mut self.command_to(&self.endpoints()[..1], &["snapshot", "save", name], true));
    }

    /// Puts all members back to a snapshot, as its operator would: the cluster's id stays.
    pub fn put_back(&mut self, name: &str) {
        for member in 0..3 {
            self.kill_member(member);
            let data = format!("etcd-{member}");
            std::fs::remove_dir_all(self.folder.join(&data)).expect("data");
            let mut restore = Command::new("etcdctl");
            restore.current_dir(&self.folder).env("ETCDCTL_API", "3");
            restore.args(["snapshot", "restore", name, "--name", &format!("m{member}")]);
            restore.args(["--data-dir", &data, "--initial-cluster", &self.cluster()]);
            run(restore.args(["--initial-advertise-peer-urls", &url(self.peers[member])]));
        }
        (0..3).for_each(|member| self.start_member(member));
        self.wait();
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        let said = self.control(&["get", "strongroom/", "--write-out=fields"]).stdout;
        let said = String::from_utf8(said).expect("text");
        let revision = said.lines().find_map(|line| line.strip_prefix("\"Revision\" : "));
        revision.expect("a revision").parse().expect("a number")
    }

    /// Where its members answer, without wires.
    pub fn endpoints(&self) -> Vec<String> {
        self.ports.iter().map(|port| url(*port)).collect()
    }

    fn command(&self, words: &[&str], as_root: bool) -> Command {
        self.command_to(&self.endpoints(), words, as_root)
    }

    fn command_to(&self, endpoints: &[String], words: &[&str], as_root: bool) -> Command {
        let mut command = Command::new("etcdctl");
        command.current_dir(&self.folder).env("ETCDCTL_API", "3").stdin(Stdio::null());
        command.args(["--endpoints", &endpoints.join(","), "--cacert", "ca.pem"]);
        command.args(["--cert", "host.pem", "--key", "host.key"]);
        if as_root {
            command.args(["--user", ROOT]);
        }
        command.args(words);
        command
    }

    /// etcdctl, as its operator.
    pub fn control(&self, words: &[&str]) -> Output {
        run(&mut self.command(words, true))
    }

    /// etcdctl with something to read; whether it did it.
    fn feed(&self, words: &[&str], input: &[u8]) -> bool {
        let mut command = self.command(words, true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("etcdctl");
        child.stdin.take().expect("stdin").write_all(input).expect("input");
        child.wait().expect("etcdctl").success()
    }

    /// Puts bytes somewhere, as its operator.
    pub fn put(&self, key: &str, value: &[u8]) {
        assert!(self.feed(&["put", key], value), "{key}");
    }

    /// Puts junk below a name until there is no room left.
    pub fn fill_up(&self, prefix: &str) {
        let junk = vec![b'x'; 1 << 20];
        let room = (0..100).take_while(|number| self.feed(&["put", &format!("{prefix}{number}")], &junk));
        assert!(room.count() < 100, "it takes everything");
    }

    /// So many keys of nobody in one transaction: etcd must run with `--max-txn-ops`.
    pub fn put_many(&self, names: impl Iterator<Item = String>) {
        let puts: String = names.map(|name| format!("put {name} junk\n")).collect();
        assert!(self.feed(&["txn"], format!("\n{puts}\n\n").as_bytes()), "a large transaction");
    }

    /// The names of all keys that begin with this.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let output = self.control(&["get", prefix, "--prefix", "--keys-only"]);
        let text = String::from_utf8(output.stdout).expect("names");
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Whether what was there at a revision can still be read.
    pub fn has_past(&self, key: &str, revision: u64) -> bool {
        let read = self.command(&["get", key, "--rev", &revision.to_string()], true).output();
        read.expect("etcdctl").status.success()
    }

    /// The bytes there.
    pub fn get(&self, key: &str) -> Vec<u8> {
        let mut value = self.control(&["get", key, "--print-value-only"]).stdout;
        assert_eq!(value.pop(), Some(b'\n'), "{key} is not there");
        value
    }

    fn wait(&self) {
        let since = Instant::now();
        while !self
            .command(&["endpoint", "health"], false)
            .output()
            .is_ok_and(|output| output.status.success())
        {
            assert!(since.elapsed() < Duration::from_secs(60), "etcd does not start: see its logs");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Wires to all members.
    pub fn wires(&self) -> Wires {
        Wires::new(&self.ports)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..3).for_each(|member| self.kill_member(member));
    }
}
