//! What must stay flat: many threads, many objects.

use crate::module::Module;
use crate::{Operation, Task};
use cryptoki_sys::{CKA_ENCRYPT, CKM_AES_KEY_GEN};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 8;
const FEW: usize = 100;
const MANY: usize = 10_000;

/// P-256 signatures per second by so many threads, each with a session of its own, one key.
fn signing_rate(module: &Module, threads: usize) -> f64 {
    let task = Task::EcSign("P-256");
    let key = module.key(task).expect("P-256 key");
    let (stop, total) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut sign: Operation<'_> = module.operation_in(module.new_session(), task, key);
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    sign();
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
        std::thread::sleep(Duration::from_millis(700));
        stop.store(true, Ordering::Relaxed);
    });
    total.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

pub fn threads(modules: &[Module], broken: &mut Vec<String>) {
    println!(
        "\nECDSA P-256 sign, {THREADS} threads on {} cores:",
        std::thread::available_parallelism().map_or(0, |n| n.get())
    );
    for (number, module) in modules.iter().enumerate() {
        let (mut one, mut many) = (0f64, 0f64);
        for _ in 0..5 {
            one = one.max(signing_rate(module, 1));
            many = many.max(signing_rate(module, THREADS));
        }
        println!("  {:<12}{:>10.0} {:>10.0}  x{:.2}", module.name, one, many, many / one);
        if number == 0 && many / one < 1.8 {
            broken.push(format!("{THREADS} threads: x{:.2}, promised x1.80", many / one));
        }
    }
}

/// The median time of `work` in microseconds.
fn median(rounds: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}

/// In microseconds.
struct Times {
    /// Find by label, of objects that this process has not looked at.
    first: f64,
    /// Find by label when all were looked at before.
    again: f64,
    /// C_Initialize and C_OpenSession.
    start: f64,
}

/// Measures with the objects that are there.
fn look(module: &mut Module, objects: usize) -> Times {
    let slow = objects > FEW && module.name != "strongroom";
    let rounds = if slow { 15 } else { 101 };
    let mut next = 0;
    let mut find = || {
        next = (next + 7919) % objects;
        assert_eq!(module.find(&format!("key {next}")), 1, "{}", module.name);
    };
    let first = median(rounds, &mut find);
    if !slow {
        (0..objects).for_each(|_| find());
    }
    let again = median(rounds, &mut find);
    let mut cold = Vec::new();
    for _ in 0..rounds.min(31) {
        module.finalize();
        let start = Instant::now();
        module.initialize_and_open();
        cold.push(start.elapsed().as_secs_f64() * 1e6);
    }
    cold.sort_by(f64::total_cmp);
    module.restart(true);
    Times { first, again, start: cold[cold.len() / 2] }
}

pub fn objects(modules: &mut [Module], broken: &mut Vec<String>) {
    println!("\nToken objects (AES keys), median microseconds: find by label, C_Initialize + C_OpenSession");
    for (number, module) in modules.iter_mut().enumerate() {
        let mut made = 0;
        let mut rows = Vec::new();
        for wanted in [FEW, MANY] {
            let start = Instant::now();
            while made < wanted {
                let label = format!("key {made}");
                module.secret(CKM_AES_KEY_GEN, CKA_ENCRYPT, Some(&label)).expect("token key");
                made += 1;
            }
            let filled = start.elapsed();
            let times = look(module, wanted);
            println!(
                "  {:<12}{wanted:>7} objects: find {:>9.1}, first {:>9.1}   start {:>9.1}   (filled in {filled:.1?})",
                module.name, times.again, times.first, times.start
            );
            rows.push(times);
        }
        let over = |of: fn(&Times) -> f64| of(&rows[1]) / of(&rows[0]);
        let (find, first, start) = (over(|t| t.again), over(|t| t.first), over(|t| t.start));
        let name = &module.name;
        println!("  {name:<12}  {MANY} over {FEW}: find x{find:.2}, first x{first:.2}, start x{start:.2}");
        if number == 0 && find > 1.5 {
            broken.push(format!("find among {MANY}: x{find:.2}, promised x1.50"));
        }
        if number == 0 && start > 1.5 {
            broken.push(format!("start with {MANY}: x{start:.2}, promised x1.50"));
        }
    }
}
