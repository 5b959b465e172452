//! `ci/bench`: our module beside other modules and the raw primitive, interleaved in one run.
//!
//! Usage: `ratios NAME=MODULE.so …`, the first is ours. Each figure is the best of several short
//! passes, the subjects taking turns, in processor time of the thread, because times on shared machines
//! are noisy; read the ratios.
//! To add a line: a row in `WORK`.

#[path = "ratios/module.rs"]
mod module;
#[path = "ratios/people.rs"]
mod people;
#[path = "ratios/raw.rs"]
mod raw;
#[path = "ratios/scale.rs"]
mod scale;

use module::{Key, Module};
use std::path::Path;
use std::time::Duration;

const PASSES: usize = 7;
const PASS_TIME: Duration = Duration::from_millis(150);

/// One line of the table: what is done, to how many bytes, and the least ratio to raw that we
/// promise (0: none).
struct Work {
    name: &'static str,
    task: Task,
    promise: f64,
}

#[derive(Clone, Copy)]
pub enum Task {
    RsaSign(u64),
    EcSign(&'static str),
    EdSign,
    MlDsaSign,
    Gcm(usize),
    Digest(usize),
    Hmac(usize),
    Random(usize),
}

const WORK: &[Work] = &[
    Work { name: "RSA-2048 sign (PKCS#1)", task: Task::RsaSign(2048), promise: 0.93 },
    Work { name: "RSA-4096 sign (PKCS#1)", task: Task::RsaSign(4096), promise: 0.0 },
    Work { name: "ECDSA P-256 sign", task: Task::EcSign("P-256"), promise: 0.93 },
    Work { name: "ECDSA P-384 sign", task: Task::EcSign("P-384"), promise: 0.93 },
    Work { name: "Ed25519 sign", task: Task::EdSign, promise: 0.93 },
    Work { name: "ML-DSA-65 sign", task: Task::MlDsaSign, promise: 0.0 },
    Work { name: "AES-256-GCM 64 B", task: Task::Gcm(64), promise: 0.0 },
    Work { name: "AES-256-GCM 1 KiB", task: Task::Gcm(1024), promise: 0.75 },
    Work { name: "AES-256-GCM 16 KiB", task: Task::Gcm(16384), promise: 0.93 },
    Work { name: "SHA-256 1 KiB", task: Task::Digest(1024), promise: 0.0 },
    Work { name: "HMAC-SHA-256 1 KiB", task: Task::Hmac(1024), promise: 0.0 },
    Work { name: "random 32 B", task: Task::Random(32), promise: 0.0 },
];

/// Something that does one operation when called; boxed so that all subjects look alike.
pub type Operation<'a> = Box<dyn FnMut() + 'a>;

/// What this thread has used of the processor: other jobs of the machine do not count.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Operations per second in one pass.
fn pass(operation: &mut Operation<'_>) -> f64 {
    let (start, mut count, mut batch) = (processor_time(), 0u64, 1u64);
    loop {
        for _ in 0..batch {
            operation();
        }
        count += batch;
        let spent = processor_time() - start;
        if spent >= PASS_TIME {
            return count as f64 / spent.as_secs_f64();
        }
        if spent < PASS_TIME / 10 {
            batch *= 2;
        }
    }
}

/// The best of all passes for each subject, taking turns; `None` where a subject cannot.
fn race(subjects: &mut [Option<Operation<'_>>]) -> Vec<Option<f64>> {
    let mut best: Vec<Option<f64>> = vec![None; subjects.len()];
    for _ in 0..PASSES {
        for (subject, best) in subjects.iter_mut().zip(&mut best) {
            if let Some(operation) = subject {
                let rate = pass(operation);
                *best = Some(best.map_or(rate, |b: f64| b.max(rate)));
            }
        }
    }
    best
}

fn human(rate: Option<f64>) -> String {
    match rate {
        None => "-".into(),
        Some(r) if r >= 1e6 => format!("{:.2}M", r / 1e6),
        Some(r) if r >= 1e4 => format!("{:.1}k", r / 1e3),
        Some(r) => format!("{r:.0}"),
    }
}

fn ratio(ours: Option<f64>, other: Option<f64>) -> String {
    match (ours, other) {
        (Some(a), Some(b)) => format!("{:.2}", a / b),
        _ => "-".into(),
    }
}

fn main() {
    let mut modules: Vec<Module> = std::env::args()
        .skip(1)
        .filter_map(|a| a.split_once('=').map(|(n, p)| (n.to_owned(), p.to_owned())))
        .map(|(name, path)| Module::load(&name, &path))
        .collect();
    assert!(!modules.is_empty(), "usage: ratios NAME=MODULE.so …");
    println!("Operations per second (best of {PASSES}), then ours divided by each.\n");
    print!("{:<24}{:>10}", "", "raw");
    modules.iter().for_each(|m| print!("{:>12}", m.name));
    print!("  |{:>7}", "/raw");
    modules[1..].iter().for_each(|m| print!("{:>12}", format!("/{}", m.name)));
    println!();
    let mut broken = Vec::new();
    // For a profiler: `ONLY="GCM 1 KiB"` runs the lines that hold the text and nothing else,
    // `ONLY=threads` and `ONLY=objects` the two of `scale`, `logins`, `sharing` and `listing` those of `people`.
    let only = std::env::var("ONLY").unwrap_or_default();
    for work in WORK.iter().filter(|work| work.name.contains(&only)) {
        let keys: Vec<Option<Key>> = modules.iter().map(|m| m.key(work.task)).collect();
        let mut subjects: Vec<Option<Operation<'_>>> = vec![raw::operation(work.task)];
        for (module, key) in modules.iter().zip(&keys) {
            subjects.push(key.as_ref().map(|k| module.operation(work.task, *k)));
        }
        let rates = race(&mut subjects);
        print!("{:<24}", work.name);
        print!("{:>10}", human(rates[0]));
        rates[1..].iter().for_each(|r| print!("{:>12}", human(*r)));
        print!("  |{:>7}", ratio(rates[1], rates[0]));
        rates[2..].iter().for_each(|r| print!("{:>12}", ratio(rates[1], *r)));
        println!();
        if let (Some(us), Some(raw)) = (rates[1], rates[0])
            && us / raw < work.promise
        {
            broken.push(format!("{}: {:.2} of raw, promised {:.2}", work.name, us / raw, work.promise));
        }
    }
    if "threads".contains(&only) {
        scale::threads(&modules, &mut broken);
    }
    if "logins".contains(&only) {
        people::logins(&mut modules, &mut broken);
    }
    let tool = std::env::args().nth(1).and_then(|ours| Some(ours.split_once('=')?.1.to_owned()));
    let tool = Path::new(&tool.unwrap_or_default()).with_file_name("strongroom");
    if "sharing".contains(&only) {
        people::sharing(&mut modules[0], &tool, &mut broken);
        modules[0].restart(true);
    }
    if "listing".contains(&only) {
        people::listing(&tool, &mut broken);
    }
    if "objects".contains(&only) {
        scale::objects(&mut modules, &mut broken);
    }
    println!();
    for promise in &broken {
        println!("BROKEN PROMISE: {promise}");
    }
    println!("{} promises broken", broken.len());
    std::process::exit(i32::from(!broken.is_empty()));
}
