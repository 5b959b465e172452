//! Keys and data derived from keys (PKCS#11 3.2 §5.18.5).

use super::Library;
use super::keys::{bound, imposed, made_of, note, resolve, secret_unless_said};
use super::operation::check_key;
use super::sessions::Session;
use crate::audit::Event;
use crate::config::Switch;
use crate::error::{Error, Result};
use crate::mechanism::params::Input;
use crate::mechanism::{Key, Mechanism, Params};
use crate::object::template::{Asker, Draft, Origin, merge};
use crate::object::{Object, Template, Value};
use crate::token::policy::{self, attacks};
use crate::token::{Access, Handle};
use cryptoki_sys::*;
use std::sync::Arc;

/// The longest key that may be derived, in bytes.
const LONGEST: usize = 1 << 16;

/// A template with the words that it leaves to the base key.
fn completed(mut template: Template, base: &Key, kinds: &[u64]) -> Template {
    for kind in kinds {
        if !template.iter().any(|(found, _)| found == kind) {
            template.push((*kind, Value::Bool(base.object().flag(*kind))));
        }
    }
    template
}

/// A template with what a key is that another is part of (§6.43): as sensitive, and as little extractable.
fn joined(template: Template, part: &Key) -> Result<Template> {
    let flag = |kind| part.object().flag(kind);
    let mut imposed = Vec::new();
    if flag(CKA_SENSITIVE) {
        imposed.push((CKA_SENSITIVE, Value::Bool(true)));
    }
    if !flag(CKA_EXTRACTABLE) {
        imposed.push((CKA_EXTRACTABLE, Value::Bool(false)));
    }
    if flag(CKA_WRAP_WITH_TRUSTED) {
        imposed.push((CKA_WRAP_WITH_TRUSTED, Value::Bool(true)));
    }
    merge(template, &imposed)
}

/// A checked template of a key to derive, and its length in bytes if that is said or follows.
fn draft(
    access: Access<'_>,
    asker: Asker,
    base: &Key,
    origin: Origin,
    template: Template,
) -> Result<(Draft, Option<usize>)> {
    let template = secret_unless_said(bound(base, CKA_DERIVE_TEMPLATE, template)?);
    let draft = Draft::new(origin, Some(CKO_SECRET_KEY), None, template, asker)?;
    policy::may_make(access, draft.attributes())?;
    let key_type = draft.attributes().key_type();
    match length(draft.attributes().number(CKA_VALUE_LEN))? {
        None if key_type == Some(CKK_AES) => Err(Error::TemplateIncomplete),
        None if key_type == Some(CKK_CHACHA20) => Ok((draft, Some(32))),
        length => Ok((draft, length)),
    }
}

fn length(said: Option<u64>) -> Result<Option<usize>> {
    let length = said.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if length.is_some_and(|length| length == 0 || length > LONGEST) {
        return Err(Error::AttributeValueInvalid);
    }
    Ok(length)
}

/// The data object that a mechanism of that kind makes: it may not be what the base key's template
/// demands of a key, and is as private as the key unless its template says otherwise.
fn data(asker: Asker, base: &Key, origin: Origin, mut template: Template) -> Result<(Draft, Option<usize>)> {
    if imposed(base, CKA_DERIVE_TEMPLATE).is_some_and(|imposed| !imposed.is_empty()) {
        return Err(Error::TemplateInconsistent);
    }
    let place = template.iter().position(|(kind, _)| *kind == CKA_VALUE_LEN);
    let said = place.map(|place| template.remove(place).1);
    let said = if let Some(Value::Ulong(said)) = said { Some(said) } else { None };
    let template = completed(template, base, &[CKA_PRIVATE]);
    Ok((Draft::new(origin, Some(CKO_DATA), None, template, asker)?, length(said)?))
}

/// The keys that a parameter names by handles. They must fit the mechanism as a base key does.
fn look_up(
    session: &Session,
    access: Access<'_>,
    mechanism: &Mechanism,
    params: &mut Params,
) -> Result<Vec<Arc<Key>>> {
    let mut keys = Vec::new();
    for input in params.inputs() {
        let Input::Key(handle) = *input else { continue };
        let key = resolve(session, access, handle, Error::KeyHandleInvalid)?;
        check_key(&key, mechanism, CKA_DERIVE)?;
        *input = Input::Value(key.value().into());
        keys.push(key);
    }
    Ok(keys)
}

