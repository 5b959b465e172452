//! Who keeps a host in step: a thread of a program that loaded the module, the caller of one write, or an
//! agent, which has precedence. Programs are processes of their own on host B; they fork, are killed, and end
//! in every way.

#[allow(dead_code)]
#[path = "cluster/hosts.rs"]
mod hosts;

use cryptoki_sys::*;
use hosts::{A, B, Hosts, LIMIT, soon};
use pkcs11_tests::keys::{P256, bytes, yes};
use pkcs11_tests::role::{Role, play};
use pkcs11_tests::{Module, PIN, RW, call};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Child;
use std::ptr::{addr_of_mut, null_mut};
use std::time::{Duration, Instant};

/// The issue's: whoever keeps a host in step is killed, and another one does so.
const TAKEN_OVER: Duration = Duration::from_secs(2);

#[test]
fn whoever_is_there() {
    let mut hosts = Hosts::new();
    hosts.kill_agent(B);
    the_caller_does_it_alone(&hosts);
    a_caller_survives_a_broken_line(&hosts);
    one_thread_after_the_other(&hosts);
    a_child_shares_nothing_with_the_dead(&hosts);
    an_agent_comes_before_threads(&hosts);
    nobody_waits_for_the_network(&hosts);
    every_end_is_a_clean_one(&hosts);
    hosts.start_agent(B);
    hosts.all_the_same();
}

/// A program on host B, which has called C_Initialize and logged in.
fn program(config: &Path, threads: &str) -> Role {
    let mut role = Role::start(config, "role_program");
    let answer = role.ask(&format!("initialize {threads}"));
    assert!(answer.starts_with("0:"), "C_Initialize: {answer}");
    assert_eq!(role.ask("login -"), "0");
    role
}

/// What a process has in memory, in MiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).expect("KiB").parse::<u64>().expect("a number") / 1024
}

/// Makes a key there; how long it took.
fn made(role: &mut Role, label: &str) -> Duration {
    let answer = role.ask(&format!("pair {label}"));
    let (code, micros) = answer.split_once(':').expect("code and time");
    assert_eq!(code, "0", "{label}");
    Duration::from_micros(micros.parse().expect("a number"))
}

