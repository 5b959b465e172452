//! NIST's published vectors through the C interface, negative ones included. The folder is walked: a
//! file of a family that is not known here fails, as does a family without vectors.

mod nist {
    pub mod asymmetric;
    pub mod derivation;
    pub mod file;
    pub mod symmetric;
}

use nist::file::Vector;
use nist::{asymmetric, derivation, symmetric};
use pkcs11_tests::loosened as fixture;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs one vector; false when it is about something that the module does not offer.
type Run = fn(&Vector) -> bool;

fn runner(folder: &str, file: &str) -> Run {
    match (folder, file) {
        ("ECB" | "CBC", _) => symmetric::block,
        ("CFB", name) if name.starts_with("CFB128") => symmetric::cfb128,
        ("CFB", name) if name.starts_with("CFB8") => symmetric::cfb8,
        ("OFB", _) => symmetric::ofb,
        ("GCM", _) => symmetric::gcm,
        ("CMAC", _) => symmetric::cmac,
        ("keywrap", _) => symmetric::key_wrap,
        ("SHA1" | "SHA2" | "SHA3", _) => symmetric::digest,
        ("RSA", name) if name.contains("PSS") => asymmetric::rsa_pss,
        ("RSA", _) => asymmetric::rsa_pkcs1,
        ("ECDSA", "SigVer.rsp") => asymmetric::ecdsa,
        ("ECDSA", "PKV.rsp") => asymmetric::public_key,
        ("ECDSA", "KeyPair.rsp") => asymmetric::key_pair,
        ("ECDH", _) => asymmetric::ecdh,
        ("KBKDF", name) if name.starts_with("Counter") => derivation::counter_mode,
        ("KBKDF", name) if name.starts_with("Feedback") => derivation::feedback_mode,
        ("KBKDF", name) if name.starts_with("Pipeline") => derivation::double_pipeline_mode,
        _ => panic!("nobody knows how to run {folder}/{file}"),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    found.sort();
    found
}

#[test]
fn every_vector_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/nist");
    // (vectors that hold, those among them that must be refused) of each folder
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for folder in files(&root) {
        let name = folder.file_name().expect("name").to_string_lossy().into_owned();
        // The KDF alone is no mechanism: src/crypto/derive.rs walks it.
        if name == "KDF" {
            continue;
        }
        for path in files(&folder) {
            let run = runner(&name, &path.file_name().expect("name").to_string_lossy());
            let before = counts.entry(name.clone()).or_default().0;
            for vector in nist::file::read(&path) {
                if run(&vector) {
                    let count = counts.get_mut(&name).expect("just made");
                    count.0 += 1;
                    count.1 += usize::from(vector.refused);
                }
            }
            assert!(counts[&name].0 > before, "{}: no vector was run", path.display());
        }
    }
    let least = [
        ("CBC", 300, 0),
        ("CFB", 100, 0),
        ("CMAC", 8, 0),
        ("ECB", 300, 0),
        ("ECDH", 50, 20),
        ("ECDSA", 80, 60),
        ("GCM", 400, 100),
        ("KBKDF", 250, 0),
        ("OFB", 50, 0),
        ("RSA", 200, 100),
        ("SHA1", 60, 0),
        ("SHA2", 400, 0),
        ("SHA3", 250, 0),
        ("keywrap", 250, 100),
    ];
    assert_eq!(counts.keys().map(String::as_str).collect::<Vec<_>>(), least.map(|(name, ..)| name));
    for (name, all, refused) in least {
        let count = counts[name];
        assert!(count.0 >= all && count.1 >= refused, "{name}: {count:?}");
    }
    assert!(fixture().folder().exists());
}
