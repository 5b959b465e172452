//! A user or an object back into the present token, and any of it to a host that has none.

use super::super::custody::{shared_term, still_good};
use super::super::deletion::take_all;
use super::super::officers::rejoin;
use super::super::policy::Operation;
use super::super::users::User;
use super::super::{Access, Login, Role, Token, clone};
use super::contents::{self, Contents};
use super::recipients::Secrets;
use super::restore::{Cluster, Restored, Terms, What, chosen, forget_requests, note, other_key, put_all};
use crate::config::ResetPolicy;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::object::attribute::CKA_STRONGROOM_OWNER;
use crate::store::{BodyKey, Change, Id, Kind, Record, RecordRow, Row, Store};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

fn no_user(name: &str) -> Error {
    Error::ArgumentsBad.because(format_args!("the backup has no user {name}"))
}

fn no_object(id: Id) -> Error {
    Error::ArgumentsBad.because(format_args!("the backup has no object {id}"))
}

/// Whose an object is: the owner of a private one, the maker of a public one, which `open` opens.
pub fn whose(record: &Record, open: impl FnOnce(&Record) -> Result<Secret>) -> Result<Id> {
    if record.header.owner != Id::NONE {
        return Ok(record.header.owner);
    }
    let object = Object::decode(&open(record)?)?;
    Ok(object.bytes(CKA_STRONGROOM_OWNER).try_into().map_or(Id::NONE, Id))
}

/// What of a backup is wanted, gathered while it is read.
struct Gathered {
    contents: Contents,
    /// The user's own record.
    user: Option<RecordRow>,
    /// His objects, or the one object.
    objects: Vec<RecordRow>,
    /// Others' objects that he may use.
    shared: Vec<RecordRow>,
}

