//! The life of a key through the module and the command: versions, suspended and resumed, its dates. What
//! one process does holds in all.

use cryptoki_sys::*;
use pkcs11_tests::keys::{Attribute, ED25519, P256, bytes, number, template, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::role::{self, Role};
use pkcs11_tests::{Module, PIN, RW, Result, call, cheap_config, check, make_user, tool_path};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SHARED_WITH: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5352_0003;
const BOB: &[u8] = b"bob:bob-9876";
const NOT_PERMITTED: CK_RV = CKR_KEY_FUNCTION_NOT_PERMITTED;

struct House {
    module: Module,
    session: CK_SESSION_HANDLE,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

/// The owner is logged in; bob is another user.
fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let (folder, config) = cheap_config();
        let module = Module::load();
        module.initialize(&config).expect("C_Initialize");
        module.make_token();
        make_user(&config, "bob", b"bob-9876");
        House { session: module.user(), module, config, _folder: folder }
    })
}

/// Each test has a session of its own.
fn ours() -> (&'static Module, CK_SESSION_HANDLE) {
    (&house().module, house().module.session(RW).expect("session"))
}

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(tool_path());
    command.args(arguments).arg("--config").arg(config);
    command.env("STRONGROOM_PASSWORD", std::str::from_utf8(PIN).expect("text"));
    command
}

fn done(config: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = command(config, arguments).arg("--json").output().expect("strongroom");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_str::<serde_json::Value>(&said).expect("JSON")["data"].clone()
}

type Begin = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV;
type Work =
    unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

fn functions(module: &Module, name: &str) -> (Option<Begin>, Option<Work>) {
    // SAFETY: the table is the module's.
    let list = unsafe { &*module.list };
    match name {
        "sign" => (list.C_SignInit, list.C_Sign),
        "encrypt" => (list.C_EncryptInit, list.C_Encrypt),
        "decrypt" => (list.C_DecryptInit, list.C_Decrypt),
        other => panic!("{other}"),
    }
}

/// One operation that gives bytes.
fn give(
    (module, session): (&Module, CK_SESSION_HANDLE),
    what: &str,
    kind: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
    data: &[u8],
) -> Result<Vec<u8>> {
    let (begin, work) = functions(module, what);
    let (mut out, mut length) = (vec![0; 5000], 5000);
    let (at, size) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
    // SAFETY: the functions are the module's, the buffers are as long as they say.
    check(unsafe { begin.expect("begin")(session, &mut mechanism(kind), key) })?;
    // SAFETY: as above.
    check(unsafe { work.expect("work")(session, at, size, out.as_mut_ptr(), &mut length) })?;
    out.truncate(length as usize);
    Ok(out)
}

fn verify(
    (module, session): (&Module, CK_SESSION_HANDLE),
    kind: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
    signature: &[u8],
) -> CK_RV {
    let begun = call!(module, C_VerifyInit, session, &mut mechanism(kind), key);
    if begun != CKR_OK {
        return begun;
    }
    let (at, length) = (signature.as_ptr().cast_mut(), signature.len() as CK_ULONG);
    call!(module, C_Verify, session, DATA.as_ptr().cast_mut(), DATA.len() as CK_ULONG, at, length)
}

const DATA: [u8; 32] = [5; 32];

fn set(kind: CK_ATTRIBUTE_TYPE, value: &[u8], key: CK_OBJECT_HANDLE) -> CK_RV {
    let (at, given) = (house(), [bytes(kind, value)]);
    call!(at.module, C_SetAttributeValue, at.session, key, template(&given).as_mut_ptr(), 1)
}

fn find(
    (module, session): (&Module, CK_SESSION_HANDLE),
    label: &str,
    class: CK_OBJECT_CLASS,
) -> Vec<CK_OBJECT_HANDLE> {
    module.find(session, &[bytes(CKA_LABEL, label.as_bytes()), number(CKA_CLASS, class)]).expect("find")
}

/// A role: bob, who signs with the key of a label again and again, and looks it up each time. Answers how
/// often the documented refusal came, or the first other answer; then how often he signed.
#[test]
#[ignore = "a role of the tests below"]
fn role_bob() {
    let module = Module::load();
    assert_eq!(call!(module, C_Initialize, null_mut()), CKR_OK);
    let session = module.session(RW).expect("session");
    module.login(session, CKU_USER, BOB).expect("bob");
    let (mut signed, mut held) = (0, 0);
    role::play(|word, rest| match word {
        "by-label" => {
            let (label, milliseconds) = rest.split_once(' ').expect("label and time");
            let most = Duration::from_millis(milliseconds.parse().expect("number"));
            let (begun, mut refused) = (Instant::now(), 0);
            signed = 0;
            while begun.elapsed() < most {
                let found = find((&module, session), label, CKO_PRIVATE_KEY);
                let [key] = found[..] else { return format!("found-{}", found.len()) };
                match give((&module, session), "sign", CKM_ECDSA, key, &DATA) {
                    Ok(_) => signed += 1,
                    Err(NOT_PERMITTED) => refused += 1,
                    Err(other) => return format!("{other:#x}"),
                }
            }
            refused.to_string()
        }
        "signed" => signed.to_string(),
        "hold" => {
            held = find((&module, session), rest, CKO_PRIVATE_KEY)[0];
            held.to_string()
        }
        // With the key he holds, until it fails.
        "sign" => {
            let (begun, most) = (Instant::now(), Duration::from_millis(rest.parse().expect("number")));
            loop {
                let answer = give((&module, session), "sign", CKM_ECDSA, held, &DATA);
                if answer.is_err() || begun.elapsed() > most {
                    return answer.err().unwrap_or(CKR_OK).to_string();
                }
            }
        }
        other => panic!("{other:?}"),
    });
}

