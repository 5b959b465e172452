//! The attribute rules of the standard as rows: which attributes an object of a class and key type
//! has, their defaults, and who may set, change and read them (PKCS#11 3.2 §4, tables of §6).
//!
//! Where the standard says "token specific", the choice and its reason stand at the row. A row of
//! a key type replaces the class's row for the same attribute. To add a key type: its rows and a
//! line in [`of_key_type`].

use super::attribute::{self, CKA_NSS_DB, Shape};
use super::{AttributeType, Object, Value};
use crate::error::{Error, Result};
use cryptoki_sys::*;

/// What an attribute is when nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Not stored; reads as empty, or as CK_UNAVAILABLE_INFORMATION.
    Absent,
    Flag(bool),
    Number(u64),
}

/// One attribute of a class or key type.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub kind: AttributeType,
    pub default: Default,
    flags: u32,
}

/// C_CreateObject must have it (footnote 1).
pub const CREATE: u32 = 1;
/// C_GenerateKey or C_GenerateKeyPair must have it (footnote 3).
pub const GENERATE: u32 = 2;
/// Not in a template of generate, unwrap or derive: the mechanism makes it (footnotes 4 and 6).
pub const MADE: u32 = 4;
/// Never in a template: the token computes it (footnotes 2, 4 and 6 together).
pub const COMPUTED: u32 = 8;
/// C_SetAttributeValue may change it (footnote 8).
pub const CHANGE: u32 = 16;
/// C_CopyObject may change it.
pub const COPY: u32 = 32;
/// Hidden when the key is sensitive or not extractable (footnote 7).
pub const HIDDEN: u32 = 64;
/// Once true, always true (footnote 11).
pub const STAYS_TRUE: u32 = 128;
/// Once false, always false (footnote 12).
pub const STAYS_FALSE: u32 = 256;
/// True only by the officer (footnote 10).
pub const OFFICER: u32 = 512;

impl Rule {
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

const fn bytes(kind: AttributeType, flags: u32) -> Rule {
    Rule { kind, default: Default::Absent, flags }
}

const fn flag(kind: AttributeType, default: bool, flags: u32) -> Rule {
    Rule { kind, default: Default::Flag(default), flags }
}

const fn number(kind: AttributeType, default: u64, flags: u32) -> Rule {
    Rule { kind, default: Default::Number(default), flags }
}

const USAGE: u32 = CHANGE | COPY;

/// All objects (§4.3, §4.4).
const STORAGE: &[Rule] = &[
    bytes(CKA_CLASS, CREATE),
    flag(CKA_TOKEN, false, COPY),
    flag(CKA_PRIVATE, false, COPY | STAYS_TRUE),
    flag(CKA_MODIFIABLE, true, COPY | STAYS_FALSE),
    bytes(CKA_LABEL, CHANGE | COPY),
    flag(CKA_COPYABLE, true, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_DESTROYABLE, true, CHANGE | COPY | STAYS_FALSE),
    bytes(CKA_UNIQUE_ID, COMPUTED),
];

/// §4.5.
const DATA: &[Rule] = &[
    bytes(CKA_APPLICATION, CHANGE | COPY),
    bytes(CKA_OBJECT_ID, CHANGE | COPY),
    bytes(CKA_VALUE, CHANGE | COPY),
];

/// §4.6. Subject, issuer and serial number are read out of the certificate when they are not given.
const CERTIFICATE: &[Rule] = &[
    bytes(CKA_CERTIFICATE_TYPE, CREATE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    number(CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_UNSPECIFIED, 0),
    bytes(CKA_CHECK_VALUE, 0),
    bytes(CKA_START_DATE, CHANGE | COPY),
    bytes(CKA_END_DATE, CHANGE | COPY),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_SUBJECT, 0),
    bytes(CKA_ID, CHANGE | COPY),
    bytes(CKA_ISSUER, CHANGE | COPY),
    bytes(CKA_SERIAL_NUMBER, CHANGE | COPY),
    bytes(CKA_VALUE, 0),
    bytes(CKA_URL, 0),
    bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, 0),
    bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, 0),
    number(CKA_JAVA_MIDP_SECURITY_DOMAIN, CK_SECURITY_DOMAIN_UNSPECIFIED, 0),
    number(CKA_NAME_HASH_ALGORITHM, CKM_SHA_1, 0),
];

/// §4.14.
const PROFILE: &[Rule] = &[bytes(CKA_PROFILE_ID, 0)];

