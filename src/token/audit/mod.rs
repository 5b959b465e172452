//! Recording what happens, in the transaction that does it, and the token's signatures over it.
//!
//! To record something: `change.audit(access.login, Note::of(Event::…).object(id))` inside the write that
//! does it. Writes go through [`Token::write`] (or `write_own`), never to the store alone: it adds what this
//! process still has to say of repeated logins, and tells the system's logger after the commit.

mod prune;
mod read;
mod repeats;

pub use prune::Pruned;
pub use read::{Filter, Verification};
pub(super) use repeats::Repeats;

use super::users::AUDIT_KEY;
use super::{Access, Login, Role, Token};
use crate::audit::{Entry, Event, Note, Person, chain, syslog};
use crate::crypto::Secret;
use crate::crypto::ed25519::PrivateKey;
use crate::error::Result;
use crate::mechanism::Key;
use crate::object::{Object, Value};
use crate::store::{Change, Commit, Header, Id, Store, keeper};
use std::sync::Arc;
use std::time::SystemTime;

/// A checkpoint stands at each sequence that this divides.
const EVERY: u64 = 256;

/// Someone as a line says it.
pub(super) fn person(id: Id, name: &str, role: Role) -> Person {
    Person { name: name.to_owned(), id: id.to_string(), role: role.short().to_owned() }
}

impl Login {
    pub(super) fn person(&self) -> Person {
        person(self.user, &self.name, self.role)
    }
}

impl Change<'_> {
    /// Records in this transaction what `who` does.
    pub(super) fn audit(&mut self, who: Option<&Arc<Login>>, note: Note) -> Result<()> {
        self.enter(note.by(who.map(|login| login.person())))
    }

    /// Records a note that knows its actor.
    pub(crate) fn enter(&mut self, note: Note) -> Result<()> {
        self.append_note(note)?;
        if (self.tip().sequence + 1).is_multiple_of(EVERY) { self.checkpoint(None) } else { Ok(()) }
    }

    fn append_note(&mut self, note: Note) -> Result<()> {
        let line = Entry::new(note, self.tip(), SystemTime::now()).line()?;
        self.append(line)
    }

    /// Signs everything that was recorded so far.
    pub(super) fn checkpoint(&mut self, who: Option<&Arc<Login>>) -> Result<()> {
        let seed = self.audit_seed()?;
        let note = chain::checkpoint(&seed, &self.token_id().to_string(), &self.tip())?;
        self.append_note(note.by(who.map(|login| login.person())))
    }

    /// The seed of the key that signs; made now in a token of before there was one.
    fn audit_seed(&mut self) -> Result<Secret> {
        if let Some(seed) = self.present_seed()? {
            return Ok(seed);
        }
        let seed = PrivateKey::generate()?;
        self.set_own_field(AUDIT_KEY, Some(Value::Secret(seed.clone())))?;
        Ok(seed)
    }

    /// The seed, if there is one yet.
    pub(super) fn present_seed(&mut self) -> Result<Option<Secret>> {
        let (_, fields) = self.own_record()?;
        Ok(seed_in(&fields))
    }

    /// The seed that signed before goes on signing.
    pub(super) fn keep_seed(&mut self, seed: Secret) -> Result<()> {
        match self.present_seed()? {
            Some(_) => Ok(()),
            None => self.set_own_field(AUDIT_KEY, Some(Value::Secret(seed))),
        }
    }
}

/// The seed in the fields of the token's own record.
pub(super) fn seed_in(fields: &Object) -> Option<Secret> {
    Some(fields.bytes(AUDIT_KEY)).filter(|seed| !seed.is_empty()).map(Secret::from)
}

impl Token {
    /// One transaction, as [`Store::write_as`], on this host's disk; what it records is told to the system's
    /// logger after it, and what is for peers to whoever takes it there. [`Token::write`] waits for the peers
    /// besides.
    pub(super) fn write_here<T>(
        &self,
        store: &Store,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Header>)> {
        self.write_here_as(store, Commit::Durable, work)
    }

    /// The same with a commit of either kind.
    pub(super) fn write_here_as<T>(
        &self,
        store: &Store,
        commit: Commit,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Header>)> {
        let repeats = std::mem::take(&mut *self.repeats.write());
        let mut lines = Vec::new();
        let result = store.write_as(commit, |change| {
            repeats.notes().into_iter().try_for_each(|note| change.enter(note))?;
            let result = work(change)?;
            if self.config.audit_syslog.is_some() {
                lines = change.lines().to_vec();
            }
            Ok(result)
        });
        if result.as_ref().is_ok_and(|(_, outgoing)| !outgoing.is_empty()) {
            keeper::ring(&self.config.path);
        }
        match (&result, &self.config.audit_syslog) {
            (Err(_), _) => self.repeats.write().add(repeats),
            (Ok(_), Some(socket)) if !lines.is_empty() => syslog::send(socket, &lines),
            _ => {}
        }
        result
    }

    /// Records something that changes nothing else. A file that cannot be written records nothing: who
    /// can write-protect it can also copy it.
    pub fn record(&self, access: Access<'_>, note: Note) -> Result<()> {
        let store = self.store()?;
        if store.read_only() {
            return Ok(());
        }
        self.write_own(&store, |change| change.audit(access.login, note))
    }

    /// Records the use of a key that asks for it; nothing at all for others.
    pub fn record_use(&self, access: Access<'_>, key: &Key, purpose: &str, mechanism: &str) -> Result<()> {
        if !key.audits_use() {
            return Ok(());
        }
        let note = Note::of(Event::Use).object(key.id());
        self.record(access, note.detail("purpose", purpose).detail("mechanism", mechanism))
    }

    /// Records that a key left the token under another one. A session's keys leave no trace unless they ask
    /// for it.
    pub fn record_wrap(&self, access: Access<'_>, key: &Key, wrapping: &Key, mechanism: &str) -> Result<()> {
        if !key.is_token() && !key.audits_use() {
            return Ok(());
        }
        let note = Note::of(Event::Wrap).object(key.id());
        self.record(access, note.detail("under", wrapping.id()).detail("mechanism", mechanism))
    }

    /// A login or logout that is only counted for now.
    pub(super) fn count_repeat(&self, login: &Login, logs_in: bool) {
        let same = self.store.read().as_ref().is_some_and(|store| store.token_id() == login.token);
        // A forked child ends a login that its parent still has.
        if same && login.process == std::process::id() {
            self.repeats.write().count(login.user, login.person(), logs_in);
        }
    }

    /// What was counted is written down: the library ends. Nothing can be done when that fails.
    pub(super) fn write_repeats(&self) {
        let store = self.store.read().clone();
        let anything = !self.repeats.read().notes().is_empty();
        if let Some(store) = store.filter(|store| anything && !store.read_only()) {
            let _ = self.write_here(&store, |_| Ok(()));
        }
    }
}

#[cfg(test)]
mod tests;
