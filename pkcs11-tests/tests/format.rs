//! Files of every past format must still open: `vectors/format-N/` holds a token of each, sealed by a key
//! file and by a passphrase. `make_the_vectors` wrote them (run it by hand, only for a new format).

use cryptoki_sys::*;
use pkcs11_tests::keys::{ED25519, P256, bytes, no, number, yes};
use pkcs11_tests::params::mechanism;
use pkcs11_tests::{Module, PIN, RW, SO_PIN, call, check, tool_path};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null_mut;

const SEALS: [(&str, &str); 2] =
    [("key-file", "key_file = \"token.seal\""), ("passphrase", "passphrase_file = \"words\"")];
const TEXT: &[u8] = b"what was signed when the file was made";

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn configure(folder: &Path, seal: &str) -> PathBuf {
    let config = folder.join("config.toml");
    let text = format!(
        "[[slot]]\nid = 0\npath = \"token.db\"\n[slot.seal]\n{seal}\n[slot.kdf]\nmemory_kib = 8192\npasses = 1\n"
    );
    std::fs::write(&config, text).expect("configuration");
    config
}

fn sign(
    module: &Module,
    session: CK_SESSION_HANDLE,
    kind: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
) -> Vec<u8> {
    let (mut data, mut out, mut length) = (TEXT.to_vec(), vec![0; 600], 600);
    assert_eq!(call!(module, C_SignInit, session, &mut mechanism(kind), key), CKR_OK);
    let size = data.len() as CK_ULONG;
    assert_eq!(
        call!(module, C_Sign, session, data.as_mut_ptr(), size, out.as_mut_ptr(), &mut length),
        CKR_OK
    );
    out.truncate(length as usize);
    out
}

fn verify(
    module: &Module,
    session: CK_SESSION_HANDLE,
    kind: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
    signature: &[u8],
) -> CK_RV {
    let (mut data, mut signature) = (TEXT.to_vec(), signature.to_vec());
    assert_eq!(call!(module, C_VerifyInit, session, &mut mechanism(kind), key), CKR_OK);
    let (size, length) = (data.len() as CK_ULONG, signature.len() as CK_ULONG);
    call!(module, C_Verify, session, data.as_mut_ptr(), size, signature.as_mut_ptr(), length)
}

/// Label, mechanism, whether it is a pair.
const KEYS: [(&str, CK_MECHANISM_TYPE, bool); 4] = [
    ("rsa", CKM_SHA256_RSA_PKCS, true),
    ("ec", CKM_ECDSA_SHA256, true),
    ("ed", CKM_EDDSA, true),
    ("hmac", CKM_SHA256_HMAC, false),
];

#[test]
#[ignore = "writes the vectors of the present format"]
fn make_the_vectors() {
    let module = Module::load();
    for (name, seal) in SEALS {
        let folder = vectors().join("format-4").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("folder");
        if name == "passphrase" {
            std::fs::write(folder.join("words"), "a passphrase of a test\n").expect("passphrase");
        }
        module.initialize(&configure(&folder, seal)).expect("C_Initialize");
        module.make_token();
        let session = module.user();
        let labelled = |label: &str| vec![yes(CKA_TOKEN), bytes(CKA_LABEL, label.as_bytes())];
        let pair = |kind, label, public| {
            module
                .generate_pair(session, kind, &[labelled(label), vec![public]].concat(), &labelled(label))
                .expect("pair");
        };
        pair(CKM_RSA_PKCS_KEY_PAIR_GEN, "rsa", number(CKA_MODULUS_BITS, 2048));
        pair(CKM_EC_KEY_PAIR_GEN, "ec", bytes(CKA_EC_PARAMS, P256));
        pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, "ed", bytes(CKA_EC_PARAMS, ED25519));
        let hmac = [labelled("hmac"), vec![number(CKA_VALUE_LEN, 32)]].concat();
        module.generate(session, CKM_GENERIC_SECRET_KEY_GEN, &hmac).expect("secret");
        for (label, private) in [("public note", no(CKA_PRIVATE)), ("private note", yes(CKA_PRIVATE))] {
            let own = vec![number(CKA_CLASS, CKO_DATA), private, bytes(CKA_VALUE, label.as_bytes())];
            module.create(session, &[labelled(label), own].concat()).expect("note");
        }
        for (label, kind, is_pair) in KEYS {
            let class = if is_pair { CKO_PRIVATE_KEY } else { CKO_SECRET_KEY };
            let key = module
                .find(session, &[number(CKA_CLASS, class), bytes(CKA_LABEL, label.as_bytes())])
                .expect("find")[0];
            std::fs::write(folder.join(format!("{label}.sig")), sign(&module, session, kind, key))
                .expect("signature");
        }
        assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
        std::fs::remove_file(folder.join("config.toml")).expect("remove");
    }
}

