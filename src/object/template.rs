//! From a caller's template to a complete object, by the rule rows.
//!
//! A [`Draft`] is a template that passed the rules and got its defaults but has no key material
//! yet; [`Draft::complete`] adds what the mechanism or the key check produced.

#[cfg(test)]
mod tests;

use super::attribute::{
    CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_SERIES, CKA_STRONGROOM_SUSPENDED, CKA_STRONGROOM_VERSION,
};
use super::rules::{self, Default, Rule, Rules};
use super::{AttributeType, Object, Template, Value, attribute, certificate, validity};
use crate::error::{Error, Result};
use cryptoki_sys::*;

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
pub struct Draft {
    object: Object,
    origin: Origin,
}

/// The class or key type: what the mechanism makes and what the template says must be one.
fn agree(made: Option<u64>, template: &Template, kind: AttributeType) -> Result<Option<u64>> {
    let said = match template.iter().find(|(found, _)| *found == kind) {
        Some((_, Value::Ulong(number))) => Some(*number),
        Some(_) => return Err(Error::AttributeValueInvalid),
        None => None,
    };
    match (made, said) {
        (Some(made), Some(said)) if made != said => Err(Error::TemplateInconsistent),
        (made, said) => Ok(made.or(said)),
    }
}

fn may_give(rule: &Rule, value: &Value, origin: Origin, asker: Asker) -> Result<()> {
    if rule.has(rules::COMPUTED) {
        return Err(Error::AttributeReadOnly);
    }
    if rule.has(rules::MADE) && origin != Origin::Created {
        return Err(Error::TemplateInconsistent);
    }
    if rule.has(rules::OFFICER) && *value == Value::Bool(true) && asker != Asker::Officer {
        return Err(Error::AttributeReadOnly);
    }
    // The enumerations of certificates (§4.6); classes and key types are checked by their rows.
    let enumerated = matches!(rule.kind, CKA_CERTIFICATE_CATEGORY | CKA_JAVA_MIDP_SECURITY_DOMAIN);
    if enumerated && matches!(value, Value::Ulong(4..)) {
        return Err(Error::AttributeValueInvalid);
    }
    Ok(())
}

/// Gives what the caller left out its default; `TemplateIncomplete` for what may not be left out.
fn fill(object: &mut Object, rows: Rules, origin: Origin) -> Result<()> {
    for rule in rows.iter().filter(|rule| object.get(rule.kind).is_none()).collect::<Vec<_>>() {
        let needed = match origin {
            Origin::Created => rule.has(rules::CREATE),
            Origin::Generated => rule.has(rules::GENERATE) && !rule.has(rules::MADE),
            Origin::Unwrapped | Origin::Derived { .. } => false,
        };
        match rule.default {
            _ if needed => return Err(Error::TemplateIncomplete),
            Default::Flag(flag) => object.set(rule.kind, Value::Bool(flag)),
            Default::Number(number) => object.set(rule.kind, Value::Ulong(number)),
            Default::Follows(other) => object.set(rule.kind, Value::Bool(object.flag(other))),
            Default::Unless(others) => {
                let asked = others.iter().any(|other| object.flag(*other));
                object.set(rule.kind, Value::Bool(!asked));
            }
            Default::Absent => {}
        }
    }
    Ok(())
}

