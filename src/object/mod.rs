//! Objects as pure data: attributes, templates, the attribute rules, search terms. No I/O, no keys
//! in use, no permissions beyond what the standard ties to an attribute.
//!
//! To add an attribute: a row in `attribute.rs` (its shape) and in `rules/rows.rs` (who has it).

pub mod attribute;
mod certificate;
mod encoding;
pub mod rules;
pub mod search;
pub mod template;
pub mod validity;
pub mod version;

pub use attribute::{AttributeType, Shape, Value};

use cryptoki_sys::{CKA_CLASS, CKA_KEY_TYPE, CKA_PRIVATE, CKA_TOKEN};

/// Attributes as a caller gave them, in the caller's order.
pub type Template = Vec<(AttributeType, Value)>;

/// A complete object: every attribute its class and key type call for, sorted by type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    attributes: Vec<(AttributeType, Value)>,
}

impl Object {
    /// Sorts; a later duplicate replaces an earlier one. Checks no rules (`template` does).
    pub fn new(attributes: Vec<(AttributeType, Value)>) -> Self {
        let mut object = Object { attributes: Vec::with_capacity(attributes.len()) };
        attributes.into_iter().for_each(|(kind, value)| object.set(kind, value));
        object
    }

    fn place(&self, kind: AttributeType) -> std::result::Result<usize, usize> {
        self.attributes.binary_search_by_key(&kind, |(kind, _)| *kind)
    }

    pub fn get(&self, kind: AttributeType) -> Option<&Value> {
        self.place(kind).ok().map(|place| &self.attributes[place].1)
    }

    pub fn set(&mut self, kind: AttributeType, value: Value) {
        match self.place(kind) {
            Ok(place) => self.attributes[place].1 = value,
            Err(place) => self.attributes.insert(place, (kind, value)),
        }
    }

    /// Takes an attribute out.
    pub fn take(&mut self, kind: AttributeType) -> Option<Value> {
        self.place(kind).ok().map(|place| self.attributes.remove(place).1)
    }

    /// A CK_BBOOL attribute; absent is false.
    pub fn flag(&self, kind: AttributeType) -> bool {
        matches!(self.get(kind), Some(Value::Bool(true)))
    }

    pub fn number(&self, kind: AttributeType) -> Option<u64> {
        match self.get(kind) {
            Some(Value::Ulong(number)) => Some(*number),
            _ => None,
        }
    }

    /// The bytes of a byte-string attribute, empty when absent.
    pub fn bytes(&self, kind: AttributeType) -> &[u8] {
        self.get(kind).and_then(Value::bytes).unwrap_or_default()
    }

    /// CKA_CLASS; an object without one (there is none) is of no class.
    pub fn class(&self) -> u64 {
        self.number(CKA_CLASS).unwrap_or(u64::MAX)
    }

    /// CKA_KEY_TYPE; `None` for what is not a key.
    pub fn key_type(&self) -> Option<u64> {
        self.number(CKA_KEY_TYPE)
    }

    /// CKA_TOKEN.
    pub fn is_token(&self) -> bool {
        self.flag(CKA_TOKEN)
    }

    /// CKA_PRIVATE.
    pub fn is_private(&self) -> bool {
        self.flag(CKA_PRIVATE)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(AttributeType, Value)> {
        self.attributes.iter()
    }
}
