//! The life of a key: a newer version takes its place, its owner suspends and resumes it.
//!
//! A rotation is one transaction: both halves of the old version lose what protects something new, and
//! both halves of the new one are there, shared with the same users. It gives new key material, so it
//! also ends what someone could have read who was once allowed to use the key.

use super::cache::Opened;
use super::custody::{self, Custody};
use super::policy::Operation;
use super::{Access, Handle, Login, TRIES, Token, policy};
use crate::audit::{Event, Note, time};
use crate::crypto::{Hash, random};
use crate::error::{Error, Result};
use crate::mechanism::{self, Key, Material, Mechanism, Params};
use crate::object::attribute::{
    CKA_STRONGROOM_MADE_AT, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SERIES, CKA_STRONGROOM_SUSPENDED,
    CKA_STRONGROOM_VERSION,
};
use crate::object::template::{Draft, Origin};
use crate::object::{Object, Template, Value, version};
use crate::store::{Change, Header, Id, Kind};
use cryptoki_sys::*;
use std::sync::Arc;
use std::time::SystemTime;

/// A new version of a key.
pub struct Rotated {
    /// The private or secret key.
    pub key: Handle,
    /// Its public half.
    pub public: Option<Handle>,
    pub version: u64,
}

/// An old half and the new one in its place; a new public half may have none before it.
struct Step {
    old: Option<Opened>,
    id: Id,
    new: Object,
}

/// When an object comes into the file, as its attribute says it.
pub(super) fn made_now() -> Value {
    Value::Bytes(time(SystemTime::now()).into_bytes())
}

/// Takes suspending and resuming out of changes: `TemplateInconsistent` when it is said twice.
pub(super) fn split(changes: Template) -> Result<(Option<Value>, Template)> {
    let (mut said, rest): (Template, Template) =
        changes.into_iter().partition(|(kind, _)| *kind == CKA_STRONGROOM_SUSPENDED);
    match said.len() {
        0 | 1 => Ok((said.pop().map(|(_, value)| value), rest)),
        _ => Err(Error::TemplateInconsistent),
    }
}

/// Suspends or resumes a key; what is to be recorded of it, nothing when it was so before.
pub(super) fn suspend(object: &mut Object, value: &Value) -> Result<Option<Note>> {
    let Value::Bool(suspended) = value else { return Err(Error::AttributeValueInvalid) };
    if object.flag(CKA_STRONGROOM_SUSPENDED) == *suspended {
        return Ok(None);
    }
    object.set(CKA_STRONGROOM_SUSPENDED, value.clone());
    Ok(Some(Note::of(if *suspended { Event::Suspend } else { Event::Resume })))
}

/// What is to be recorded of a change of a key's dates.
pub(super) fn validity(object: &Object) -> Note {
    let day = |kind| match object.get(kind) {
        Some(Value::Date(Some(date))) => String::from_utf8_lossy(date).into_owned(),
        _ => "-".to_owned(),
    };
    Note::of(Event::Validity).detail("from", day(CKA_START_DATE)).detail("until", day(CKA_END_DATE))
}

/// The mechanism that makes keys of a type.
fn maker(key_type: u64, makes: fn(&Mechanism) -> bool) -> Result<&'static Mechanism> {
    let found = mechanism::all().find(|row| makes(row) && row.keys.contains(&key_type));
    found.ok_or_else(|| Error::KeyTypeInconsistent.because("no mechanism makes keys of this type"))
}

/// A complete object that follows an old one; still without what a version has of its own.
fn complete(draft: Draft, mut material: Material, mechanism: &Mechanism) -> Result<Object> {
    material.push((CKA_KEY_GEN_MECHANISM, Value::Ulong(mechanism.id)));
    draft.complete(material)
}

fn draft(template: Template, login: &Arc<Login>) -> Result<Draft> {
    Draft::new(Origin::Generated, None, None, template, policy::asker(Some(login)))
}

/// The secret key that follows an old one.
fn next_secret(old: &Object, login: &Arc<Login>) -> Result<Object> {
    let mechanism = maker(old.key_type().unwrap_or_default(), |row| row.generate.is_some())?;
    let generate = mechanism.generate.ok_or(Error::MechanismInvalid)?;
    let mut template = version::next_template(old)?;
    template.retain(|(kind, _)| *kind != CKA_VALUE_LEN);
    template.push((CKA_VALUE_LEN, Value::Ulong(old.bytes(CKA_VALUE).len() as u64)));
    let draft = draft(template, login)?;
    let material = generate(Params::None, draft.attributes())?;
    let mut new = complete(draft, material, mechanism)?;
    let mut id = [0; 20];
    random::fill(&mut id)?;
    version::follow(old, &mut new, &id);
    Ok(new)
}