fn pair(
    label: &str,
    public: &[Attribute],
    private: &[Attribute],
    kind: CK_MECHANISM_TYPE,
) -> CK_OBJECT_HANDLE {
    let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes()), bytes(CKA_ID, b"\x07")];
    let (public, private) = ([&own[..], public].concat(), [&own[..], private].concat());
    house().module.generate_pair(house().session, kind, &public, &private).expect("pair").private
}

fn ec(label: &str, private: &[Attribute]) -> CK_OBJECT_HANDLE {
    pair(label, &[bytes(CKA_EC_PARAMS, P256)], private, CKM_EC_KEY_PAIR_GEN)
}

/// Rotated while another process signs by label: it never sees two, none, or another refusal than the
/// documented one between its search and its C_SignInit.
#[test]
fn rotation_under_use() {
    let at = house();
    let (ours, label) = (ours(), "under-use");
    let first = ec(label, &[bytes(SHARED_WITH, b"bob")]);
    let old = give(ours, "sign", CKM_ECDSA, first, &DATA).expect("sign");
    let mut bob = Role::start(&at.config, "role_bob");
    bob.begin("by-label under-use 6000");
    for version in 2..8 {
        assert_eq!(done(&at.config, &["key", "rotate", label])["version"], version);
    }
    let refused = bob.answer();
    println!("refused {refused} times, signed {} times", bob.ask("signed now"));
    assert!(refused.parse::<u32>().is_ok(), "{refused}");
    assert!(bob.number("signed now") > 100);
    let versions = done(&at.config, &["key", "versions", label])["versions"].clone();
    let told: Vec<_> =
        versions.as_array().expect("list").iter().map(|row| (&row["version"], &row["state"])).collect();
    assert_eq!(told.len(), 7);
    for (place, (version, state)) in told.into_iter().enumerate() {
        assert_eq!(*version, place + 1);
        assert_eq!(*state, if place == 6 { "in use" } else { "replaced" });
    }
    // The first version still verifies, and signs no more; in no process.
    let public = find(ours, "under-use.v1", CKO_PUBLIC_KEY);
    assert_eq!(verify(ours, CKM_ECDSA, public[0], &old), CKR_OK);
    assert_eq!(give(ours, "sign", CKM_ECDSA, first, &DATA), Err(NOT_PERMITTED));
    bob.ask("hold under-use.v3");
    assert_eq!(bob.number("sign 0"), NOT_PERMITTED);
    let newest = find(ours, label, CKO_PUBLIC_KEY);
    let private = find(ours, label, CKO_PRIVATE_KEY);
    let new = give(ours, "sign", CKM_ECDSA, private[0], &DATA).expect("sign");
    assert_eq!(verify(ours, CKM_ECDSA, newest[0], &new), CKR_OK);
    assert_eq!(verify(ours, CKM_ECDSA, public[0], &new), CKR_SIGNATURE_INVALID);
    bob.end();
}