/// Waits until a process keeps B in step; how long that took.
fn kept_by(hosts: &Hosts, process: u32) -> Duration {
    let since = Instant::now();
    soon("it keeps B in step", || {
        let said = hosts.keeper(B)?;
        (said["pid"] == process && said["connected"] == true).then_some(())
    });
    since.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn the_caller_does_it_alone(hosts: &Hosts) {
    let never = hosts.alone(B, "background = false");
    let config = hosts.alone(B, "");
    for (what, config, threads) in [("forbidden", &config, "forbidden"), ("switched off", &never, "allowed")]
    {
        let mut role = program(config, threads);
        let times: Vec<_> = (0..7).map(|n| made(&mut role, &format!("alone-{threads}-{n}"))).collect();
        println!("threads {what}: a quorum write that connects by itself: {:?}", median(times));
        assert_eq!(role.ask("threads -"), "0:0", "of ours, and any others, {what}");
        assert!(hosts.keeper(B).is_none(), "it is over with the call");
        role.end();
    }
    let begun = Instant::now();
    hosts.strongroom(
        B,
        &["key", "generate-symmetric", "aes", "--key-length-bytes", "32", "--label", "by-command"],
        "",
    );
    println!("the command, without an agent: {:?}", begun.elapsed());
    let user = hosts.user(A);
    soon("all are on A", || hosts.find(user, "alone-forbidden-6").first().copied());
    assert_eq!(hosts.find(user, "alone-allowed-6").len(), 1);
    // Many at once: one after the other is the one who connects, and takes along what waits.
    let patient = hosts.alone(B, "background = false\nquorum_timeout_ms = 30000");
    let mut roles: Vec<_> = (0..6).map(|_| program(&patient, "allowed")).collect();
    let begun = Instant::now();
    roles.iter_mut().enumerate().for_each(|(n, role)| role.begin(&format!("pair crowd-{n}")));
    let answers: Vec<_> = roles.iter_mut().map(Role::answer).collect();
    println!("6 programs at once, each by itself: {:?}", begun.elapsed());
    assert!(answers.iter().all(|answer| answer.starts_with("0:")), "{answers:?}");
    roles.into_iter().for_each(Role::end);
    // Honest errors, as with an agent.
    hosts.wires[B].cut();
    let mut role = program(&never, "allowed");
    let answer = role.ask("pair unreachable");
    assert!(answer.starts_with(&format!("{CKR_TOKEN_WRITE_PROTECTED}:")), "{answer}");
    hosts.wires[B].mend();
    assert_eq!(role.ask("find unreachable"), "0", "nothing was done");
    made(&mut role, "reachable");
    role.end();
}

/// In programs that never heard of SIGPIPE, which by default ends them.
fn a_caller_survives_a_broken_line(hosts: &Hosts) {
    for config in [hosts.alone(B, "background = false"), hosts.alone(B, "")] {
        let mut role = program(&config, "allowed");
        assert_eq!(role.ask("sigpipe default"), "done");
        for round in 0..6 {
            role.begin(&format!("pair broken-{round}"));
            std::thread::sleep(Duration::from_millis(40 * round));
            hosts.wires[B].cut();
            role.answer();
            hosts.wires[B].mend();
        }
        soon("it is back", || role.ask("pair mended").starts_with("0:").then_some(()));
        role.end();
    }
}

fn one_thread_after_the_other(hosts: &Hosts) {
    let config = hosts.alone(B, "");
    let mut first = program(&config, "allowed");
    let before = memory(first.process());
    println!("C_Initialize, and a thread is connected after {:?}", kept_by(hosts, first.process()));
    println!("memory of the program before and after: {before} and {} MiB", memory(first.process()));
    let blocked = u64::from_str_radix(&first.ask("blocked -"), 16).expect("a mask");
    let all = (1..32).filter(|signal| ![4, 5, 7, 8, 9, 11, 19, 31].contains(signal));
    assert!(all.into_iter().all(|signal| blocked & (1 << (signal - 1)) != 0), "{blocked:x}");
    let mut second = program(&config, "allowed");
    let times: Vec<_> = (0..7).map(|n| made(&mut first, &format!("own-thread-{n}"))).collect();
    println!("a quorum write by the program's own thread: {:?}", median(times));
    let times: Vec<_> = (0..7).map(|n| made(&mut second, &format!("others-thread-{n}"))).collect();
    println!("a quorum write by another program's thread: {:?}", median(times));
    println!("8 threads that make 5 pairs each: {}", second.ask("storm 8"));
    let user = hosts.user(A);
    soon("they are on A", || hosts.find(user, "others-thread-6").first().copied());
    hosts.pair(user, "for-b");
    soon("and A's are here", || (second.ask("find for-b") == "1").then_some(()));
    let mut taken = Vec::new();
    for _ in 0..3 {
        let next = second.process();
        first.kill();
        taken.push(kept_by(hosts, next));
        first = std::mem::replace(&mut second, program(&config, "allowed"));
    }
    println!("killed, and the next one is connected after {taken:?}");
    assert!(median(taken) < TAKEN_OVER);
    // In the gap between two, the next write does not fail.
    first.kill();
    println!("the first write after a kill: {:?}", made(&mut second, "in-the-gap"));
    // Killed with changes in its hands: whoever waits takes them there, by a thread or alone.
    let first = orphaned(hosts, second, program(&config, "allowed"), "by-its-thread");
    let alone = program(&hosts.alone(B, "background = false"), "allowed");
    orphaned(hosts, first, alone, "by-itself").end();
}

/// `waits` makes a key while whoever keeps B in step stands still, and is killed then.
fn orphaned(hosts: &Hosts, keeps: Role, mut waits: Role, label: &str) -> Role {
    kept_by(hosts, keeps.process());
    send(keeps.process(), libc::SIGSTOP);
    waits.begin(&format!("pair {label}"));
    std::thread::sleep(Duration::from_millis(300));
    let killed = Instant::now();
    keeps.kill();
    let answer = waits.answer();
    println!("killed before it sent a change, which was sent {label} {:?} later", killed.elapsed());
    assert!(answer.starts_with("0:"), "{answer}");
    waits
}

/// What a process has open, as links of /proc.
fn open(process: u32) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors").flatten();
    entries
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|to| to.display().to_string())
        .collect()
}

