//! A backup while the token is in full use: no operation fails, and none waits over 100 ms because of it.

use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Fixture, SO_PIN, call, fixture, tool_path};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much longer an operation may take.
const PATIENCE: Duration = Duration::from_millis(100);
/// Other programs on this machine hold operations up, too: one quiet try of these is enough. Whoever waited
/// for a backup would do so in each.
const TRIES: usize = 5;
/// So much is in the token that a backup takes many times the patience.
const OBJECTS: usize = 600;
const LENGTH: usize = 100_000;

fn note(label: &str, length: usize) -> Vec<pkcs11_tests::keys::Attribute> {
    vec![
        number(CKA_CLASS, CKO_DATA),
        yes(CKA_TOKEN),
        yes(CKA_PRIVATE),
        bytes(CKA_LABEL, label.as_bytes()),
        bytes(CKA_VALUE, &vec![b'v'; length]),
    ]
}

/// Signs, writes, deletes and searches on three threads while `work` runs; the longest operation, and how
/// many there were. Panics when one fails.
fn longest_while(fixture: &Fixture, key: CK_OBJECT_HANDLE, work: impl FnOnce()) -> (Duration, u64) {
    let (stop, longest, count) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let timed = |operation: &dyn Fn()| {
        while !stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            operation();
            longest.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let module = &fixture.module;
    let sessions = [fixture.open(), fixture.open(), fixture.open()];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            timed(&|| {
                let (mut data, mut out, mut length) = ([7; 32], [0; 64], 64);
                assert_eq!(call!(module, C_SignInit, sessions[0], &mut mechanism(CKM_ECDSA), key), CKR_OK);
                let code =
                    call!(module, C_Sign, sessions[0], data.as_mut_ptr(), 32, out.as_mut_ptr(), &mut length);
                assert_eq!(code, CKR_OK);
                std::thread::sleep(Duration::from_millis(1));
            });
        });
        scope.spawn(|| {
            timed(&|| {
                let made = module.create(sessions[1], &note("passing", 500)).expect("C_CreateObject");
                module.destroy(sessions[1], made).expect("C_DestroyObject");
            });
        });
        scope.spawn(|| {
            timed(&|| {
                let found = module.find(sessions[2], &[bytes(CKA_LABEL, b"note 7")]).expect("C_FindObjects");
                assert_eq!(found.len(), 1);
                std::thread::sleep(Duration::from_millis(1));
            });
        });
        work();
        stop.store(true, Ordering::Relaxed);
    });
    (Duration::from_micros(longest.into_inner()), count.into_inner())
}

fn back_up(fixture: &Fixture, name: &str) {
    let made = Command::new(tool_path())
        .arg("--config")
        .arg(&fixture.config)
        .args(["backup", "create", "--out"])
        .arg(fixture.folder().join(name))
        .env("STRONGROOM_OFFICER_PASSWORD", std::str::from_utf8(SO_PIN).expect("text"))
        .env("STRONGROOM_BACKUP_PASSPHRASE", "many long words")
        .output()
        .expect("strongroom");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn nobody_waits_for_a_backup() {
    let fixture = fixture();
    for at in 0..OBJECTS {
        fixture.module.create(fixture.session, &note(&format!("note {at}"), LENGTH)).expect("note");
    }
    let public = [yes(CKA_TOKEN), bytes(CKA_EC_PARAMS, P256)];
    let pair = fixture
        .module
        .generate_pair(fixture.session, CKM_EC_KEY_PAIR_GEN, &public, &[yes(CKA_TOKEN), yes(CKA_PRIVATE)])
        .expect("pair");
    let mut seen = Vec::new();
    for number in 0..TRIES {
        let mut took = Duration::ZERO;
        let (with, many) = longest_while(fixture, pair.private, || {
            let start = Instant::now();
            back_up(fixture, &format!("{number}.strongroom-backup"));
            took = start.elapsed();
        });
        let (without, _) = longest_while(fixture, pair.private, || std::thread::sleep(took));
        assert!(many > 100, "only {many} operations beside a backup of {took:?}");
        assert!(took > PATIENCE * 3, "a backup in {took:?} proves nothing");
        eprintln!("a backup of {took:?}, {many} operations beside it: {with:?} with, {without:?} without");
        seen.push((with, without, took));
        if with <= without.max(PATIENCE / 2) + PATIENCE {
            break;
        }
    }
    let (with, without, _) = seen[seen.len() - 1];
    assert!(with <= without.max(PATIENCE / 2) + PATIENCE, "{seen:?}");
    // What was deleted while backups read the file stays in no log of SQLite's.
    let log = std::fs::metadata(fixture.folder().join("token.db-wal")).map_or(0, |file| file.len());
    assert!(log < 16 << 20, "the log has {log} bytes");
    let listed = Command::new(tool_path())
        .arg("--config")
        .arg(&fixture.config)
        .args(["backup", "verify"])
        .arg(fixture.folder().join("0.strongroom-backup"))
        .env("STRONGROOM_BACKUP_PASSPHRASE", "many long words")
        .output()
        .expect("strongroom");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
}
