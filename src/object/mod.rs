//! Objects as pure data: attributes, templates, the attribute rules, search terms. No I/O, no keys
//! in use, no permissions beyond what the standard ties to an attribute.
//!
//! To add an attribute: a row in `attribute.rs` (its shape) and in `rules.rs` (who has it).

pub mod attribute;
pub mod rules;
pub mod search;
pub mod template;

pub use attribute::{AttributeType, Shape, Value};

use crate::crypto::Secret;
use crate::error::Result;

/// Attributes as a caller gave them, in the caller's order; duplicates are refused when read.
pub type Template = Vec<(AttributeType, Value)>;

/// A complete object: every attribute its class and key type call for, sorted by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    attributes: Vec<(AttributeType, Value)>,
}

impl Object {
    /// Sorts; a later duplicate replaces an earlier one. Checks no rules (`template` does).
    pub fn new(attributes: Vec<(AttributeType, Value)>) -> Self {
        let _ = attributes;
        todo!()
    }
    pub fn get(&self, kind: AttributeType) -> Option<&Value> {
        let _ = kind;
        todo!()
    }
    pub fn set(&mut self, kind: AttributeType, value: Value) {
        let _ = (kind, value);
        todo!()
    }
    /// A CK_BBOOL attribute; absent is false.
    pub fn flag(&self, kind: AttributeType) -> bool {
        let _ = kind;
        todo!()
    }
    pub fn number(&self, kind: AttributeType) -> Option<u64> {
        let _ = kind;
        todo!()
    }
    /// The bytes of a byte-string attribute, empty when absent.
    pub fn bytes(&self, kind: AttributeType) -> &[u8] {
        let _ = kind;
        todo!()
    }
    /// CKA_CLASS.
    pub fn class(&self) -> u64 {
        todo!()
    }
    /// CKA_KEY_TYPE; `None` for what is not a key.
    pub fn key_type(&self) -> Option<u64> {
        todo!()
    }
    /// CKA_TOKEN.
    pub fn is_token(&self) -> bool {
        todo!()
    }
    /// CKA_PRIVATE.
    pub fn is_private(&self) -> bool {
        todo!()
    }
    pub fn iter(&self) -> impl Iterator<Item = &(AttributeType, Value)> {
        self.attributes.iter()
    }
    /// The stored form: count (u32), then type (u64), shape (u8), length (u32), bytes for each;
    /// little-endian, independent of the size of CK_ULONG. Written down in ARCHITECTURE.md.
    pub fn encode(&self) -> Secret {
        todo!()
    }
    /// `DeviceError` when the bytes are not exactly one encoded object.
    pub fn decode(bytes: &[u8]) -> Result<Object> {
        let _ = bytes;
        todo!()
    }
}
