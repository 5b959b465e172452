//! Keys and users to another token with the same seal key, a *clone*: a cluster that was made of this one, or of
//! a backup, and goes its own way since. Both tokens' files are on this host; what is there goes on to its peers.
//!
//! A record travels as it lies in the file, so a private key stays sealed, and keeps its id, its owner and those
//! it is shared with: they must be there, with the same keys. Which of two versions stays is what `store::merge`
//! says, as between hosts: nothing newer is overwritten, and nothing that was destroyed there comes back.

use super::backup::whose;
use super::cache::open_data_key;
use super::custody::still_good;
use super::officers::{nobody, rejoin, reset_key};
use super::policy::{self, Operation};
use super::shareholders::Part;
use super::users::User;
use super::{Access, Handle, Login, Role, Token};
use crate::audit::{Event, Note};
use crate::config::ResetPolicy;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::store::merge::{Verdict, decide};
use crate::store::{BodyKey, Change, Id, Kind, RecordRow, Store};
use std::sync::Arc;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicated {
    /// It is there now.
    Done,
    /// It was there, just so.
    Same,
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::ActionProhibited.because(why)
}

/// Two tokens and who acts at each.
struct Way<'a> {
    to: &'a Token,
    from: (Arc<Store>, &'a Arc<Login>),
    there: (Arc<Store>, &'a Arc<Login>),
}

impl Token {
    /// Takes a key that the asker sees to another token: see [`Token::replicate_record`].
    pub fn replicate(
        &self,
        access: Access<'_>,
        handle: Handle,
        to: &Token,
        there: Access<'_>,
    ) -> Result<Replicated> {
        let (found, _) = self.resolve_for(access, Operation::Replicate, handle)?;
        let found = found.ok_or_else(|| refused("a session's object lives in its session only"))?;
        self.replicate_record(access, found.header.id, to, there)
    }

    /// Takes an object to another token, by its id: its owner does, or an officer, here (`access`) and there.
    /// `ActionProhibited`: the tokens have different seal keys, the owner or a sharer is missing there or has
    /// other keys, or what is there of it is newer or destroyed. `ArgumentsBad`: there is no such object.
    pub fn replicate_record(
        &self,
        access: Access<'_>,
        id: Id,
        to: &Token,
        there: Access<'_>,
    ) -> Result<Replicated> {
        let way = self.way(access, to, there)?;
        let row = way.from.0.whole(id)?.filter(|row| row.record.header.kind == Kind::Object);
        let row = row.ok_or_else(|| Error::ArgumentsBad.because(format_args!("there is no object {id}")))?;
        let owner = whose(&row.record, |record| way.from.0.open_body(record, BodyKey::Seal))?;
        let row = way.sealed_there(&row)?;
        let private = row.record.header.owner != Id::NONE;
        for access in [access, there] {
            policy::may_to_record(access, Operation::Replicate, owner, private)?;
        }
        let present = way.there.0.whole(id)?;
        if let Some(present) = present.as_ref().filter(|row| row.record.header.kind == Kind::Object) {
            // It may be somebody else's there by now.
            let owner = whose(&present.record, |record| way.there.0.open_body(record, BodyKey::Seal))?;
            let private = present.record.header.owner != Id::NONE;
            policy::may_to_record(there, Operation::Replicate, owner, private)?;
        }
        let holders = self.holders_who_are_there(&way, &row, owner)?;
        way.opens(&row)?;
        if way.verdict(present.as_ref(), &row)? == Replicated::Same {
            return Ok(Replicated::Same);
        }
        let note = |event| Note::of(event).object(id);
        let came = note(Event::ReplicatedIn).detail("from", self.origin_of(&way.from.0)?);
        self.tell(&way, note(Event::ReplicatedOut))?;
        to.write(&way.there.0, |change| {
            still_good(change, way.there.1)?;
            for (holder, public) in &holders {
                if change.user(*holder)?.map(|user| user.public) != Some(*public) {
                    return Err(refused("somebody who has the key was changed there meanwhile: try again"));
                }
            }
            if way.verdict(change.whole(id)?.as_ref(), &row)? == Replicated::Done {
                change.adopt(&row)?;
                change.audit(Some(way.there.1), came)?;
            }
            Ok(())
        })?;
        Ok(Replicated::Done)
    }

    /// Takes a user with the password to another token: an officer does, here and there. What the user owns
    /// goes by itself. `ActionProhibited`: as of objects; the name is somebody else's there; or the user has
    /// other keys there, which what is there was sealed for. `ArgumentsBad`: there is no such user.
    pub fn replicate_user(
        &self,
        access: Access<'_>,
        name: &str,
        to: &Token,
        there: Access<'_>,
    ) -> Result<Replicated> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        Self::officer(there, Operation::ManageUsers)?;
        let way = self.way(access, to, there)?;
        let user = self.find_user(&way.from.0, name)?.ok_or_else(|| nobody(name))?;
        let id = user.header.id;
        let row = way.sealed_there(&way.from.0.whole(id)?.ok_or_else(|| nobody(name))?)?;
        let present = way.there.0.whole(id)?;
        // Its record may be another one there: it was settled in at its first coming.
        if way.verdict(present.as_ref(), &row)? == Replicated::Same {
            return Ok(Replicated::Same);
        }
        let policy = self.policy_of(&way.from.0)?;
        if to.policy_of(&way.there.0)? != policy {
            return Err(refused("the tokens have different reset policies"));
        }
        let note = |event| Note::of(event).user(user.person());
        let came = note(Event::ReplicatedIn).detail("from", self.origin_of(&way.from.0)?);
        let reset = self.tell_of_user(&way, officer, policy, note(Event::ReplicatedOut))?;
        to.write(&way.there.0, |change| {
            still_good(change, way.there.1)?;
            user_fits(change, &user)?;
            if way.verdict(change.whole(id)?.as_ref(), &row)? == Replicated::Done {
                change.adopt(&row)?;
                settle_in(change, way.there.1, policy, reset.as_ref(), id)?;
                change.audit(Some(way.there.1), came)?;
            }
            Ok(())
        })?;
        to.verifiers.write().forget();
        Ok(Replicated::Done)
    }

    fn way<'a>(&self, access: Access<'a>, to: &'a Token, there: Access<'a>) -> Result<Way<'a>> {
        let login = |access: Access<'a>| access.login.ok_or(Error::UserNotLoggedIn);
        let (from_store, there_store) = (self.store()?, to.store()?);
        let path = |token: &Token| token.path().canonicalize().unwrap_or_else(|_| token.path().to_owned());
        if path(self) == path(to) {
            return Err(refused("from a token to itself nothing is replicated"));
        }
        if !there_store.is_clone_of(&from_store) {
            return Err(refused(
                "the tokens have different seal keys: what one sealed does not open at the other. Only clones of \
                 one token replicate (`strongroom cluster clone`)",
            ));
        }
        Ok(Way { to, from: (from_store, login(access)?), there: (there_store, login(there)?) })
    }

    /// Everybody who has a key of it must be there as here: who they are, with their public keys.
    fn holders_who_are_there(
        &self,
        way: &Way<'_>,
        row: &RecordRow,
        owner: Id,
    ) -> Result<Vec<(Id, [u8; 32])>> {
        let private = row.record.header.owner != Id::NONE;
        let owner = Some(owner).filter(|owner| !private && *owner != Id::NONE);
        let holders = row.keys.iter().map(|(holder, _)| *holder).chain(owner);
        let (mut there, mut missing, mut other) = (Vec::new(), Vec::new(), Vec::new());
        for holder in holders {
            // One who was deleted here has nothing to open it with, here or there.
            let Some(here) = self.load_user(&way.from.0, holder)? else { continue };
            match way.to.load_user(&way.there.0, holder)? {
                None => missing.push(here.name),
                Some(now) if private && now.public != here.public => other.push(here.name),
                Some(now) => there.push((holder, now.public)),
            }
        }
        if let [first, ..] = &missing[..] {
            return Err(refused(format_args!(
                "{} must be there first, who own or use it: `strongroom user replicate {first}`",
                missing.join(", ")
            )));
        }
        if !other.is_empty() {
            return Err(refused(format_args!(
                "{} have other keys there since a new password, and could not open it",
                other.join(", ")
            )));
        }
        Ok(there)
    }

    /// The log here knows of it before it is there.
    fn tell(&self, way: &Way<'_>, note: Note) -> Result<()> {
        let note = note.detail("to", way.to.origin_of(&way.there.0)?);
        self.write(&way.from.0, |change| {
            still_good(change, way.from.1)?;
            change.audit(Some(way.from.1), note)
        })
    }

    /// The same, with the reset key of here, under which a user's keys are wrapped (policy `keeps`).
    fn tell_of_user(
        &self,
        way: &Way<'_>,
        officer: &Arc<Login>,
        policy: ResetPolicy,
        note: Note,
    ) -> Result<Option<Secret>> {
        let note = note.detail("to", way.to.origin_of(&way.there.0)?);
        self.write(&way.from.0, |change| {
            still_good(change, officer)?;
            change.audit(Some(officer), note)?;
            match policy {
                ResetPolicy::Keeps => reset_key(change, officer).map(Some),
                _ => Ok(None),
            }
        })
    }

    /// As lines of the other's log name this token: its host's identity, which no clone shares.
    fn origin_of(&self, store: &Store) -> Result<String> {
        let host = super::appliance::load(store)?;
        Ok(host.map_or_else(|| self.path().display().to_string(), |host| host.id.to_string()))
    }
}

