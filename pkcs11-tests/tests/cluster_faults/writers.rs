//! Programs on host A: twenty at once, one that forks, one that is struck.

use crate::hosts::{A, C, Hosts, Programs, soon};
use cryptoki_sys::*;
use pkcs11_tests::role::{Role, play};
use pkcs11_tests::{PIN, RW, Result, call, check, steps};
use std::ptr::null_mut;

const PROCESSES: usize = 20;
const EACH: usize = 2;

/// The module in this process, and a session on host A with the user.
fn program() -> (Programs, CK_SESSION_HANDLE) {
    let programs = Programs::load();
    assert_eq!(call!(programs.module, C_Initialize, null_mut()), CKR_OK);
    let session = programs.module.session(RW).expect("session");
    programs.module.login(session, CKU_USER, PIN).expect("login");
    (programs, session)
}

/// A role: a process of host A. `make LABEL` and `fork LABEL` make pairs; the answer is the code.
#[test]
#[ignore = "a role of the cluster's tests"]
fn role_writer() {
    let (programs, session) = program();
    let several = |label: &str| {
        let made: Result<Vec<()>> =
            (0..EACH).map(|n| programs.try_pair(session, &format!("{label}-{n}"))).collect();
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

/// A role: makes the pair LABEL on host A and is struck by MODE at STEP; says `result CODE STEPS`.
#[test]
#[ignore = "a role of the cluster's tests"]
fn role_struck() {
    let said = |name: &str| std::env::var(name).expect("the environment");
    let (programs, session) = program();
    steps::arm(&said("MODE"), said("STEP").parse().expect("a number"));
    let made = programs.try_pair(session, &said("LABEL"));
    let steps = steps::disarm();
    println!("result {} {steps}", made.err().unwrap_or(CKR_OK));
    check(call!(programs.module, C_Finalize, null_mut())).expect("C_Finalize");
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
