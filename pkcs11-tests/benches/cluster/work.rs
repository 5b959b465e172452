//! The pieces that are measured, each beside what bounds it.

use crate::Promises;
use crate::hosts::{A, B, C, Hosts, soon};
use cryptoki_sys::*;
use pkcs11_tests::call;
use pkcs11_tests::keys::{P256, bytes, number, yes};
use pkcs11_tests::params::mechanism;
use std::time::{Duration, Instant};

/// Keys that are made one by one.
const ROUNDS: usize = 200;
/// Records in a transaction of the sync's.
const BATCH: usize = 64;
/// How long one side works before the other has its turn.
const SLICE: Duration = Duration::from_millis(700);

/// Records a second, by the clock, that a host catches up.
const CATCH_UP: f64 = 10_000.0;

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that such a share of all is not longer than, in milliseconds.
fn share(times: &mut [Duration], of_hundred: usize) -> f64 {
    times.sort();
    milliseconds(times[(times.len() * of_hundred / 100).min(times.len() - 1)])
}

/// A key is made on A with durability `quorum`, and looked for on B; in turn with puts of the same size.
pub fn latency(hosts: &mut Hosts, promises: &mut Promises) {
    println!("\nOne key at a time, with durability quorum ({ROUNDS} times):");
    let (here, there) = (hosts.user(A), hosts.user(B));
    let records = hosts.records();
    let make = |hosts: &Hosts, label: &str| {
        let template =
            [yes(CKA_TOKEN), number(CKA_VALUE_LEN, 32), yes(CKA_ENCRYPT), bytes(CKA_LABEL, label.as_bytes())];
        hosts.module.generate(here, CKM_AES_KEY_GEN, &template).expect("a key");
    };
    make(hosts, "first");
    let size = hosts.bare.size_of_newest(&records);
    let (mut puts, mut made, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        puts.push(hosts.bare.put(size));
        let label = format!("key-{round}");
        let wanted = [bytes(CKA_LABEL, label.as_bytes())];
        let begun = Instant::now();
        make(hosts, &label);
        made.push(begun.elapsed());
        soon("the key is on B", Duration::from_micros(200), || {
            (hosts.module.find(there, &wanted).expect("find").len() == 1).then_some(())
        });
        seen.push(begun.elapsed());
    }
    let (put, create) = (share(&mut puts, 50), share(&mut made, 50));
    println!("  a put of {} bytes: {put:.2} ms; a key: {create:.2} ms (median)", size.1);
    println!("  99 of 100: {:.2} ms; {:.2} ms", share(&mut puts, 99), share(&mut made, 99));
    promises.at_most("a key in puts", create / put, 3.0);
    promises.at_most("found on the other host after ms (median)", share(&mut seen, 50), 50.0);
    promises.at_most("found on the other host after ms (99 of 100)", share(&mut seen, 99), 250.0);
    assert_eq!(call!(hosts.module, C_Logout, here), CKR_OK);
    assert_eq!(call!(hosts.module, C_Logout, there), CKR_OK);
}

/// A's agent sends what was made without it, in turn with bare transactions. B's agent does not run.
pub fn stream(hosts: &mut Hosts, count: usize, promises: &mut Promises) {
    println!("\nA stream of {count} records from A:");
    hosts.stop_agent(B);
    hosts.stop_agent(A);
    let begun = Instant::now();
    hosts.make_records(count, "stream");
    println!("  made in {:.1} s", begun.elapsed().as_secs_f64());
    let records = hosts.records();
    let there = hosts.bare.count(&records);
    let (mut ours, mut bare, mut processor) = (Vec::new(), Vec::new(), Duration::ZERO);
    hosts.start_agent(A);
    let mut size = None;
    loop {
        hosts.freeze(A);
        let size = *size.get_or_insert_with(|| hosts.bare.size_of_newest(&records));
        let before = hosts.bare.count(&records);
        if before == there + count {
            break;
        }
        bare.push(hosts.bare.stream(size, BATCH, SLICE));
        let spent = hosts.agent_costs(A).processor;
        let begun = Instant::now();
        hosts.thaw(A);
        std::thread::sleep(SLICE);
        hosts.freeze(A);
        let time = begun.elapsed().as_secs_f64();
        let after = hosts.bare.count(&records);
        if after < there + count {
            ours.push((after - before) as f64 / time);
            processor += hosts.agent_costs(A).processor - spent;
        }
        hosts.thaw(A);
    }
    hosts.thaw(A);
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let sent = mean(&ours) * SLICE.as_secs_f64() * ours.len() as f64;
    println!(
        "  {:.0} records a second, {:.0} in bare transactions of {BATCH} of the same size ({} bytes)",
        mean(&ours),
        mean(&bare),
        size.unwrap_or_default().1,
    );
    println!("  {:.0} records for a second of the agent's processor time", sent / processor.as_secs_f64());
    println!("  the agent's memory: {:.0} MiB at most", hosts.agent_costs(A).memory);
    promises.at_least("of the bare rate", mean(&ours) / mean(&bare), 0.5);
    promises.at_most("MiB of the sending agent", hosts.agent_costs(A).memory, 150.0);
}

