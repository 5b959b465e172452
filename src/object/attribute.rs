//! Attribute types, their shapes, and values that own their bytes.

use super::Template;
use crate::crypto::Secret;
use crate::error::Result;

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

/// The shape of a known attribute; `None` for one nobody knows.
pub fn shape(kind: AttributeType) -> Option<Shape> {
    let _ = kind;
    todo!()
}

/// The standard's name, e.g. `CKA_LABEL`, for logs and the CLI.
pub fn name(kind: AttributeType) -> Option<&'static str> {
    let _ = kind;
    todo!()
}

impl Value {
    /// Reads what C passed (native byte order and CK_ULONG); `AttributeTypeInvalid` for an unknown
    /// type, `AttributeValueInvalid` for a wrong length or a bool other than 0 and 1 (any nonzero
    /// byte counts as true). Nested templates are read by `ffi`.
    pub fn from_c(kind: AttributeType, bytes: &[u8]) -> Result<Value> {
        let _ = (kind, bytes);
        todo!()
    }
    /// What C gets to see; a nested template is written by `ffi`.
    pub fn to_c(&self) -> Secret {
        todo!()
    }
}