/// The pair (public, private) that follows an old one. Both get one CKA_ID, as is the custom: the
/// SHA-1 of the public value.
fn next_pair(public: Option<&Object>, private: &Object, login: &Arc<Login>) -> Result<(Object, Object)> {
    let mechanism = maker(private.key_type().unwrap_or_default(), |row| row.generate_pair.is_some())?;
    let generate = mechanism.generate_pair.ok_or(Error::MechanismInvalid)?;
    let template = match public {
        Some(public) => version::next_template(public)?,
        None => {
            let kind = Value::Ulong(private.key_type().unwrap_or_default());
            let key = vec![(CKA_CLASS, Value::Ulong(CKO_PUBLIC_KEY)), (CKA_KEY_TYPE, kind)];
            [key, version::public_template(private)].concat()
        }
    };
    let public_draft = draft(template, login)?;
    let private_draft = draft(version::next_template(private)?, login)?;
    let (first, second) = generate(Params::None, public_draft.attributes(), private_draft.attributes())?;
    let mut new_public = complete(public_draft, first, mechanism)?;
    let mut new_private = complete(private_draft, second, mechanism)?;
    let value = match version::shared_value(private.key_type()) {
        CKA_PUBLIC_KEY_INFO => CKA_VALUE,
        value => value,
    };
    let id = Hash::Sha1.digest(new_public.bytes(value));
    version::follow(public.unwrap_or(private), &mut new_public, &id);
    version::follow(private, &mut new_private, &id);
    // A pair has one number; the first public half begins a series of its own.
    new_public.set(CKA_STRONGROOM_VERSION, Value::Ulong(version::number(&new_private)));
    if public.is_none() {
        new_public.take(CKA_STRONGROOM_SERIES);
    }
    Ok((new_public, new_private))
}

impl Token {
    /// Puts a new version of a private or secret key of the asker's in its place, with its public half.
    /// `ActionProhibited`: not his, not in the file, or a newer version took its place already;
    /// `KeyTypeInconsistent`: a public key; `KeySizeRange`: such keys are not made any more.
    pub fn rotate(&self, access: Access<'_>, key: Handle) -> Result<Rotated> {
        for _ in 0..TRIES {
            match self.rotate_once(access, key) {
                Err(Error::FunctionFailed) => {}
                done => return done,
            }
        }
        Err(Error::FunctionFailed)
    }

    fn rotate_once(&self, access: Access<'_>, handle: Handle) -> Result<Rotated> {
        let (found, key) = self.resolve_for(access, Operation::Rotate, handle)?;
        let login = access.login.ok_or(Error::UserNotLoggedIn)?;
        let found = found.ok_or(Error::ActionProhibited)?;
        if version::is_retired(key.object()) {
            return Err(Error::ActionProhibited.because("a newer version took the place of this one"));
        }
        let mut halves = Vec::new();
        let steps = match key.class() {
            CKO_SECRET_KEY => vec![Step::new(Some(found), next_secret(key.object(), login)?)?],
            CKO_PRIVATE_KEY => {
                halves = self.public_halves(access, &key)?;
                let first = if halves.is_empty() { None } else { Some(halves.remove(0)) };
                let old = first.as_ref().map(|opened| opened.key.object());
                let (public, private) = next_pair(old, key.object(), login)?;
                vec![Step::new(Some(found), private)?, Step::new(first, public)?]
            }
            _ => return Err(Error::KeyTypeInconsistent),
        };
        let number = version::number(&steps[0].new);
        self.write(&*self.store()?, |change| {
            let note = Note::of(Event::Rotate).detail("from", key.id()).detail("version", number);
            let note = steps.iter().fold(note, |note, step| note.object(step.id));
            change.audit(access.login, note)?;
            halves.iter().try_for_each(|half| retire(change, login, half))?;
            steps.iter().try_for_each(|step| step.store(change, login))
        })?;
        let mut index = self.index_for_change();
        let olds = steps.iter().filter_map(|step| step.old.as_ref());
        olds.chain(&halves).for_each(|old| index.forget(old.header.id));
        let mut handles = steps.iter().map(|step| index.handle(step.id));
        let key = handles.next().ok_or(Error::GeneralError)?;
        Ok(Rotated { key, public: handles.next(), version: number })
    }

