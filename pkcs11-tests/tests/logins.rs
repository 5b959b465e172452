//! Many processes that log in at the same moment with the right PIN, as the workers of a web server do.

use cryptoki_sys::*;
use pkcs11_tests::{Module, call, cheap_config};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

const PROCESSES: usize = 12;

#[test]
fn many_right_pins_at_once_lock_nobody_out() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    let workers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "role_worker", "--ignored", "--nocapture", "--test-threads=1"])
                .env("STRONGROOM_CONFIG", &config)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("worker")
        })
        .collect();
    for worker in workers {
        let output = worker.wait_with_output().expect("worker");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut info = CK_TOKEN_INFO::default();
    assert_eq!(call!(module, C_GetTokenInfo, 0, &mut info), CKR_OK);
    let counted = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    assert_eq!(info.flags & counted, 0, "no attempt is left counted");
}

/// A role: logs in again and again, each time as a process that never did before.
#[test]
#[ignore = "a role of the test above"]
fn role_worker() {
    let module = Module::load();
    for _ in 0..20 {
        assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
        module.user();
        assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    }
}
