//! Keys and certificates that openssl made, brought in by `strongroom key import` and `certificate import`:
//! every form, what is refused and how it is said, many at once, full disks and kill -9.

mod vault;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use vault::Vault;

/// A key pair of openssl's: NAME.pem and NAME.pub.
fn make(vault: &Vault, name: &str, algorithm: &str) {
    vault.openssl(&format!("genpkey -algorithm {algorithm} -out {name}.pem"));
    vault.openssl(&format!("pkey -in {name}.pem -pubout -out {name}.pub"));
}

const EC: &str = "EC -pkeyopt ec_paramgen_curve:P-256";

fn labels(vault: &Vault) -> Vec<String> {
    vault.keys().iter().map(|key| key["label"].as_str().expect("label").to_owned()).collect()
}

#[test]
fn every_form_of_a_private_key() {
    let vault = Vault::new();
    let rsa = "RSA -pkeyopt rsa_keygen_bits:2048";
    let forms: [(&str, &str, &str, &str); 10] = [
        ("rsa", rsa, "sha256-rsa-pkcs", "pkey"),
        ("rsa-1", rsa, "sha256-rsa-pkcs", "rsa -traditional"),
        ("rsa-der", rsa, "sha256-rsa-pkcs", "pkcs8 -topk8 -nocrypt -outform DER"),
        (
            "rsa-3des",
            rsa,
            "sha256-rsa-pkcs",
            "pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -passout pass:secret",
        ),
        ("ec", EC, "ecdsa-sha256", "ec"),
        ("ec-8", "EC -pkeyopt ec_paramgen_curve:P-521", "ecdsa-sha256", "pkey"),
        ("ec-k", "EC -pkeyopt ec_paramgen_curve:secp256k1", "ecdsa-sha256", "ec -outform DER"),
        ("ec-aes", EC, "ecdsa-sha256", "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret"),
        ("ec-scrypt", EC, "ecdsa-sha256", "pkcs8 -topk8 -scrypt -outform DER -passout pass:secret"),
        ("ed", "ED25519", "eddsa", "pkey"),
    ];
    for (name, algorithm, mechanism, form) in forms {
        make(&vault, name, algorithm);
        vault.openssl(&format!("{form} -in {name}.pem -out {name}.key"));
        vault.said(&["key", "import", "pem", &format!("{name}.key")]);
        vault.signs(name, mechanism, &format!("{name}.pub"));
        let info = vault.json(&["key", "info", name]);
        for attribute in ["local", "always_sensitive", "never_extractable", "extractable"] {
            assert_eq!(info[attribute], false, "{name} {attribute}");
        }
        let both = vault.keys().iter().filter(|key| key["label"] == name).count();
        assert_eq!(both, 2, "{name}: the private and the public half");
    }
    let created = vault.events("create");
    assert_eq!(created.len(), forms.len());
    assert!(
        created.iter().all(|event| event["objects"].as_array().is_some_and(|objects| objects.len() == 2))
    );
    assert!(vault.events("generate-pair").is_empty());
    let wrong = vault
        .command(&["key", "import", "pem", "ec-aes.key"])
        .env("STRONGROOM_KEY_PASSWORD", "other")
        .output();
    let wrong = String::from_utf8(wrong.expect("strongroom").stderr).expect("text");
    assert!(wrong.contains("the password is wrong, or the file is damaged"), "{wrong}");
    assert!(!wrong.contains("other"));
}