/// Whether a caller asked for an attribute to be without value.
fn left_empty(object: &Object, kind: AttributeType) -> bool {
    object.get(kind).and_then(Value::bytes).is_some_and(<[u8]>::is_empty)
}

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
        let class = agree(class, &template, CKA_CLASS)?.ok_or(Error::TemplateIncomplete)?;
        let key_type = agree(key_type, &template, CKA_KEY_TYPE)?;
        if class == CKO_PROFILE {
            return Err(Error::AttributeValueInvalid);
        }
        let rows = Rules::new(class, key_type)?;
        let mut object = Object::new(vec![(CKA_CLASS, Value::Ulong(class))]);
        if let Some(key_type) = key_type {
            object.set(CKA_KEY_TYPE, Value::Ulong(key_type));
        }
        for (position, (kind, value)) in template.iter().enumerate() {
            let rule = rows.find(*kind).ok_or(Error::AttributeTypeInvalid)?;
            if template[..position].iter().any(|(earlier, _)| earlier == kind) {
                return Err(Error::TemplateInconsistent);
            }
            may_give(rule, value, origin, asker)?;
            object.set(*kind, value.clone());
        }
        fill(&mut object, rows, origin)?;
        let mut draft = Draft { object, origin };
        draft.settle(class)?;
        Ok(draft)
    }

    /// What follows from the rest: certificates' own words, plain values, the computed flags.
    fn settle(&mut self, class: u64) -> Result<()> {
        let object = &mut self.object;
        if (class == CKO_CERTIFICATE || class == CKO_DATA)
            && let Some(Value::Secret(value)) = object.get(CKA_VALUE)
        {
            let plain = value.to_vec();
            object.set(CKA_VALUE, Value::Bytes(plain));
        }
        if class == CKO_CERTIFICATE {
            certificate::fill(object)?;
        }
        if !matches!(class, CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return Ok(());
        }
        validity::check(object)?;
        // A PIN for each use is asked of who may see the key, and everybody sees a public object.
        if object.flag(CKA_ALWAYS_AUTHENTICATE) && !object.is_private() {
            return Err(Error::TemplateInconsistent);
        }
        object.set(CKA_LOCAL, Value::Bool(self.origin == Origin::Generated));
        if class != CKO_PUBLIC_KEY {
            let (always, never) = match self.origin {
                Origin::Generated => (true, true),
                Origin::Derived { always_sensitive, never_extractable } => {
                    (always_sensitive, never_extractable)
                }
                _ => (false, false),
            };
            let (sensitive, extractable) = (object.flag(CKA_SENSITIVE), object.flag(CKA_EXTRACTABLE));
            object.set(CKA_ALWAYS_SENSITIVE, Value::Bool(always && sensitive));
            object.set(CKA_NEVER_EXTRACTABLE, Value::Bool(never && !extractable));
        }
        Ok(())
    }

    /// The attributes so far, defaults included.
    pub fn attributes(&self) -> &Object {
        &self.object
    }

    /// Adds key material and what follows from it (CKA_MODULUS, CKA_VALUE, CKA_EC_POINT,
    /// CKA_CHECK_VALUE, CKA_KEY_GEN_MECHANISM, …). A caller's value that contradicts it is
    /// `AttributeValueInvalid`; only an imported key's own material may be put in normal form. A
    /// CKA_CHECK_VALUE that the caller left empty stays empty: that is how one is declined.
    pub fn complete(mut self, material: Vec<(AttributeType, Value)>) -> Result<Object> {
        for (kind, value) in material {
            let empty = left_empty(&self.object, kind);
            if empty && kind == CKA_CHECK_VALUE {
                continue;
            }
            let given = self.object.get(kind);
            let bound = self.origin != Origin::Created
                || matches!(kind, CKA_CHECK_VALUE | CKA_VALUE_LEN | CKA_MODULUS_BITS);
            if bound && !empty && given.is_some_and(|given| !given.same(&value)) {
                return Err(Error::AttributeValueInvalid);
            }
            self.object.set(kind, value);
        }
        Ok(self.object)
    }
}

/// Whether an object is to stay as it is: made so, or a certificate that the officer trusts (§4.6.2).
fn fixed(object: &Object, asker: Asker) -> bool {
    let trusted = object.class() == CKO_CERTIFICATE && object.flag(CKA_TRUSTED);
    !object.flag(CKA_MODIFIABLE) || trusted && asker != Asker::Officer
}