/// All keys (§4.7).
const KEY: &[Rule] = &[
    bytes(CKA_KEY_TYPE, CREATE),
    bytes(CKA_ID, CHANGE | COPY),
    bytes(CKA_START_DATE, CHANGE | COPY),
    bytes(CKA_END_DATE, CHANGE | COPY),
    flag(CKA_LOCAL, false, COMPUTED),
    bytes(CKA_KEY_GEN_MECHANISM, COMPUTED),
    bytes(CKA_ALLOWED_MECHANISMS, 0),
];

/// §4.8. Verifying and encrypting are what a public key is for; wrapping must be asked for.
const PUBLIC_KEY: &[Rule] = &[
    bytes(CKA_SUBJECT, CHANGE | COPY),
    flag(CKA_ENCRYPT, true, USAGE),
    flag(CKA_VERIFY, true, USAGE),
    flag(CKA_VERIFY_RECOVER, false, USAGE),
    flag(CKA_WRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_ENCAPSULATE, false, USAGE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    bytes(CKA_WRAP_TEMPLATE, 0),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_CHECK_VALUE, 0),
    bytes(CKA_NSS_DB, CHANGE | COPY),
];

/// §4.9. Private and sensitive unless the caller says otherwise, not extractable unless asked for.
const PRIVATE_KEY: &[Rule] = &[
    flag(CKA_PRIVATE, true, COPY | STAYS_TRUE),
    bytes(CKA_SUBJECT, CHANGE | COPY),
    flag(CKA_SENSITIVE, true, CHANGE | COPY | STAYS_TRUE),
    flag(CKA_DECRYPT, true, USAGE),
    flag(CKA_SIGN, true, USAGE),
    flag(CKA_SIGN_RECOVER, false, USAGE),
    flag(CKA_UNWRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_DECAPSULATE, false, USAGE),
    flag(CKA_EXTRACTABLE, false, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_ALWAYS_SENSITIVE, false, COMPUTED),
    flag(CKA_NEVER_EXTRACTABLE, false, COMPUTED),
    flag(CKA_WRAP_WITH_TRUSTED, false, CHANGE | COPY | STAYS_TRUE),
    bytes(CKA_UNWRAP_TEMPLATE, 0),
    bytes(CKA_DERIVE_TEMPLATE, 0),
    flag(CKA_ALWAYS_AUTHENTICATE, false, 0),
    bytes(CKA_PUBLIC_KEY_INFO, 0),
    bytes(CKA_CHECK_VALUE, 0),
    bytes(CKA_NSS_DB, CHANGE | COPY),
];

/// §4.10. As private keys; both directions of use, wrapping must be asked for.
const SECRET_KEY: &[Rule] = &[
    flag(CKA_PRIVATE, true, COPY | STAYS_TRUE),
    flag(CKA_SENSITIVE, true, CHANGE | COPY | STAYS_TRUE),
    flag(CKA_ENCRYPT, true, USAGE),
    flag(CKA_DECRYPT, true, USAGE),
    flag(CKA_SIGN, true, USAGE),
    flag(CKA_VERIFY, true, USAGE),
    flag(CKA_WRAP, false, USAGE),
    flag(CKA_UNWRAP, false, USAGE),
    flag(CKA_DERIVE, false, USAGE),
    flag(CKA_EXTRACTABLE, false, CHANGE | COPY | STAYS_FALSE),
    flag(CKA_ALWAYS_SENSITIVE, false, COMPUTED),
    flag(CKA_NEVER_EXTRACTABLE, false, COMPUTED),
    bytes(CKA_CHECK_VALUE, 0),
    flag(CKA_WRAP_WITH_TRUSTED, false, CHANGE | COPY | STAYS_TRUE),
    flag(CKA_TRUSTED, false, CHANGE | COPY | OFFICER),
    bytes(CKA_WRAP_TEMPLATE, 0),
    bytes(CKA_UNWRAP_TEMPLATE, 0),
    bytes(CKA_DERIVE_TEMPLATE, 0),
    bytes(CKA_VALUE, CREATE | MADE | HIDDEN),
    // The length of an imported key follows from its value; given, it must agree.
    bytes(CKA_VALUE_LEN, 0),
];

/// §6.1.2.
const RSA_PUBLIC: &[Rule] = &[
    bytes(CKA_MODULUS, CREATE | MADE),
    bytes(CKA_MODULUS_BITS, GENERATE),
    bytes(CKA_PUBLIC_EXPONENT, CREATE),
];

