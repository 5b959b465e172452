//! Programs on host A: twenty at once, one that forks, one that is struck.

use crate::hosts::{A, C, Hosts, soon};
use cryptoki_sys::*;
use pkcs11_tests::keys::{P256, bytes, yes};
use pkcs11_tests::role::{Role, play};
use pkcs11_tests::{Module, PIN, RW, Result, call, check, steps};
use std::ptr::null_mut;

const PROCESSES: usize = 20;
const EACH: usize = 3;

/// A role: a process of host A. `make LABEL` and `fork LABEL` make pairs; the answer is the code.
#[test]
#[ignore = "a role of the cluster's tests"]
fn role_writer() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, PIN).expect("login");
    let several = |label: &str| {
        let made: Result<Vec<()>> =
            (0..EACH).map(|n| pair(&module, session, &format!("{label}-{n}"))).collect();
        made.err().unwrap_or(CKR_OK)
    };
    play(|word, label| {
        if word == "make" {
            return several(label).to_string();
        }
        // SAFETY: the child makes keys through the module, which supports that, and ends at once.
        match unsafe { libc::fork() } {
            0 => {
                let code = several(&format!("{label}-child"));
                // SAFETY: ends this process without the parent's handlers.
                unsafe { libc::_exit(i32::from(code != CKR_OK)) }
            }
            child => {
                let mine = several(&format!("{label}-parent"));
                let mut ended = 0;
                // SAFETY: waits for the child just made.
                assert_eq!(unsafe { libc::waitpid(child, &mut ended, 0) }, child);
                if ended == 0 { mine.to_string() } else { format!("child:{ended}") }
            }
        }
    });
}

pub fn pair(module: &Module, session: CK_SESSION_HANDLE, label: &str) -> Result<()> {
    let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
    let public = [&own[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
    module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own).map(drop)
}

/// A role: makes the pair LABEL on host A and is struck by MODE at STEP; says `result CODE STEPS`.
#[test]
#[ignore = "a role of the cluster's tests"]
fn role_struck() {
    let said = |name: &str| std::env::var(name).expect("the environment");
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, PIN).expect("login");
    steps::arm(&said("MODE"), said("STEP").parse().expect("a number"));
    let made = pair(&module, session, &said("LABEL"));
    let steps = steps::disarm();
    println!("result {} {steps}", made.err().unwrap_or(CKR_OK));
    check(call!(module, C_Finalize, null_mut())).expect("C_Finalize");
}

pub fn many_and_forking(hosts: &mut Hosts) {
    let mut roles: Vec<Role> =
        (0..PROCESSES).map(|_| Role::start(&hosts.config, "writers::role_writer")).collect();
    for (number, role) in roles.iter_mut().enumerate() {
        role.begin(&format!("make process-{number}"));
    }
    for role in &mut roles {
        assert_eq!(role.answer(), "0");
    }
    assert_eq!(roles[0].ask("fork forked"), "0");
    roles.into_iter().for_each(Role::end);
    let there = hosts.user(C);
    let labels = (0..PROCESSES).map(|number| format!("process-{number}"));
    for label in labels.chain(["forked-child".into(), "forked-parent".into()]) {
        for n in 0..EACH {
            let label = format!("{label}-{n}");
            soon(&label, || hosts.find(there, &label).first().copied());
        }
    }
    assert_eq!(hosts.keeper(A).expect("a keeper")["connected"], true);
}