impl Way<'_> {
    /// As hosts decide between two versions.
    fn verdict(&self, there: Option<&RecordRow>, row: &RecordRow) -> Result<Replicated> {
        let is_gone = there.is_some_and(|there| there.record.header.kind == Kind::Gone);
        match decide(there, row) {
            Verdict::Theirs => Ok(Replicated::Done),
            Verdict::Same => Ok(Replicated::Same),
            Verdict::Ours if is_gone => Err(refused(
                "it was destroyed there, and stays so: `strongroom backup restore --merge` there brings it back by name",
            )),
            Verdict::Ours => Err(refused("what is there of it is newer, and stays")),
            Verdict::Foreign => Err(refused("there is another kind of record with this id there")),
        }
    }

    /// The record under the epoch of there: each cluster has its own.
    fn sealed_there(&self, row: &RecordRow) -> Result<RecordRow> {
        self.there.0.sealed_here(row, |record| self.from.0.open_body(record, BodyKey::Seal))
    }

    /// Whoever acts there sees that it is whole, as far as that one can open it.
    fn opens(&self, row: &RecordRow) -> Result<()> {
        let (id, login) = (row.record.header.id, self.there.1);
        let key = match row.keys.iter().find(|(holder, _)| *holder == login.user) {
            Some((_, wrapped)) => Some(open_data_key(login, id, wrapped)?),
            None if row.record.header.owner == Id::NONE => None,
            None => return Ok(()),
        };
        let key = key.as_ref().map_or(BodyKey::Seal, BodyKey::Data);
        Object::decode(&self.there.0.open_body(&row.record, key)?).map(drop)
    }
}