/// §6.1.3. The primes may be left out on import when n, e and d are there.
const RSA_PRIVATE: &[Rule] = &[
    bytes(CKA_MODULUS, CREATE | MADE),
    bytes(CKA_PUBLIC_EXPONENT, MADE),
    bytes(CKA_PRIVATE_EXPONENT, CREATE | MADE | HIDDEN),
    bytes(CKA_PRIME_1, MADE | HIDDEN),
    bytes(CKA_PRIME_2, MADE | HIDDEN),
    bytes(CKA_EXPONENT_1, MADE | HIDDEN),
    bytes(CKA_EXPONENT_2, MADE | HIDDEN),
    bytes(CKA_COEFFICIENT, MADE | HIDDEN),
];

/// §6.3.3 and §6.3.5: keys that sign and agree, and encrypt nothing.
const EC_PUBLIC: &[Rule] = &[
    bytes(CKA_EC_PARAMS, CREATE | GENERATE),
    bytes(CKA_EC_POINT, CREATE | MADE),
    flag(CKA_ENCRYPT, false, USAGE),
];

/// §6.3.4 and §6.3.6. SunPKCS11 and NSS generate ECDH keys without CKA_DERIVE: absent means true.
const EC_PRIVATE: &[Rule] = &[
    bytes(CKA_EC_PARAMS, CREATE | MADE),
    bytes(CKA_VALUE, CREATE | MADE | HIDDEN),
    // Not the standard's, but some clients send and read it on private keys too.
    bytes(CKA_EC_POINT, MADE),
    flag(CKA_DECRYPT, false, USAGE),
    flag(CKA_DERIVE, true, USAGE),
];

/// Keys for MACs and derivation.
const GENERIC_SECRET: &[Rule] = &[flag(CKA_ENCRYPT, false, USAGE), flag(CKA_DECRYPT, false, USAGE)];

/// HMAC key types of their own, the same rules as a generic secret.
pub const HMAC_KEY_TYPES: &[u64] = &[
    CKK_SHA_1_HMAC,
    CKK_SHA224_HMAC,
    CKK_SHA256_HMAC,
    CKK_SHA384_HMAC,
    CKK_SHA512_HMAC,
    CKK_SHA512_224_HMAC,
    CKK_SHA512_256_HMAC,
    CKK_SHA3_224_HMAC,
    CKK_SHA3_256_HMAC,
    CKK_SHA3_384_HMAC,
    CKK_SHA3_512_HMAC,
];

/// The rows of a key type in a class; `None`: there is no such key here.
fn of_key_type(class: u64, key_type: u64) -> Option<&'static [Rule]> {
    match (class, key_type) {
        (CKO_PUBLIC_KEY, CKK_RSA) => Some(RSA_PUBLIC),
        (CKO_PRIVATE_KEY, CKK_RSA) => Some(RSA_PRIVATE),
        (CKO_PUBLIC_KEY, CKK_EC | CKK_EC_EDWARDS) => Some(EC_PUBLIC),
        (CKO_PRIVATE_KEY, CKK_EC | CKK_EC_EDWARDS) => Some(EC_PRIVATE),
        (CKO_SECRET_KEY, CKK_AES) => Some(&[]),
        (CKO_SECRET_KEY, CKK_GENERIC_SECRET) => Some(GENERIC_SECRET),
        (CKO_SECRET_KEY, other) if HMAC_KEY_TYPES.contains(&other) => Some(GENERIC_SECRET),
        _ => None,
    }
}

/// The rows of a class and key type, the most special first.
#[derive(Clone, Copy, Debug)]
pub struct Rules([&'static [Rule]; 4]);

impl Rules {
    /// `AttributeValueInvalid` for a class or key type that is not here, `TemplateIncomplete` for a
    /// key without a type.
    pub fn new(class: u64, key_type: Option<u64>) -> Result<Rules> {
        let special: &[Rule] = match class {
            CKO_DATA => return Ok(Rules([&[], &[], DATA, STORAGE])),
            CKO_CERTIFICATE => return Ok(Rules([&[], &[], CERTIFICATE, STORAGE])),
            CKO_PROFILE => return Ok(Rules([&[], &[], PROFILE, STORAGE])),
            CKO_PUBLIC_KEY => PUBLIC_KEY,
            CKO_PRIVATE_KEY => PRIVATE_KEY,
            CKO_SECRET_KEY => SECRET_KEY,
            _ => return Err(Error::AttributeValueInvalid),
        };
        let key_type = key_type.ok_or(Error::TemplateIncomplete)?;
        let rows = of_key_type(class, key_type).ok_or(Error::AttributeValueInvalid)?;
        Ok(Rules([rows, special, KEY, STORAGE]))
    }

    pub fn of(object: &Object) -> Result<Rules> {
        Rules::new(object.class(), object.key_type())
    }

    pub fn find(&self, kind: AttributeType) -> Option<&'static Rule> {
        self.0.iter().flat_map(|rows| rows.iter()).find(|rule| rule.kind == kind)
    }

    /// Every attribute once, with the row that counts.
    pub fn iter(&self) -> impl Iterator<Item = &'static Rule> + use<> {
        let rules = *self;
        let all = rules.0.into_iter().flat_map(|rows| rows.iter());
        all.filter(move |rule| rules.find(rule.kind).is_some_and(|first| std::ptr::eq(first, *rule)))
    }
}