    /// The public keys of a private one that the asker may retire, the one with its CKA_ID first. What
    /// others made of it stays as it is: it is theirs.
    fn public_halves(&self, access: Access<'_>, private: &Key) -> Result<Vec<Opened>> {
        let object = private.object();
        let value = version::shared_value(private.key_type());
        let same = |kind| (kind, Value::Bytes(object.bytes(kind).to_vec()));
        let wanted =
            vec![(CKA_CLASS, Value::Ulong(CKO_PUBLIC_KEY)), (CKA_TOKEN, Value::Bool(true)), same(value)];
        let mut halves = Vec::new();
        for handle in self.find(access, &wanted)? {
            let (found, key) = self.resolve(access, handle)?;
            let found = found.filter(|found| {
                policy::may(access, Operation::Rotate, &key, Some(found)).is_ok()
                    && key.key_type() == private.key_type()
                    && !version::is_retired(key.object())
            });
            halves.extend(found);
        }
        halves.sort_by_key(|half| half.key.object().bytes(CKA_ID) != object.bytes(CKA_ID));
        Ok(halves)
    }

    /// The public halves of a private key that are the asker's own.
    pub fn public_halves_of(&self, access: Access<'_>, key: Handle) -> Result<Vec<Handle>> {
        let (_, key) = self.resolve(access, key)?;
        if key.class() != CKO_PRIVATE_KEY {
            return Ok(Vec::new());
        }
        let halves = self.public_halves(access, &key)?;
        let mut index = self.index.write();
        Ok(halves.into_iter().map(|half| index.handle(half.header.id)).collect())
    }

    /// All versions of a key that are still there, the first one first.
    pub fn versions(&self, access: Access<'_>, key: Handle) -> Result<Vec<Handle>> {
        let (_, known) = self.resolve(access, key)?;
        let object = known.object();
        let series = object.bytes(CKA_STRONGROOM_SERIES);
        if series.is_empty() {
            return Ok(vec![key]);
        }
        let series = (CKA_STRONGROOM_SERIES, Value::Bytes(series.to_vec()));
        let mut versions = Vec::new();
        for handle in self.find(access, &vec![series, (CKA_CLASS, Value::Ulong(object.class()))])? {
            let (_, key) = self.resolve(access, handle)?;
            versions.push((version::number(key.object()), handle));
        }
        versions.sort_unstable();
        Ok(versions.into_iter().map(|(_, handle)| handle).collect())
    }
}

/// Writes the retired form of an old half.
fn retire(change: &mut Change<'_>, login: &Arc<Login>, old: &Opened) -> Result<()> {
    let next = Header { version: old.header.version + 1, ..old.header };
    custody::write(change, login, next, &version::retired(old.key.object()), &[])
}

impl Step {
    fn new(old: Option<Opened>, mut new: Object) -> Result<Step> {
        let id = Id::random()?;
        new.set(CKA_UNIQUE_ID, Value::Bytes(id.to_string().into_bytes()));
        new.set(CKA_STRONGROOM_MADE_AT, made_now());
        Ok(Step { old, id, new })
    }

    /// `FunctionFailed` when another process was faster.
    fn store(&self, change: &mut Change<'_>, login: &Arc<Login>) -> Result<()> {
        let mut sharers = Vec::new();
        if let Some(old) = &self.old {
            for holder in change.holders(old.header.id)? {
                if holder != old.header.owner && change.user(holder)?.is_some() {
                    sharers.push(holder);
                }
            }
            retire(change, login, old)?;
        }
        let mut new = self.new.clone();
        if !new.is_private() {
            new.set(CKA_STRONGROOM_OWNER, Value::Bytes(login.user.0.to_vec()));
        }
        let (kind, id, author) = (Kind::Object, self.id, change.token_id());
        let header = Header { kind, id, version: 1, epoch: 1, author, owner: Id::NONE, flags: 0 };
        custody::write(change, login, header, &new, &[Custody::ShareWith(sharers)])
    }
}
