//! What hosts do to the same things while they do not hear each other, and by clocks that differ.

use crate::hosts::{A, B, C, Hosts, soon};
use crate::partitions::everywhere;
use cryptoki_sys::*;
use pkcs11_tests::keys::{bytes, no, yes};

const BOB: &[u8] = b"bob:bob-9876";

/// C is alone. The same attribute, a key destroyed and used, one made stricter in two ways, a user locked and reset.
pub fn made_apart(hosts: &mut Hosts) {
    let user = hosts.user(A);
    for label in ["both", "used", "strict"] {
        hosts.pair(user, label);
    }
    hosts.strongroom(A, &["user", "create", "bob", "--role", "CU"], "bob-9876");
    everywhere(hosts, &["both", "used", "strict"]);
    soon("bob is on C", || hosts.log_in(C, BOB).ok());
    hosts.cut(C);
    let (here, there) = (hosts.user(A), hosts.user(C));
    let of = |session, label: &str| hosts.find(session, label)[0];
    assert_eq!(hosts.set(here, of(here, "both"), &[bytes(CKA_ID, b"by A")]), CKR_OK);
    assert_eq!(hosts.set(there, of(there, "both"), &[bytes(CKA_ID, b"by C")]), CKR_OK);
    assert_eq!(hosts.set(here, of(here, "strict"), &[yes(CKA_WRAP_WITH_TRUSTED)]), CKR_OK);
    for round in 0..3 {
        assert_eq!(hosts.set(there, of(there, "strict"), &[bytes(CKA_ID, &[round])]), CKR_OK);
    }
    let used = of(there, "used");
    assert_eq!(hosts.destroy(here, of(here, "used")), CKR_OK);
    assert_eq!(hosts.sign(there, used), CKR_OK, "C has not heard of it");
    for _ in 0..5 {
        assert_eq!(hosts.log_in(C, b"bob:wrong-pw").err(), Some(CKR_PIN_INCORRECT));
    }
    assert_eq!(hosts.log_in(C, BOB).err(), Some(CKR_PIN_LOCKED));
    hosts.strongroom(A, &["user", "set-password", "bob"], "bob-reset-1");
    hosts.mend(C);
    hosts.all_the_same();
    for host in [A, B, C] {
        hosts.log_in(host, b"bob:bob-reset-1").expect("the reset counts, not the lock");
        assert_eq!(hosts.log_in(host, BOB).err(), Some(CKR_PIN_INCORRECT));
    }
    let ids = [A, B, C].map(|host| {
        let user = hosts.user(host);
        assert!(hosts.find(user, "used").is_empty(), "{host}: destroyed beats used");
        let strict = hosts.find(user, "strict")[0];
        let loose = hosts.set(user, strict, &[no(CKA_WRAP_WITH_TRUSTED)]);
        assert_ne!(loose, CKR_OK, "{host}: what was made stricter stays so");
        hosts.id_of(user, hosts.find(user, "both")[0])
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// B's clock is an hour ahead: who was first is decided by versions, not by clocks. C's is an hour late, before
/// etcd's certificate was made: it says so, and serves.
pub fn a_wrong_clock(hosts: &mut Hosts) {
    hosts.stop_agent(B);
    hosts.environments[B] = under_clock("+1h");
    hosts.start_agent(B);
    hosts.strongroom(B, &["user", "create", "ahead", "--role", "CU"], "ahead-9876");
    // The later word counts, by whichever clock.
    for (host, password) in [(B, "ahead-on-b"), (A, "ahead-on-a"), (B, "again-on-b")] {
        soon("the user is there", || {
            hosts
                .try_strongroom(host, &["user", "set-password", "ahead"], password)
                .status
                .success()
                .then_some(())
        });
        let pin = format!("ahead:{password}");
        for host in [A, B, C] {
            soon("the later password", || hosts.log_in(host, pin.as_bytes()).ok());
        }
    }
    hosts.all_the_same();
    hosts.stop_agent(C);
    hosts.environments[C] = under_clock("-1h");
    hosts.begin_agent(C);
    let why = hosts.cut_off(C);
    assert!(why.contains("certificate") && why.contains("valid"), "{why}");
    let user = hosts.user(C);
    hosts.pair(user, "made-an-hour-ago");
    for host in [B, C] {
        hosts.stop_agent(host);
        hosts.environments[host].clear();
        hosts.start_agent(host);
    }
    everywhere(hosts, &["made-an-hour-ago"]);
}

/// Debian's libfaketime. Timers go by the monotonic clock, which nobody sets.
fn under_clock(shift: &str) -> Vec<(String, String)> {
    let folders = std::fs::read_dir("/usr/lib").expect("libraries").flatten();
    let library = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let library =
        library.into_iter().find(|path| path.exists()).expect("libfaketime; ci/install libfaketime");
    let library = library.to_str().expect("path").to_owned();
    let value = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![value("LD_PRELOAD", &library), value("FAKETIME", shift), value("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
}