#[test]
fn keys_with_their_certificates() {
    let vault = Vault::new();
    make(&vault, "root", EC);
    vault.openssl("req -x509 -new -key root.pem -subj /CN=root -days 30 -out root.crt");
    for (name, algorithm, export) in [
        ("modern", EC, "-passout pass:secret"),
        ("legacy", "RSA -pkeyopt rsa_keygen_bits:2048", "-legacy -passout pass:secret"),
        ("sha512", "ED25519", "-macalg sha512 -keypbe AES-128-CBC -certpbe AES-192-CBC -passout pass:secret"),
    ] {
        make(&vault, name, algorithm);
        vault.openssl(&format!("req -new -key {name}.pem -subj /CN={name}.example -out csr"));
        vault.openssl(&format!(
            "x509 -req -in csr -CA root.crt -CAkey root.pem -CAcreateserial -days 20 -out {name}.crt"
        ));
        let leaf = format!("-inkey {name}.pem -in {name}.crt -certfile root.crt -name {name}-key");
        vault.openssl(&format!("pkcs12 -export {leaf} {export} -out {name}.p12"));
        let before = vault.keys();
        let wrong = vault
            .command(&["key", "import", "pkcs12", &format!("{name}.p12")])
            .env("STRONGROOM_KEY_PASSWORD", "")
            .output();
        let wrong = wrong.expect("strongroom");
        assert_eq!(wrong.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&wrong.stderr).contains("the password is wrong"), "{name}");
        assert_eq!(vault.keys(), before);
        let rows = vault.json(&["key", "import", "pkcs12", &format!("{name}.p12")]);
        let row = &rows["files"][0];
        assert_eq!((&row["outcome"], &row["label"]), (&"imported".into(), &format!("{name}-key").into()));
        let mechanism = if name == "modern" { "ecdsa-sha256" } else { "sha256-rsa-pkcs" };
        let mechanism = if name == "sha512" { "eddsa" } else { mechanism };
        vault.signs(&format!("{name}-key"), mechanism, &format!("{name}.pub"));
        // The certificate is found by its key's id, and the id is what certificates call their key.
        let certificates = vault.json(&["certificate", "list"]);
        let certificates = certificates["certificates"].as_array().expect("rows");
        let own = certificates.iter().find(|row| row["label"] == format!("{name}-key")).expect("the leaf");
        assert_eq!(own["key_id"], vault.json(&["key", "info", &format!("{name}-key")])["key_id"]);
        assert!(own["subject"].as_str().is_some_and(|subject| subject.contains(&format!("{name}.example"))));
        let exported = vault.said(&["certificate", "export", &format!("{name}-key")]);
        vault.write("back.crt", exported);
        vault.openssl("verify -CAfile root.crt back.crt");
    }
    let root = vault.openssl("x509 -in root.crt -noout -ext subjectKeyIdentifier");
    let root =
        String::from_utf8(root).expect("text").lines().nth(1).expect("identifier").trim().replace(':', "");
    let certificates = vault.json(&["certificate", "list"]);
    let roots: Vec<_> = certificates["certificates"]
        .as_array()
        .expect("rows")
        .iter()
        .filter(|row| row["label"] == "root")
        .collect();
    assert_eq!(roots.len(), 1, "the root of three files is there once");
    assert_eq!(roots[0]["key_id"], root.to_lowercase());
    vault.said(&["certificate", "delete", "root"]);
    assert!(vault.refused(1, &["certificate", "import", "modern.pem"]).contains("there are keys in it"));
    vault.said(&["certificate", "import", "root.crt", "--label", "trust anchor"]);
    vault.said(&["certificate", "export", "trust anchor"]);
    let stranger = vault.refused(1, &["certificate", "delete", "trust anchor", "--user", "bob"]);
    assert!(stranger.contains("Only who brought it"), "{stranger}");
}

#[test]
fn containers_that_are_refused() {
    let vault = Vault::new();
    make(&vault, "key", EC);
    vault.openssl("req -x509 -new -key key.pem -subj /CN=own -days 30 -out own.crt");
    let export = "pkcs12 -export -inkey key.pem -in own.crt -passout pass:secret";
    let before = labels(&vault);
    let refused = |name: &str, what: &str| {
        let said = vault.refused(1, &["key", "import", "pkcs12", name]);
        assert!(said.contains(what), "{name}: {said}");
        assert_eq!(labels(&vault), before, "{name}");
    };
    vault.openssl(&format!("{export} -nomac -out nomac.p12"));
    refused("nomac.p12", "it has no MAC");
    vault.openssl(&format!("{export} -legacy -certpbe PBE-SHA1-RC4-128 -out rc4.p12"));
    refused("rc4.p12", "protected in a way that is not supported");
    make(&vault, "curve", "EC -pkeyopt ec_paramgen_curve:brainpoolP256r1");
    vault.openssl("pkcs12 -export -inkey curve.pem -nocerts -passout pass:secret -out curve.p12");
    refused("curve.p12", "of a kind that is not here");
    vault.openssl(&format!("{export} -out good.p12"));
    let good = vault.read("good.p12");
    for length in (0..good.len()).step_by(97).chain([good.len() - 1]) {
        vault.write("cut.p12", &good[..length]);
        refused("cut.p12", "nothing was imported");
    }
    for place in (0..good.len()).step_by(53) {
        let mut changed = good.clone();
        changed[place] ^= 1;
        vault.write("changed.p12", &changed);
        refused("changed.p12", "nothing was imported");
    }
    vault.write("more.p12", [&good[..], b"x"].concat());
    refused("more.p12", "no PKCS#12 file, or it is damaged");
    vault.said(&["key", "import", "pkcs12", "good.p12"]);
}