/// A copy of a vector, with the modes that a checkout does not keep.
fn copied(vector: &Path, seal: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    for entry in std::fs::read_dir(vector).unwrap_or_else(|e| panic!("{}: {e}", vector.display())) {
        let entry = entry.expect("entry");
        let to = folder.path().join(entry.file_name());
        std::fs::copy(entry.path(), &to).expect("copy");
        std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("mode");
    }
    let config = configure(folder.path(), seal);
    (folder, config)
}

/// `strongroom` with these words says that all is well.
fn tool(config: &Path, words: &[&str]) -> String {
    let mut command = Command::new(tool_path());
    command.args(words).arg("--config").arg(config).env("STRONGROOM_OFFICER_PASSWORD", "officer-1");
    let ran = command.output().expect("strongroom");
    assert!(ran.status.success(), "{words:?}: {}{}", text(&ran.stdout), text(&ran.stderr));
    text(&ran.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn still_opens(module: &Module, folder: &Path, config: &Path) {
    tool(config, &["verify"]);
    let untouched = std::fs::read(folder.join("token.db")).expect("token file");
    module.initialize(config).expect("C_Initialize");
    let session = module.session(RW).expect("session");
    let note = |label: &str| module.find(session, &[bytes(CKA_LABEL, label.as_bytes())]).expect("find");
    assert_eq!((note("public note").len(), note("private note").len()), (1, 0));
    module.login(session, CKU_USER, PIN).expect("login");
    assert_eq!(module.attribute(session, note("private note")[0], CKA_VALUE), Ok(b"private note".to_vec()));
    for (label, kind, is_pair) in KEYS {
        let find = |class| {
            let found = module.find(session, &[number(CKA_CLASS, class), bytes(CKA_LABEL, label.as_bytes())]);
            found.expect("find")[0]
        };
        let (public, private) = if is_pair {
            (find(CKO_PUBLIC_KEY), find(CKO_PRIVATE_KEY))
        } else {
            (find(CKO_SECRET_KEY), find(CKO_SECRET_KEY))
        };
        let old = std::fs::read(folder.join(format!("{label}.sig"))).expect("signature");
        assert_eq!(verify(module, session, kind, public, &old), CKR_OK, "{label}: the old signature");
        let new = sign(module, session, kind, private);
        assert_eq!(verify(module, session, kind, public, &new), CKR_OK, "{label}");
        module.destroy(session, private).expect("destroy");
    }
    module.create(session, &[number(CKA_CLASS, CKO_DATA), yes(CKA_TOKEN)]).expect("and it takes new objects");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_SO, SO_PIN).expect("SO login");
    module.init_pin(session, b"given-anew").expect("C_InitPIN");
    check(call!(module, C_Logout, session)).expect("logout");
    module.login(session, CKU_USER, b"given-anew").expect("login");
    assert_eq!(note("private note").len(), 1, "an old token's reset keeps what is private");
    assert_eq!(call!(module, C_Finalize, null_mut()), CKR_OK);
    tool(config, &["verify"]);
    assert_ne!(std::fs::read(folder.join("token.db")).expect("token file"), untouched);
    let log = tool(config, &["audit", "list"]);
    assert!(log.contains("destroy") && log.contains("password-reset"), "{log}");
    tool(config, &["audit", "export", "--output", &folder.join("log.jsonl").display().to_string()]);
    assert!(tool(config, &["audit", "verify"]).contains("1 checkpoints"));
}

#[test]
fn every_past_format_still_opens() {
    let module = Module::load();
    let mut opened = 0;
    for entry in std::fs::read_dir(vectors()).expect("vectors") {
        let path = entry.expect("entry").path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("format-")) {
            continue;
        }
        for (name, seal) in SEALS {
            let (folder, config) = copied(&path.join(name), seal);
            still_opens(&module, folder.path(), &config);
            opened += 1;
        }
    }
    assert!(opened >= SEALS.len(), "no vectors");
}
