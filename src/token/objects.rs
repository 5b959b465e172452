//! Objects: made, changed, copied, destroyed, found.

use super::cache::Opened;
use super::custody::{self, Custody};
use super::policy::{Operation, attacks};
use super::{Access, Handle, Login, TRIES, Token, lifecycle, policy};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::attribute::{
    AttributeType, CKA_STRONGROOM_MADE_AT, CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH,
    CKA_STRONGROOM_SUSPENDED,
};
use crate::object::{Object, Template, Value, attribute, rules, search, template};
use crate::store::{Header, Id, Kind, Store};
use cryptoki_sys::*;
use std::sync::Arc;

/// The attributes that a template names, as lines of the audit log say them.
fn names(template: &Template) -> String {
    let name = |kind| attribute::name(kind).map_or_else(|| format!("{kind:#x}"), str::to_owned);
    template.iter().map(|(kind, _)| name(*kind)).collect::<Vec<_>>().join(" ")
}

/// What is recorded of changed attributes: the dates of a key for themselves.
fn notes_of(object: &Object, changes: &Template) -> Vec<Note> {
    let is_date = |kind: AttributeType| matches!(kind, CKA_START_DATE | CKA_END_DATE);
    let (dates, rest): (Template, Template) =
        changes.iter().cloned().partition(|(kind, _)| is_date(*kind) && object.key_type().is_some());
    let mut notes = Vec::new();
    if !rest.is_empty() || dates.is_empty() {
        notes.push(Note::of(Event::Modify).detail("attributes", names(&rest)));
    }
    if !dates.is_empty() {
        notes.push(lifecycle::validity(object));
    }
    notes
}

/// Whether an object matches a search: what the asker may not read tells him nothing.
fn searchable(access: Access<'_>, key: &Key, found: Option<&Opened>, template: &Template) -> bool {
    let secret = || template.iter().any(|(kind, _)| rules::is_hidden(key.object(), *kind));
    search::matches(key.object(), template)
        && (!secret() || policy::may(access, Operation::Reveal, key, found).is_ok())
}

impl Token {
    /// Stores complete objects (CKA_UNIQUE_ID is given here), all or nothing, and gives their handles.
    /// `note`: how they came to be; recorded of those that are stored in the file.
    pub fn insert_all(
        &self,
        access: Access<'_>,
        objects: Vec<Object>,
        mut note: Note,
    ) -> Result<Vec<Handle>> {
        objects.iter().try_for_each(|object| attacks::may_exist(self.allowed(), object))?;
        let mut named = Vec::new();
        for mut object in objects {
            policy::may_make(access, &object)?;
            let custody = self.custody_of_new(access, &mut object)?;
            let id = Id::random()?;
            object.set(CKA_UNIQUE_ID, Value::Bytes(id.to_string().into_bytes()));
            if object.is_token() && object.key_type().is_some() {
                object.set(CKA_STRONGROOM_MADE_AT, lifecycle::made_now());
            }
            named.push((id, object, custody));
        }
        if named.iter().any(|(_, object, _)| object.is_token()) {
            self.write(&*self.store()?, |change| {
                let (kind, epoch, author) = (Kind::Object, 1, change.token_id());
                let login = access.login.ok_or(Error::UserNotLoggedIn)?;
                for (id, ..) in named.iter().filter(|(_, object, _)| object.is_token()) {
                    note = note.object(id);
                }
                change.audit(access.login, note)?;
                named.iter().filter(|(_, object, _)| object.is_token()).try_for_each(
                    |(id, object, custody)| {
                        let owner = Id::NONE;
                        let header = Header { kind, id: *id, version: 1, epoch, author, owner, flags: 0 };
                        custody::write(change, login, header, object, custody)
                    },
                )
            })?;
        }
        let mut index = self.index.write();
        let handles = named.into_iter().map(|(id, object, _)| {
            if object.is_token() {
                index.handle(id)
            } else {
                index.add_session(access.session, Arc::new(Key::new(object)))
            }
        });
        Ok(handles.collect())
    }

    /// What a template said of custody, taken out of a new object; a public object remembers its maker.
    fn custody_of_new(&self, access: Access<'_>, object: &mut Object) -> Result<Vec<Custody>> {
        object.take(CKA_STRONGROOM_OWNER);
        let shared =
            object.take(CKA_STRONGROOM_SHARED_WITH).filter(|names| !names.same(&Value::Bytes(vec![])));
        if object.is_token() && !object.is_private() {
            let maker = access.login.map_or(Id::NONE, |login| login.user);
            object.set(CKA_STRONGROOM_OWNER, Value::Bytes(maker.0.to_vec()));
        }
        let Some(names) = shared else { return Ok(Vec::new()) };
        if !(object.is_token() && object.is_private()) {
            return Err(Error::TemplateInconsistent);
        }
        self.custody(&vec![(CKA_STRONGROOM_SHARED_WITH, names)])
    }