impl Token {
    fn gather(
        &self,
        store: &Store,
        (path, secrets): (&Path, &Secrets),
        what: What<'_>,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Gathered> {
        let (mut user, mut objects, mut shared) = (None, Vec::new(), Vec::new());
        let contents = self.looked_through(store, path, secrets, watch, &mut |reading, row| {
            let Row::Record(row) = row else { return Ok(()) };
            let id = row.record.header.id;
            let here = || store.sealed_here(row, |record| reading.check.open(record));
            match (row.record.header.kind, what) {
                (Kind::User, What::User(name))
                    if reading.people.get(&id).is_some_and(|user| user.name == name) =>
                {
                    user = Some(here()?);
                }
                (Kind::Object, What::User(_)) => {
                    let Some(user) = user.as_ref().map(|user: &RecordRow| user.record.header.id) else {
                        return Ok(());
                    };
                    if whose(&row.record, |record| reading.check.open(record))? == user {
                        objects.push(here()?);
                    } else if row.keys.iter().any(|(holder, _)| *holder == user) {
                        shared.push(row.clone());
                    }
                }
                (Kind::Object, What::Key(wanted)) if id == wanted => objects.push(here()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Gathered { contents, user, objects, shared })
    }

    /// A user who was deleted, or (`force`) all of a present one, as of the backup.
    pub(super) fn restore_user(
        &self,
        access: Access<'_>,
        from: (&Path, &Secrets),
        name: &str,
        force: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let officer = Self::officer(access, Operation::Backup)?;
        let store = self.store()?;
        let gathered = self.gather(&store, from, What::User(name), watch)?;
        let row = gathered.user.as_ref().ok_or_else(|| no_user(name))?;
        let user = gathered.contents.people.get(&row.record.header.id).ok_or_else(|| no_user(name))?;
        let policy = self.policy_of(&store)?;
        let mut restored = Restored::default();
        let written = self.write(&store, |change| {
            still_good(change, officer)?;
            let id = user.header.id;
            if change.user_named(name)?.is_some_and(|present| present.header.id != id) {
                return Err(Error::ActionProhibited
                    .because(format_args!("there is another user {name} by now: delete that one first")));
            }
            if user.role != Role::User {
                return Err(Error::ActionProhibited.because(format_args!(
                    "{name} is an officer, who owns nothing, and shares of others' resets have moved on: make the officer \
                     anew"
                )));
            }
            let present = change.user(id)?.is_some();
            if present && !force {
                return Err(Error::ActionProhibited.because(format_args!(
                    "{name} is there: force replaces the user and all his objects by those of the backup"
                )));
            }
            let gone = if present { take_all(change, id)? } else { Vec::new() };
            change.bring_back(row)?;
            let in_cluster = change.peer_id().is_some();
            settle_in(change, officer, policy, &gathered.contents, (id, in_cluster))?;
            restored = gathered.put_objects(change, user, force)?;
            let note = note("user", from.0, &gathered.contents.header, present).user(user.person());
            let note = gathered.objects.iter().fold(note, |note, row| note.object(row.record.header.id));
            let note = if gone.is_empty() { note } else { note.detail("replaced", gone.len()) };
            change.audit(Some(officer), note)
        });
        restored.merged.pending = is_pending(written)?;
        self.forget_passwords();
        let _ = self.look(&store);
        Ok(restored)
    }

    /// One object that was destroyed, or (`force`) a present one as of the backup.
    pub(super) fn restore_key(
        &self,
        access: Access<'_>,
        from: (&Path, &Secrets),
        id: Id,
        force: bool,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let officer = Self::officer(access, Operation::Backup)?;
        let store = self.store()?;
        let gathered = self.gather(&store, from, What::Key(id), watch)?;
        let row = gathered.objects.first().ok_or_else(|| no_object(id))?;
        let mut restored = Restored { objects: 1, ..Restored::default() };
        let written = self.write(&store, |change| gathered.put_key(change, officer, from.0, row, force));
        restored.merged.pending = is_pending(written)?;
        let _ = self.look(&store);
        Ok(restored)
    }

    /// A token where there is none: all of it, or its officers and the one user, or the one object with its
    /// owner. `name`: the first member of a cluster of its own, by this name.
    pub(super) fn restore_new(
        &self,
        (path, secrets): (&Path, &Secrets),
        what: What<'_>,
        Terms { audit_key, cluster, .. }: Terms,
        name: Option<&str>,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Restored> {
        let (mut owner, mut there) = (Id::NONE, false);
        let contents = contents::read(path, secrets, watch, &mut |reading, row| {
            if let (Row::Record(row), What::Key(wanted)) = (row, what)
                && row.record.header.id == wanted
                && row.record.header.kind == Kind::Object
            {
                (owner, there) = (whose(&row.record, |record| reading.check.open(record))?, true);
            }
            Ok(())
        })?;
        chosen(cluster, false, contents.counts.members > 0)?;
        // The second reading is of the same, by the state's digest, which the key is in.
        if audit_key.is_some() && contents.audit_key != audit_key {
            return Err(other_key());
        }
        let (word, people) = match what {
            What::Whole => ("whole", None),
            What::User(name) => {
                owner = contents.named(name).ok_or_else(|| no_user(name))?.header.id;
                ("user", Some(kept_people(&contents, owner)))
            }
            What::Key(id) if !there => return Err(no_object(id)),
            What::Key(_) => ("key", Some(kept_people(&contents, owner))),
        };
        let mut restored = Restored::default();
        let note = note(word, path, &contents.header, false);
        let store = Store::restore(&self.config, &contents.identity, |change| {
            restored = match &people {
                None => put_all(change, (path, secrets), &contents, true, watch)?,
                Some(people) => {
                    let (put, again) = put_some(change, (path, secrets), what, owner, people, watch)?;
                    again.is_still(&contents)?;
                    forget_requests(change)?;
                    put
                }
            };
            if cluster == Cluster::New {
                clone::leave(change)?;
            }
            change.enter(note)?;
            name.map_or(Ok(()), |name| clone::founded(change, name))
        })?;
        self.replace_store(Some(Arc::new(store)));
        Ok(Restored { new: true, ..restored })
    }
}

/// The officers, and one more.
fn kept_people(contents: &Contents, one: Id) -> BTreeSet<Id> {
    let people = contents.people.values();
    let kept = people.filter(|user| user.role == Role::Officer || user.header.id == one);
    kept.map(|user| user.header.id).collect()
}

/// Of a backup the token itself, these people, and one's objects or the one object; and the log.
fn put_some(
    change: &mut Change<'_>,
    (path, secrets): (&Path, &Secrets),
    what: What<'_>,
    owner: Id,
    people: &BTreeSet<Id>,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<(Restored, Contents)> {
    let mut restored = Restored::default();
    let contents = contents::read(path, secrets, watch, &mut |reading, row| {
        let row = match row {
            Row::Identity(_) => return Ok(()),
            Row::Line(sequence, body) => return change.put_line_back(*sequence, body),
            Row::Record(row) => row,
        };
        let id = row.record.header.id;
        match row.record.header.kind {
            Kind::Token => change.put_back(row),
            Kind::User if people.contains(&id) => {
                restored.users += 1;
                change.put_back(row)
            }
            Kind::Object
                if matches!(what, What::Key(wanted) if wanted == id)
                    || (matches!(what, What::User(_))
                        && whose(&row.record, |record| reading.check.open(record))? == owner) =>
            {
                restored.objects += 1;
                let keys = row.keys.iter().filter(|(holder, _)| people.contains(holder));
                change.put_back(&RecordRow { keys: keys.cloned().collect(), ..row.clone() })
            }
            Kind::User | Kind::Object | Kind::Gone | Kind::Member | Kind::Epoch => Ok(()),
        }
    })?;
    Ok((restored, contents))
}

impl Contents {
    /// Whether someone of the backup is here with the same keys: what is wrapped for him opens.
    pub(super) fn is_same(&self, change: &mut Change<'_>, user: Id) -> Result<bool> {
        let then = self.people.get(&user).map(|user| user.public);
        Ok(then.is_some() && change.user(user)?.map(|user| user.public) == then)
    }

    /// With the wrapped keys of those only who are still the same.
    pub(super) fn fitting(&self, change: &mut Change<'_>, row: &RecordRow) -> Result<RecordRow> {
        let mut keys = Vec::new();
        for (holder, wrapped) in &row.keys {
            if self.is_same(change, *holder)? {
                keys.push((*holder, wrapped.clone()));
            }
        }
        Ok(RecordRow { keys, ..row.clone() })
    }
}

/// A user who came back is like those who stayed: nobody asks for a reset of his, the present reset key opens
/// his keys, and what hosts remember of later passwords is void (`was_gone`).
pub(super) fn settle_in(
    change: &mut Change<'_>,
    officer: &Login,
    policy: ResetPolicy,
    then: &Contents,
    (id, was_gone): (Id, bool),
) -> Result<()> {
    let Some(mut user) = change.user(id)? else { return Ok(()) };
    let old = then.people.get(&officer.user);
    let old = old.and_then(|then| officer.keys.take_reset_key(&then.reset_key).ok());
    let asked = user.request.take().is_some();
    let rejoined = rejoin(change, officer, policy, old.as_ref(), &mut user)?;
    if asked || rejoined || was_gone {
        user.credential += u64::from(was_gone);
        user.save(change)?;
    }
    Ok(())
}

/// Whether it is done here and the peers' majority did not confirm it in time: that is no failure of a restore.
pub(super) fn is_pending(written: Result<()>) -> Result<bool> {
    match written {
        Err(Error::Pending) => Ok(true),
        other => other.map(|()| false),
    }
}

impl Gathered {
    /// A user's objects that nobody else has by now, and his share in others' objects that still have the
    /// data key which was wrapped for him.
    fn put_objects(&self, change: &mut Change<'_>, user: &User, force: bool) -> Result<Restored> {
        let mut restored = Restored { users: 1, ..Restored::default() };
        for row in &self.objects {
            let id = row.record.header.id;
            if let Some(present) = change.load(Kind::Object, id)? {
                let public = row.record.header.owner == Id::NONE && present.header.owner == Id::NONE;
                let his = public
                    && whose(&present, |record| change.open_body(record, BodyKey::Seal))? == user.header.id;
                if !(his && force) {
                    // A public object of his that is there still is nothing that is missing.
                    restored.left_out += u64::from(!his);
                    continue;
                }
            }
            let row = self.contents.fitting(change, row)?;
            change.bring_back(&row)?;
            restored.objects += 1;
        }
        let me = user.header.id;
        for row in &self.shared {
            let (id, owner) = (row.record.header.id, row.record.header.owner);
            let now = change.load(Kind::Object, id)?;
            let same_owner = now.as_ref().is_some_and(|now| now.header.owner == owner);
            let wrapped =
                |holder: Id| row.keys.iter().find(|(of, _)| *of == holder).map(|(_, key)| key.clone());
            let same_key = same_owner && change.load_key(id, owner)? == wrapped(owner);
            match wrapped(me).filter(|_| same_key) {
                Some(key) => {
                    change.put_key(id, me, &key)?;
                    // What the owner changed since, its new version's index must not say of old: until he writes
                    // it again, the sharer finds it among all that is shared with him, not by its attributes.
                    if now.as_ref() == Some(&row.record) {
                        change.put_terms_back(id, &row.terms)?;
                    } else {
                        change.add_terms(id, me, &[shared_term()])?;
                    }
                    if change.peer_id().is_some() {
                        change.next_version(id)?;
                    }
                    restored.objects += 1;
                }
                None => restored.left_out += 1,
            }
        }
        Ok(restored)
    }

    fn put_key(
        &self,
        change: &mut Change<'_>,
        officer: &Arc<Login>,
        path: &Path,
        row: &RecordRow,
        force: bool,
    ) -> Result<()> {
        still_good(change, officer)?;
        let (id, owner) = (row.record.header.id, row.record.header.owner);
        let there = change.load(Kind::Object, id)?;
        let present = there.is_some();
        if present && !force {
            return Err(Error::ActionProhibited.because(format_args!("object {id} is there")));
        }
        if let Some(there) = there
            && whose(&there, |record| change.open_body(record, BodyKey::Seal))?
                != whose(&row.record, |record| change.open_body(record, BodyKey::Seal))?
        {
            return Err(Error::ActionProhibited.because(format_args!(
                "object {id} has another owner by now, who keeps it: have it transferred back or destroyed first"
            )));
        }
        let who = self.contents.people.get(&owner);
        if owner != Id::NONE && !self.contents.is_same(change, owner)? {
            let name = who.map_or("its owner", |user| user.name.as_str());
            return Err(Error::ActionProhibited.because(format_args!(
                "{name}, who owned the object, is not here with the same keys: bring the user back"
            )));
        }
        let row = self.contents.fitting(change, row)?;
        change.bring_back(&row)?;
        let note = note("key", path, &self.contents.header, present).object(id);
        let note = match who {
            Some(user) => note.user(user.person()),
            None => note,
        };
        change.audit(Some(officer), note)
    }
}