impl Library {
    /// The new key or data object, and then those of the templates in the parameter. When one of these
    /// is at fault, `offending` says which.
    pub fn derive_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        mut params: Params,
        base: Handle,
        template: Template,
        offending: &mut Option<usize>,
    ) -> Result<Vec<Handle>> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let (access, asker) = (session.access(&login), policy::asker(login.as_ref()));
        let derive = mechanism.derive.or(mechanism.derive_data).ok_or(Error::MechanismInvalid)?;
        let allowed = session.slot.token.allowed();
        mechanism.check_on(allowed, CKF_DERIVE)?;
        let base = resolve(&session, access, base, Error::KeyHandleInvalid)?;
        check_key(&base, mechanism, CKA_DERIVE)?;
        let inputs = look_up(&session, access, mechanism, &mut params)?;
        // SP 800-108 has rules of its own (§6.42): what any of its keys is.
        let of_all = matches!(params, Params::Kdf(_));
        let is = |kind| {
            let mut others = inputs.iter().map(|key| key.object().flag(kind));
            match mechanism.needs {
                Some(Switch::JoinedKeys) => base.object().flag(kind) && others.all(|flag| flag),
                _ => base.object().flag(kind) || of_all && others.any(|flag| flag),
            }
        };
        let origin = Origin::Derived {
            always_sensitive: is(CKA_ALWAYS_SENSITIVE),
            never_extractable: is(CKA_NEVER_EXTRACTABLE),
        };
        let mut templates = vec![template];
        if let Params::Kdf(kdf) = &mut params {
            templates.append(&mut kdf.more);
            let inherited = [CKA_SENSITIVE, CKA_EXTRACTABLE];
            templates = templates.into_iter().map(|one| completed(one, &base, &inherited)).collect();
        }
        let mut drafts = Vec::new();
        for (place, template) in templates.into_iter().enumerate() {
            *offending = place.checked_sub(1);
            let made = if mechanism.derive_data.is_some() {
                attacks::may_derive_data(allowed, &base)?;
                data(asker, &base, origin, template)?
            } else {
                let mut sources = std::iter::once(&base).chain(&inputs);
                let template = sources.try_fold(template, |made, from| match mechanism.needs {
                    Some(Switch::JoinedKeys) => joined(made, from),
                    _ => attacks::derived(allowed, from, made),
                })?;
                let made = draft(access, asker, &base, origin, template)?;
                if mechanism.needs != Some(Switch::JoinedKeys) {
                    attacks::may_be_as_short(allowed, &base, made.1)?;
                }
                made
            };
            if let (1.., Params::Kdf(kdf)) = (place, &mut params) {
                kdf.lengths.push(made.1.ok_or(Error::TemplateIncomplete)?);
            }
            drafts.push(made);
        }
        *offending = None;
        for key in std::iter::once(&base).chain(&inputs) {
            session.slot.token.record_use(access, key, "derive", mechanism.name)?;
        }
        let first = drafts.first().and_then(|(_, length)| *length);
        let derived = derive(&base, params, first)?;
        let mut rest = &derived[..];
        let mut objects = Vec::new();
        for (place, (draft, length)) in drafts.into_iter().enumerate() {
            *offending = place.checked_sub(1);
            let cut = rest.split_at_checked(length.unwrap_or(rest.len())).ok_or(Error::GeneralError)?;
            objects.push(made(draft, cut.0)?);
            rest = cut.1;
        }
        *offending = None;
        let note = note(Event::Derive, mechanism).detail("from", base.id());
        session.insert(&login, objects, note)
    }
}

/// The object of a draft and the bytes that were derived for it.
fn made(draft: Draft, bytes: &[u8]) -> Result<Object> {
    match draft.attributes().key_type() {
        Some(_) => made_of(draft, bytes.into()),
        None => draft.complete(vec![(CKA_VALUE, Value::Bytes(bytes.to_vec()))]),
    }
}
