//! Whether the time of a PKCS#1 v1.5 decryption tells good padding from bad (Bleichenbacher, Marvin): run by
//! `ci/timing`, because it takes its time and wants a quiet machine.
//!
//! Calls of all classes take turns in random order; each class of bad padding is compared with good ones by Welch's
//! t. Two classes are good and made alike: what they differ by is what the machine adds, and the measure of the rest.

use cryptoki_sys::*;
use pkcs11_tests::keys::{number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{call, check, fixture};

const LENGTH: usize = 256;
/// Different ciphertexts of a class, so that no one number's own time counts.
const POOL: usize = 64;
/// Above this t two classes differ.
const DIFFERENT: f64 = 4.5;
/// The slowest measurements of each class are the machine's.
const KEPT: f64 = 0.9;

/// Random numbers that need no good source: xorshift.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn byte(&mut self) -> u8 {
        (self.next() >> 24) as u8
    }
}

/// 00 02, no zeros, 00, 48 bytes: a premaster secret's shape.
fn good(chance: &mut Chance) -> Vec<u8> {
    let mut block: Vec<u8> = (0..LENGTH).map(|_| chance.byte() | 1).collect();
    block[..2].copy_from_slice(&[0, 2]);
    block[LENGTH - 49] = 0;
    block
}

type Spoil = fn(&mut Vec<u8>);

const CLASSES: [(&str, Spoil); 8] = [
    ("good", |_| {}),
    ("good again", |_| {}),
    ("first byte not 0", |block| block[0] = 1),
    ("type 1", |block| block[1] = 1),
    ("zero in the first eight", |block| block[6] = 0),
    ("no end", |block| block[LENGTH - 49] = 1),
    ("empty message", |block| {
        block[LENGTH - 49] = 1;
        block[LENGTH - 1] = 0;
    }),
    ("noise", |block| {
        block.iter_mut().enumerate().for_each(|(place, byte)| *byte ^= (place * 89) as u8 & 0x7f)
    }),
];

fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the structure given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Mean and variance of the mean.
fn measure(times: &mut [u64]) -> (f64, f64) {
    times.sort_unstable();
    let kept = &times[..(times.len() as f64 * KEPT) as usize];
    let count = kept.len() as f64;
    let mean = kept.iter().sum::<u64>() as f64 / count;
    let variance = kept.iter().map(|time| (*time as f64 - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

#[test]
#[ignore = "minutes: ci/timing"]
fn padding_of_pkcs1() {
    let (module, session) = (&fixture().module, fixture().open());
    let public = [number(CKA_MODULUS_BITS, 8 * LENGTH as CK_ULONG), yes(CKA_ENCRYPT)];
    let pair = module
        .generate_pair(session, CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &[yes(CKA_DECRYPT)])
        .expect("a pair");
    let raw = |block: &[u8]| {
        let (mut out, mut length) = ([0; LENGTH], LENGTH as CK_ULONG);
        check(call!(module, C_EncryptInit, session, &mut mechanism(CKM_RSA_X_509), pair.public))
            .expect("init");
        let data = block.as_ptr().cast_mut();
        let done = call!(module, C_Encrypt, session, data, LENGTH as CK_ULONG, out.as_mut_ptr(), &mut length);
        check(done).expect("raw encryption");
        out
    };
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let pools: Vec<Vec<[u8; LENGTH]>> = CLASSES
        .iter()
        .map(|(_, spoil)| {
            let mut one = || {
                let mut block = good(&mut chance);
                spoil(&mut block);
                // Below the modulus, whose first bit is set.
                block[0] &= 0x7f;
                raw(&block)
            };
            (0..POOL).map(|_| one()).collect()
        })
        .collect();
    let calls: usize =
        std::env::var("STRONGROOM_TIMING_CALLS").map_or(100_000, |text| text.parse().expect("a number"));
    let mut times = vec![Vec::new(); CLASSES.len()];
    let mut decryption = mechanism(CKM_RSA_PKCS);
    for _ in 0..calls {
        let class = chance.next() as usize % CLASSES.len();
        let mut sealed = pools[class][chance.next() as usize % POOL];
        let (mut out, mut length) = ([0; LENGTH], LENGTH as CK_ULONG);
        let begun = now();
        let init = call!(module, C_DecryptInit, session, &mut decryption, pair.private);
        let (data, size) = (sealed.as_mut_ptr(), LENGTH as CK_ULONG);
        let done = call!(module, C_Decrypt, session, data, size, out.as_mut_ptr(), &mut length);
        times[class].push(now() - begun);
        assert_eq!((init, done), (CKR_OK, CKR_OK), "{}: the code tells", CLASSES[class].0);
    }
    let measured: Vec<(f64, f64)> = times.iter_mut().map(|times| measure(times)).collect();
    let (mean, variance) = measured[0];
    let t: Vec<f64> =
        measured[1..].iter().map(|(other, its)| (other - mean) / (variance + its).sqrt()).collect();
    println!("{calls} calls, good {:.1} us", mean / 1000.0);
    for ((name, _), t) in CLASSES[1..].iter().zip(&t) {
        println!("{name:24} t = {t:6.2}");
    }
    assert!(t[0].abs() < DIFFERENT, "the control differs from itself: this machine measures nothing now");
    let telling = CLASSES[2..].iter().zip(&t[1..]).filter(|(_, t)| t.abs() >= DIFFERENT);
    let telling: Vec<_> = telling.map(|((name, _), t)| format!("{name}: {t:.2}")).collect();
    assert!(telling.is_empty(), "time tells: {}", telling.join(", "));
}
