//! What a core dump of a host process would hold: not the PIN, and no key, while keys are in use and after.
//!
//! A role process of its own uses the module, keeping its own copies of secrets masked, and then reads its
//! own memory: every mapping that the kernel would write into a dump.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, no, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, RW, SO_PIN, call, cheap_config, check};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::mpsc;

/// A secret of the test, masked so that its own copy is not found.
struct Masked {
    name: &'static str,
    bytes: Vec<u8>,
}

const MASK: u8 = 0xa5;

fn masked(name: &'static str, plain: &mut [u8]) -> Masked {
    let bytes = plain.iter().map(|byte| byte ^ MASK).collect();
    wipe(plain);
    Masked { name, bytes }
}

fn wipe(plain: &mut [u8]) {
    for byte in plain {
        // SAFETY: a byte of the slice; volatile, so that it happens.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
}

impl Masked {
    fn plain(&self) -> Vec<u8> {
        self.bytes.iter().map(|byte| black_box(*byte) ^ MASK).collect()
    }

    /// Whether the first 16 bytes stand at a place of the memory, in either order of bytes.
    fn is_at(&self, place: &[u8]) -> bool {
        let part = &self.bytes[..self.bytes.len().min(16)];
        let Some(place) = place.get(..part.len()) else { return false };
        let same = |(have, want): (&u8, &u8)| have ^ MASK == *want;
        place.iter().zip(part).all(same) || place.iter().rev().zip(part).all(same)
    }
}

/// Where a core dump would read: what can be written to and is not marked `dd`.
fn dumped() -> Vec<(usize, usize, String)> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
    let (mut found, mut range) = (Vec::new(), None);
    for line in maps.lines() {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-').filter(|_| !first.ends_with(':')) {
            let number = |text| usize::from_str_radix(text, 16).expect("an address");
            let writable = words.next().is_some_and(|bits| bits.starts_with("rw"));
            range = writable.then(|| (number(start), number(end), line.to_owned()));
        } else if line.starts_with("VmFlags") {
            found.extend(range.take().filter(|_| !line.contains(" dd")));
        }
    }
    found
}

/// Room to read memory into that is no part of a dump: else each search would find the last one's.
fn apart(length: usize) -> &'static mut [u8] {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping of its own, never given back.
    unsafe {
        let start = libc::mmap(null_mut(), length, protection, flags, -1, 0);
        assert!(start != libc::MAP_FAILED && libc::madvise(start, length, libc::MADV_DONTDUMP) == 0);
        std::slice::from_raw_parts_mut(start.cast(), length)
    }
}

/// The secrets that a dump would hold, with the mapping they are in.
fn leaks(secrets: &[Masked]) -> Vec<String> {
    const PIECE: usize = 1 << 20;
    // What a secret may begin with, in either order: most of the memory is passed over by this.
    let mut first = [false; 256];
    for secret in secrets {
        for byte in [secret.bytes[0], secret.bytes[secret.bytes.len().min(16) - 1]] {
            first[usize::from(byte ^ MASK)] = true;
        }
    }
    let mut memory = std::fs::File::open("/proc/self/mem").expect("mem");
    let (mut found, room) = (BTreeMap::new(), apart(PIECE + 16));
    for (start, end, name) in dumped() {
        for at in (start..end).step_by(PIECE) {
            let content = &mut room[..(PIECE + 16).min(end - at)];
            memory.seek(SeekFrom::Start(at as u64)).expect("seek");
            if memory.read_exact(content).is_err() {
                continue;
            }
            let likely =
                content.iter().take(PIECE).enumerate().filter(|(_, byte)| first[usize::from(**byte)]);
            for (at, _) in likely {
                for secret in secrets.iter().filter(|secret| secret.is_at(&content[at..])) {
                    *found.entry(format!("{} in {name}", secret.name)).or_insert(0) += 1;
                }
            }
        }
    }
    found.into_iter().map(|(what, times)| format!("{what}, {times} times")).collect()
}

fn read_masked(
    module: &Module,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    kind: CK_ATTRIBUTE_TYPE,
    name: &'static str,
) -> Masked {
    let mut value = module.attribute(session, object, kind).expect("value");
    masked(name, &mut value)
}

/// Signs or encrypts once, so that the key is parsed and cached, and leaves an operation running.
fn work(module: &Module, session: CK_SESSION_HANDLE, kind: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) {
    let encrypts = matches!(kind, CKM_AES_CTR | CKM_AES_GCM | CKM_AES_CBC_PAD);
    let (mut data, mut out, mut length) = ([7; 32], vec![0; 5000], 5000);
    for last in [false, true] {
        let with = &mut mechanism(kind);
        let code = if encrypts {
            call!(module, C_EncryptInit, session, with, key)
        } else {
            call!(module, C_SignInit, session, with, key)
        };
        assert_eq!(code, CKR_OK, "{kind:#x}");
        if last {
            break;
        }
        let (data, out) = (data.as_mut_ptr(), out.as_mut_ptr());
        let code = if encrypts {
            call!(module, C_Encrypt, session, data, 32, out, &mut length)
        } else {
            call!(module, C_Sign, session, data, 32, out, &mut length)
        };
        assert_eq!(code, CKR_OK, "{kind:#x}");
    }
}

