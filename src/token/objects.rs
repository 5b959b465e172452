//! Objects: made, changed, copied, destroyed, found.

use super::cache::key_purpose;
use super::{Access, Handle, Login, Token, keychain, policy};
use crate::audit::{Event, Note};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::{Object, Template, Value, attribute, search, template};
use crate::store::{BodyKey, Change, Header, Id, Kind};
use cryptoki_sys::*;
use std::sync::Arc;

/// The attributes that a template names, as lines of the audit log say them.
fn names(template: &Template) -> String {
    let name = |kind| attribute::name(kind).map_or_else(|| format!("{kind:#x}"), str::to_owned);
    template.iter().map(|(kind, _)| name(*kind)).collect::<Vec<_>>().join(" ")
}

/// How often a change is tried again when another process was faster.
const TRIES: usize = 5;

impl Token {
    /// Stores complete objects (CKA_UNIQUE_ID is given here), all or nothing, and gives their handles.
    /// `note`: how they came to be; recorded of those that are stored in the file.
    pub fn insert_all(
        &self,
        access: Access<'_>,
        objects: Vec<Object>,
        mut note: Note,
    ) -> Result<Vec<Handle>> {
        let mut named = Vec::new();
        for mut object in objects {
            policy::may_write(access, &object)?;
            let id = Id::random()?;
            object.set(CKA_UNIQUE_ID, Value::Bytes(id.to_string().into_bytes()));
            named.push((id, object));
        }
        if named.iter().any(|(_, object)| object.is_token()) {
            self.write(&*self.store()?, |change| {
                for (id, object) in named.iter().filter(|(_, object)| object.is_token()) {
                    write_new(change, access, *id, object)?;
                    note = note.object(id);
                }
                change.audit(access.login, note)
            })?;
        }
        let mut index = self.index.write();
        let handles = named.into_iter().map(|(id, object)| {
            if object.is_token() {
                index.handle(id)
            } else {
                index.add_session(access.session, Arc::new(Key::new(object)))
            }
        });
        Ok(handles.collect())
    }

    /// C_SetAttributeValue.
    pub fn modify(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<()> {
        let asker = policy::asker(access.login);
        for _ in 0..TRIES {
            let (header, key) = self.resolve(access, handle)?;
            policy::may_write(access, key.object())?;
            let object = template::modify(key.object(), changes.clone(), asker)?;
            let Some(header) = header else {
                self.index_for_change().set_session(handle, Arc::new(Key::new(object)));
                return Ok(());
            };
            match self.rewrite(access, header, &object, &names(&changes)) {
                Err(Error::FunctionFailed) => {}
                done => return done,
            }
        }
        Err(Error::FunctionFailed)
    }

    /// The next version of a record.
    fn rewrite(&self, access: Access<'_>, header: Header, object: &Object, changed: &str) -> Result<()> {
        let store = self.store()?;
        let next = Header { version: header.version + 1, ..header };
        let data_key = match access.login {
            Some(login) if header.owner != Id::NONE => Some(self.data_key(&store, login, header.id)?),
            _ => None,
        };
        let key = data_key.as_ref().map_or(BodyKey::Seal, BodyKey::Data);
        let note = Note::of(Event::Modify).object(header.id).detail("attributes", changed);
        self.write(&store, |change| {
            change.put(next, key, &object.encode(), &search::terms(object))?;
            change.audit(access.login, note)
        })?;
        self.index_for_change().forget(header.id);
        Ok(())
    }

    /// C_CopyObject: what is to be stored, and what is to be recorded of it.
    pub fn copy(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<(Object, Note)> {
        let key = self.object(access, handle)?;
        let note = Note::of(Event::Copy).detail("from", key.id());
        let note = note.detail("attributes", names(&changes));
        Ok((template::copy(key.object(), changes, policy::asker(access.login))?, note))
    }

    /// C_DestroyObject.
    pub fn destroy(&self, access: Access<'_>, handle: Handle) -> Result<()> {
        let (header, key) = self.resolve(access, handle)?;
        if !key.object().flag(CKA_DESTROYABLE) {
            return Err(Error::ActionProhibited);
        }
        policy::may_write(access, key.object())?;
        if let Some(header) = header {
            self.write(&*self.store()?, |change| {
                change.remove(Kind::Object, header.id)?;
                change.audit(access.login, Note::of(Event::Destroy).object(header.id))
            })?;
        }
        self.index_for_change().remove(handle);
        Ok(())
    }

    /// Handles of all objects the asker may see that match; CKO_PROFILE objects included.
    pub fn find(&self, access: Access<'_>, template: &Template) -> Result<Vec<Handle>> {
        let store = self.store()?;
        self.look(&store)?;
        let mut owners = vec![Id::NONE];
        if policy::may_read(access.login, true, true) {
            owners.extend(access.login.map(|login| login.user));
        }
        let mut found = Vec::new();
        for header in store.find(Kind::Object, &owners, &search::query(template))? {
            // A damaged object is named in the log and left out; the others are served.
            let opened = match self.open_record(&store, access.login, header.id) {
                Err(Error::DeviceError) => None,
                other => other?,
            };
            if opened.is_some_and(|(_, key)| search::matches(key.object(), template)) {
                found.push(header.id);
            }
        }
        let mut index = self.index.write();
        let mut handles: Vec<Handle> = found.into_iter().map(|id| index.handle(id)).collect();
        for (handle, key) in index.sessions() {
            let object = key.object();
            let seen = policy::may_read(access.login, object.is_token(), object.is_private());
            if seen && search::matches(object, template) {
                handles.push(handle);
            }
        }
        handles.sort_unstable();
        Ok(handles)
    }

    /// The session objects of a closed session go.
    pub fn close_session(&self, session: u64) {
        // Most sessions made none, and others' keys stay as valid as they were.
        if self.index.read().has_session(session) {
            self.index_for_change().drop_session(session);
        }
    }

    /// Someone logged in: what may be used has changed.
    pub fn log_in_changed(&self) {
        drop(self.index_for_change());
    }

    /// Forgets the keys of private objects in this process, private session objects too. `login`: what
    /// ends.
    pub fn log_out(&self, login: Option<Arc<Login>>) {
        if let Some(login) = login {
            self.count_repeat(&login, false);
        }
        let mut index = self.index_for_change();
        index.drop_sessions(|key| key.object().is_private());
        index.forget_opened(true);
    }
}

/// Version 1 of a record: public objects under the seal key, private ones under a data key of their
/// own, wrapped for the owner.
fn write_new(change: &mut Change<'_>, access: Access<'_>, id: Id, object: &Object) -> Result<()> {
    let author = change.token_id();
    let mut header =
        Header { kind: Kind::Object, id, version: 1, epoch: 1, author, owner: Id::NONE, flags: 0 };
    let (plain, terms) = (object.encode(), search::terms(object));
    if let Some(login) = access.login {
        // Deleted meanwhile: what came now would stay for good.
        change.user(login.user)?.ok_or(Error::UserNotLoggedIn)?;
    }
    if !object.is_private() {
        return change.put(header, BodyKey::Seal, &plain, &terms);
    }
    let login = access.login.filter(|login| login.token == author).ok_or(Error::UserNotLoggedIn)?;
    let data_key = Secret::random(32)?;
    header.owner = login.user;
    change.put(header, BodyKey::Data(&data_key), &plain, &terms)?;
    let wrapped = keychain::wrap(&login.keys.own, &key_purpose(id, login.user), &data_key)?;
    change.put_key(id, login.user, &wrapped)
}
