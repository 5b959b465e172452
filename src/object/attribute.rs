//! Attribute types, their shapes, and values that own their bytes.
//!
//! To add an attribute: a row in the table below, and rows in `rules/rows.rs` for the classes that have it.

use super::Template;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use cryptoki_sys::*;

/// CK_ATTRIBUTE_TYPE, widened.
pub type AttributeType = u64;

/// What the bytes of an attribute mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Bool,
    Ulong,
    Bytes,
    /// Bytes that are key material when the object is a key.
    Secret,
    Date,
    /// CK_MECHANISM_TYPE array.
    Mechanisms,
    /// CKF_ARRAY_ATTRIBUTE: a nested template.
    Template,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Ulong(u64),
    Bytes(Vec<u8>),
    Secret(Secret),
    /// YYYYMMDD in ASCII, or none (an empty CK_DATE).
    Date(Option<[u8; 8]>),
    Mechanisms(Vec<u64>),
    Template(Template),
}

/// NSS marks the halves of a key pair with it.
pub const CKA_NSS_DB: AttributeType = 0xd5a0_db00;
/// NSS: the mail address of a certificate.
pub const CKA_NSS_EMAIL: AttributeType = 0xce53_4352;
/// Ours: the owner's name; setting it gives the object away. Stored of public objects, as the owner's
/// id; of private ones the record's header says it.
pub const CKA_STRONGROOM_OWNER: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0002;
/// Ours: the names of those a key is shared with, one a line. Never stored: data keys say it.
pub const CKA_STRONGROOM_SHARED_WITH: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0003;

/// Ours: each cryptographic operation with the key is recorded in the audit log (`include/strongroom.h`).
pub const CKA_STRONGROOM_AUDIT_USE: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0001;

/// Ours: nobody uses the key until its owner resumes it.
pub const CKA_STRONGROOM_SUSPENDED: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0010;
/// Ours: counts the versions of a key, from 1.
pub const CKA_STRONGROOM_VERSION: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0011;
/// Ours: the CKA_UNIQUE_ID of the first version; empty for a key that was never replaced.
pub const CKA_STRONGROOM_SERIES: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0012;
/// Ours: a newer version took its place.
pub const CKA_STRONGROOM_RETIRED: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0013;
/// Ours: when the key came into the token's file (RFC 3339, UTC).
pub const CKA_STRONGROOM_MADE_AT: AttributeType = CKA_VENDOR_DEFINED as AttributeType | 0x5352_0014;

macro_rules! attributes {
    ($($shape:ident: $($name:ident),+;)*) => {
        /// Every known attribute: type, name, shape.
        pub const KNOWN: &[(AttributeType, &str, Shape)] =
            &[$($(($name as AttributeType, stringify!($name), Shape::$shape),)+)*];
    };
}

attributes! {
    Bool: CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE, CKA_TRUSTED, CKA_SENSITIVE,
        CKA_EXTRACTABLE, CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_WRAP_WITH_TRUSTED,
        CKA_ALWAYS_AUTHENTICATE, CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_SIGN_RECOVER,
        CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_DERIVE, CKA_ENCAPSULATE, CKA_DECAPSULATE,
        CKA_STRONGROOM_AUDIT_USE, CKA_STRONGROOM_SUSPENDED, CKA_STRONGROOM_RETIRED;
    Ulong: CKA_CLASS, CKA_KEY_TYPE, CKA_CERTIFICATE_TYPE, CKA_CERTIFICATE_CATEGORY, CKA_JAVA_MIDP_SECURITY_DOMAIN,
        CKA_NAME_HASH_ALGORITHM, CKA_KEY_GEN_MECHANISM, CKA_MODULUS_BITS, CKA_VALUE_LEN, CKA_PROFILE_ID,
        CKA_OBJECT_VALIDATION_FLAGS, CKA_STRONGROOM_VERSION, CKA_PARAMETER_SET;
    Bytes: CKA_LABEL, CKA_UNIQUE_ID, CKA_APPLICATION, CKA_OBJECT_ID, CKA_ID, CKA_SUBJECT, CKA_ISSUER,
        CKA_SERIAL_NUMBER, CKA_URL, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_HASH_OF_ISSUER_PUBLIC_KEY, CKA_CHECK_VALUE,
        CKA_PUBLIC_KEY_INFO, CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_EC_POINT, CKA_NSS_DB, CKA_NSS_EMAIL,
        CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH, CKA_STRONGROOM_SERIES, CKA_STRONGROOM_MADE_AT;
    Secret: CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT,
        CKA_SEED;
    Date: CKA_START_DATE, CKA_END_DATE;
    Mechanisms: CKA_ALLOWED_MECHANISMS;
    Template: CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE, CKA_DERIVE_TEMPLATE, CKA_ENCAPSULATE_TEMPLATE,
        CKA_DECAPSULATE_TEMPLATE;
}

fn row(kind: AttributeType) -> Option<&'static (AttributeType, &'static str, Shape)> {
    KNOWN.iter().find(|(known, _, _)| *known == kind)
}

/// The shape of a known attribute; `None` for one nobody knows.
pub fn shape(kind: AttributeType) -> Option<Shape> {
    row(kind).map(|(_, _, shape)| *shape)
}

/// The standard's name, e.g. `CKA_LABEL`, for logs and the CLI.
pub fn name(kind: AttributeType) -> Option<&'static str> {
    row(kind).map(|(_, name, _)| *name)
}