    /// C_SetAttributeValue. Custody changes with the rest, or not at all.
    pub fn modify(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<()> {
        let (custody, changes) = custody::split(changes);
        let (_, key) = self.resolve(access, handle)?;
        custody.iter().try_for_each(|(kind, _)| rules::read(key.object(), *kind).map(drop))?;
        self.change(access, handle, &self.custody(&custody)?, changes)
    }

    pub(super) fn change(
        &self,
        access: Access<'_>,
        handle: Handle,
        custody: &[Custody],
        changes: Template,
    ) -> Result<()> {
        let asker = policy::asker(access.login);
        let (suspended, changes) = lifecycle::split(changes)?;
        for _ in 0..TRIES {
            let (found, key) = self.resolve(access, handle)?;
            let mut notes = Vec::new();
            for change in custody {
                let operation = match change {
                    Custody::Give(_) => Operation::Transfer,
                    _ => Operation::Share,
                };
                policy::may(access, operation, &key, found.as_ref())?;
            }
            let mut object = key.object().clone();
            // Whether an object is CKA_MODIFIABLE is no matter of custody, nor of suspending it.
            if custody.is_empty() && suspended.is_none() || !changes.is_empty() {
                policy::may(access, Operation::Change, &key, found.as_ref())?;
                let after = template::modify(&object, changes.clone(), asker)?;
                attacks::may_become(self.allowed(), &object, &after)?;
                object = after;
                notes.extend(notes_of(&object, &changes));
            }
            if let Some(value) = &suspended {
                rules::read(&object, CKA_STRONGROOM_SUSPENDED)?;
                policy::may(access, Operation::Suspend, &key, found.as_ref())?;
                notes.extend(lifecycle::suspend(&mut object, value)?);
            }
            if notes.is_empty() && custody.is_empty() {
                return Ok(());
            }
            let Some(found) = found else {
                self.index_for_change().set_session(handle, Arc::new(Key::new(object)));
                return Ok(());
            };
            match self.rewrite(access, &found, object, custody, notes) {
                Err(Error::FunctionFailed) => {}
                done => return done,
            }
        }
        Err(Error::FunctionFailed)
    }

    /// The next version of a record.
    fn rewrite(
        &self,
        access: Access<'_>,
        found: &Opened,
        mut object: Object,
        custody: &[Custody],
        notes: Vec<Note>,
    ) -> Result<()> {
        let next = Header { version: found.header.version + 1, ..found.header };
        let login = access.login.ok_or(Error::UserNotLoggedIn)?;
        if let (Id::NONE, [.., Custody::Give(owner)]) = (next.owner, custody) {
            object.set(CKA_STRONGROOM_OWNER, Value::Bytes(owner.0.to_vec()));
        }
        self.write(&*self.store()?, |change| {
            notes.into_iter().try_for_each(|note| change.audit(access.login, note.object(next.id)))?;
            custody::write(change, login, next, &object, custody)
        })?;
        self.index_for_change().forget(next.id);
        Ok(())
    }

    /// One answer for each asked attribute, in order.
    pub fn attributes(
        &self,
        access: Access<'_>,
        handle: Handle,
        kinds: &[AttributeType],
    ) -> Result<Vec<Result<Value>>> {
        let (found, key) = self.resolve(access, handle)?;
        Ok(kinds.iter().map(|kind| self.attribute(access, (found.as_ref(), &key), *kind)).collect())
    }

    /// C_CopyObject: what is to be stored, and what is to be recorded of it.
    pub fn copy(&self, access: Access<'_>, handle: Handle, changes: Template) -> Result<(Object, Note)> {
        let (_, key) = self.resolve_for(access, Operation::Copy, handle)?;
        let note = Note::of(Event::Copy).detail("from", key.id());
        let note = note.detail("attributes", names(&changes));
        let copy = template::copy(key.object(), changes, policy::asker(access.login))?;
        attacks::may_become(self.allowed(), key.object(), &copy)?;
        Ok((copy, note))
    }

    /// C_DestroyObject.
    pub fn destroy(&self, access: Access<'_>, handle: Handle) -> Result<()> {
        self.destroy_all(access, &[handle])
    }

    /// Destroys objects, all or none.
    pub fn destroy_all(&self, access: Access<'_>, handles: &[Handle]) -> Result<()> {
        for _ in 0..TRIES {
            let mut records = Vec::new();
            for handle in handles {
                let (found, key) = self.resolve(access, *handle)?;
                if !key.object().flag(CKA_DESTROYABLE) {
                    return Err(Error::ActionProhibited);
                }
                policy::may(access, Operation::Destroy, &key, found.as_ref())?;
                records.extend(found.map(|found| found.header));
            }
            let destroyed = if records.is_empty() { Ok(()) } else { self.destroy_records(access, &records) };
            if destroyed != Err(Error::FunctionFailed) {
                destroyed?;
                let mut index = self.index_for_change();
                handles.iter().for_each(|handle| index.remove(*handle));
                return Ok(());
            }
        }
        Err(Error::FunctionFailed)
    }

    /// `FunctionFailed` when another process was faster: it may be another's by now, or protected.
    pub(super) fn destroy_records(&self, access: Access<'_>, seen: &[Header]) -> Result<()> {
        let login = access.login.ok_or(Error::UserNotLoggedIn)?;
        self.write(&*self.store()?, |change| {
            custody::still_good(change, login)?;
            for seen in seen {
                let record = change.load(Kind::Object, seen.id)?.ok_or(Error::ObjectHandleInvalid)?;
                if record.header.version != seen.version {
                    return Err(Error::FunctionFailed);
                }
                change.remove(Kind::Object, seen.id)?;
                change.audit(access.login, Note::of(Event::Destroy).object(seen.id))?;
            }
            Ok(())
        })
    }

    /// Handles of all objects the asker may see that match; CKO_PROFILE objects included.
    pub fn find(&self, access: Access<'_>, template: &Template) -> Result<Vec<Handle>> {
        let (custody, template) = custody::split(template.clone());
        let found = self.find_records(access, &template, &custody)?;
        let mut index = self.index.write();
        let mut handles: Vec<Handle> = found.into_iter().map(|id| index.handle(id)).collect();
        for (handle, key) in index.sessions() {
            let object = key.object();
            let seen = policy::may_see(access.login, object.is_token(), object.is_private());
            if seen && custody.is_empty() && searchable(access, key, None, &template) {
                handles.push(handle);
            }
        }
        handles.sort_unstable();
        Ok(handles)
    }

    /// The records that match, as of one moment: one that another process changed between the look at the
    /// index and at the record (a rotation moves a label from one key to another) starts the search again.
    fn find_records(&self, access: Access<'_>, template: &Template, custody: &Template) -> Result<Vec<Id>> {
        let store = self.store()?;
        let mut found = Vec::new();
        for _ in 0..TRIES {
            self.look(&store)?;
            let (version, seen) = {
                let index = self.index.read();
                (index.version, index.seen)
            };
            found.clear();
            let mut missed = Vec::new();
            for header in self.candidates(&store, access, template)? {
                // A damaged object is named in the log and left out; the others are served.
                let opened = match self.open_record(&store, access.login, header.id) {
                    Err(Error::DeviceError) => None,
                    other => other?,
                };
                match opened.is_some_and(|opened| self.matches(access, &opened, template, custody)) {
                    true => found.push(header.id),
                    false => missed.push(header.id),
                }
            }
            if missed.is_empty() || version == Some(store.data_version()?) {
                break;
            }
            let changes = store.changes(seen)?;
            if !changes.reset && !changes.records.iter().any(|(_, id)| missed.contains(id)) {
                break;
            }
        }
        Ok(found)
    }

    /// What the blind index gives for a search: the public, the asker's own, what is shared with him.
    fn candidates(&self, store: &Store, access: Access<'_>, template: &Template) -> Result<Vec<Header>> {
        let terms = search::query(template);
        let own = access.login.filter(|login| policy::may_see(Some(login), true, true));
        let mut scopes = vec![Id::NONE];
        scopes.extend(own.map(|login| login.user));
        let mut headers = store.find(Kind::Object, &scopes, &terms)?;
        if let (Some(login), true) = (own, terms.is_empty()) {
            headers.extend(store.find(Kind::Object, &[login.user], &[custody::shared_term()])?);
        }
        Ok(headers)
    }

    /// Whether an object is what the asker searches.
    fn matches(&self, access: Access<'_>, opened: &Opened, template: &Template, custody: &Template) -> bool {
        let same = |(kind, wanted): &(AttributeType, Value)| {
            self.attribute(access, (Some(opened), &opened.key), *kind).is_ok_and(|value| value.same(wanted))
        };
        searchable(access, &opened.key, Some(opened), template) && custody.iter().all(same)
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

    /// A password was right, and the login comes too late: the log says that it ended.
    pub fn end_unused(&self, login: &Login) {
        login.end();
        self.count_repeat(login, false);
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