#[test]
#[ignore = "a role of the test below"]
fn role_host() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    module.init_token(SO_PIN).expect("C_InitToken");
    let pin =
        masked("the PIN", &mut std::array::from_fn::<u8, 24, _>(|n| b'A' + (black_box(n) * 7 % 26) as u8));
    let session = module.session(RW).expect("session");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    for login in [false, true] {
        let mut plain = pin.plain();
        if login {
            check(call!(module, C_Logout, session)).expect("logout");
            module.login(session, CKU_USER, &plain).expect("login");
        } else {
            module.init_pin(session, &plain).expect("C_InitPIN");
        }
        wipe(&mut plain);
    }
    let mut secrets = vec![pin];
    let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE), yes(CKA_TOKEN)];
    let aes = module
        .generate(session, CKM_AES_KEY_GEN, &[&open[..], &[number(CKA_VALUE_LEN, 32)]].concat())
        .expect("AES key");
    secrets.push(read_masked(&module, session, aes, CKA_VALUE, "an AES key"));
    let hmac = module
        .generate(session, CKM_GENERIC_SECRET_KEY_GEN, &[&open[..], &[number(CKA_VALUE_LEN, 48)]].concat())
        .expect("secret");
    secrets.push(read_masked(&module, session, hmac, CKA_VALUE, "an HMAC key"));
    let pair = |kind, public| module.generate_pair(session, kind, &[public], &open).expect("pair").private;
    let ec = pair(CKM_EC_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, P256));
    secrets.push(read_masked(&module, session, ec, CKA_VALUE, "a P-256 key"));
    let k1 = pair(CKM_EC_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, b"\x06\x05\x2b\x81\x04\x00\x0a"));
    secrets.push(read_masked(&module, session, k1, CKA_VALUE, "a secp256k1 key"));
    let ed = pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, bytes(CKA_EC_PARAMS, b"\x06\x03\x2b\x65\x70"));
    secrets.push(read_masked(&module, session, ed, CKA_VALUE, "an Ed25519 key"));
    let ml_dsa = pair(CKM_ML_DSA_KEY_PAIR_GEN, number(CKA_PARAMETER_SET, CKP_ML_DSA_65));
    secrets.push(read_masked(&module, session, ml_dsa, CKA_SEED, "an ML-DSA seed"));
    let rsa = pair(CKM_RSA_PKCS_KEY_PAIR_GEN, number(CKA_MODULUS_BITS, 2048));
    for (kind, name) in [(CKA_PRIME_1, "an RSA prime"), (CKA_PRIVATE_EXPONENT, "an RSA exponent")] {
        secrets.push(read_masked(&module, session, rsa, kind, name));
    }
    let running = [
        (CKM_AES_CTR, aes),
        (CKM_AES_GCM, aes),
        (CKM_AES_CBC_PAD, aes),
        (CKM_AES_CMAC, aes),
        (CKM_SHA256_HMAC, hmac),
        (CKM_ECDSA, ec),
        (CKM_ECDSA_SHA256, k1),
        (CKM_EDDSA, ed),
        (CKM_ML_DSA, ml_dsa),
        (CKM_SHA256_RSA_PKCS, rsa),
    ];
    let use_all = || {
        for (kind, key) in running {
            work(&module, module.session(RW).expect("session"), kind, key);
        }
    };
    use_all();
    // A second thread, which waits until the end: its stack is searched too.
    std::thread::scope(|scope| {
        let (used, uses) = mpsc::channel();
        let (searched, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            use_all();
            used.send(()).expect("a listener");
            end.recv().expect_err("an end");
        });
        uses.recv().expect("the second thread's work");
        search(&module, &secrets);
        drop(searched);
    });
    println!("searched");
}

/// Says what a dump would hold now and when the library is no longer in use, and that it can say so.
fn search(module: &Module, secrets: &[Masked]) {
    let witness = masked("the witness", &mut b"a text that is there for sure".map(|byte| byte));
    let plain = black_box(witness.plain());
    assert!(!leaks(&[witness]).is_empty(), "the search finds nothing at all");
    drop(plain);
    let in_use = leaks(secrets);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    let after = leaks(secrets);
    for (when, leaks) in [("in use", in_use), ("after C_Finalize", after)] {
        for leak in leaks {
            println!("leak {when}: {leak}");
        }
    }
}

#[test]
fn a_dump_holds_no_secret() {
    let (_folder, config) = cheap_config();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "role_host", "--ignored", "--nocapture", "--test-threads=1"]);
    let ran = command.env("STRONGROOM_CONFIG", config).output().expect("run");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success() && text.contains("searched"),
        "{text} {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let leaks: Vec<_> = text.lines().filter_map(|line| line.find("leak ").map(|at| &line[at..])).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
