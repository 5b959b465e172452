//! Custody: who owns an object, whom a key is shared with, and how that changes.
//!
//! A share is the object's data key as an HPKE ciphertext to the sharer's public key, and the object's
//! search terms in the sharer's scope too: a sharer finds and opens it as he does his own. Who loses a
//! key may have kept its data key, so whatever takes it from someone makes a new one.
//!
//! C programs see custody as two attributes, CKA_STRONGROOM_OWNER and CKA_STRONGROOM_SHARED_WITH.

use super::cache::{Opened, open_data_key};
use super::policy::Operation;
use super::{Access, Handle, Login, Role, Token, keychain, policy};
use crate::audit::{Event, Note, Person};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::attribute::{
    AttributeType, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_SHARED_WITH,
};
use crate::object::{Object, Template, Value, rules, search};
use crate::store::{BodyKey, Change, Header, Id, Store, Term};
use cryptoki_sys::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One change of custody.
pub enum Custody {
    Share(Id),
    Unshare(Id),
    /// With these and nobody else.
    ShareWith(Vec<Id>),
    Give(Id),
}

/// Found in the scope of a sharer: everything that is shared with him.
pub fn shared_term() -> Term {
    (CKA_STRONGROOM_SHARED_WITH, Vec::new())
}

/// In the owner's scope: a holder of the data key is gone, who may have kept it. The next version gets a
/// new one. (Whoever marks it, an officer, cannot make it.)
pub fn lost_term() -> Term {
    (CKA_STRONGROOM_SHARED_WITH, b"lost".to_vec())
}

/// Takes what is said of custody out of a template.
pub fn split(template: Template) -> (Template, Template) {
    let ours = |kind: AttributeType| matches!(kind, CKA_STRONGROOM_OWNER | CKA_STRONGROOM_SHARED_WITH);
    template.into_iter().partition(|(kind, _)| ours(*kind))
}

impl Token {
    /// Lets users (CU) use a key; `ArgumentsBad` for a name that is no user's.
    pub fn share(&self, access: Access<'_>, handle: Handle, names: &[impl AsRef<str>]) -> Result<()> {
        self.change_custody(access, handle, names, Custody::Share)
    }

    /// Takes a key away from users; whoever does not have it is no error.
    pub fn unshare(&self, access: Access<'_>, handle: Handle, names: &[impl AsRef<str>]) -> Result<()> {
        self.change_custody(access, handle, names, Custody::Unshare)
    }

    /// Gives an object to another user: it is no longer the giver's. Those it is shared with keep it.
    pub fn transfer(&self, access: Access<'_>, handle: Handle, name: &str) -> Result<()> {
        self.change_custody(access, handle, &[name], Custody::Give)
    }

    fn change_custody(
        &self,
        access: Access<'_>,
        handle: Handle,
        names: &[impl AsRef<str>],
        what: fn(Id) -> Custody,
    ) -> Result<()> {
        let store = self.store()?;
        let person = |name| {
            self.person(&store, name).map_err(|error| match error {
                Error::AttributeValueInvalid => Error::ArgumentsBad,
                other => other,
            })
        };
        let names = names.iter().map(AsRef::as_ref);
        let custody = names.map(|name| person(name).map(what)).collect::<Result<Vec<_>>>()?;
        self.change(access, handle, &custody, Vec::new())
    }

    fn person(&self, store: &Store, name: &str) -> Result<Id> {
        let user = self.find_user(store, name)?.filter(|user| user.role == Role::User);
        let nobody = || Error::AttributeValueInvalid.because(format_args!("there is no user (CU) {name}"));
        user.map(|user| user.header.id).ok_or_else(nobody)
    }

    /// What attributes of custody ask for: `AttributeValueInvalid` for a name that is no user's.
    pub(super) fn custody(&self, said: &Template) -> Result<Vec<Custody>> {
        let one = |(kind, value): &(AttributeType, Value)| {
            let text = std::str::from_utf8(value.bytes().unwrap_or_default());
            let text = text.map_err(|_| Error::AttributeValueInvalid)?;
            let store = self.store()?;
            if *kind == CKA_STRONGROOM_OWNER {
                return self.person(&store, text).map(Custody::Give);
            }
            let names = text.split(['\n', '\0']).filter(|name| !name.is_empty());
            names.map(|name| self.person(&store, name)).collect::<Result<_>>().map(Custody::ShareWith)
        };
        said.iter().map(one).collect()
    }

