//! Opened records in memory, kept true to the file: other processes' commits are seen at every
//! lookup, and within [`FRESH_MS`] when a key is used.

use super::handles::Place;
use super::policy::Operation;
use super::{Access, Handle, Login, Token, policy};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::Object;
use crate::store::{BodyKey, Header, Id, Kind, Store};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a look at the file is good enough for using a key.
const FRESH_MS: u64 = 50;

/// The kernel's coarse clock: good to a few milliseconds, and a quarter of the price of the fine one.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// An object of the file, opened.
#[derive(Clone)]
pub struct Opened {
    pub header: Header,
    /// With whose keys it was opened; [`Id::NONE`] for a public one. Nobody else is served it.
    pub holder: Id,
    pub key: Arc<Key>,
}

impl Opened {
    /// Whether the asker may know of it.
    fn seen_by(&self, login: Option<&Arc<Login>>) -> bool {
        policy::may_see(login, true, self.holder != Id::NONE)
            && (self.holder == Id::NONE || login.is_some_and(|login| login.user == self.holder))
    }
}

impl Token {
    /// Drops what other processes changed since the last look.
    pub(super) fn look(&self, store: &Store) -> Result<()> {
        if !self.is_fresh() {
            store.tidy(Duration::ZERO);
        }
        let version = store.data_version()?;
        if self.index.read().version == Some(version) {
            self.looked.store(now_ms(), Ordering::Relaxed);
            return Ok(());
        }
        let seen = self.index.read().seen;
        let changes = match store.changes(seen) {
            Ok(changes) => changes,
            Err(error) => {
                // Perhaps another process made the token anew: then the next use opens the new one.
                self.replace_store(None);
                return Err(error);
            }
        };
        let all = changes.reset || seen == u64::MAX;
        self.end_logins(store, |user| all || changes.records.contains(&(Kind::User, user)))?;
        let mut index = self.index_for_change();
        if all {
            index.forget_opened(false);
        }
        for (kind, id) in changes.records {
            if kind == Kind::Object {
                index.forget(id);
            }
        }
        index.seen = changes.upto;
        index.version = Some(version);
        self.looked.store(now_ms(), Ordering::Relaxed);
        Ok(())
    }

    /// A record opened for the asker, from memory or from the file; `None` when there is none or it
    /// is not the asker's to see.
    pub(super) fn open_record(
        &self,
        store: &Store,
        login: Option<&Arc<Login>>,
        id: Id,
    ) -> Result<Option<Opened>> {
        let (before, known) = {
            let index = self.index.read();
            ((index.version, self.generation()), index.opened(id).cloned())
        };
        // What another login opened is opened again: its keys may not be this one's.
        if let Some(known) = known.filter(|known| known.seen_by(login)) {
            return Ok(Some(known));
        }
        let holder = login.map_or(Id::NONE, |login| login.user);
        let Some((record, wrapped)) = store.load_with_key(Kind::Object, id, holder)? else { return Ok(None) };
        let header = record.header;
        let private = header.owner != Id::NONE;
        if !policy::may_see(login, true, private) {
            return Ok(None);
        }
        let body = match (login, wrapped) {
            (_, _) if !private => store.open_body(&record, BodyKey::Seal)?,
            (Some(login), Some(wrapped)) => {
                store.open_body(&record, BodyKey::Data(&open_data_key(login, id, &wrapped)?))?
            }
            _ => return Ok(None),
        };
        let key = Arc::new(Key::new(Object::decode(&body)?));
        let opened = Opened { header, holder: if private { holder } else { Id::NONE }, key };
        let mut index = self.index.write();
        // If someone looked at the file or changed it meanwhile, this form may be the older one: do not
        // keep it.
        if (index.version, self.generation()) == before {
            let handle = index.handle(id);
            index.set_open(handle, Some(opened.clone()));
        }
        Ok(Some(opened))
    }

    /// The object as of now, other processes' commits included; `ObjectHandleInvalid` when it is
    /// gone or not the asker's to see.
    pub fn object(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        self.resolve(access, handle).map(|(_, key)| key)
    }

    /// The object with its record, `None` for one in memory only.
    pub(super) fn resolve(&self, access: Access<'_>, handle: Handle) -> Result<(Option<Opened>, Arc<Key>)> {
        let id = match self.index.read().place(handle) {
            None => return Err(Error::ObjectHandleInvalid),
            Some(Place::Session { key, .. }) => {
                let seen = policy::may_see(access.login, key.is_token(), key.is_private());
                return if seen { Ok((None, Arc::clone(key))) } else { Err(Error::ObjectHandleInvalid) };
            }
            Some(Place::Token { id, .. }) => *id,
        };
        let store = self.store()?;
        self.look(&store)?;
        match self.open_record(&store, access.login, id)? {
            Some(opened) => {
                let key = Arc::clone(&opened.key);
                Ok((Some(opened), key))
            }
            None => Err(Error::ObjectHandleInvalid),
        }
    }

    /// As [`Token::resolve`], for one who may do it: the policy's word, `SessionReadOnly`.
    pub(super) fn resolve_for(
        &self,
        access: Access<'_>,
        operation: Operation,
        handle: Handle,
    ) -> Result<(Option<Opened>, Arc<Key>)> {
        let (found, key) = self.resolve(access, handle)?;
        policy::may(access, operation, &key, found.as_ref())?;
        Ok((found, key))
    }

    /// Whether the asker may do it to an object: `ObjectHandleInvalid`, the policy's word.
    pub fn may(&self, access: Access<'_>, operation: Operation, handle: Handle) -> Result<()> {
        self.resolve_for(access, operation, handle).map(drop)
    }

    /// Whether a key that was looked up at this generation may be used without another look.
    pub fn still_valid(&self, key: &Key, generation: u64) -> bool {
        generation == self.generation() && (!(key.is_token() || key.is_private()) || self.is_fresh())
    }

    fn is_fresh(&self) -> bool {
        now_ms().saturating_sub(self.looked.load(Ordering::Relaxed)) <= FRESH_MS
    }

    /// For an operation: from memory when it is there and was looked at within 50 ms;
    /// `KeyHandleInvalid`, the policy's word.
    pub fn key(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        if access.login.is_some() && !self.is_fresh() {
            // Keys in memory only end with their user, too.
            self.look(&*self.store()?)?;
        }
        let may = |key: &Arc<Key>, found: Option<&Opened>| {
            policy::may(access, policy::using(key), key, found)?;
            if key.is_suspended() {
                let why = format_args!("key {} is suspended by its owner", key.id());
                return Err(Error::KeyFunctionNotPermitted.because(why));
            }
            Ok(Arc::clone(key))
        };
        match self.index.read().place(handle) {
            Some(Place::Session { key, .. })
                if policy::may_see(access.login, key.is_token(), key.is_private()) =>
            {
                return may(key, None);
            }
            Some(Place::Token { open: Some(opened), .. })
                if self.is_fresh() && opened.seen_by(access.login) =>
            {
                return may(&opened.key, Some(opened));
            }
            _ => {}
        }
        let (found, key) = self.resolve(access, handle).map_err(|error| match error {
            Error::ObjectHandleInvalid => Error::KeyHandleInvalid,
            other => other,
        })?;
        may(&key, found.as_ref())
    }
}

/// The data key of an object, as wrapped for the login.
pub fn open_data_key(login: &Login, object: Id, wrapped: &[u8]) -> Result<Secret> {
    login.keys.open_data_key(object, login.user, wrapped).map_err(|_| {
        Error::DeviceError.because(format_args!("the data key of object {object} does not open"))
    })
}