/// The same file with the first occurrence of some bytes replaced.
fn replaced(whole: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let at = whole.windows(what.len()).position(|window| window == what).expect("the bytes");
    [&whole[..at], with, &whole[at + what.len()..]].concat()
}

#[test]
fn keys_that_are_not_sound() {
    let vault = Vault::new();
    let refused = |name: &str, what: &str| {
        let said = vault.refused(1, &["key", "import", "pem", name]);
        assert!(said.contains(what), "{name}: {said}");
        assert!(labels(&vault).is_empty(), "{name}");
    };
    make(&vault, "one", EC);
    make(&vault, "two", EC);
    let der = |name: &str| vault.openssl(&format!("ec -in {name}.pem -outform DER"));
    let point = |name: &str| vault.openssl(&format!("ec -in {name}.pem -pubout -outform DER"))[26..].to_vec();
    vault.write("mixed.key", replaced(&der("one"), &point("one"), &point("two")));
    refused("mixed.key", "do not belong together");
    let mut off = point("one");
    off[64] ^= 1;
    let public = vault.openssl("pkey -in one.pem -pubout -outform DER");
    vault.write("off.der", replaced(&public, &point("one"), &off));
    refused("off.der", "not on the curve");
    vault.write("off.key", replaced(&der("one"), &point("one"), &off));
    refused("off.key", "do not belong together");
    make(&vault, "weak", "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3");
    refused("weak.pem", "public exponent is weak");
    refused("weak.pub", "public exponent is weak");
    make(&vault, "small", "RSA -pkeyopt rsa_keygen_bits:768");
    refused("small.pem", "this one has 768");
    make(&vault, "rsa", "RSA -pkeyopt rsa_keygen_bits:2048");
    let whole = vault.openssl("rsa -in rsa.pem -traditional -outform DER");
    let mut wrong = whole.clone();
    wrong[700] ^= 2;
    vault.write("parts.key", wrong);
    refused("parts.key", "do not belong together");
    make(&vault, "curve", "EC -pkeyopt ec_paramgen_curve:brainpoolP256r1");
    refused("curve.pem", "of a kind that is not here");
    vault.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out explicit.pem");
    refused("explicit.pem", "of a kind that is not here");
}

