//! SLH-DSA: contexts, hedging, digests made before, and what an import must refuse. Vectors and all
//! parameter sets: `crypto/slh_dsa/tests.rs`.

use super::*;
use crate::crypto::Hash;

/// As C_CreateObject makes it.
fn import(class: u64, set: u64, parts: &[(u64, &[u8])]) -> Result<Arc<Key>> {
    let mut object = object(class, CKK_SLH_DSA, parts);
    object.set(CKA_PARAMETER_SET, Value::Ulong(set));
    let material = examine(&object)?;
    Ok(with(object, material))
}

/// A new pair of a set.
pub(super) fn pair(set: u64) -> (Arc<Key>, Arc<Key>) {
    let mut template = object(CKO_PUBLIC_KEY, CKK_SLH_DSA, &[]);
    template.set(CKA_PARAMETER_SET, Value::Ulong(set));
    generate_pair(CKM_SLH_DSA_KEY_PAIR_GEN, template).unwrap()
}

fn context(context: &[u8], deterministic: bool, hash: Option<Hash>) -> Params {
    Params::SignContext { deterministic, context: context.to_vec(), hash }
}

#[test]
fn contexts_bind_and_hedging_is_chosen() {
    let (public, private) = pair(CKP_SLH_DSA_SHA2_128F);
    let signed =
        |deterministic| sign(CKM_SLH_DSA, &private, context(b"a", deterministic, None), b"message").unwrap();
    assert_ne!(signed(false), signed(false));
    assert_eq!(signed(true), signed(true));
    let signature = signed(false);
    let check = |given: Params| verify(CKM_SLH_DSA, &public, given, b"message", &signature);
    assert_eq!(check(context(b"a", true, None)), Ok(()));
    assert_eq!(check(context(b"b", false, None)), Err(Error::SignatureInvalid));
    assert_eq!(check(Params::None), Err(Error::SignatureInvalid));
    let short = verify(CKM_SLH_DSA, &public, context(b"a", true, None), b"message", &signature[1..]);
    assert_eq!(short, Err(Error::SignatureLenRange));
    for id in [CKM_SLH_DSA, CKM_HASH_SLH_DSA_SHA256] {
        let long = sign(id, &private, context(&[1; 256], false, None), b"");
        assert_eq!(long.err(), Some(Error::MechanismParamInvalid));
    }
}

#[test]
fn a_digest_made_before_is_the_same_signature() {
    let (public, private) = pair(CKP_SLH_DSA_SHA2_128F);
    for (id, hash) in [(CKM_HASH_SLH_DSA_SHA256, Hash::Sha256), (CKM_HASH_SLH_DSA_SHA3_512, Hash::Sha3_512)] {
        let whole = sign(id, &private, context(b"c", true, None), b"message").unwrap();
        let (given, digest) = (|| context(b"c", true, Some(hash)), hash.digest(b"message"));
        assert_eq!(sign(CKM_HASH_SLH_DSA, &private, given(), &digest).unwrap(), whole);
        assert_eq!(verify(CKM_HASH_SLH_DSA, &public, given(), &digest, &whole), Ok(()));
        let short = sign(CKM_HASH_SLH_DSA, &private, given(), &digest[1..]);
        assert_eq!(short.err(), Some(Error::DataLenRange));
        // As a message it is another thing.
        let pure = verify(CKM_SLH_DSA, &public, context(b"c", true, None), b"message", &whole);
        assert_eq!(pure, Err(Error::SignatureInvalid));
    }
}

#[test]
fn imports_are_checked() {
    let bad = Some(Error::AttributeValueInvalid);
    let (public, private) = pair(CKP_SLH_DSA_SHA2_128F);
    let private_key = |set, value: &[u8]| import(CKO_PRIVATE_KEY, set, &[(CKA_VALUE, value)]);
    let (set, value) = (CKP_SLH_DSA_SHA2_128F, private.value());
    let again = private_key(set, value).unwrap();
    assert_eq!(again.object().get(CKA_PUBLIC_KEY_INFO), public.object().get(CKA_PUBLIC_KEY_INFO));
    assert_eq!(import(CKO_PRIVATE_KEY, set, &[]).err(), Some(Error::TemplateIncomplete));
    // SK.seed and PK.seed make the root; any SK.prf is one.
    for at in [0, 32, 63] {
        let mut wrong = value.to_vec();
        wrong[at] ^= 1;
        assert_eq!(private_key(set, &wrong).err(), bad, "{at}");
    }
    assert_eq!(private_key(set, &value[1..]).err(), bad);
    assert_eq!(private_key(CKP_SLH_DSA_SHA2_192F, value).err(), bad);
    assert_eq!(private_key(CKP_SLH_DSA_SHAKE_128F, value).err(), bad, "the root of another hash");
    assert_eq!(import(CKO_PUBLIC_KEY, set, &[(CKA_VALUE, &public.value()[1..])]).err(), bad);
    for unknown in [0, 13, u64::MAX] {
        let key = import(CKO_PUBLIC_KEY, unknown, &[(CKA_VALUE, public.value())]);
        assert_eq!(key.err(), Some(Error::ParameterSetNotSupported));
    }
}
