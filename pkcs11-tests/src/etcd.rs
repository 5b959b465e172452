//! Three members of etcd on loopback with mutual TLS and user authentication, and wires to them that can be
//! cut. Needs Debian's etcd-server, etcd-client and openssl.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
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
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
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
        certificates(folder);
        std::fs::write(folder.join("engine.pw"), PASSWORD).expect("password");
        let ports = (0..3).map(|_| free_port()).collect();
        let peers = (0..3).map(|_| free_port()).collect();
        let mut etcd = Etcd { folder: folder.to_owned(), ports, peers, members: vec![None, None, None] };
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

    pub fn start_member(&mut self, member: usize) {
        let url = |port: u16| format!("https://127.0.0.1:{port}");
        let all: Vec<String> = (0..3).map(|n| format!("m{n}={}", url(self.peers[n]))).collect();
        let (client, peer) = (url(self.ports[member]), url(self.peers[member]));
        let log = std::fs::File::create(self.folder.join(format!("etcd-{member}.log"))).expect("log");
        let child = Command::new("etcd")
            .current_dir(&self.folder)
            .args(["--name", &format!("m{member}"), "--data-dir", &format!("etcd-{member}")])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
            .args(["--cert-file", "host.pem", "--key-file", "host.key", "--trusted-ca-file", "ca.pem"])
            .args(["--peer-cert-file", "host.pem", "--peer-key-file", "host.key"])
            .args(["--peer-trusted-ca-file", "ca.pem", "--client-cert-auth", "--peer-client-cert-auth"])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap"])
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

    /// Where its members answer, without wires.
    pub fn endpoints(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("https://127.0.0.1:{port}")).collect()
    }

    fn command(&self, words: &[&str], as_root: bool) -> Command {
        let mut command = Command::new("etcdctl");
        command.current_dir(&self.folder).env("ETCDCTL_API", "3").stdin(Stdio::null());
        command.args(["--endpoints", &self.endpoints().join(","), "--cacert", "ca.pem"]);
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

    /// Puts bytes somewhere, as its operator.
    pub fn put(&self, key: &str, value: &[u8]) {
        let mut command = self.command(&["put", key], true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("etcdctl");
        child.stdin.take().expect("stdin").write_all(value).expect("value");
        assert!(child.wait().expect("etcdctl").success());
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

/// What a host's connections to etcd run through.
pub struct Wires {
    pub ports: Vec<u16>,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wires {
    fn new(to: &[u16]) -> Wires {
        let mut wires = Wires { ports: Vec::new(), cut: Arc::default(), open: Arc::default() };
        for port in to.iter().copied() {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            wires.ports.push(listener.local_addr().expect("its number").port());
            let (cut, open) = (Arc::clone(&wires.cut), Arc::clone(&wires.open));
            std::thread::spawn(move || {
                for near in listener.incoming().flatten() {
                    if cut.load(Ordering::Acquire) {
                        continue;
                    }
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    let ends = [&near, &far].map(|end| end.try_clone().expect("socket"));
                    open.lock().expect("list").extend(ends);
                    let (near_2, far_2) =
                        (near.try_clone().expect("socket"), far.try_clone().expect("socket"));
                    std::thread::spawn(move || carry(near, far));
                    std::thread::spawn(move || carry(far_2, near_2));
                }
            });
        }
        wires
    }

    /// No word passes any more.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        for end in self.open.lock().expect("list").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::Release);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16384];
    while let Ok(length) = from.read(&mut bytes) {
        if length == 0 || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