#[test]
fn files_that_are_no_keys() {
    let vault = Vault::new();
    make(&vault, "ec", EC);
    let refused = |name: &str, what: &str| {
        let said = vault.refused(1, &["key", "import", "pem", name]);
        assert!(said.contains(what), "{name}: {said}");
        assert!(labels(&vault).is_empty(), "{name}");
    };
    vault.write("empty", "");
    refused("empty", "the file is empty");
    refused("nowhere", "No such file");
    refused("strongroom.toml", "neither PEM nor DER");
    vault.write("rubbish", [0x30, 0x82, 0xff, 0xff, 1, 2, 3]);
    refused("rubbish", "damaged");
    let pem = vault.read("ec.pem");
    for length in (1..pem.len() - 20).step_by(7) {
        vault.write("cut", &pem[..length]);
        refused("cut", "nothing was imported");
    }
    assert!(
        vault.refused(2, &["key", "import", "pem", "ec.pem", "--attributes", "token=false"]).contains("gone")
    );
    // A second block that is cut spoils the first.
    vault.write("half", [&pem[..], &pem[..pem.len() - 40]].concat());
    refused("half", "damaged or cut");
    let der = vault.openssl("pkcs8 -topk8 -nocrypt -in ec.pem -outform DER");
    vault.write("more", [&der[..], &[0]].concat());
    refused("more", "damaged");
    vault.openssl("ec -in ec.pem -aes256 -passout pass:secret -out old.pem");
    refused("old.pem", "in the old way of OpenSSL");
    let huge = std::fs::File::create(vault.path("huge")).expect("file");
    huge.set_len(100 << 20).expect("a sparse file");
    let start = Instant::now();
    refused("huge", "larger than 4 MiB");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for words in [["pkcs12", "huge"], ["secret", "huge"]] {
        let words = ["key", "import", words[0], words[1]];
        let words =
            if words[2] == "secret" { [&words[..], &["--key-type", "aes"]].concat() } else { words.to_vec() };
        assert!(vault.refused(1, &words).contains("larger than 4 MiB"));
    }
    // The same key twice is one key.
    vault.write("twice.pem", [&pem[..], &pem].concat());
    vault.said(&["key", "import", "pem", "twice.pem"]);
    assert_eq!(labels(&vault), ["twice", "twice"], "the halves of one pair");
    make(&vault, "other", EC);
    let pem = vault.read("other.pem");
    // A name that is no text is a file's like any other.
    let odd = PathBuf::from(OsStr::from_bytes(b"odd-\xff.pem"));
    std::fs::write(vault.folder().join(&odd), &pem).expect("file");
    let ran =
        vault.command(&[OsStr::new("key"), "import".as_ref(), "pem".as_ref(), odd.as_os_str()]).output();
    assert!(ran.expect("strongroom").status.success());
    assert_eq!(labels(&vault)[0], "odd-\u{fffd}");
}

#[test]
fn secrets_and_who_may_do_what() {
    let vault = Vault::new();
    vault.openssl("rand -out wide.bin 32");
    vault.said(&["key", "import", "secret", "wide.bin", "--key-type", "aes", "--share-with", "bob"]);
    let info = vault.json(&["key", "info", "wide"]);
    assert_eq!(
        (&info["size"], &info["local"], &info["extractable"]),
        (&256.into(), &false.into(), &false.into())
    );
    let key: String = vault.read("wide.bin").iter().map(|byte| format!("{byte:02x}")).collect();
    vault.write("wide.hex", format!("{key}\n"));
    let hex = ["key", "import", "secret", "wide.hex", "--key-type", "aes"];
    assert!(vault.refused(1, &hex).contains("--encoding hex"));
    let hex = [&hex[..], &["--encoding", "hex"]].concat();
    assert!(vault.refused(1, &hex).contains("It is there already, as wide"));
    assert_eq!(
        vault.json(&[&hex[..], &["--skip-existing"]].concat())["files"][0]["outcome"],
        "there already"
    );
    vault.said(&[&hex[..], &["--label", "other"]].concat());
    let mac = ["crypto", "sign", "-m", "sha256-hmac", "--data", "text", "--key-label", "mac"];
    vault.said(&["key", "import", "raw", "wide.bin", "--key-type", "generic-secret", "--label", "mac"]);
    let text = vault.said(&mac);
    vault.write("text", "text");
    let said = vault.openssl(&format!("dgst -sha256 -mac HMAC -macopt hexkey:{key} -binary text"));
    vault.write("mac", said);
    vault.write("mac.b64", vault.openssl("base64 -A -in mac"));
    assert_eq!(text.as_bytes(), vault.read("mac.b64"));
    // An officer brings no keys; nobody shares with nobody; a user trusts no key.
    let officer = vault.refused(1, &[&hex[..], &["--user", "so", "--label", "x"]].concat());
    assert!(officer.contains("this needs a crypto user"), "{officer}");
    let nobody = vault.refused(1, &[&hex[..], &["--label", "x", "--share-with", "nobody"]].concat());
    assert!(nobody.contains("nobody"), "{nobody}");
    let trusted = vault.refused(1, &[&hex[..], &["--label", "x", "--attributes", "trusted=true"]].concat());
    assert!(trusted.contains("CKR_ATTRIBUTE_READ_ONLY"), "{trusted}");
    let local = vault.refused(1, &[&hex[..], &["--label", "x", "--attributes", "local=true"]].concat());
    assert!(local.contains("CKR_ATTRIBUTE_READ_ONLY"), "{local}");
    assert_eq!(labels(&vault).len(), 3);
    assert_eq!(vault.events("create").len(), 3);
}

