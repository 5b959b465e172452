//! NIST's vectors of the internal interface, and another implementation (`fips205`) beside ours for what
//! they do not cover: contexts and digests. Every set and the vectors of keys: pkcs11-tests, slh_dsa.rs.

use super::*;
use crate::crypto::Hash;
use fips205::pre_hash;
use fips205::traits::{KeyGen, Signer, Verifier};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pkcs11-tests/vectors/acvp/slh-dsa.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    let digits = vector[name].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn set(vector: &Value) -> Set {
    let name = vector["set"].as_str().unwrap().trim_start_matches("SLH-DSA-");
    let ours = |set: &&Set| {
        format!("{set:?}").replace("Shake", "Shake-").replace('_', "-").eq_ignore_ascii_case(name)
    };
    *Set::ALL.iter().find(ours).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn acvp_signatures() {
    let vectors = vectors();
    let (mut good, mut bad) = (0, 0);
    for vector in vectors["sigVer"].as_array().unwrap() {
        let (set, message, signature) = (set(vector), bytes(vector, "message"), bytes(vector, "signature"));
        let public = PublicKey::new(set, &bytes(vector, "pk")).unwrap();
        let verified = public.verify((&[], &message), &signature);
        if vector["testPassed"] == true {
            assert_eq!(verified, Ok(()), "{vector}");
            good += 1;
            // Signing with the s sets takes a minute without optimisation.
            if set == Set::Shake128f {
                let private = PrivateKey::new(set, &bytes(vector, "sk")).unwrap();
                let random = bytes(vector, "additionalRandomness");
                assert_eq!(private.key.sign(&[&message], Some(&random)), signature);
            }
        } else {
            assert!(verified.is_err(), "{vector}");
            bad += 1;
        }
    }
    assert_eq!((good, bad), (3, 6));
}

#[test]
fn both_agree() {
    use fips205::slh_dsa_sha2_128f as theirs;
    let ours = PrivateKey::generate(Set::Sha2_128f).unwrap();
    let seed = |number: usize| ours.bytes()[16 * number..][..16].try_into().unwrap();
    let (their_public, theirs) = theirs::KG::keygen_from_seed::<16>(seed(0), seed(1), seed(2));
    let (public, message) = (PublicKey::new(Set::Sha2_128f, ours.public()).unwrap(), b"a message");
    let hedged = theirs.try_sign(message, b"context", true).unwrap();
    assert_eq!(public.verify((&pure(b"context").unwrap(), message), &hedged), Ok(()));
    let mut signature = [0; 17088];
    ours.sign((&pure(b"").unwrap(), message), true, &mut signature).unwrap();
    assert_eq!(theirs.try_sign(message, b"", false).unwrap(), signature);
    let (before, digest) =
        (hashed(b"c", PreHash::Plain(Hash::Sha256)).unwrap(), Hash::Sha256.digest(message));
    ours.sign((&before, &digest), true, &mut signature).unwrap();
    assert!(their_public.hash_verify(&digest, &signature, b"c", &pre_hash::SHA2_256));
}
