//! Templates in and attribute values out.

use super::memory::{bytes, read, room, write};
use super::{describe, trace};
use crate::error::{Error, Result};
use crate::object::attribute::{self, Shape};
use crate::object::{Template, Value};
use cryptoki_sys::*;

/// More attributes than any object has.
const MOST: CK_ULONG = 256;
/// Larger than any certificate or data object that belongs in a token.
const LARGEST: CK_ULONG = 16 << 20;
/// Templates inside templates.
const DEEPEST: usize = 3;

/// How strictly a template is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// For an object: unknown attributes are refused, and attributes that come twice.
    Make,
    /// For a search: an attribute nobody knows just matches nothing.
    Search,
}

/// A caller's template as owned values.
///
/// # Safety
/// `list` is NULL or points to `count` attributes, each NULL or pointing to as many bytes as it says.
pub unsafe fn template(list: *const CK_ATTRIBUTE, count: CK_ULONG, purpose: Use) -> Result<Template> {
    // SAFETY: passed on.
    unsafe { nested(list, count, purpose, 0) }
}

unsafe fn nested(list: *const CK_ATTRIBUTE, count: CK_ULONG, purpose: Use, depth: usize) -> Result<Template> {
    if count > MOST || depth > DEEPEST || (list.is_null() && count > 0) {
        return Err(Error::ArgumentsBad);
    }
    // SAFETY: the caller's promises, passed on for each attribute.
    let one = |place: CK_ULONG| unsafe {
        let given = read(list.wrapping_add(place as usize))?;
        let value = value(&given, purpose, depth);
        // What is nested shows where it is nested.
        trace::note(list, || describe::attribute(given.type_, &value));
        Ok((given.type_, value?))
    };
    let template: Template = (0..count).map(one).collect::<Result<_>>()?;
    // A search that says something twice is merely odd; an object cannot have two values of a kind.
    let twice = |(place, (kind, _)): (usize, &(u64, Value))| template[..place].iter().any(|(k, _)| k == kind);
    if purpose == Use::Make && template.iter().enumerate().any(twice) {
        return Err(Error::TemplateInconsistent);
    }
    Ok(template)
}

unsafe fn value(given: &CK_ATTRIBUTE, purpose: Use, depth: usize) -> Result<Value> {
    const ENTRY: CK_ULONG = size_of::<CK_ATTRIBUTE>() as CK_ULONG;
    if given.ulValueLen > LARGEST || (given.pValue.is_null() && given.ulValueLen > 0) {
        return Err(Error::AttributeValueInvalid);
    }
    // SAFETY: the caller's promises, passed on.
    unsafe {
        match attribute::shape(given.type_) {
            Some(Shape::Template) if !given.ulValueLen.is_multiple_of(ENTRY) => {
                Err(Error::AttributeValueInvalid)
            }
            Some(Shape::Template) => {
                nested(given.pValue.cast(), given.ulValueLen / ENTRY, purpose, depth + 1).map(Value::Template)
            }
            None if purpose == Use::Search => Ok(Value::Bytes(Vec::new())),
            _ => Value::from_c(given.type_, bytes(given.pValue.cast(), given.ulValueLen)?),
        }
    }
}

/// The attribute types a C_GetAttributeValue asks for.
///
/// # Safety
/// As for [`template`].
pub unsafe fn kinds(list: *const CK_ATTRIBUTE, count: CK_ULONG) -> Result<Vec<u64>> {
    if list.is_null() || count > MOST {
        return Err(Error::ArgumentsBad);
    }
    let one = |place| {
        // SAFETY: the caller's promises.
        let given = unsafe { read(list.wrapping_add(place)) }?;
        trace::note(list, || describe::wish(&given));
        Ok(given.type_)
    };
    (0..count as usize).map(one).collect()
}

/// Writes what was read into the caller's attributes: every entry is filled or marked
/// CK_UNAVAILABLE_INFORMATION, and the first fault is the answer (§5.7.5).
///
/// # Safety
/// `list` points to as many attributes as there are values, with the room they say.
pub unsafe fn give(list: *mut CK_ATTRIBUTE, values: Vec<Result<Value>>) -> Result<()> {
    let mut answer = Ok(());
    for (place, value) in values.into_iter().enumerate() {
        let entry = list.wrapping_add(place);
        // SAFETY: the caller's promises.
        let given = unsafe {
            match &value {
                Ok(value) => give_one(entry, value),
                Err(error) => {
                    write(&raw mut (*entry).ulValueLen, CK_UNAVAILABLE_INFORMATION).and(Err(*error))
                }
            }
        };
        // SAFETY: as above; the kind was read before.
        trace::note_result(list, || unsafe { told(entry, &given.and(value)) });
        answer = answer.and(given);
    }
    answer
}

/// An attribute that was given, for the trace.
unsafe fn told(entry: *const CK_ATTRIBUTE, value: &Result<Value>) -> String {
    // SAFETY: passed on.
    unsafe { read(entry) }.map_or_else(|e| e.to_string(), |given| describe::attribute(given.type_, value))
}

unsafe fn give_one(entry: *mut CK_ATTRIBUTE, value: &Value) -> Result<()> {
    // SAFETY: the entry is the caller's attribute; only as much is written as it has room for.
    unsafe {
        let given = read(entry)?;
        let length = |length: usize| write(&raw mut (*entry).ulValueLen, length as CK_ULONG);
        let small = || length(CK_UNAVAILABLE_INFORMATION as usize).and(Err(Error::BufferTooSmall));
        if let Value::Template(inner) = value {
            let needed = size_of_val(&given) * inner.len();
            return if given.pValue.is_null() {
                length(needed)
            } else if given.ulValueLen < needed as CK_ULONG {
                small()
            } else {
                length(needed)?;
                give_template(given.pValue.cast(), inner)
            };
        }
        let bytes = value.to_c();
        if given.pValue.is_null() {
            return length(bytes.len());
        }
        if given.ulValueLen < bytes.len() as CK_ULONG {
            return small();
        }
        room(given.pValue.cast(), bytes.len() as CK_ULONG)?.copy_from_slice(&bytes);
        length(bytes.len())
    }
}

unsafe fn give_template(list: *mut CK_ATTRIBUTE, inner: &Template) -> Result<()> {
    let mut answer = Ok(());
    for (place, (kind, value)) in inner.iter().enumerate() {
        let entry = list.wrapping_add(place);
        // SAFETY: the caller gave room for all entries (checked above).
        let given = unsafe {
            write(&raw mut (*entry).type_, *kind)?;
            give_one(entry, value)
        };
        answer = answer.and(given);
    }
    answer
}
