//! Keys that are shared, unshared and given away, between processes: one owns them, another uses them.
//! By C_SetAttributeValue and by `strongroom key`.

use cryptoki_sys::*;
use pkcs11_tests::keys::{OWNER, P256, SHARED_WITH, bytes, number, set, sign, yes};
use pkcs11_tests::role::{self, Role};
use pkcs11_tests::{Module, PIN, RW, call, cheap_config, make_user, tool_path};
use std::path::Path;
use std::process::{Command, Output};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const BOB: &[u8] = b"bob:bob-9876";

fn find(module: &Module, session: CK_SESSION_HANDLE, label: &str) -> Vec<CK_OBJECT_HANDLE> {
    let wanted = [bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, CKO_PRIVATE_KEY)];
    module.find(session, &wanted).expect("find")
}

/// A role: bob's process. Answers each line: how many keys of a label there are, or what signing with
/// the key found last gives, again and again until it fails or the time is over.
#[test]
#[ignore = "a role of the tests below"]
fn role_bob() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, BOB).expect("bob");
    let (mut key, mut lasted) = (0, Duration::ZERO);
    role::play(|word, rest| match word {
        "find" => {
            let found = find(&module, session, rest);
            key = found.first().copied().unwrap_or(key);
            found.len().to_string()
        }
        "sign" => {
            let (begun, most) = (Instant::now(), rest.parse().expect("number"));
            let mut answer = sign(&module, session, key);
            while answer == CKR_OK && begun.elapsed() < Duration::from_millis(most) {
                answer = sign(&module, session, key);
            }
            lasted = begun.elapsed();
            answer.to_string()
        }
        "lasted" => lasted.as_millis().to_string(),
        other => panic!("{other:?}"),
    });
}

fn pair(module: &Module, session: CK_SESSION_HANDLE, label: &str) -> CK_OBJECT_HANDLE {
    let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
    let public = [&own[..], &[bytes(CKA_EC_PARAMS, P256)]].concat();
    module.generate_pair(session, CKM_EC_KEY_PAIR_GEN, &public, &own).expect("pair").private
}

fn shared_through_the_module(module: &Module, session: CK_SESSION_HANDLE, bob: &mut Role) {
    let key = pair(module, session, "signing");
    assert_eq!(bob.number("find signing"), 0);
    assert_eq!(set(module, session, key, SHARED_WITH, b"bob\ncarol"), CKR_OK);
    assert_eq!(bob.number("find signing"), 1, "at once");
    assert_eq!(bob.number("sign 0"), CKR_OK);
    assert_eq!(module.attribute(session, key, SHARED_WITH), Ok(b"bob\ncarol".to_vec()));
    // Unshared while he signs: it ends within 100 ms and the time that a loaded machine takes.
    bob.begin("sign 60000");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(set(module, session, key, SHARED_WITH, b"carol"), CKR_OK);
    let begun = Instant::now();
    assert_eq!(bob.answer(), CKR_KEY_HANDLE_INVALID.to_string());
    assert!(begun.elapsed() < Duration::from_millis(1000), "{:?}", begun.elapsed());
    assert!(bob.number("lasted ms") >= 250, "he signed until then");
    assert_eq!(bob.number("find signing"), 0);
    // Given away: it is his, and no longer hers.
    assert_eq!(set(module, session, key, OWNER, b"bob"), CKR_OK);
    assert_eq!(bob.number("find signing"), 1);
    assert_eq!(bob.number("sign 0"), CKR_OK);
    assert_eq!(find(module, session, "signing"), []);
    assert_eq!(sign(module, session, key), CKR_KEY_HANDLE_INVALID);
    assert_eq!(set(module, session, key, SHARED_WITH, b""), CKR_OBJECT_HANDLE_INVALID);
}

fn strongroom(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(config);
    command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
    command.output().expect("strongroom")
}

fn shared_by_the_command(module: &Module, session: CK_SESSION_HANDLE, bob: &mut Role, config: &Path) {
    let key = pair(module, session, "by-command");
    let done = |arguments: &[&str]| {
        let output = strongroom(config, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    done(&["key", "share", "by-command", "--with", "bob"]);
    assert_eq!(bob.number("find by-command"), 1);
    assert_eq!(bob.number("sign 0"), CKR_OK);
    assert_eq!(module.attribute(session, key, SHARED_WITH), Ok(b"bob".to_vec()));
    let shown = r#""label":"by-command","owner":"user","shared_with":["bob"]"#;
    for arguments in [&["key", "list", "--json"][..], &["key", "info", "by-command", "--json"]] {
        let answer = done(arguments);
        assert!(answer.replace(r#""class":"private","#, "").contains(shown), "{arguments:?}: {answer}");
    }
    let refused = strongroom(config, &["key", "share", "by-command", "--with", "eve"]);
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no user (CU) eve")
    );
    let refused = strongroom(config, &["key", "share", "signing", "--with", "bob"]);
    assert!(!refused.status.success(), "a key that was given away");
    done(&["key", "unshare", "by-command", "--with", "bob"]);
    assert_eq!(bob.number("find by-command"), 0);
    done(&["key", "transfer", "by-command", "--to", "bob"]);
    assert_eq!(bob.number("find by-command"), 1);
    assert_eq!(find(module, session, "by-command"), []);
}

/// Of the least times of short runs: what a loaded machine adds is in none of them. The keys in turn, so
/// that each is looked up at each signature.
fn as_fast_as_ones_own(module: &Module, session: CK_SESSION_HANDLE) {
    let shared = pair(module, session, "of-user");
    assert_eq!(set(module, session, shared, SHARED_WITH, b"bob"), CKR_OK);
    assert_eq!(call!(module, C_Logout, session), CKR_OK);
    module.login(session, CKU_USER, BOB).expect("bob");
    let own = [pair(module, session, "own-1"), pair(module, session, "own-2")];
    let mut least = [Duration::MAX; 2];
    for _ in 0..100 {
        for (key, least) in [own[0], shared].into_iter().zip(&mut least) {
            let begun = Instant::now();
            for _ in 0..20 {
                assert_eq!((sign(module, session, own[1]), sign(module, session, key)), (CKR_OK, CKR_OK));
            }
            *least = begun.elapsed().min(*least);
        }
    }
    let ratio = least[0].as_secs_f64() / least[1].as_secs_f64();
    println!("own {:?}, shared {:?}, ratio {ratio:.3}", least[0], least[1]);
    assert!(ratio > 0.95, "own {:?}, shared {:?}", least[0], least[1]);
}

#[test]
fn custody_changes_at_once_everywhere() {
    let (_folder, config) = cheap_config();
    let module = Module::load();
    module.initialize(&config).expect("C_Initialize");
    module.make_token();
    make_user(&config, "bob", b"bob-9876");
    make_user(&config, "carol", b"carol-9876");
    let session = module.user();
    let mut bob = Role::start(&config, "role_bob");
    shared_through_the_module(&module, session, &mut bob);
    shared_by_the_command(&module, session, &mut bob, &config);
    bob.end();
    as_fast_as_ones_own(&module, session);
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    let verified = strongroom(&config, &["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
