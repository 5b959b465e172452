//! From a caller's template to a complete object, by the rule rows.
//!
//! A [`Draft`] is a template that passed the rules and got its defaults but has no key material
//! yet; [`Draft::complete`] adds what the mechanism or the key check produced.

use super::{Object, Template};
use crate::error::Result;

/// How an object comes to be: decides LOCAL, ALWAYS_SENSITIVE, NEVER_EXTRACTABLE and which
/// attributes the template must and may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Created,
    Generated,
    Unwrapped,
    /// From a base key: it was (always sensitive, never extractable).
    Derived {
        always_sensitive: bool,
        never_extractable: bool,
    },
}

/// Who asks: some attributes are the officer's alone (CKA_TRUSTED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    Public,
    User,
    Officer,
}

/// A checked template without key material.
#[derive(Debug)]
pub struct Draft {}

impl Draft {
    /// `class` and `key_type` are what the mechanism makes; the template may repeat them but not
    /// contradict them (`TemplateInconsistent`). For `Created` both are `None`: the template says.
    /// Errors: `TemplateIncomplete`, `TemplateInconsistent`, `AttributeReadOnly`,
    /// `AttributeTypeInvalid`, `AttributeValueInvalid`.
    pub fn new(
        origin: Origin,
        class: Option<u64>,
        key_type: Option<u64>,
        template: Template,
        asker: Asker,
    ) -> Result<Draft> {
        let _ = (origin, class, key_type, template, asker);
        todo!()
    }
    /// The attributes so far, defaults included.
    pub fn attributes(&self) -> &Object {
        todo!()
    }
    /// Adds key material and what follows from it (CKA_MODULUS, CKA_VALUE, CKA_EC_POINT,
    /// CKA_CHECK_VALUE, CKA_KEY_GEN_MECHANISM, …); a template value that contradicts it is
    /// `TemplateInconsistent` or `AttributeValueInvalid`.
    pub fn complete(self, material: Vec<(super::AttributeType, super::Value)>) -> Result<Object> {
        let _ = material;
        todo!()
    }
}

/// The object after C_SetAttributeValue: all changes or none. `ActionProhibited` when it is not
/// modifiable, `AttributeReadOnly` for what never changes or only changes the other way.
pub fn modify(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    let _ = (object, changes, asker);
    todo!()
}

/// The object that C_CopyObject makes; `ActionProhibited` when CKA_COPYABLE is false.
pub fn copy(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    let _ = (object, changes, asker);
    todo!()
}
