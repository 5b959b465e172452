//! What is wrong from the start: certificates, passwords, places, requests. Each is refused by name, and the token
//! serves on.

use crate::hosts::{A, C, Hosts};
use cryptoki_sys::*;
use std::path::Path;
use std::process::Command;

pub fn bad_input(hosts: &mut Hosts) {
    wrong_ways_to_etcd(hosts);
    a_join_request_replayed(hosts);
}

/// A certificate authority of somebody else's, and a certificate by it.
fn foreign_certificates(folder: &Path) {
    let openssl = |words: &str| {
        let done = Command::new("openssl").current_dir(folder).args(words.split(' ')).output();
        assert!(done.expect("openssl; ci/install openssl").status.success(), "{words}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout foreign-ca.key -out foreign-ca.pem -days 2 -subj /CN=foreign-ca"
    ));
    openssl(&format!("req -new {key} -keyout foreign.key -out foreign.csr -subj /CN=foreign"));
    openssl(
        "x509 -req -in foreign.csr -CA foreign-ca.pem -CAkey foreign-ca.key -CAcreateserial -out foreign.pem -days 2",
    );
}

fn wrong_ways_to_etcd(hosts: &mut Hosts) {
    foreign_certificates(hosts.folder());
    std::fs::write(hosts.folder().join("wrong.pw"), "wrong").expect("password");
    hosts.stop_agent(C);
    let right = std::fs::read_to_string(&hosts.config).expect("configuration");
    let wrong: [(&[(&str, &str)], &str); 6] = [
        (
            &[
                ("certificate = \"host.pem\"", "certificate = \"foreign.pem\""),
                ("\"host.key\"", "\"foreign.key\""),
            ],
            "certificate",
        ),
        (&[("ca = \"ca.pem\"", "ca = \"foreign-ca.pem\"")], "certificate"),
        (&[("ca = \"ca.pem\"", "ca = \"not-there.pem\"")], "not-there.pem"),
        (&[("\"engine.pw\"", "\"wrong.pw\"")], "authentication failed"),
        (&[("durability", "prefix = \"elsewhere/\"\ndurability")], "permission denied"),
        (&[("https://127.0.0.1:", "https://127.0.0.1:1")], "127.0.0.1"),
    ];
    let other = hosts.folder().join("wrong.toml");
    for (changes, why) in wrong {
        let text = changes.iter().fold(right.clone(), |text, (old, new)| text.replace(old, new));
        std::fs::write(&other, text).expect("configuration");
        let own = std::mem::replace(&mut hosts.config, other.clone());
        hosts.begin_agent(C);
        let said = hosts.cut_off(C);
        assert!(said.contains(why), "{changes:?}: {said}");
        let user = hosts.user(C);
        assert_eq!(hosts.sign(user, hosts.find(user, "constant")[0]), CKR_OK, "{changes:?}");
        hosts.kill_agent(C);
        hosts.config = own;
    }
    hosts.start_agent(C);
}

/// Somebody who kept it leaves the request of a host again that joined long ago.
fn a_join_request_replayed(hosts: &mut Hosts) {
    let (fingerprint, request) = hosts.requests[0].clone();
    hosts.etcd.put(&format!("strongroom/join/{fingerprint}"), &request);
    let refused = hosts.try_strongroom(A, &["cluster", "approve", &fingerprint], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("is a member already"), "{said}");
    // Under another fingerprint it is nobody's.
    hosts.etcd.put("strongroom/join/0000", &request);
    assert!(!hosts.try_strongroom(A, &["cluster", "approve", "0000"], "").status.success());
    let list = hosts.strongroom(A, &["cluster", "list", "--json"], "");
    assert!(list.contains("asks again") && !list.contains("asks to join"), "{list}");
    hosts.etcd.control(&["del", "--prefix", "strongroom/join/"]);
    let welcome = hosts.etcd.keys("strongroom/welcome/");
    assert!(welcome.is_empty(), "{welcome:?}");
}
