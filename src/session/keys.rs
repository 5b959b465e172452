//! Keys made, wrapped and unwrapped (PKCS#11 3.2 §5.18); `derive` has those made from other keys.

use super::Library;
use super::operation::check_key;
use super::running::Output;
use super::sessions::Session;
use crate::audit::{Event, Note};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::mechanism::{Key, Mechanism, Params, import, key};
use crate::object::template::{Asker, Draft, Origin, merge};
use crate::object::{Object, Template, Value, search};
use crate::token::policy::{self, Operation, attacks};
use crate::token::{Access, Handle};
use cryptoki_sys::*;
use std::sync::Arc;

/// The key type that a generating mechanism makes; `None` when the template says which of several.
fn made_type(mechanism: &Mechanism) -> Option<u64> {
    if let [only] = mechanism.keys { Some(*only) } else { None }
}

/// How a generated key comes to be: one that follows from a password is known to who has that.
fn generated(params: &Params) -> Origin {
    match params {
        Params::Pbkdf2 { .. } => Origin::Derived { always_sensitive: false, never_extractable: false },
        _ => Origin::Generated,
    }
}

/// What is recorded of a new key.
pub(super) fn note(event: Event, mechanism: &Mechanism) -> Note {
    Note::of(event).detail("mechanism", mechanism.name)
}

fn made_by(mechanism: &Mechanism) -> (u64, Value) {
    (CKA_KEY_GEN_MECHANISM, Value::Ulong(mechanism.id))
}

/// A nested template of a key, such as CKA_WRAP_TEMPLATE.
pub(super) fn imposed(key: &Key, kind: u64) -> Option<&Template> {
    match key.object().get(kind) {
        Some(Value::Template(template)) => Some(template),
        _ => None,
    }
}

/// The key behind a handle, a fault of it said in the words of its part.
pub(super) fn resolve(
    session: &Session,
    access: Access<'_>,
    handle: Handle,
    invalid: Error,
) -> Result<Arc<Key>> {
    session
        .slot
        .token
        .key(access, handle)
        .map_err(|error| if error == Error::KeyHandleInvalid { invalid } else { error })
}

/// A fault of the wrapping key, told apart from one of the wrapped key.
fn of_wrapping(error: Error) -> Error {
    match error {
        Error::KeyTypeInconsistent => Error::WrappingKeyTypeInconsistent,
        Error::KeySizeRange => Error::WrappingKeySizeRange,
        other => other,
    }
}

fn of_unwrapping(error: Error) -> Error {
    match error {
        Error::KeyTypeInconsistent => Error::UnwrappingKeyTypeInconsistent,
        Error::KeySizeRange => Error::UnwrappingKeySizeRange,
        other => other,
    }
}

/// A fault of ciphertext, said of a wrapped key.
fn of_wrapped(error: Error) -> Error {
    match error {
        Error::EncryptedDataInvalid | Error::DataInvalid | Error::AttributeValueInvalid => {
            Error::WrappedKeyInvalid
        }
        Error::EncryptedDataLenRange | Error::DataLenRange => Error::WrappedKeyLenRange,
        other => other,
    }
}

/// The object of a draft and a wrapped key. What is wrong inside, and at which step, only one error tells: more
/// would be an oracle.
fn opened(
    draft: Draft,
    mechanism: &Mechanism,
    params: Params,
    unwrapping: &Arc<Key>,
    wrapped: &[u8],
) -> Result<Object> {
    let object = draft.attributes();
    let (class, key_type) = (object.class(), object.key_type().ok_or(Error::TemplateIncomplete)?);
    let said = object.number(CKA_VALUE_LEN).and_then(|length| usize::try_from(length).ok());
    let bytes = match (mechanism.unwrap, mechanism.unwrap_silently) {
        (Some(unwrap), _) => unwrap(unwrapping, params, wrapped)?,
        (None, Some(unwrap)) if class == CKO_SECRET_KEY => unwrap(
            unwrapping,
            wrapped,
            said.as_ref().map_or(import::lengths(key_type), std::slice::from_ref),
        )?,
        (None, Some(unwrap)) => unwrap(unwrapping, wrapped, &[])?,
        (None, None) => return Err(Error::MechanismInvalid),
    };
    draft.complete(import::from_bytes(class, key_type, &bytes)?)
}

/// A template with what an attribute of a key imposes on keys that come of it.
pub(super) fn bound(key: &Key, kind: u64, template: Template) -> Result<Template> {
    match imposed(key, kind) {
        Some(imposed) => merge(template, imposed),
        None => Ok(template),
    }
}

