//! NIST's vectors of the internal interface, and another implementation (`fips205`) beside ours for what
//! they do not cover: every set, contexts, digests.

use super::*;
use crate::crypto::Hash;
use fips205::pre_hash;
use fips205::traits::{KeyGen, SerDes, Signer, Verifier};
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
fn acvp_keys_follow_from_their_seeds() {
    let vectors = vectors();
    let keys = vectors["keyGen"].as_array().unwrap();
    assert_eq!(keys.len(), 4);
    for vector in keys {
        let (set, whole) = (set(vector), bytes(vector, "sk"));
        let seeds = ["skSeed", "skPrf", "pkSeed"].map(|name| bytes(vector, name)).concat();
        let key = PrivateKey::from_seeds(set, &seeds).unwrap();
        assert_eq!(key.bytes()[..], whole);
        assert_eq!(key.public(), bytes(vector, "pk"));
    }
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
            let private = PrivateKey::from_checked(set, &bytes(vector, "sk")).unwrap();
            let random = bytes(vector, "additionalRandomness");
            assert_eq!(private.key.sign(&[&message], Some(&random)), signature);
            good += 1;
        } else {
            assert!(verified.is_err(), "{vector}");
            bad += 1;
        }
    }
    assert_eq!((good, bad), (3, 6));
}

/// `$theirs`: the module of a set in `fips205`. Making and signing takes seconds with the s sets, verifying not.
macro_rules! agrees {
    ($($test:ident $set:ident $theirs:ident;)+) => {
        $(#[test]
        fn $test() {
            use fips205::$theirs as theirs;
            let ours = PrivateKey::generate(Set::$set).unwrap();
            let their_public = theirs::PublicKey::try_from_bytes(ours.public().try_into().unwrap()).unwrap();
            let (before, message) = (pure(b"context").unwrap(), b"a message");
            let mut signature = [0; theirs::SIG_LEN];
            assert_eq!(signature.len(), Set::$set.signature_length());
            ours.sign((&before, message), false, &mut signature).unwrap();
            assert!(their_public.verify(message, &signature, b"context"));
            assert!(!their_public.verify(message, &signature, b""));
            let public = PublicKey::new(Set::$set, ours.public()).unwrap();
            assert_eq!(public.verify((&before, message), &signature), Ok(()));
            signature[100] ^= 1;
            assert_eq!(public.verify((&before, message), &signature), Err(Error::SignatureInvalid));
        })+
    };
}

agrees! {
    sha2_128s_agrees Sha2_128s slh_dsa_sha2_128s;
    sha2_128f_agrees Sha2_128f slh_dsa_sha2_128f;
    sha2_192s_agrees Sha2_192s slh_dsa_sha2_192s;
    sha2_192f_agrees Sha2_192f slh_dsa_sha2_192f;
    sha2_256s_agrees Sha2_256s slh_dsa_sha2_256s;
    sha2_256f_agrees Sha2_256f slh_dsa_sha2_256f;
    shake_128s_agrees Shake128s slh_dsa_shake_128s;
    shake_128f_agrees Shake128f slh_dsa_shake_128f;
    shake_192s_agrees Shake192s slh_dsa_shake_192s;
    shake_192f_agrees Shake192f slh_dsa_shake_192f;
    shake_256s_agrees Shake256s slh_dsa_shake_256s;
    shake_256f_agrees Shake256f slh_dsa_shake_256f;
}

#[test]
fn the_other_way_round() {
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