    /// One attribute as the asker may read it: see `rules::read`.
    pub(super) fn attribute(
        &self,
        access: Access<'_>,
        (found, key): (Option<&Opened>, &Key),
        kind: AttributeType,
    ) -> Result<Value> {
        let object = key.object();
        let value = rules::read(object, kind)?;
        match (kind, found) {
            (CKA_STRONGROOM_OWNER, Some(found)) => {
                let owner = if found.header.owner == Id::NONE {
                    Id(object.bytes(kind).try_into().unwrap_or_default())
                } else {
                    found.header.owner
                };
                Ok(Value::Bytes(self.name_of(owner)?.into_bytes()))
            }
            (CKA_STRONGROOM_OWNER, None) => {
                let owner = access.login.filter(|_| object.is_private()).map(|login| login.name.clone());
                Ok(Value::Bytes(owner.unwrap_or_default().into_bytes()))
            }
            (CKA_STRONGROOM_SHARED_WITH, Some(found)) if found.header.owner != Id::NONE => {
                policy::may(Access { write: true, ..access }, Operation::Share, &found.key, Some(found))
                    .map_err(|_| Error::AttributeSensitive)?;
                let mut names = Vec::new();
                for holder in self.store()?.holders(found.header.id)? {
                    if holder != found.header.owner {
                        names.push(self.name_of(holder)?);
                    }
                }
                names.sort();
                Ok(Value::Bytes(names.join("\n").into_bytes()))
            }
            _ if rules::is_hidden(object, kind) => {
                policy::may(access, Operation::Reveal, key, found).map(|()| value)
            }
            _ => Ok(value),
        }
    }

    /// The name of a user; empty for nobody's id and for one who is no more.
    fn name_of(&self, id: Id) -> Result<String> {
        if id == Id::NONE {
            return Ok(String::new());
        }
        Ok(self.load_user(&*self.store()?, id)?.map_or_else(String::new, |user| user.name))
    }
}

/// That a login is still good for writing: `UserNotLoggedIn` when the token was made anew, or the user
/// was deleted or given a new key chain.
pub fn still_good(change: &mut Change<'_>, login: &Login) -> Result<()> {
    let same = login.token == change.token_id()
        && change.user(login.user)?.is_some_and(|user| user.public == login.keys.public);
    if same { Ok(()) } else { Err(Error::UserNotLoggedIn) }
}

/// Writes a version of a record: a public object under the seal key, a private one under a data key
/// that its owner and those it is shared with can open. A new one is the login's.
pub fn write(
    change: &mut Change<'_>,
    login: &Arc<Login>,
    header: Header,
    object: &Object,
    custody: &[Custody],
) -> Result<()> {
    write_under(change, login, header, object, custody, false)
}

/// As `write`, under a data key that nobody had before; custody stays.
pub fn reseal(change: &mut Change<'_>, login: &Arc<Login>, header: Header, object: &Object) -> Result<()> {
    write_under(change, login, header, object, &[], true)
}