/// How many of them are connections to these ports.
fn lines(process: u32, ports: &[u16]) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("connections");
    let of_these = |row: &&str| {
        let remote = row.split_whitespace().nth(2).and_then(|far| far.split_once(':')).map(|(_, port)| port);
        remote.is_some_and(|port| ports.iter().any(|wanted| format!("{wanted:04X}") == port))
    };
    let inodes = table.lines().filter(of_these).filter_map(|row| row.split_whitespace().nth(9));
    let sockets: Vec<_> = inodes.map(|inode| format!("socket:[{inode}]")).collect();
    open(process).iter().filter(|link| sockets.contains(link)).count()
}

fn a_child_shares_nothing_with_the_dead(hosts: &Hosts) {
    let config = hosts.alone(B, "");
    let (mut parent, ports) = (program(&config, "allowed"), &hosts.wires[B].ports);
    kept_by(hosts, parent.process());
    assert_eq!(lines(parent.process(), ports), 1);
    let child: u32 = parent.ask("fork idle").parse().expect("a process");
    assert_eq!(lines(child, ports), 0, "etcd would keep it");
    let inherited = open(child);
    let ours = |link: &&String| link.contains("inotify") || link.contains(".sync");
    assert_eq!(inherited.iter().find(ours), None);
    made(&mut parent, "after-a-fork");
    // While its thread takes what comes from A; each child uses what it inherited.
    let user = hosts.user(A);
    parent.begin("forks 60");
    (0..20).for_each(|n| hosts.pair(user, &format!("while-b-forks-{n}")));
    println!("60 forks, of a program whose thread takes 20 pairs: {} us", parent.answer());
    soon("all have come", || (parent.ask("find while-b-forks-19") == "1").then_some(()));
    assert_eq!(lines(parent.process(), ports), 1, "the parent's goes on");
    // The child lives on, and holds no lock that its parent had.
    let other = program(&config, "allowed");
    parent.kill();
    let taken = kept_by(hosts, other.process());
    println!("killed, with a child that lives on, and the next one is connected after {taken:?}");
    assert!(taken < TAKEN_OVER);
    end(child);
    other.end();
    // A child that calls C_Initialize has a thread of its own.
    let mut parent = program(&config, "allowed");
    kept_by(hosts, parent.process());
    let child: u32 = parent.ask("fork own").parse().expect("a process");
    parent.kill();
    assert!(kept_by(hosts, child) < TAKEN_OVER);
    end(child);
}

fn send(process: u32, signal: i32) {
    // SAFETY: to a process that this test or a role of it started, and that lives until we end it.
    assert_eq!(unsafe { libc::kill(process as i32, signal) }, 0);
}

fn end(child: u32) {
    send(child, libc::SIGKILL);
}

/// Reads an agent's words until one line holds this.
fn says(agent: &mut Child, what: &str) {
    let stderr = agent.stderr.as_mut().expect("stderr");
    let mut lines = BufReader::new(stderr).lines().map(|line| line.expect("line"));
    assert!(lines.any(|line| line.contains(what)), "the agent never said {what:?}");
}

fn an_agent_comes_before_threads(hosts: &Hosts) {
    let config = hosts.alone(B, "");
    let mut role = program(&config, "allowed");
    kept_by(hosts, role.process());
    let mut agent = hosts.other_agent(B, &[]);
    let taken = kept_by(hosts, agent.id());
    println!("an agent starts, and is connected in a thread's place after {taken:?}");
    assert!(taken < TAKEN_OVER);
    let times: Vec<_> = (0..7).map(|n| made(&mut role, &format!("by-an-agent-{n}"))).collect();
    println!("a quorum write by an agent: {:?}", median(times));
    let mut second = hosts.other_agent(B, &[]);
    says(&mut second, "Another agent keeps this token in step already.");
    assert_eq!(second.wait().expect("agent").code(), Some(1));
    let mut standby = hosts.other_agent(B, &["--standby"]);
    says(&mut standby, "standing by: another agent, process");
    agent.kill().expect("kill");
    let taken = kept_by(hosts, standby.id());
    println!("killed, and the agent that stood by is connected after {taken:?}");
    assert!(taken < TAKEN_OVER);
    standby.kill().expect("kill");
    let taken = kept_by(hosts, role.process());
    println!("killed, and the thread is connected again after {taken:?}");
    assert!(taken < TAKEN_OVER);
    agent.wait().expect("agent");
    standby.wait().expect("agent");
    role.end();
}

