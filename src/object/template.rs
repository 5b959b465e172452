//! From a caller's template to a complete object, by the rule rows.
//!
//! A [`Draft`] is a template that passed the rules and got its defaults but has no key material
//! yet; [`Draft::complete`] adds what the mechanism or the key check produced.

use super::rules::{self, Default, Rule, Rules};
use super::{AttributeType, Object, Template, Value, attribute, certificate};
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
    Ok(())
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
        let needed = match origin {
            Origin::Created => rules::CREATE,
            Origin::Generated => rules::GENERATE,
            _ => 0,
        };
        for rule in rows.iter() {
            if object.get(rule.kind).is_some() {
                continue;
            }
            if needed != 0 && rule.has(needed) && !(rule.has(rules::MADE) && origin == Origin::Generated) {
                return Err(Error::TemplateIncomplete);
            }
            match rule.default {
                Default::Flag(flag) => object.set(rule.kind, Value::Bool(flag)),
                Default::Number(number) => object.set(rule.kind, Value::Ulong(number)),
                Default::Absent => {}
            }
        }
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
            if object.bytes(CKA_VALUE).is_empty() && object.bytes(CKA_URL).is_empty() {
                return Err(Error::TemplateIncomplete);
            }
            certificate::fill(object);
        }
        if !matches!(class, CKO_PUBLIC_KEY | CKO_PRIVATE_KEY | CKO_SECRET_KEY) {
            return Ok(());
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
    /// `AttributeValueInvalid`; only an imported key's own material may be put in normal form.
    pub fn complete(mut self, material: Vec<(AttributeType, Value)>) -> Result<Object> {
        for (kind, value) in material {
            let given = self.object.get(kind);
            let bound = self.origin != Origin::Created
                || matches!(kind, CKA_CHECK_VALUE | CKA_VALUE_LEN | CKA_MODULUS_BITS);
            let empty = given.and_then(Value::bytes).is_some_and(<[u8]>::is_empty);
            if bound && !empty && given.is_some_and(|given| !given.same(&value)) {
                return Err(Error::AttributeValueInvalid);
            }
            self.object.set(kind, value);
        }
        Ok(self.object)
    }
}

/// Whether a change of one attribute from what it is to what is wanted is allowed by its row.
fn may_change(rule: &Rule, flag: u32, from: &Value, to: &Value, asker: Asker) -> Result<()> {
    if from.same(to) {
        return Ok(());
    }
    let stays = rule.has(rules::STAYS_TRUE) && *from == Value::Bool(true)
        || rule.has(rules::STAYS_FALSE) && *from == Value::Bool(false);
    let officers = rule.has(rules::OFFICER) && *to == Value::Bool(true) && asker != Asker::Officer;
    if !rule.has(flag) || stays || officers { Err(Error::AttributeReadOnly) } else { Ok(()) }
}

fn changed(object: &Object, changes: Template, flag: u32, asker: Asker) -> Result<Object> {
    let rows = Rules::of(object)?;
    let mut result = object.clone();
    for (kind, value) in changes {
        let rule = rows.find(kind).ok_or(Error::AttributeTypeInvalid)?;
        let from = match object.get(kind) {
            Some(value) => value.clone(),
            None => rules::read(object, kind).map_err(|_| Error::AttributeReadOnly)?,
        };
        may_change(rule, flag, &from, &value, asker)?;
        // A secret attribute keeps its holder; plain objects keep theirs.
        let value = match (&from, value) {
            (Value::Bytes(_), Value::Secret(bytes)) => Value::Bytes(bytes.to_vec()),
            (_, value) => value,
        };
        result.set(kind, value);
    }
    Ok(result)
}

/// The object after C_SetAttributeValue: all changes or none. `ActionProhibited` when it is not
/// modifiable, `AttributeReadOnly` for what never changes or only changes the other way.
pub fn modify(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    if !object.flag(CKA_MODIFIABLE) {
        return Err(Error::ActionProhibited);
    }
    changed(object, changes, rules::CHANGE, asker)
}

