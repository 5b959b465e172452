//! Elliptic curves: Ed25519's published signature, agreement, generation, what must be refused.

use super::*;
use crate::crypto::der::{self, OCTET_STRING};
use crate::crypto::{Curve, Hash, derive};

fn ecdh(kdf: Option<Hash>, shared: &[u8], public: &[u8]) -> Params {
    Params::Ecdh { kdf, shared: shared.to_vec(), public: public.to_vec() }
}

/// The octets inside a public key's CKA_EC_POINT.
fn octets(key: &Key) -> Vec<u8> {
    der::Reader::new(key.object().bytes(CKA_EC_POINT)).take(OCTET_STRING).unwrap().to_vec()
}

fn agree(key: &Arc<Key>, params: Params, length: Option<usize>) -> Result<Secret> {
    find(CKM_ECDH1_DERIVE)?.derive.unwrap()(key, params, length)
}

#[test]
fn both_sides_agree() {
    for curve in Curve::ALL {
        let ((our_public, ours), (their_public, theirs)) = (ec_pair(curve), ec_pair(curve));
        let secret = agree(&ours, ecdh(None, b"", &octets(&their_public)), None).unwrap();
        assert_eq!(secret.len(), curve.field_length());
        let point = our_public.object().bytes(CKA_EC_POINT);
        assert_eq!(agree(&theirs, ecdh(None, b"", point), None).unwrap(), secret, "{curve:?}");
        let cofactor = find(CKM_ECDH1_COFACTOR_DERIVE).unwrap().derive.unwrap();
        assert_eq!(cofactor(&theirs, ecdh(None, b"", point), None).unwrap(), secret);
        // A shorter key loses its leading bytes; a longer one there is not.
        let short = agree(&theirs, ecdh(None, b"", point), Some(16)).unwrap();
        assert_eq!(short[..], secret[secret.len() - 16..]);
        let long = agree(&theirs, ecdh(None, b"", point), Some(secret.len() + 1));
        assert_eq!(long.err(), Some(Error::KeySizeRange));
        for hash in Hash::ALL {
            let made = agree(&theirs, ecdh(Some(hash), b"info", point), Some(100)).unwrap();
            assert_eq!(made, derive::x963(hash, &secret, b"info", 100));
            let whole = agree(&theirs, ecdh(Some(hash), b"", point), None).unwrap();
            assert_eq!(whole, derive::x963(hash, &secret, b"", hash.length()));
        }
    }
}

#[test]
fn strange_peers_are_refused() {
    let (public, private) = ec_pair(Curve::P256);
    let point = octets(&public);
    let mut off_curve = point.clone();
    off_curve[64] ^= 1;
    let (other, _) = ec_pair(Curve::Secp256k1);
    let (longer, _) = ec_pair(Curve::P384);
    for bad in [&off_curve[..], &point[1..], &point[..64], &[], &[0], &octets(&other), &octets(&longer)] {
        let refused = agree(&private, ecdh(None, b"", bad), None);
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid), "{bad:?}");
    }
    let shared = agree(&private, ecdh(None, b"info", &point), None);
    assert_eq!(shared.err(), Some(Error::MechanismParamInvalid));
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    assert_eq!(
        agree(&private, ecdh(None, b"", &compressed), None),
        agree(&private, ecdh(None, b"", &point), None)
    );
}

#[test]
fn a_hashed_signature_is_a_plain_one_of_the_digest() {
    for curve in Curve::ALL {
        let (public, private) = ec_pair(curve);
        let signature = sign(CKM_ECDSA_SHA512, &private, Params::None, b"data").unwrap();
        assert_eq!(signature.len(), 2 * curve.field_length());
        let digest = digest(CKM_SHA512, b"data");
        assert_eq!(verify(CKM_ECDSA, &public, Params::None, &digest, &signature), Ok(()), "{curve:?}");
        let signature = sign(CKM_ECDSA, &private, Params::None, &digest).unwrap();
        assert_eq!(verify(CKM_ECDSA_SHA512, &public, Params::None, b"data", &signature), Ok(()));
        assert!(verify(CKM_ECDSA_SHA3_512, &public, Params::None, b"data", &signature).is_err());
        let zero = vec![0; signature.len()];
        assert_eq!(verify(CKM_ECDSA, &public, Params::None, &digest, &zero), Err(Error::SignatureInvalid));
    }
}