fn nobody_waits_for_the_network(hosts: &Hosts) {
    let config = hosts.alone(B, "");
    hosts.wires[B].cut();
    let mut role = Role::start(&config, "role_program");
    let answer = role.ask("initialize allowed");
    let micros: u64 = answer.strip_prefix("0:").expect("CKR_OK").parse().expect("a number");
    assert!(micros < 500_000, "C_Initialize took {micros} us without etcd");
    assert_eq!(role.ask("login -"), "0");
    soon("the thread knows that it is cut off", || (hosts.keeper(B)?["last_error"] != "").then_some(()));
    let answer = role.ask("finalize -");
    println!("without etcd: C_Initialize {micros} us, C_Finalize {} us", &answer[2..]);
    let micros: u64 = answer.strip_prefix("0:").expect("CKR_OK").parse().expect("a number");
    assert!(micros < 1_000_000, "C_Finalize took {micros} us");
    assert_eq!(role.ask("threads -"), "0:0");
    hosts.wires[B].mend();
    // And again, with a connection that is up.
    assert!(role.ask("initialize allowed").starts_with("0:"));
    kept_by(hosts, role.process());
    let answer = role.ask("finalize -");
    println!("connected: C_Finalize {} us", &answer[2..]);
    assert_eq!(role.ask("threads -"), "0:0");
    assert!(hosts.keeper(B).is_none());
    role.end();
}

fn every_end_is_a_clean_one(hosts: &Hosts) {
    let config = hosts.alone(B, "");
    for way in ["exit", "dlclose", "return"] {
        let mut role = program(&config, "allowed");
        kept_by(hosts, role.process());
        let begun = Instant::now();
        if way != "return" {
            role.begin(&format!("end {way}"));
        }
        role.end();
        assert!(begun.elapsed() < LIMIT, "{way}");
    }
}

/// Answers like a program that uses the module.
struct Program {
    module: Option<Module>,
    session: CK_SESSION_HANDLE,
    /// Threads before there was a module.
    before: usize,
}

impl Program {
    fn module(&self) -> &Module {
        self.module.as_ref().expect("the module")
    }

    fn timed(work: impl FnOnce() -> CK_RV) -> String {
        let begun = Instant::now();
        let code = work();
        format!("{code}:{}", begun.elapsed().as_micros())
    }

    fn initialize(&self, threads: &str) -> CK_RV {
        let mut arguments = CK_C_INITIALIZE_ARGS { flags: CKF_OS_LOCKING_OK, ..Default::default() };
        if threads == "forbidden" {
            arguments.flags |= CKF_LIBRARY_CANT_CREATE_OS_THREADS;
        }
        call!(self.module(), C_Initialize, addr_of_mut!(arguments).cast())
    }

    fn log_in(&mut self) -> CK_RV {
        self.session = self.module().session(RW).expect("a session");
        self.module().login(self.session, CKU_USER, PIN).err().unwrap_or(CKR_OK)
    }

    fn pair(&self, label: &str) -> CK_RV {
        self.pair_by(self.session, label)
    }