/// Reads one attribute as C_GetAttributeValue must: `AttributeSensitive` for key material that may
/// not be revealed, `AttributeTypeInvalid` for one this object's class does not have; a class-legal
/// attribute that was never set reads as its default or as empty.
pub fn read(object: &Object, kind: AttributeType) -> Result<Value> {
    let rule = Rules::of(object)?.find(kind).ok_or(Error::AttributeTypeInvalid)?;
    if rule.has(HIDDEN) && (object.flag(CKA_SENSITIVE) || !object.flag(CKA_EXTRACTABLE)) {
        return Err(Error::AttributeSensitive);
    }
    if let Some(value) = object.get(kind) {
        return Ok(value.clone());
    }
    Ok(match (rule.default, attribute::shape(kind)) {
        (Default::Flag(flag), _) => Value::Bool(flag),
        (Default::Number(number), _) => Value::Ulong(number),
        (_, Some(Shape::Bool)) => Value::Bool(false),
        (_, Some(Shape::Ulong)) => Value::Ulong(CK_UNAVAILABLE_INFORMATION),
        (_, Some(Shape::Date)) => Value::Date(None),
        (_, Some(Shape::Mechanisms)) => Value::Mechanisms(Vec::new()),
        (_, Some(Shape::Template)) => Value::Template(Vec::new()),
        _ => Value::Bytes(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_names_a_known_attribute() {
        let mut rows = 0;
        for (class, key_type) in [
            (CKO_DATA, None),
            (CKO_CERTIFICATE, None),
            (CKO_PROFILE, None),
            (CKO_PUBLIC_KEY, Some(CKK_RSA)),
            (CKO_PRIVATE_KEY, Some(CKK_RSA)),
            (CKO_PUBLIC_KEY, Some(CKK_EC)),
            (CKO_PRIVATE_KEY, Some(CKK_EC_EDWARDS)),
            (CKO_SECRET_KEY, Some(CKK_AES)),
            (CKO_SECRET_KEY, Some(CKK_SHA256_HMAC)),
        ] {
            for rule in Rules::new(class, key_type).unwrap().iter() {
                let shape =
                    attribute::shape(rule.kind).unwrap_or_else(|| panic!("{:#x} is unknown", rule.kind));
                assert_eq!(
                    matches!(rule.default, Default::Flag(_)),
                    shape == Shape::Bool,
                    "{:#x}",
                    rule.kind
                );
                rows += 1;
            }
        }
        assert!(rows > 150, "{rows}");
        assert!(Rules::new(CKO_SECRET_KEY, Some(CKK_RSA)).is_err());
        assert_eq!(Rules::new(CKO_SECRET_KEY, None).err(), Some(Error::TemplateIncomplete));
    }

    #[test]
    fn hidden_values_stay_hidden() {
        let key = |sensitive, extractable| {
            Object::new(vec![
                (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
                (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
                (CKA_VALUE, Value::Secret([1; 16][..].into())),
                (CKA_SENSITIVE, Value::Bool(sensitive)),
                (CKA_EXTRACTABLE, Value::Bool(extractable)),
            ])
        };
        assert_eq!(read(&key(true, true), CKA_VALUE), Err(Error::AttributeSensitive));
        assert_eq!(read(&key(false, false), CKA_VALUE), Err(Error::AttributeSensitive));
        assert!(read(&key(false, true), CKA_VALUE).is_ok());
        assert_eq!(read(&key(true, true), CKA_MODULUS), Err(Error::AttributeTypeInvalid));
        assert_eq!(read(&key(true, true), CKA_ID), Ok(Value::Bytes(vec![])));
        assert_eq!(
            read(&key(true, true), CKA_KEY_GEN_MECHANISM),
            Ok(Value::Ulong(CK_UNAVAILABLE_INFORMATION))
        );
    }
}