/// B's agent starts again, and has all of it to read.
pub fn catch_up(hosts: &mut Hosts, count: usize, promises: &mut Promises) {
    println!("\nB was away, and catches up {count} records:");
    let begun = Instant::now();
    hosts.start_agent(B);
    let (time, costs) = (begun.elapsed(), hosts.agent_costs(B));
    said(count, time, &costs);
    hosts.are_the_same(B);
    promises.at_least("records a second", count as f64 / time.as_secs_f64(), CATCH_UP);
    promises.at_most("MiB of the agent", costs.memory, 150.0);
}

/// C joins, and has everything to read.
pub fn join(hosts: &mut Hosts, count: usize, promises: &mut Promises) {
    println!("\nC joins, and reads {count} records from nothing:");
    let (time, costs) = hosts.join(C);
    said(count, time, &costs);
    hosts.start_agent(C);
    hosts.are_the_same(C);
    promises.at_least("records a second", count as f64 / time.as_secs_f64(), CATCH_UP);
    promises.at_most("MiB of the command that joins", costs.memory, 150.0);
    hosts.stop_agent(C);
}

fn said(count: usize, time: Duration, costs: &crate::hosts::Costs) {
    let (wall, processor) = (time.as_secs_f64(), costs.processor.as_secs_f64());
    println!(
        "  in {wall:.1} s and {processor:.1} s of its processor time: {:.0} and {:.0} a second; {:.0} MiB at most",
        count as f64 / wall,
        count as f64 / processor,
        costs.memory
    );
}

/// B signs while its agent takes what A made meanwhile, in turn with rest.
pub fn signing(hosts: &mut Hosts, count: usize, promises: &mut Promises) {
    println!("\nP-256 signatures on B, at rest and while {count} records come in:");
    let here = hosts.user(A);
    let pair = [yes(CKA_TOKEN), bytes(CKA_LABEL, b"signer")];
    let public = [&pair[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
    hosts.module.generate_pair(here, CKM_EC_KEY_PAIR_GEN, &public, &pair).expect("a pair");
    if !hosts.is_connected(B) {
        hosts.start_agent(B);
    }
    let there = hosts.user(B);
    let wanted = [bytes(CKA_LABEL, b"signer"), number(CKA_CLASS, CKO_PRIVATE_KEY)];
    let key = soon("the key is on B", Duration::from_millis(5), || {
        hosts.module.find(there, &wanted).expect("find").first().copied()
    });
    let (mut rest, mut busy) = (Vec::new(), Vec::new());
    for round in 0..4 {
        hosts.stop_agent(B);
        let records = hosts.records();
        let before = hosts.bare.count(&records);
        hosts.make_records(count, &format!("incoming-{round}"));
        soon("A has sent them", Duration::from_millis(50), || {
            (hosts.bare.count(&records) == before + count).then_some(())
        });
        // What was written just now is still on its way to the disk.
        std::thread::sleep(Duration::from_secs(1));
        let since = Instant::now();
        rest.push(sign(hosts, there, key, &mut || since.elapsed() < Duration::from_secs(1)));
        hosts.begin_agent(B);
        let hosts = &*hosts;
        let begun = Instant::now();
        busy.push(sign(hosts, there, key, &mut || !hosts.is_connected(B)));
        let ((clock, own), (clock_at_rest, own_at_rest)) = (busy[round], rest[round]);
        println!(
            "  taken in {:.2} s: {clock:.0} a second, {own:.0} of processor time; at rest {clock_at_rest:.0} and {own_at_rest:.0}",
            begun.elapsed().as_secs_f64()
        );
    }
    let ratio = |of: fn(&(f64, f64)) -> f64| {
        let mut ratios: Vec<f64> = busy.iter().zip(&rest).map(|(busy, rest)| of(busy) / of(rest)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    println!("  of the rate at rest, by processor time: {:.2} (median)", ratio(|rates| rates.1));
    promises.at_least("of the rate at rest, by the clock (median)", ratio(|rates| rates.0), 0.9);
}

/// What this thread has used of the processor.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Signatures per second while `more` says so: by the clock, and of the thread's processor time.
fn sign(
    hosts: &Hosts,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    more: &mut dyn FnMut() -> bool,
) -> (f64, f64) {
    let (begun, spent, mut count) = (Instant::now(), processor_time(), 0u64);
    while more() {
        for _ in 0..100 {
            let (mut hash, mut signature, mut length) = ([1; 32], [0; 64], 64);
            assert_eq!(call!(hosts.module, C_SignInit, session, &mut mechanism(CKM_ECDSA), key), CKR_OK);
            let (out, length) = (signature.as_mut_ptr(), &mut length);
            assert_eq!(call!(hosts.module, C_Sign, session, hash.as_mut_ptr(), 32, out, length), CKR_OK);
        }
        count += 100;
    }
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    (rate(begun.elapsed()), rate(processor_time() - spent))
}
