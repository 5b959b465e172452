//! The attribute rules of the standard as rows: which attributes an object of a class and key type
//! has, their defaults, and who may set, change and read them (PKCS#11 3.2 §4, tables of §6).

use super::{AttributeType, Object, Value};
use crate::error::Result;

/// Reads one attribute as C_GetAttributeValue must: `AttributeSensitive` for key material that may
/// not be revealed, `AttributeTypeInvalid` for one this object's class does not have; a class-legal
/// attribute that was never set reads as its default or as empty.
pub fn read(object: &Object, kind: AttributeType) -> Result<Value> {
    let _ = (object, kind);
    todo!()
}
