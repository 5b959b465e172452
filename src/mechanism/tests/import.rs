//! Material that a caller brings: what is completed, what is put in normal form, what is refused.

use super::super::import::from_bytes;
use super::super::key::to_wrap;
use super::*;
use crate::crypto::Curve;

const RSA_PARTS: [u64; 8] = [
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_PRIME_1,
    CKA_PRIME_2,
    CKA_EXPONENT_1,
    CKA_EXPONENT_2,
    CKA_COEFFICIENT,
];

/// The RSA test key with some parts replaced or (empty) left out.
fn import_rsa(changes: &[(u64, &[u8])]) -> Result<Arc<Key>> {
    let object = RSA.1.object();
    let part = |kind: &u64| {
        let changed = changes.iter().find(|(changed, _)| changed == kind);
        (*kind, changed.map_or_else(|| object.bytes(*kind), |(_, bytes)| *bytes))
    };
    let parts: Vec<_> = RSA_PARTS.iter().map(part).filter(|(_, bytes)| !bytes.is_empty()).collect();
    import_key(CKO_PRIVATE_KEY, CKK_RSA, &parts)
}

fn works(private: &Arc<Key>) {
    let signature = sign(CKM_SHA256_RSA_PKCS, private, Params::None, b"data").unwrap();
    assert_eq!(verify(CKM_SHA256_RSA_PKCS, &RSA.0, Params::None, b"data", &signature), Ok(()));
}

#[test]
fn rsa_keys_are_completed() {
    let own = RSA.1.object();
    for absent in [&RSA_PARTS[3..], &RSA_PARTS[5..], &RSA_PARTS[7..], &RSA_PARTS[4..6]] {
        let key = import_rsa(&absent.iter().map(|kind| (*kind, &[][..])).collect::<Vec<_>>()).unwrap();
        works(&key);
        let primes = [key.object().bytes(CKA_PRIME_1), key.object().bytes(CKA_PRIME_2)];
        assert!(primes.contains(&own.bytes(CKA_PRIME_1)) && primes.contains(&own.bytes(CKA_PRIME_2)));
        for kind in RSA_PARTS {
            assert!(!key.object().bytes(kind).is_empty(), "{kind:#x}");
        }
    }
    let padded = [&[0, 0], own.bytes(CKA_PRIME_2)].concat();
    let key = import_rsa(&[(CKA_PRIME_2, &padded)]).unwrap();
    assert_eq!(key.object().bytes(CKA_PRIME_2), own.bytes(CKA_PRIME_2));
    works(&key);
    assert_eq!(key.object().bytes(CKA_PUBLIC_KEY_INFO), RSA.0.object().bytes(CKA_PUBLIC_KEY_INFO));
}

#[test]
fn rsa_primes_may_come_in_either_order() {
    let own = RSA.1.object();
    let swapped = [
        (CKA_PRIME_1, own.bytes(CKA_PRIME_2)),
        (CKA_PRIME_2, own.bytes(CKA_PRIME_1)),
        (CKA_EXPONENT_1, own.bytes(CKA_EXPONENT_2)),
        (CKA_EXPONENT_2, own.bytes(CKA_EXPONENT_1)),
        (CKA_COEFFICIENT, &[]),
    ];
    works(&import_rsa(&swapped).unwrap());
    // With the coefficient of the other order the parts no longer belong together.
    assert_eq!(import_rsa(&swapped[..4]).err(), Some(Error::AttributeValueInvalid));
}

#[test]
fn rsa_parts_must_belong_together() {
    let own = RSA.1.object();
    for kind in RSA_PARTS {
        let mut changed = own.bytes(kind).to_vec();
        *changed.last_mut().unwrap() ^= 2;
        let refused = import_rsa(&[(kind, &changed)]);
        assert_eq!(refused.err(), Some(Error::AttributeValueInvalid), "{kind:#x}");
    }
    let mut stray = own.bytes(CKA_PRIME_1).to_vec();
    stray[0] ^= 1;
    let refused = import_rsa(&[(CKA_PRIME_1, &stray), (CKA_COEFFICIENT, &[])]);
    assert_eq!(refused.err(), Some(Error::AttributeValueInvalid));
    let refused = import_rsa(&[(CKA_PUBLIC_EXPONENT, &[])]);
    assert_eq!(refused.err(), Some(Error::TemplateIncomplete));
}