/// Whether one attribute may go from what it is to what is wanted. `how`: [`rules::CHANGE`] or
/// [`rules::COPY`].
fn may_change(object: &Object, rule: &Rule, how: u32, to: &Value, asker: Asker) -> Result<()> {
    // Before anything is compared: who guesses at a hidden value must learn nothing.
    if rule.has(rules::HIDDEN) {
        return Err(Error::AttributeReadOnly);
    }
    let from = Rules::of(object)?.look(object, rule.kind)?;
    if from.same(to) {
        return Ok(());
    }
    let officer = asker == Asker::Officer;
    let one_way = rule.has(rules::STAYS_TRUE) && *to == Value::Bool(true)
        || rule.has(rules::STAYS_FALSE) && *to == Value::Bool(false);
    let back = rule.has(rules::STAYS_TRUE | rules::STAYS_FALSE) && !one_way;
    let erased = rule.has(rules::ERASE) && to.bytes().is_some_and(<[u8]>::is_empty);
    // A trusted key is trusted with the uses it had then; a replaced one has got its last.
    let new_use = rule.has(rules::USE) && *to == Value::Bool(true);
    let (trusted, retired) = (object.flag(CKA_TRUSTED), object.flag(CKA_STRONGROOM_RETIRED));
    // Copying is no way around CKA_MODIFIABLE: a copy of what is fixed may live elsewhere and be
    // safer, nothing else.
    let around = fixed(object, asker) && rule.has(rules::CHANGE | rules::ERASE) && !one_way;
    let officers = rule.has(rules::OFFICER) || new_use && trusted;
    let refused = back || around || new_use && retired || !officer && officers;
    if refused || !(rule.has(how) || erased) { Err(Error::AttributeReadOnly) } else { Ok(()) }
}

fn changed(object: &Object, changes: Template, how: u32, asker: Asker) -> Result<Object> {
    let rows = Rules::of(object)?;
    let mut result = object.clone();
    for (position, (kind, value)) in changes.iter().enumerate() {
        let rule = rows.find(*kind).ok_or(Error::AttributeTypeInvalid)?;
        if changes[..position].iter().any(|(earlier, _)| earlier == kind) {
            return Err(Error::TemplateInconsistent);
        }
        may_change(object, rule, how, value, asker)?;
        // What may change is never key material: CKA_VALUE of a data object is plain bytes.
        result.set(
            *kind,
            match value {
                Value::Secret(bytes) => Value::Bytes(bytes.to_vec()),
                other => other.clone(),
            },
        );
    }
    let dates = changes.iter().any(|(kind, _)| matches!(*kind, CKA_START_DATE | CKA_END_DATE));
    if dates && object.key_type().is_some() {
        validity::check(&result)?;
    }
    Ok(result)
}

/// The object after C_SetAttributeValue: all changes or none. `ActionProhibited` when it is not
/// modifiable (a trusted certificate is not, but for the officer), `AttributeReadOnly` for what never changes or only changes the other way.
pub fn modify(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    if fixed(object, asker) {
        return Err(Error::ActionProhibited);
    }
    changed(object, changes, rules::CHANGE, asker)
}

/// The object that C_CopyObject makes; `ActionProhibited` when CKA_COPYABLE is false, and of a suspended
/// key, whose copy another may resume. A copy is no version of the key; of a replaced one it can do no more.
pub fn copy(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    if !object.flag(CKA_COPYABLE) || object.flag(CKA_STRONGROOM_SUSPENDED) {
        return Err(Error::ActionProhibited);
    }
    let mut copy = changed(object, changes, rules::COPY, asker)?;
    copy.take(CKA_STRONGROOM_SERIES);
    copy.take(CKA_STRONGROOM_VERSION);
    Ok(copy)
}

/// A template that a wrapping or unwrapping key imposes, joined with the caller's: a contradiction
/// is `TemplateInconsistent`.
pub fn merge(mut given: Template, imposed: &Template) -> Result<Template> {
    for (kind, value) in imposed {
        match given.iter().find(|(found, _)| found == kind) {
            Some((_, said)) if said.same(value) => {}
            Some(_) => return Err(Error::TemplateInconsistent),
            None => given.push((*kind, value.clone())),
        }
    }
    Ok(given)
}

/// For logs: the attribute's name, or its number.
pub fn named(kind: AttributeType) -> String {
    attribute::name(kind).map_or_else(|| format!("{kind:#x}"), str::to_owned)
}