/// Whether a user can come in the place of what is there.
fn user_fits(change: &mut Change<'_>, user: &User) -> Result<()> {
    let (id, name) = (user.header.id, &user.name);
    if change.user_named(name)?.is_some_and(|other| other.header.id != id) {
        return Err(refused(format_args!("there is another user {name} there")));
    }
    let Some(present) = change.user(id)? else { return Ok(()) };
    if present.public != user.public && !change.held_by(id)?.is_empty() {
        return Err(refused(format_args!(
            "{name} has other keys here since a new password, and there keys of before, which would not open any more"
        )));
    }
    Ok(())
}

/// A user of another cluster is one of this: no reset that was asked for there, the reset key of here; an officer
/// of a quorum holds no shares yet.
fn settle_in(
    change: &mut Change<'_>,
    officer: &Login,
    policy: ResetPolicy,
    reset: Option<&Secret>,
    id: Id,
) -> Result<()> {
    let Some(mut user) = change.user(id)? else { return Ok(()) };
    let mut changed = rejoin(change, officer, policy, reset, &mut user)?;
    changed |= user.request.take().is_some();
    if user.role == Role::Officer && matches!(policy, ResetPolicy::Quorum { .. }) && user.part != Part::Given
    {
        user.part = Part::Given;
        changed = true;
    }
    if changed { user.save(change) } else { Ok(()) }
}