#[test]
fn rsa_public_keys_have_1024_to_8192_bits_and_odd_numbers() {
    let import = |modulus: &[u8], exponent: &[u8]| {
        import_key(CKO_PUBLIC_KEY, CKK_RSA, &[(CKA_MODULUS, modulus), (CKA_PUBLIC_EXPONENT, exponent)])
    };
    for (length, fits) in [(64, false), (127, false), (128, true), (1024, true), (1025, false)] {
        let result = import(&vec![0xff; length], &[1, 0, 1]);
        let expected = if fits { None } else { Some(Error::AttributeValueInvalid) };
        assert_eq!(result.err(), expected, "{length} bytes");
    }
    let key = import(&[&[0][..], &[0xff; 128]].concat(), &[0, 3]).unwrap();
    assert_eq!(key.object().number(CKA_MODULUS_BITS), Some(1024), "leading zeros");
}

#[test]
fn ec_scalars_are_kept_in_full_length() {
    for curve in Curve::ALL {
        let import = |scalar: &[u8]| {
            import_key(CKO_PRIVATE_KEY, CKK_EC, &[(CKA_EC_PARAMS, curve.oid_der()), (CKA_VALUE, scalar)])
        };
        let mut full = vec![0; curve.field_length()];
        full[curve.field_length() - 1] = 5;
        for scalar in [&[5][..], &[0, 0, 5], &full, &[&[0; 9], &full[..]].concat()] {
            let key = import(scalar).unwrap();
            assert_eq!(key.value(), full);
            let signature = sign(CKM_ECDSA, &key, Params::None, &[1; 20]).unwrap();
            let point = key.object().bytes(CKA_EC_POINT);
            let public = import_key(
                CKO_PUBLIC_KEY,
                CKK_EC,
                &[(CKA_EC_PARAMS, curve.oid_der()), (CKA_EC_POINT, point)],
            )
            .unwrap();
            assert_eq!(verify(CKM_ECDSA, &public, Params::None, &[1; 20], &signature), Ok(()));
            let info = public.object().bytes(CKA_PUBLIC_KEY_INFO);
            assert_eq!(key.object().bytes(CKA_PUBLIC_KEY_INFO), info);
        }
        for bad in [&[][..], &[0], &vec![0xff; curve.field_length()], &vec![1; curve.field_length() + 1]] {
            assert_eq!(import(bad).err(), Some(Error::AttributeValueInvalid), "{curve:?} {bad:?}");
        }
    }
}

#[test]
fn ec_points_come_in_three_forms() {
    for curve in Curve::ALL {
        let (made, private) = ec_pair(curve);
        let params = (CKA_EC_PARAMS, curve.oid_der());
        let import = |point: &[u8]| import_key(CKO_PUBLIC_KEY, CKK_EC, &[params, (CKA_EC_POINT, point)]);
        let standard = made.object().bytes(CKA_EC_POINT);
        let length = 1 + 2 * curve.field_length();
        let raw = &standard[standard.len() - length..];
        let compressed = [&[2 + (raw[length - 1] & 1)], &raw[1..1 + curve.field_length()]].concat();
        for point in [standard, raw, &compressed] {
            assert_eq!(import(point).unwrap().object().bytes(CKA_EC_POINT), standard, "{curve:?}");
        }
        let mut off_curve = raw.to_vec();
        off_curve[length - 1] ^= 1;
        for bad in [&off_curve[..], &raw[1..], &standard[..standard.len() - 1], &[], &[0], &[4, 1, 0]] {
            assert_eq!(import(bad).err(), Some(Error::AttributeValueInvalid), "{curve:?} {bad:?}");
        }
        // Beside a private key only its own point may stand.
        let (other, _) = ec_pair(curve);
        for (point, taken) in [(raw, true), (other.object().bytes(CKA_EC_POINT), false)] {
            let parts = [params, (CKA_VALUE, private.value()), (CKA_EC_POINT, point)];
            let expected = if taken { None } else { Some(Error::AttributeValueInvalid) };
            assert_eq!(import_key(CKO_PRIVATE_KEY, CKK_EC, &parts).err(), expected);
        }
    }
    let unknown =
        import_key(CKO_PUBLIC_KEY, CKK_EC, &[(CKA_EC_PARAMS, &[6, 1, 42]), (CKA_EC_POINT, &[4; 65])]);
    assert_eq!(unknown.err(), Some(Error::CurveNotSupported));
}