#[test]
fn keys_of_every_type_get_new_versions() {
    let (at, ours) = (house(), ours());
    let secret = |label: &str, kind, more: &[Attribute]| {
        let own = [yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
        at.module.generate(at.session, kind, &[&own[..], more].concat()).expect("secret")
    };
    let rsa = [number(CKA_MODULUS_BITS, 2048), bytes(CKA_PUBLIC_EXPONENT, &[1, 0, 1])];
    pair("t-rsa", &rsa, &[], CKM_RSA_PKCS_KEY_PAIR_GEN);
    pair("t-ed", &[bytes(CKA_EC_PARAMS, ED25519)], &[], CKM_EC_EDWARDS_KEY_PAIR_GEN);
    pair("t-ml-dsa", &[number(CKA_PARAMETER_SET, CKP_ML_DSA_65)], &[], CKM_ML_DSA_KEY_PAIR_GEN);
    secret("t-generic", CKM_GENERIC_SECRET_KEY_GEN, &[number(CKA_VALUE_LEN, 48)]);
    secret("t-hmac", CKM_SHA256_KEY_GEN, &[number(CKA_VALUE_LEN, 32)]);
    let imported = [number(CKA_CLASS, CKO_SECRET_KEY), number(CKA_KEY_TYPE, CKK_AES), yes(CKA_TOKEN)];
    let value = [bytes(CKA_LABEL, b"t-imported"), bytes(CKA_VALUE, &[3; 24])];
    at.module
        .create(at.session, &[imported, [value[0].clone(), value[1].clone(), yes(CKA_WRAP)]].concat())
        .expect("AES");
    for (label, class, kind) in [
        ("t-rsa", CKO_PRIVATE_KEY, CKM_SHA256_RSA_PKCS),
        ("t-ed", CKO_PRIVATE_KEY, CKM_EDDSA),
        ("t-ml-dsa", CKO_PRIVATE_KEY, CKM_ML_DSA),
        ("t-generic", CKO_SECRET_KEY, CKM_SHA256_HMAC),
        ("t-hmac", CKO_SECRET_KEY, CKM_SHA256_HMAC),
        ("t-imported", CKO_SECRET_KEY, CKM_AES_CMAC),
    ] {
        let old = find(ours, label, class)[0];
        let signature =
            give(ours, "sign", kind, old, &DATA).unwrap_or_else(|code| panic!("{label}: {code:#x}"));
        done(&at.config, &["key", "rotate", label]);
        let new = find(ours, label, class);
        assert!(new.len() == 1 && new[0] != old, "{label}");
        assert_eq!(give(ours, "sign", kind, old, &DATA), Err(NOT_PERMITTED), "{label}");
        let public =
            if class == CKO_SECRET_KEY { old } else { find(ours, &format!("{label}.v1"), CKO_PUBLIC_KEY)[0] };
        assert_eq!(verify(ours, kind, public, &signature), CKR_OK, "{label}");
        let next =
            give(ours, "sign", kind, new[0], &DATA).unwrap_or_else(|code| panic!("{label}: {code:#x}"));
        assert_eq!(verify(ours, kind, public, &next), CKR_SIGNATURE_INVALID, "{label}");
        for back in [CKA_SIGN, CKA_ENCRYPT, CKA_WRAP] {
            let refused = set(back, &[1], old);
            assert!(
                [CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID].contains(&refused),
                "{label}: {back:#x}"
            );
        }
        for same in [CKA_KEY_TYPE, CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_PRIVATE] {
            let read = |key| at.module.attribute(at.session, key, same);
            assert_eq!(read(old), read(new[0]), "{label}");
        }
        assert_eq!(at.module.attribute(at.session, new[0], CKA_LOCAL), Ok(vec![1]), "{label}: made here");
        assert_ne!(at.module.attribute(at.session, new[0], CKA_ID).expect("id").len(), 1, "{label}");
    }
    // What was encrypted before is still read, and nothing new is encrypted.
    let old = secret("t-aes", CKM_AES_KEY_GEN, &[number(CKA_VALUE_LEN, 32)]);
    let sealed = give(ours, "encrypt", CKM_AES_ECB, old, &DATA).expect("encrypt");
    done(&at.config, &["key", "rotate", "t-aes"]);
    // A search looks at the file; without one it takes 50 ms until this process knows.
    let new = find(ours, "t-aes", CKO_SECRET_KEY)[0];
    assert_eq!(give(ours, "decrypt", CKM_AES_ECB, old, &sealed), Ok(DATA.to_vec()));
    assert_eq!(give(ours, "encrypt", CKM_AES_ECB, old, &DATA), Err(NOT_PERMITTED));
    assert_ne!(give(ours, "decrypt", CKM_AES_ECB, new, &sealed), Ok(DATA.to_vec()));
}

/// Killed at any moment of it, a rotation has happened or it has not.
#[test]
fn a_killed_rotation_leaves_one_key() {
    let at = house();
    let label = "killed";
    ec(label, &[]);
    let begun = Instant::now();
    done(&at.config, &["key", "rotate", label]);
    let whole = begun.elapsed();
    let mut rotations = 1;
    for part in 0..24 {
        let mut child = command(&at.config, &["key", "rotate", label])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("strongroom");
        std::thread::sleep(whole * (26 - part) / 26);
        let _ = child.kill();
        child.wait().expect("its end");
        let found = [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY].map(|class| find(ours(), label, class).len());
        assert_eq!(found, [1, 1], "part {part}");
        let versions = done(&at.config, &["key", "versions", label])["versions"].clone();
        let versions = versions.as_array().expect("list");
        let last = versions.len() - 1;
        for (place, row) in versions.iter().enumerate() {
            assert_eq!(row["version"], place + 1);
            assert_eq!(row["state"], if place == last { "in use" } else { "replaced" }, "part {part}");
        }
        rotations += u32::from(versions.len() as u32 > rotations + 1);
    }
    println!("{rotations} of 25 rotations were faster than the kill; one takes {whole:?}");
    assert!(rotations < 25, "no kill came in time");
    assert!(command(&at.config, &["verify"]).output().expect("strongroom").status.success());
}
