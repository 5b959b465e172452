//! The attribute rules of the standard as rows: which attributes an object of a class and key type
//! has, their defaults, and who may set, change and read them (PKCS#11 3.2 §4, tables of §6).
//!
//! This file is what a row means and how an attribute is read; the rows are in `rows.rs`, and what
//! follows from them for templates and changes is in `template.rs`. To add an attribute or a key
//! type, see `rows.rs`.

mod rows;
#[cfg(test)]
mod tests;

use super::attribute::{self, Shape};
use super::{AttributeType, Object, Value};
use crate::error::{Error, Result};
use cryptoki_sys::*;
use std::borrow::Cow;

pub use rows::HMAC_KEY_TYPES;

/// What an attribute is when nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Not stored; reads as empty, or as CK_UNAVAILABLE_INFORMATION.
    Absent,
    Flag(bool),
    Number(u64),
    /// What another flag of the object is, one with a smaller number.
    Follows(AttributeType),
    /// True, unless the caller asked for one of these uses.
    Unless(&'static [AttributeType]),
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
/// Made true, and made false again, by the officer only (footnote 10). The standard lets anyone take
/// trust away; here a user who did that could then decrypt what the trusted key wrapped.
pub const OFFICER: u32 = 512;
/// C_SetAttributeValue and C_CopyObject may make it empty, nothing else (CKA_CHECK_VALUE, §4.10.2).
pub const ERASE: u32 = 1024;
/// A permission to use the key; stays as it is while the key is trusted.
pub const USE: u32 = 2048;

impl Rule {
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// What an object without this attribute answers.
    fn unset(&self) -> Value {
        match (self.default, attribute::shape(self.kind)) {
            (Default::Flag(flag), _) => Value::Bool(flag),
            (Default::Number(number), _) => Value::Ulong(number),
            (_, Some(Shape::Bool)) => Value::Bool(false),
            (_, Some(Shape::Ulong)) => Value::Ulong(CK_UNAVAILABLE_INFORMATION),
            (_, Some(Shape::Date)) => Value::Date(None),
            (_, Some(Shape::Mechanisms)) => Value::Mechanisms(Vec::new()),
            (_, Some(Shape::Template)) => Value::Template(Vec::new()),
            _ => Value::Bytes(Vec::new()),
        }
    }
}

const fn bytes(kind: AttributeType, flags: u32) -> Rule {
    Rule { kind, default: Default::Absent, flags }
}

const fn flag(kind: AttributeType, default: bool, flags: u32) -> Rule {
    Rule { kind, default: Default::Flag(default), flags }
}

const fn follows(kind: AttributeType, other: AttributeType, flags: u32) -> Rule {
    Rule { kind, default: Default::Follows(other), flags }
}

const fn unless(kind: AttributeType, others: &'static [AttributeType], flags: u32) -> Rule {
    Rule { kind, default: Default::Unless(others), flags }
}

const fn number(kind: AttributeType, default: u64, flags: u32) -> Rule {
    Rule { kind, default: Default::Number(default), flags }
}

/// The rows of a class and key type, sorted by attribute, each attribute once.
#[derive(Clone, Copy, Debug)]
pub struct Rules(&'static [Rule]);

impl Rules {
    /// `AttributeValueInvalid` for a class or key type that is not here, `TemplateIncomplete` for a
    /// key without a type.
    pub fn new(class: u64, key_type: Option<u64>) -> Result<Rules> {
        if let Some(table) = rows::of_class(class) {
            return Ok(Rules(table));
        }
        if !matches!(class, CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return Err(Error::AttributeValueInvalid);
        }
        let key_type = key_type.ok_or(Error::TemplateIncomplete)?;
        rows::of_key(class, key_type).map(Rules).ok_or(Error::AttributeValueInvalid)
    }

    pub fn of(object: &Object) -> Result<Rules> {
        Rules::new(object.class(), object.key_type())
    }

    pub fn find(&self, kind: AttributeType) -> Option<&'static Rule> {
        self.0.binary_search_by_key(&kind, |rule| rule.kind).ok().map(|place| &self.0[place])
    }

    pub fn iter(&self) -> impl Iterator<Item = &'static Rule> + use<> {
        self.0.iter()
    }

    /// As [`read`], for an object of these rows, and without copying.
    pub fn look<'a>(&self, object: &'a Object, kind: AttributeType) -> Result<Cow<'a, Value>> {
        let rule = self.find(kind).ok_or(Error::AttributeTypeInvalid)?;
        if rule.has(HIDDEN) && (object.flag(CKA_SENSITIVE) || !object.flag(CKA_EXTRACTABLE)) {
            return Err(Error::AttributeSensitive);
        }
        Ok(object.get(kind).map_or_else(|| Cow::Owned(rule.unset()), Cow::Borrowed))
    }
}

/// The attributes that objects of a class and key type have; none when there is no such object.
pub fn legal(class: u64, key_type: Option<u64>) -> impl Iterator<Item = AttributeType> {
    Rules::new(class, key_type).into_iter().flat_map(|rules| rules.iter()).map(|rule| rule.kind)
}

/// Reads one attribute as C_GetAttributeValue must: `AttributeSensitive` for key material that may
/// not be revealed, `AttributeTypeInvalid` for one this object's class does not have; a class-legal
/// attribute that was never set reads as its default or as empty.
pub fn read(object: &Object, kind: AttributeType) -> Result<Value> {
    Rules::of(object)?.look(object, kind).map(Cow::into_owned)
}

/// Whether an attribute of this object is key material (footnote 7), whatever the object says of it.
pub fn is_hidden(object: &Object, kind: AttributeType) -> bool {
    Rules::of(object).is_ok_and(|rules| rules.find(kind).is_some_and(|rule| rule.has(HIDDEN)))
}