#[test]
fn edwards_points_may_look_like_der() {
    let params = (CKA_EC_PARAMS, crate::crypto::pkcs8::ED25519_OID);
    let import = |point: &[u8]| import_key(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &[params, (CKA_EC_POINT, point)]);
    // A raw point may begin with the octets of an OCTET STRING of 30 bytes.
    let mut raw = vec![4, 30];
    raw.resize(32, 0);
    let on_curve = (0..=255).find(|byte| {
        raw[31] = byte & 0x7f;
        raw[30] = *byte;
        crate::crypto::ed25519::PublicKey::new(&raw).is_ok()
    });
    assert!(on_curve.is_some());
    let standard = [&[4, 32], &raw[..]].concat();
    for point in [&raw, &standard] {
        assert_eq!(import(point).unwrap().object().bytes(CKA_EC_POINT), standard);
    }
    for bad in [&raw[..31], &standard[..33], &[], &[standard.clone(), vec![0]].concat()] {
        assert_eq!(import(bad).err(), Some(Error::AttributeValueInvalid));
    }
    for bad in [&[][..], &[1; 31], &[1; 33], &[1; 64]] {
        let refused = import_key(CKO_PRIVATE_KEY, CKK_EC_EDWARDS, &[params, (CKA_VALUE, bad)]);
        assert_eq!(refused.err(), Some(Error::AttributeValueInvalid));
    }
    let parts = [params, (CKA_VALUE, &[1; 32]), (CKA_EC_POINT, &standard)];
    let stray = import_key(CKO_PRIVATE_KEY, CKK_EC_EDWARDS, &parts);
    assert_eq!(stray.err(), Some(Error::AttributeValueInvalid));
}

#[test]
fn check_values_are_the_standards() {
    let check = |key: Arc<Key>| key.object().bytes(CKA_CHECK_VALUE).to_vec();
    // FIPS 197: AES-128 of a zero block under a zero key begins 66e94bd4.
    assert_eq!(check(aes_key(&[0; 16])), hex("66e94b"));
    // SHA-1 of "abc" begins a9993e36.
    assert_eq!(check(secret_key(CKK_GENERIC_SECRET, b"abc")), hex("a9993e"));
    assert_eq!(check(secret_key(CKK_SHA256_HMAC, b"abc")), hex("a9993e"));
    assert_eq!(secret_key(CKK_SHA256_HMAC, b"abc").object().number(CKA_VALUE_LEN), Some(3));
    for (key_type, length) in [(CKK_GENERIC_SECRET, 0), (CKK_SHA_1_HMAC, (1 << 20) + 1), (CKK_RSA, 16)] {
        let refused = import_key(CKO_SECRET_KEY, key_type, &[(CKA_VALUE, &vec![1; length])]);
        assert_eq!(refused.err(), Some(Error::AttributeValueInvalid));
    }
}

#[test]
fn what_is_wrapped_comes_back() {
    let edwards =
        object(CKO_PUBLIC_KEY, CKK_EC_EDWARDS, &[(CKA_EC_PARAMS, crate::crypto::pkcs8::ED25519_OID)]);
    let montgomery =
        object(CKO_PUBLIC_KEY, CKK_EC_MONTGOMERY, &[(CKA_EC_PARAMS, crate::crypto::pkcs8::X25519_OID)]);
    let mut keys = vec![
        aes_key(&[7; 24]),
        secret_key(CKK_SHA3_256_HMAC, b"a key"),
        RSA.1.clone(),
        generate_pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, edwards).unwrap().1,
        generate_pair(CKM_EC_MONTGOMERY_KEY_PAIR_GEN, montgomery).unwrap().1,
    ];
    keys.extend(Curve::ALL.into_iter().map(|curve| ec_pair(curve).1));
    for key in keys {
        let (class, key_type) = (key.object().class(), key.object().key_type().unwrap());
        let bytes = to_wrap(&key).unwrap();
        let back = with(object(class, key_type, &[]), from_bytes(class, key_type, &bytes).unwrap());
        for (kind, value) in key.object().iter() {
            // An EC key unwrapped says its curve by OID.
            if *kind != CKA_EC_PARAMS {
                assert_eq!(back.object().get(*kind), Some(value), "{key_type} {kind:#x}");
            }
        }
        assert_eq!(back.size(), key.size());
        if class == CKO_PRIVATE_KEY {
            let other = if key_type == CKK_RSA { CKK_EC } else { CKK_RSA };
            let refused = Some(Error::WrappedKeyInvalid);
            assert_eq!(from_bytes(class, other, &bytes).err(), refused);
            assert_eq!(from_bytes(class, key_type, &Secret::from(&bytes[1..])).err(), refused);
        }
    }
    assert_eq!(to_wrap(&RSA.0).err(), Some(Error::KeyNotWrappable));
    let public = from_bytes(CKO_PUBLIC_KEY, CKK_RSA, &Secret::from(&[1][..]));
    assert_eq!(public.err(), Some(Error::TemplateInconsistent));
}

#[test]
fn what_is_no_key_is_left_alone() {
    let data = Object::new(vec![(CKA_CLASS, Value::Ulong(CKO_DATA)), (CKA_VALUE, Value::Bytes(vec![1]))]);
    assert_eq!(examine(&data), Ok(vec![]));
}