#[test]
fn curves_go_by_number_or_name() {
    let generate = |params: &[u8]| {
        generate_pair(CKM_EC_KEY_PAIR_GEN, object(CKO_PUBLIC_KEY, CKK_EC, &[(CKA_EC_PARAMS, params)]))
    };
    for curve in Curve::ALL {
        let (public, private) = generate(curve.oid_der()).unwrap();
        assert_eq!((public.size(), private.size()), (curve.bits().into(), curve.bits().into()));
        assert_eq!(private.object().bytes(CKA_EC_PARAMS), curve.oid_der());
        assert_eq!(private.value().len(), curve.field_length());
    }
    let (public, private) = generate(b"\x13\x09secp256r1").unwrap();
    assert_eq!(private.object().bytes(CKA_EC_PARAMS), b"\x13\x09secp256r1");
    let signature = sign(CKM_ECDSA, &private, Params::None, &[1; 32]).unwrap();
    assert_eq!(verify(CKM_ECDSA, &public, Params::None, &[1; 32], &signature), Ok(()));
    // brainpoolP256r1 is a curve; an empty value or a half of one names none.
    let brainpool = hex("06092b2403030208010107");
    assert_eq!(generate(&brainpool).err(), Some(Error::CurveNotSupported));
    assert_eq!(generate(b"\x13\x09curve0815").err(), Some(Error::CurveNotSupported));
    assert_eq!(generate(&[]).err(), Some(Error::DomainParamsInvalid));
    assert_eq!(generate(&brainpool[..5]).err(), Some(Error::DomainParamsInvalid));
    assert_eq!(generate(&[0x30, 0]).err(), Some(Error::DomainParamsInvalid));
}

#[test]
fn ed25519_is_rfc8032_test_2() {
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let point = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    let params = b"\x13\x0cedwards25519";
    let private =
        import_key(CKO_PRIVATE_KEY, CKK_EC_EDWARDS, &[(CKA_EC_PARAMS, params), (CKA_VALUE, &seed)]).unwrap();
    let public =
        import_key(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &[(CKA_EC_PARAMS, params), (CKA_EC_POINT, &point)])
            .unwrap();
    assert_eq!(octets(&private), point);
    assert_eq!(public.object().bytes(CKA_EC_POINT), private.object().bytes(CKA_EC_POINT));
    let plain = Params::Eddsa { prehash: false, context: vec![] };
    for params in [Params::None, plain] {
        assert_eq!(sign(CKM_EDDSA, &private, params.clone(), &[0x72]).unwrap(), signature);
        assert_eq!(verify(CKM_EDDSA, &public, params, &[0x72], &signature), Ok(()));
    }
    for prehash in [true, false] {
        let refused = sign(CKM_EDDSA, &private, Params::Eddsa { prehash, context: vec![1; 256] }, &[0x72]);
        assert_eq!(refused.err(), Some(Error::MechanismParamInvalid));
    }
}

/// RFC 8032 §7.2 (`foo`) and §7.3. A signature of one form, or of another context, is none of the others.
#[test]
fn ed25519_with_context_and_with_a_hash() {
    let with_context = Params::Eddsa { prehash: false, context: b"foo".to_vec() };
    let cases = [
        (
            "0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
            "f726936d19c800494e3fdaff20b276a8",
            with_context.clone(),
            "55a4cc2f70a54e04288c5f4cd1e45a7bb520b36292911876cada7323198dd87a
             8b36950b95130022907a7fb7c4e9b2d5f6cca685a587b4b21f4b888e4e7edb0d",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "616263",
            Params::Eddsa { prehash: true, context: vec![] },
            "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41
             31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
        ),
    ];
    let others = [
        Params::None,
        Params::Eddsa { prehash: false, context: b"bar".to_vec() },
        Params::Eddsa { prehash: true, context: b"foo".to_vec() },
    ];
    for (seed, message, params, signature) in cases {
        let parts = [(CKA_EC_PARAMS, crate::crypto::pkcs8::ED25519_OID), (CKA_VALUE, &hex(seed)[..])];
        let private = import_key(CKO_PRIVATE_KEY, CKK_EC_EDWARDS, &parts).unwrap();
        let parts = [parts[0], (CKA_EC_POINT, &octets(&private)[..])];
        let public = import_key(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &parts).unwrap();
        let (message, signature) = (hex(message), hex(signature));
        let signed = sign(CKM_EDDSA, &private, params.clone(), &message);
        if cfg!(not(feature = "aws-lc")) && params == with_context {
            // The portable implementation has no Ed25519ctx.
            assert_eq!(signed.err(), Some(Error::MechanismParamInvalid));
            continue;
        }
        assert_eq!(signed.unwrap(), signature);
        assert_eq!(verify(CKM_EDDSA, &public, params, &message, &signature), Ok(()));
        for other in others.clone() {
            let outcome = verify(CKM_EDDSA, &public, other.clone(), &message, &signature);
            assert!(outcome.is_err(), "{other:?}");
        }
    }
}

#[test]
fn edwards_generation_takes_only_ed25519() {
    let generate = |params: &[u8]| {
        let template = object(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &[(CKA_EC_PARAMS, params)]);
        generate_pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, template)
    };
    for params in [&hex("06032b6570")[..], b"\x13\x0cedwards25519", b"\x13\x07Ed25519"] {
        let (public, private) = generate(params).unwrap();
        assert_eq!(private.object().bytes(CKA_EC_PARAMS), params);
        let signature = sign(CKM_EDDSA, &private, Params::None, b"data").unwrap();
        assert_eq!(verify(CKM_EDDSA, &public, Params::None, b"data", &signature), Ok(()));
    }
    assert_eq!(generate(&hex("06032b6571")).err(), Some(Error::CurveNotSupported));
    assert_eq!(generate(b"\x13\x0aedwards448").err(), Some(Error::CurveNotSupported));
    assert_eq!(generate(b"Ed25519").err(), Some(Error::DomainParamsInvalid));
}