/// A generic secret, unless the template says otherwise.
pub(super) fn secret_unless_said(mut template: Template) -> Template {
    if !template.iter().any(|(kind, _)| *kind == CKA_KEY_TYPE) {
        template.push((CKA_KEY_TYPE, Value::Ulong(CKK_GENERIC_SECRET)));
    }
    template
}

/// The private half of a pair that is made to wrap keys decrypts data only if that is asked for, too.
fn beside(public: &Object, mut private: Template) -> Template {
    if public.flag(CKA_WRAP) && !private.iter().any(|(kind, _)| *kind == CKA_DECRYPT) {
        private.push((CKA_DECRYPT, Value::Bool(false)));
    }
    private
}

/// The checked template of a key that comes out of an encapsulation.
fn shared(template: Template, asker: Asker) -> Result<Draft> {
    Draft::new(Origin::Unwrapped, Some(CKO_SECRET_KEY), None, secret_unless_said(template), asker)
}

/// That key, from its whole value.
pub(super) fn made_of(draft: Draft, secret: Secret) -> Result<Object> {
    let key_type = draft.attributes().key_type().ok_or(Error::TemplateIncomplete)?;
    draft.complete(import::from_bytes(CKO_SECRET_KEY, key_type, &secret)?)
}

impl Library {
    pub fn generate_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        template: Template,
    ) -> Result<Handle> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let generate = mechanism.generate.ok_or(Error::MechanismInvalid)?;
        mechanism.check_on(session.slot.token.allowed(), CKF_GENERATE)?;
        let asker = policy::asker(login.as_ref());
        let key_type = made_type(mechanism);
        let draft = Draft::new(generated(&params), Some(CKO_SECRET_KEY), key_type, template, asker)?;
        if !draft.attributes().key_type().is_some_and(|made| mechanism.keys.contains(&made)) {
            return Err(Error::TemplateInconsistent);
        }
        policy::may_make(session.access(&login), draft.attributes())?;
        let mut material = generate(params, draft.attributes())?;
        material.push(made_by(mechanism));
        session.insert_one(&login, draft.complete(material)?, note(Event::Generate, mechanism))
    }

    /// (public, private).
    pub fn generate_key_pair(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        public: Template,
        private: Template,
    ) -> Result<(Handle, Handle)> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let generate = mechanism.generate_pair.ok_or(Error::MechanismInvalid)?;
        let asker = policy::asker(login.as_ref());
        let key_type = made_type(mechanism);
        let public = Draft::new(Origin::Generated, Some(CKO_PUBLIC_KEY), key_type, public, asker)?;
        let private = beside(public.attributes(), private);
        let private = Draft::new(Origin::Generated, Some(CKO_PRIVATE_KEY), key_type, private, asker)?;
        let access = session.access(&login);
        policy::may_make(access, public.attributes())?;
        policy::may_make(access, private.attributes())?;
        let (mut first, mut second) = generate(params, public.attributes(), private.attributes())?;
        first.push(made_by(mechanism));
        second.push(made_by(mechanism));
        let objects = vec![public.complete(first)?, private.complete(second)?];
        match session.insert(&login, objects, note(Event::GeneratePair, mechanism))?[..] {
            [public, private] => Ok((public, private)),
            _ => Err(Error::GeneralError),
        }
    }

    pub fn wrap_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        wrapping: Handle,
        key: Handle,
        output: &mut Output<'_>,
    ) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let access = session.access(&login);
        let wrap = mechanism.wrap.ok_or(Error::MechanismInvalid)?;
        let allowed = session.slot.token.allowed();
        mechanism.check_on(allowed, CKF_WRAP)?;
        let wrapping = resolve(&session, access, wrapping, Error::WrappingKeyHandleInvalid)?;
        check_key(&wrapping, mechanism, CKA_WRAP).map_err(of_wrapping)?;
        let wanted = key;
        let key = resolve(&session, access, wanted, Error::KeyHandleInvalid)?;
        if !matches!(key.object().class(), CKO_SECRET_KEY | CKO_PRIVATE_KEY) {
            return Err(Error::KeyNotWrappable);
        }
        if !key.object().flag(CKA_EXTRACTABLE) {
            return Err(Error::KeyUnextractable);
        }
        session.slot.token.may(access, Operation::Export, wanted)?;
        if key.object().flag(CKA_WRAP_WITH_TRUSTED) && !wrapping.object().flag(CKA_TRUSTED) {
            return Err(Error::KeyNotWrappable);
        }
        if imposed(&wrapping, CKA_WRAP_TEMPLATE)
            .is_some_and(|template| !search::matches(key.object(), template))
        {
            return Err(Error::KeyHandleInvalid);
        }
        attacks::may_wrap(allowed, &wrapping, &key)?;
        let wrapped = wrap(&wrapping, params, &key::to_wrap(&key)?).map_err(|error| match error {
            Error::DataLenRange => Error::KeySizeRange,
            other => of_wrapping(other),
        })?;
        if let Some(room) = output.room(wrapped.len())? {
            let token = &session.slot.token;
            token.record_use(access, &wrapping, "wrap", mechanism.name)?;
            token.record_wrap(access, &key, &wrapping, mechanism.name)?;
            room.copy_from_slice(&wrapped);
        }
        Ok(())
    }

    pub fn unwrap_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        unwrapping: Handle,
        wrapped: &[u8],
        template: Template,
    ) -> Result<Handle> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let access = session.access(&login);
        let allowed = session.slot.token.allowed();
        mechanism.check_on(allowed, CKF_UNWRAP)?;
        let unwrapping = resolve(&session, access, unwrapping, Error::UnwrappingKeyHandleInvalid)?;
        check_key(&unwrapping, mechanism, CKA_UNWRAP).map_err(of_unwrapping)?;
        let template = bound(&unwrapping, CKA_UNWRAP_TEMPLATE, template)?;
        let template = attacks::unwrapped(allowed, &unwrapping, template)?;
        let draft = Draft::new(Origin::Unwrapped, None, None, template, policy::asker(login.as_ref()))?;
        policy::may_make(access, draft.attributes())?;
        session.slot.token.record_use(access, &unwrapping, "unwrap", mechanism.name)?;
        let object = opened(draft, mechanism, params, &unwrapping, wrapped).map_err(of_wrapped)?;
        let note = note(Event::Unwrap, mechanism).detail("under", unwrapping.id());
        session.insert_one(&login, object, note)
    }

    /// A new secret key, shared with who holds the private half: `output` gets the ciphertext. `None`: a
    /// length query, and no key was made.
    pub fn encapsulate_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        public: Handle,
        template: Template,
        output: &mut Output<'_>,
    ) -> Result<Option<Handle>> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let access = session.access(&login);
        let encapsulate = mechanism.encapsulate.ok_or(Error::MechanismInvalid)?;
        let public = resolve(&session, access, public, Error::KeyHandleInvalid)?;
        check_key(&public, mechanism, CKA_ENCAPSULATE)?;
        // A key that the template does not allow is one that this key does not encapsulate.
        let template =
            bound(&public, CKA_ENCAPSULATE_TEMPLATE, template).map_err(|_| Error::KeyHandleInvalid)?;
        let draft = shared(template, policy::asker(login.as_ref()))?;
        policy::may_make(access, draft.attributes())?;
        let (ciphertext, secret) = encapsulate(&public, params)?;
        let Some(room) = output.room(ciphertext.len())? else { return Ok(None) };
        session.slot.token.record_use(access, &public, "encapsulate", mechanism.name)?;
        let key = made_of(draft, secret)?;
        let note = note(Event::Derive, mechanism).detail("from", public.id());
        let handle = session.insert_one(&login, key, note)?;
        room.copy_from_slice(&ciphertext);
        Ok(Some(handle))
    }

    /// The secret key of a ciphertext that was made for a private key.
    pub fn decapsulate_key(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: Params,
        private: Handle,
        ciphertext: &[u8],
        template: Template,
    ) -> Result<Handle> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        let access = session.access(&login);
        let decapsulate = mechanism.decapsulate.ok_or(Error::MechanismInvalid)?;
        let private = resolve(&session, access, private, Error::UnwrappingKeyHandleInvalid)?;
        check_key(&private, mechanism, CKA_DECAPSULATE).map_err(of_unwrapping)?;
        let template = bound(&private, CKA_DECAPSULATE_TEMPLATE, template)?;
        let draft = shared(template, policy::asker(login.as_ref()))?;
        policy::may_make(access, draft.attributes())?;
        session.slot.token.record_use(access, &private, "decapsulate", mechanism.name)?;
        let key = made_of(draft, decapsulate(&private, params, ciphertext).map_err(of_wrapped)?)?;
        let note = note(Event::Derive, mechanism).detail("from", private.id());
        session.insert_one(&login, key, note)
    }
}