/// A folder of so many keys.
fn many(vault: &Vault, count: usize) -> Vec<String> {
    std::fs::create_dir(vault.path("many")).expect("folder");
    let names: Vec<_> = (0..count).map(|number| format!("key-{number:03}")).collect();
    for name in &names {
        vault.openssl(&format!("genpkey -algorithm ED25519 -out many/{name}.pem"));
    }
    names
}

#[test]
fn a_folder_with_a_bad_file() {
    let vault = Vault::new();
    let names = many(&vault, 5);
    vault.write("many/key-002.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    vault.write("many/notes.txt", "not a key, and not looked at");
    let said = vault.refused(1, &["key", "import", "pem", "many"]);
    assert!(said.contains("1 of 5 files were not imported") && said.contains("many/key-002.pem"), "{said}");
    assert_eq!(labels(&vault).len(), 8);
    let ran = vault.run(&["--json", "key", "import", "pem", "many", "--skip-existing"]);
    assert_eq!(ran.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(answer["error_code"], 1);
    let rows = answer["shown"]["files"].as_array().expect("rows").clone();
    let outcomes: Vec<_> = rows.iter().map(|row| row["outcome"].as_str().expect("text")).collect();
    assert_eq!(outcomes, ["there already", "there already", "failed", "there already", "there already"]);
    vault.openssl("genpkey -algorithm ED25519 -out many/key-002.pem");
    let again = vault.refused(1, &["key", "import", "pem", "many"]);
    assert!(again.contains("4 of 5 files were not imported"), "{again}");
    vault.said(&["key", "import", "pem", "many", "--skip-existing"]);
    let mut found = labels(&vault);
    found.sort();
    found.dedup();
    assert_eq!(found, names);
    vault.refused(2, &["key", "import", "pem", "many", "--label", "all"]);
}

/// `c/steps.c`, built.
fn steps(vault: &Vault) -> PathBuf {
    let (source, built) =
        (PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("c/steps.c"), vault.path("steps.so"));
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&built, &source])
        .arg("-ldl")
        .status();
    assert!(done.expect("a C compiler").success());
    built
}

#[test]
fn a_full_disk_and_kill_9_leave_whole_keys() {
    for mode in ["full", "kill"] {
        let vault = Vault::new();
        let (names, steps) = (many(&vault, 12), steps(&vault));
        let mut cut = 0;
        // Steps of logging in, of the first keys, and of the last ones.
        for at in [3, 25, 40, 61, 80] {
            let mut command = vault.command(&["--json", "key", "import", "pem", "many", "--skip-existing"]);
            let token = vault.path("token.db").canonicalize().expect("token");
            command
                .env("LD_PRELOAD", &steps)
                .env("STEPS_FOLDER", token)
                .env("STEPS_MODE", mode)
                .env("STEPS_AT", at.to_string());
            let ran = command.output().expect("strongroom");
            let killed = ran.status.signal() == Some(libc::SIGKILL);
            let said = String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr].concat()).into_owned();
            assert!(mode == "full" || killed || ran.status.success(), "{mode} {at}: {said}");
            cut += usize::from(!ran.status.success());
            // What is there is whole: both halves, under the same id; and the file is sound.
            vault.said(&["verify"]);
            let rows = vault.keys();
            for name in &names {
                let halves = rows.iter().filter(|row| row["label"] == **name).count();
                assert!(halves == 0 || halves == 2, "{mode} {at}: {name} has {halves}");
            }
            // What was said to be imported is there.
            if let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&ran.stdout) {
                let shown = [&answer["data"]["files"], &answer["shown"]["files"]];
                for row in shown.into_iter().filter_map(|rows| rows.as_array()).flatten() {
                    let present = rows.iter().any(|key| key["label"] == row["label"]);
                    assert_eq!(
                        present,
                        matches!(row["outcome"].as_str(), Some("imported" | "there already")),
                        "{row}"
                    );
                }
            }
        }
        assert!(cut >= 3, "{mode}: only {cut} runs were cut short");
        vault.said(&["key", "import", "pem", "many", "--skip-existing"]);
        assert_eq!(labels(&vault).len(), 2 * names.len());
        vault.said(&["audit", "verify"]);
    }
}