    fn pair_by(&self, session: CK_SESSION_HANDLE, label: &str) -> CK_RV {
        let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
        let public = [&own[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
        let made = self.module().generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own);
        made.err().unwrap_or(CKR_OK)
    }

    fn answer(&mut self, word: &str, rest: &str) -> String {
        match word {
            "initialize" => Self::timed(|| self.initialize(rest)),
            "finalize" => Self::timed(|| call!(self.module(), C_Finalize, null_mut())),
            "login" => self.log_in().to_string(),
            "pair" => Self::timed(|| self.pair(rest)),
            "find" => {
                let wanted = [bytes(CKA_LABEL, rest.as_bytes()), yes(CKA_PRIVATE)];
                self.module().find(self.session, &wanted).expect("find").len().to_string()
            }
            "storm" => self.storm(rest.parse().expect("a number")),
            "threads" => format!("{}:{}", tasks().0.len(), tasks().1 - self.before),
            "blocked" => blocked(),
            "sigpipe" => {
                // SAFETY: the default, as in every program that is not written in Rust.
                unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
                "done".into()
            }
            "fork" => self.fork(rest),
            "forks" => self.forks(rest.parse().expect("a number")),
            "end" => self.end(rest),
            other => panic!("{other}?"),
        }
    }

    /// Pairs by so many threads at once: how long it took, and of the processor.
    fn storm(&self, threads: usize) -> String {
        let (begun, used) = (Instant::now(), processor());
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    let session = self.module().session(RW).expect("a session");
                    let pair = |n| self.pair_by(session, &format!("storm-{thread}-{n}"));
                    assert!((0..5).all(|n| pair(n) == CKR_OK));
                });
            }
        });
        format!("{:?},processor:{:?}", begun.elapsed(), processor() - used)
    }

    /// The child lives until it is killed.
    fn fork(&mut self, what: &str) -> String {
        // SAFETY: the child only calls the module, as hosts do, and sleeps.
        match unsafe { libc::fork() } {
            0 => {
                if what == "own" {
                    assert_eq!(self.initialize("allowed"), CKR_OK);
                    assert_eq!(self.log_in(), CKR_OK);
                    assert_eq!(self.pair("by-a-child"), CKR_OK);
                    assert_eq!(tasks().0.len(), 1);
                }
                loop {
                    std::thread::sleep(Duration::from_secs(60));
                }
            }
            child => {
                assert!(child > 0);
                child.to_string()
            }
        }
    }

    /// Children that look for a key and end; one that is stuck is killed by its alarm. Microseconds.
    fn forks(&self, times: usize) -> String {
        let begun = Instant::now();
        for _ in 0..times {
            // SAFETY: as above; the child ends without the test program's own end.
            match unsafe { libc::fork() } {
                0 => unsafe {
                    libc::alarm(20);
                    let wanted = [bytes(CKA_LABEL, b"after-a-fork"), yes(CKA_PRIVATE)];
                    let found = self.module().find(self.session, &wanted);
                    libc::_exit(i32::from(found.map(|keys| keys.len()) != Ok(1)))
                },
                child => {
                    let mut status = 0;
                    // SAFETY: a child of ours, and room for its status.
                    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
                    assert_eq!(status, 0, "a child's own words, or its alarm");
                }
            }
        }
        begun.elapsed().as_micros().to_string()
    }

    fn end(&mut self, way: &str) -> ! {
        std::io::stdout().flush().expect("flush");
        if way == "dlclose" {
            self.module = None;
            std::thread::sleep(Duration::from_millis(400));
        }
        std::process::exit(0)
    }
}

/// Processor time of this process so far.
fn processor() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The folders of our threads in /proc, and how many others there are.
fn tasks() -> (Vec<std::path::PathBuf>, usize) {
    let tasks = std::fs::read_dir("/proc/self/task").expect("tasks").flatten().map(|task| task.path());
    let name = |task: &Path| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
    let (ours, others): (Vec<_>, Vec<_>) = tasks.partition(|task| name(task).starts_with("strongroom"));
    (ours, others.len())
}

/// The signals that our thread has blocked, as the kernel shows them.
fn blocked() -> String {
    let status = std::fs::read_to_string(tasks().0[0].join("status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("SigBlk:")).expect("a line");
    line.split_whitespace().nth(1).expect("a mask").to_owned()
}

#[test]
#[ignore = "the program on host B"]
fn role_program() {
    let before = tasks().1;
    let mut program = Program { module: Some(Module::load()), session: 0, before };
    play(|word, rest| program.answer(word, rest));
}