fn write_under(
    change: &mut Change<'_>,
    login: &Arc<Login>,
    mut header: Header,
    object: &Object,
    custody: &[Custody],
    fresh: bool,
) -> Result<()> {
    still_good(change, login)?;
    let terms = search::terms(object);
    let id = header.id;
    header.set_strictness(strictness(object));
    if !object.is_private() {
        if let Some(Custody::Give(owner)) = custody.last() {
            change.user(*owner)?.ok_or(Error::AttributeValueInvalid)?;
            record(change, login, Event::Transfer, id, *owner)?;
        }
        return change.put(header, BodyKey::Seal, &object.encode(), &terms);
    }
    let before: BTreeSet<Id> = change.holders(id)?.into_iter().collect();
    let (owner, holders) = settle(change, login, &header, &before, custody)?;
    let lost = fresh
        || before.iter().any(|holder| !holders.contains_key(holder))
        || change.has_term(id, header.owner, &lost_term())?;
    let data_key = match change.load_key(id, login.user)? {
        Some(wrapped) if !lost => open_data_key(login, id, &wrapped)?,
        _ => Secret::random(32)?,
    };
    let anew = lost || before.is_empty();
    if header.owner != Id::NONE && header.owner != owner {
        record(change, login, Event::Transfer, id, owner)?;
    }
    for holder in holders.keys().filter(|holder| **holder != owner && !before.contains(holder)) {
        record(change, login, Event::Share, id, *holder)?;
    }
    for gone in before.iter().filter(|gone| !holders.contains_key(gone) && **gone != header.owner) {
        record(change, login, Event::Unshare, id, *gone)?;
    }
    header.owner = owner;
    change.put(header, BodyKey::Data(&data_key), &object.encode(), &terms)?;
    // Wrapped keys that are replaced go as those of the gone do: no bytes of them stay.
    for gone in before.iter().filter(|holder| lost || !holders.contains_key(holder)) {
        change.remove_key(id, *gone)?;
    }
    for (holder, public) in holders {
        if anew || !before.contains(&holder) {
            let wrapped = if holder == login.user {
                login.keys.wrap_data_key(id, holder, &data_key)?
            } else {
                keychain::give_data_key(&public, id, holder, &data_key)?
            };
            change.put_key(id, holder, &wrapped)?;
        }
        if holder != owner {
            change.add_terms(id, holder, &terms)?;
            change.add_terms(id, holder, &[shared_term()])?;
        }
    }
    Ok(())
}

/// What only ever gets stricter, as a number that never falls: of two versions that hosts of a cluster made
/// apart, the stricter one stays.
fn strictness(object: &Object) -> u32 {
    let rules = [
        (CKA_SENSITIVE, true),
        (CKA_EXTRACTABLE, false),
        (CKA_WRAP_WITH_TRUSTED, true),
        (CKA_MODIFIABLE, false),
        (CKA_COPYABLE, false),
        (CKA_DESTROYABLE, false),
        // A version that a rotation replaced stays one, whatever was done to it elsewhere meanwhile.
        (CKA_STRONGROOM_RETIRED, true),
    ];
    rules.iter().rev().fold(0, |bits, (kind, strict)| bits << 1 | u32::from(object.flag(*kind) == *strict))
}

/// Records what happens to someone's hold of an object.
fn record(change: &mut Change<'_>, login: &Arc<Login>, event: Event, object: Id, user: Id) -> Result<()> {
    let person = change.user(user)?.map(|user| user.person());
    let gone = || Person { id: user.to_string(), ..Person::default() };
    change.audit(Some(login), Note::of(event).object(object).user(person.unwrap_or_else(gone)))
}

/// The owner after the changes, and all holders with their public keys. `AttributeValueInvalid` when
/// someone who is to get the key was deleted meanwhile; of those who had it, the deleted drop out.
fn settle(
    change: &mut Change<'_>,
    login: &Login,
    header: &Header,
    before: &BTreeSet<Id>,
    custody: &[Custody],
) -> Result<(Id, BTreeMap<Id, [u8; 32]>)> {
    let mut owner = if header.owner == Id::NONE { login.user } else { header.owner };
    let mut wanted = before.clone();
    for change in custody {
        match change {
            Custody::Share(user) => drop(wanted.insert(*user)),
            Custody::Unshare(user) => drop(wanted.remove(user)),
            Custody::ShareWith(users) => wanted = users.iter().copied().collect(),
            Custody::Give(user) => {
                wanted.remove(&owner);
                owner = *user;
            }
        }
    }
    wanted.insert(owner);
    let mut holders = BTreeMap::new();
    for holder in wanted {
        match change.user(holder)? {
            Some(user) => drop(holders.insert(holder, user.public)),
            None if before.contains(&holder) => {}
            None => return Err(Error::AttributeValueInvalid),
        }
    }
    Ok((owner, holders))
}