/// The object that C_CopyObject makes; `ActionProhibited` when CKA_COPYABLE is false.
pub fn copy(object: &Object, changes: Template, asker: Asker) -> Result<Object> {
    if !object.flag(CKA_COPYABLE) {
        return Err(Error::ActionProhibited);
    }
    changed(object, changes, rules::COPY, asker)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(extra: Template) -> Template {
        let mut template = vec![
            (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
            (CKA_VALUE, Value::Secret([1; 16][..].into())),
        ];
        template.extend(extra);
        template
    }

    fn created(extra: Template) -> Result<Object> {
        Draft::new(Origin::Created, None, None, secret(extra), Asker::User)?.complete(vec![])
    }

    #[test]
    fn an_imported_key_was_never_safe() {
        let key = created(vec![]).unwrap();
        for (kind, expected) in [
            (CKA_PRIVATE, true),
            (CKA_SENSITIVE, true),
            (CKA_EXTRACTABLE, false),
            (CKA_LOCAL, false),
            (CKA_ALWAYS_SENSITIVE, false),
            (CKA_NEVER_EXTRACTABLE, false),
            (CKA_WRAP, false),
        ] {
            assert_eq!(key.flag(kind), expected, "{}", named(kind));
        }
    }

    #[test]
    fn templates_are_held_to_the_rows() {
        for (extra, error) in [
            ((CKA_LOCAL, Value::Bool(true)), Error::AttributeReadOnly),
            ((CKA_UNIQUE_ID, Value::Bytes(vec![1])), Error::AttributeReadOnly),
            ((CKA_MODULUS, Value::Bytes(vec![1])), Error::AttributeTypeInvalid),
            ((CKA_TRUSTED, Value::Bool(true)), Error::AttributeReadOnly),
            ((CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), Error::TemplateInconsistent),
        ] {
            assert_eq!(created(vec![extra.clone()]).err(), Some(error), "{extra:?}");
        }
        let without = secret(vec![])[..2].to_vec();
        assert_eq!(
            Draft::new(Origin::Created, None, None, without.clone(), Asker::User).err(),
            Some(Error::TemplateIncomplete)
        );
        assert!(
            Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), without, Asker::User).is_ok()
        );
        assert_eq!(
            Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), secret(vec![]), Asker::User)
                .err(),
            Some(Error::TemplateInconsistent)
        );
        assert_eq!(
            Draft::new(Origin::Generated, Some(CKO_PUBLIC_KEY), Some(CKK_AES), vec![], Asker::User).err(),
            Some(Error::AttributeValueInvalid)
        );
    }

    #[test]
    fn one_way_attributes_go_one_way() {
        let key =
            created(vec![(CKA_EXTRACTABLE, Value::Bool(true)), (CKA_SENSITIVE, Value::Bool(false))]).unwrap();
        let safer = modify(
            &key,
            vec![(CKA_SENSITIVE, Value::Bool(true)), (CKA_EXTRACTABLE, Value::Bool(false))],
            Asker::User,
        )
        .unwrap();
        for back in [(CKA_SENSITIVE, Value::Bool(false)), (CKA_EXTRACTABLE, Value::Bool(true))] {
            assert_eq!(modify(&safer, vec![back.clone()], Asker::User).err(), Some(Error::AttributeReadOnly));
            assert_eq!(copy(&safer, vec![back], Asker::User).err(), Some(Error::AttributeReadOnly));
        }
        assert_eq!(
            modify(&key, vec![(CKA_TOKEN, Value::Bool(true))], Asker::User).err(),
            Some(Error::AttributeReadOnly)
        );
        assert!(copy(&key, vec![(CKA_TOKEN, Value::Bool(true))], Asker::User).unwrap().is_token());
        assert_eq!(
            modify(&key, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::User).err(),
            Some(Error::AttributeReadOnly)
        );
        assert!(modify(&key, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::Officer).is_ok());
        let fixed =
            created(vec![(CKA_MODIFIABLE, Value::Bool(false)), (CKA_COPYABLE, Value::Bool(false))]).unwrap();
        assert_eq!(modify(&fixed, vec![], Asker::User).err(), Some(Error::ActionProhibited));
        assert_eq!(copy(&fixed, vec![], Asker::User).err(), Some(Error::ActionProhibited));
    }

    #[test]
    fn a_generated_key_is_local_and_safe() {
        let draft =
            Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), vec![], Asker::User).unwrap();
        let key = draft.complete(vec![(CKA_VALUE, Value::Secret([1; 16][..].into()))]).unwrap();
        assert!(key.flag(CKA_LOCAL) && key.flag(CKA_ALWAYS_SENSITIVE) && key.flag(CKA_NEVER_EXTRACTABLE));
    }
}