/// CK_ULONG of the platform from its bytes.
fn ulong(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(CK_ULONG::from_ne_bytes)
}

impl Value {
    /// Reads what C passed (native byte order and CK_ULONG); `AttributeTypeInvalid` for an unknown
    /// type, `AttributeValueInvalid` for a wrong length (any nonzero byte of a CK_BBOOL is true).
    /// Nested templates are read by `ffi`.
    pub fn from_c(kind: AttributeType, bytes: &[u8]) -> Result<Value> {
        let invalid = Error::AttributeValueInvalid;
        Ok(match shape(kind).ok_or(Error::AttributeTypeInvalid)? {
            Shape::Bool => match bytes {
                [byte] => Value::Bool(*byte != 0),
                _ => return Err(invalid),
            },
            Shape::Ulong => Value::Ulong(ulong(bytes).ok_or(invalid)?),
            Shape::Bytes => Value::Bytes(bytes.to_vec()),
            Shape::Secret => Value::Secret(Secret::from(bytes)),
            Shape::Date if bytes.is_empty() => Value::Date(None),
            Shape::Date => {
                let date: [u8; 8] = bytes.try_into().map_err(|_| invalid)?;
                if date.iter().all(u8::is_ascii_digit) {
                    Value::Date(Some(date))
                } else {
                    return Err(invalid);
                }
            }
            Shape::Mechanisms => {
                let numbers = bytes.chunks(size_of::<CK_ULONG>()).map(ulong).collect::<Option<Vec<_>>>();
                Value::Mechanisms(numbers.ok_or(invalid)?)
            }
            Shape::Template => return Err(invalid),
        })
    }

    /// What C gets to see; a nested template is written by `ffi`.
    pub fn to_c(&self) -> Secret {
        match self {
            Value::Bool(flag) => Secret::from(&[u8::from(*flag)][..]),
            Value::Ulong(number) => Secret::from(&(*number as CK_ULONG).to_ne_bytes()[..]),
            Value::Bytes(bytes) => Secret::from(&bytes[..]),
            Value::Secret(bytes) => bytes.clone(),
            Value::Date(date) => Secret::from(date.as_ref().map_or(&[][..], |d| &d[..])),
            Value::Mechanisms(numbers) => {
                Secret::from(numbers.iter().flat_map(|n| (*n as CK_ULONG).to_ne_bytes()).collect::<Vec<u8>>())
            }
            Value::Template(_) => Secret::default(),
        }
    }

    /// The bytes of a byte string, secret or not.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Secret(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether both say the same, whatever holds the bytes.
    pub fn same(&self, other: &Value) -> bool {
        match (self.bytes(), other.bytes()) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_is_known_once() {
        for (place, (kind, label, _)) in KNOWN.iter().enumerate() {
            assert!(KNOWN[..place].iter().all(|(earlier, _, _)| earlier != kind), "{label}");
            assert_eq!(name(*kind), Some(*label));
        }
        assert_eq!((shape(0x7777_7777), name(0x7777_7777)), (None, None));
    }

    #[test]
    fn what_c_gives_is_what_c_gets() {
        let ulong = 7u64.to_ne_bytes();
        let list: Vec<u8> = [1u64, 2].iter().flat_map(|number| number.to_ne_bytes()).collect();
        for (kind, bytes, value) in [
            (CKA_TOKEN, &[1][..], Value::Bool(true)),
            (CKA_CLASS, &ulong, Value::Ulong(7)),
            (CKA_LABEL, b"name", Value::Bytes(b"name".to_vec())),
            (CKA_LABEL, b"", Value::Bytes(vec![])),
            (CKA_VALUE, b"key", Value::Secret(b"key"[..].into())),
            (CKA_END_DATE, b"20301231", Value::Date(Some(*b"20301231"))),
            (CKA_END_DATE, b"", Value::Date(None)),
            (CKA_ALLOWED_MECHANISMS, &list, Value::Mechanisms(vec![1, 2])),
            (CKA_ALLOWED_MECHANISMS, b"", Value::Mechanisms(vec![])),
        ] {
            let read = Value::from_c(kind, bytes).unwrap();
            assert_eq!((&read.to_c()[..], &read), (bytes, &value));
        }
        assert_eq!(Value::from_c(CKA_TOKEN, &[0xff]), Ok(Value::Bool(true)), "any nonzero byte is true");
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for (kind, length) in [
            (CKA_TOKEN, 0),
            (CKA_TOKEN, 8),
            (CKA_CLASS, 0),
            (CKA_CLASS, 4),
            (CKA_CLASS, 9),
            (CKA_START_DATE, 7),
            (CKA_START_DATE, 8),
            (CKA_ALLOWED_MECHANISMS, 12),
            (CKA_WRAP_TEMPLATE, 0),
        ] {
            let answer = Value::from_c(kind, &vec![0; length]);
            assert_eq!(answer, Err(Error::AttributeValueInvalid), "{:?} {length}", name(kind));
        }
        assert_eq!(Value::from_c(0x7777_7777, &[]), Err(Error::AttributeTypeInvalid));
    }

    #[test]
    fn secrets_are_not_printed() {
        let shown = format!("{:?}", Value::from_c(CKA_VALUE, b"hunter2"));
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }
}
