//! The rows against each other and against what clients count on.

use super::*;
use crate::crypto::Secret;

/// Every class and key type there is.
fn kinds() -> Vec<(u64, Option<u64>)> {
    let mut all = vec![(CKO_DATA, None), (CKO_CERTIFICATE, None), (CKO_PROFILE, None)];
    for key_type in [CKK_RSA, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY] {
        all.extend([CKO_PUBLIC_KEY, CKO_PRIVATE_KEY].map(|class| (class, Some(key_type))));
    }
    let secret = [CKK_AES, CKK_GENERIC_SECRET].into_iter().chain(HMAC_KEY_TYPES.iter().copied());
    all.extend(secret.map(|key_type| (CKO_SECRET_KEY, Some(key_type))));
    all
}

#[test]
fn every_row_names_a_known_attribute_in_its_place() {
    for (class, key_type) in kinds() {
        let rules = Rules::new(class, key_type).unwrap();
        let mut last = None;
        for rule in rules.iter() {
            let place = format!("{class} {key_type:?} {:#x}", rule.kind);
            let shape = attribute::shape(rule.kind).unwrap_or_else(|| panic!("{place} is unknown"));
            let boolean = matches!(rule.default, Default::Flag(_) | Default::Follows(_) | Default::Unless(_));
            // Ours are not stored by default: they read as false all the same.
            let flag = shape == Shape::Bool && rule.kind < CKA_VENDOR_DEFINED as AttributeType;
            assert_eq!(boolean, flag, "{place}");
            // What is followed has got its own default by then: rows are sorted.
            if let Default::Follows(other) = rule.default {
                assert!(other < rule.kind, "{place}");
                assert!(
                    matches!(rules.find(other).unwrap().default, Default::Flag(_) | Default::Unless(_)),
                    "{place}"
                );
            }
            assert!(!matches!(rule.default, Default::Number(_)) || shape == Shape::Ulong, "{place}");
            // What hides must be held as a secret, and can never be changed.
            assert!(!rule.has(HIDDEN) || shape == Shape::Secret && !rule.has(CHANGE | COPY), "{place}");
            assert!(last < Some(rule.kind), "{place} is out of order");
            assert!(std::ptr::eq(rules.find(rule.kind).unwrap(), rule), "{place}");
            last = Some(rule.kind);
        }
        let count = legal(class, key_type).count();
        assert_eq!(count, rules.iter().count());
        for common in [CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_UNIQUE_ID] {
            assert!(rules.find(common).is_some());
        }
    }
}

#[test]
fn there_are_no_other_kinds() {
    for (class, key_type, error) in [
        (CKO_SECRET_KEY, Some(CKK_RSA), Error::AttributeValueInvalid),
        (CKO_PUBLIC_KEY, Some(CKK_AES), Error::AttributeValueInvalid),
        (CKO_SECRET_KEY, None, Error::TemplateIncomplete),
        (CKO_HW_FEATURE, None, Error::AttributeValueInvalid),
        (u64::MAX, Some(u64::MAX), Error::AttributeValueInvalid),
    ] {
        assert_eq!(Rules::new(class, key_type).err(), Some(error));
        assert_eq!(legal(class, key_type).count(), 0);
    }
}

#[test]
fn defaults_are_what_clients_count_on() {
    use CKA_DECRYPT as DECRYPT;
    let public = CKO_PUBLIC_KEY;
    let private = CKO_PRIVATE_KEY;
    let secret = CKO_SECRET_KEY;
    for (class, key_type, on) in [
        (public, CKK_RSA, &[CKA_ENCRYPT, CKA_VERIFY, CKA_VERIFY_RECOVER][..]),
        (private, CKK_RSA, &[CKA_PRIVATE, CKA_SENSITIVE, DECRYPT, CKA_SIGN]),
        (public, CKK_EC, &[CKA_VERIFY]),
        (private, CKK_EC, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN, CKA_DERIVE]),
        (public, CKK_EC_EDWARDS, &[CKA_VERIFY]),
        (private, CKK_EC_EDWARDS, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN]),
        (public, CKK_EC_MONTGOMERY, &[]),
        (private, CKK_EC_MONTGOMERY, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_DERIVE]),
        (secret, CKK_AES, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_ENCRYPT, DECRYPT, CKA_SIGN, CKA_VERIFY]),
        (secret, CKK_GENERIC_SECRET, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN, CKA_VERIFY]),
        (secret, CKK_SHA256_HMAC, &[CKA_PRIVATE, CKA_SENSITIVE, CKA_SIGN, CKA_VERIFY]),
    ] {
        let always = [CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE];
        let rules = Rules::new(class, Some(key_type)).unwrap();
        for rule in rules.iter() {
            let expected = on.contains(&rule.kind) || always.contains(&rule.kind);
            let default = match rule.default {
                Default::Follows(other) => rules.find(other).unwrap().default,
                default => default,
            };
            if let Default::Flag(default) = default {
                assert_eq!(default, expected, "{class} {key_type:#x} {:?}", attribute::name(rule.kind));
            }
        }
    }
}

#[test]
fn hidden_are_the_secret_parts_and_no_others() {
    let hidden = |class, key_type| {
        let rules = Rules::new(class, key_type).unwrap();
        rules.iter().filter(|rule| rule.has(HIDDEN)).map(|rule| rule.kind).collect::<Vec<_>>()
    };
    let rsa =
        [CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT];
    for (class, key_type) in kinds() {
        let expected: &[AttributeType] = match (class, key_type) {
            (CKO_PRIVATE_KEY, Some(CKK_RSA)) => &rsa,
            (CKO_PRIVATE_KEY | CKO_SECRET_KEY, _) => &[CKA_VALUE],
            _ => &[],
        };
        assert_eq!(hidden(class, key_type), expected, "{class} {key_type:?}");
    }
}

#[test]
fn hidden_values_stay_hidden() {
    let key = |sensitive, extractable| {
        Object::new(vec![
            (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
            (CKA_VALUE, Value::Secret(Secret::from(&[1; 16][..]))),
            (CKA_SENSITIVE, Value::Bool(sensitive)),
            (CKA_EXTRACTABLE, Value::Bool(extractable)),
        ])
    };
    assert_eq!(read(&key(true, true), CKA_VALUE), Err(Error::AttributeSensitive));
    assert_eq!(read(&key(true, false), CKA_VALUE), Err(Error::AttributeSensitive));
    assert_eq!(read(&key(false, false), CKA_VALUE), Err(Error::AttributeSensitive));
    assert!(read(&key(false, true), CKA_VALUE).is_ok());
    assert_eq!(read(&key(true, true), CKA_MODULUS), Err(Error::AttributeTypeInvalid));
    assert_eq!(read(&key(true, true), CKA_ID), Ok(Value::Bytes(vec![])));
    assert_eq!(read(&key(true, true), CKA_START_DATE), Ok(Value::Date(None)));
    assert_eq!(read(&key(true, true), CKA_DERIVE), Ok(Value::Bool(false)));
    let unknown = Ok(Value::Ulong(CK_UNAVAILABLE_INFORMATION));
    assert_eq!(read(&key(true, true), CKA_KEY_GEN_MECHANISM), unknown);
}
