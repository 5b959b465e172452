//! Search terms: which attributes are indexed, and whether an object matches a template.

use super::{AttributeType, Object, Template};

/// One indexed attribute value: what the store's blind index is asked by.
pub type Term = (AttributeType, Vec<u8>);

/// The terms under which an object is found.
pub fn terms(object: &Object) -> Vec<Term> {
    let _ = object;
    todo!()
}

/// The indexed part of a search template; `matches` still decides.
pub fn query(template: &Template) -> Vec<Term> {
    let _ = template;
    todo!()
}

/// Whether every attribute of the template is in the object with the same value. An attribute that
/// may not be revealed (sensitive) never matches.
pub fn matches(object: &Object, template: &Template) -> bool {
    let _ = (object, template);
    todo!()
}
