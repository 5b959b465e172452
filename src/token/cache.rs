//! Opened records in memory, kept true to the file: other processes' commits are seen at every
//! lookup, and within [`FRESH_MS`] when a key is used.

use super::handles::Place;
use super::{Access, Handle, Login, Token, keychain, policy};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::mechanism::Key;
use crate::object::Object;
use crate::store::{BodyKey, Header, Id, Kind, Store};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long a look at the file is good enough for using a key.
const FRESH_MS: u64 = 50;

/// The kernel's coarse clock: good to a few milliseconds, and a quarter of the price of the fine one.
fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// What a wrapped data key is bound to.
pub fn key_purpose(object: Id, holder: Id) -> Vec<u8> {
    [&b"data key"[..], &object.0, &holder.0].concat()
}

/// Whether the asker may know of a record with this owner.
fn sees(login: Option<&Arc<Login>>, owner: Id) -> bool {
    policy::may_read(login, true, owner != Id::NONE)
        && (owner == Id::NONE || login.is_some_and(|l| l.user == owner))
}

impl Token {
    /// Drops what other processes changed since the last look.
    pub(super) fn look(&self, store: &Store) -> Result<()> {
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

    /// The data key of an object for the one who is logged in.
    pub(super) fn data_key(&self, store: &Store, login: &Login, object: Id) -> Result<Secret> {
        let wrapped = store.load_key(object, login.user)?.ok_or(Error::ObjectHandleInvalid)?;
        open_data_key(login, object, &wrapped)
    }
}

fn open_data_key(login: &Login, object: Id, wrapped: &[u8]) -> Result<Secret> {
    keychain::unwrap(&login.keys.own, &key_purpose(object, login.user), wrapped).map_err(|_| {
        Error::DeviceError.because(format_args!("the data key of object {object} does not open"))
    })
}

impl Token {
    /// A record opened for the asker, from memory or from the file; `None` when there is none or it
    /// is not the asker's to see.
    pub(super) fn open_record(
        &self,
        store: &Store,
        login: Option<&Arc<Login>>,
        id: Id,
    ) -> Result<Option<(Header, Arc<Key>)>> {
        let (before, known) = {
            let index = self.index.read();
            ((index.version, self.generation()), index.opened(id).cloned())
        };
        if let Some((header, key)) = known {
            return Ok(sees(login, header.owner).then_some((header, key)));
        }
        let holder = login.map_or(Id::NONE, |login| login.user);
        let Some((record, wrapped)) = store.load_with_key(Kind::Object, id, holder)? else { return Ok(None) };
        let header = record.header;
        if !sees(login, header.owner) {
            return Ok(None);
        }
        let body = match login {
            Some(login) if header.owner != Id::NONE => {
                let key = open_data_key(login, id, &wrapped.ok_or(Error::ObjectHandleInvalid)?)?;
                store.open_body(&record, BodyKey::Data(&key))?
            }
            _ => store.open_body(&record, BodyKey::Seal)?,
        };
        let key = Arc::new(Key::new(Object::decode(&body)?));
        let mut index = self.index.write();
        // If someone looked at the file or changed it meanwhile, this form may be the older one: do not
        // keep it.
        if (index.version, self.generation()) == before {
            let handle = index.handle(id);
            index.set_open(handle, Some((header, Arc::clone(&key))));
        }
        Ok(Some((header, key)))
    }

    /// The object as of now, other processes' commits included; `ObjectHandleInvalid` when it is
    /// gone or not the asker's to see.
    pub fn object(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        self.resolve(access, handle).map(|(_, key)| key)
    }

    /// The object with its record's header, `None` for one in memory only.
    pub(super) fn resolve(&self, access: Access<'_>, handle: Handle) -> Result<(Option<Header>, Arc<Key>)> {
        let id = match self.index.read().place(handle) {
            None => return Err(Error::ObjectHandleInvalid),
            Some(Place::Session { key, .. }) => {
                let seen = policy::may_read(access.login, key.is_token(), key.is_private());
                return if seen { Ok((None, Arc::clone(key))) } else { Err(Error::ObjectHandleInvalid) };
            }
            Some(Place::Token { id, .. }) => *id,
        };
        let store = self.store()?;
        self.look(&store)?;
        match self.open_record(&store, access.login, id)? {
            Some((header, key)) => Ok((Some(header), key)),
            None => Err(Error::ObjectHandleInvalid),
        }
    }

    /// Whether a key that was looked up at this generation may be used without another look.
    pub fn still_valid(&self, key: &Key, generation: u64) -> bool {
        generation == self.generation() && (!(key.is_token() || key.is_private()) || self.is_fresh())
    }

    fn is_fresh(&self) -> bool {
        now_ms().saturating_sub(self.looked.load(Ordering::Relaxed)) <= FRESH_MS
    }

    /// For an operation: from memory when it is there and was looked at within 50 ms;
    /// `KeyHandleInvalid`. The officer gets no private or secret key.
    pub fn key(&self, access: Access<'_>, handle: Handle) -> Result<Arc<Key>> {
        if access.login.is_some() && !self.is_fresh() {
            // Keys in memory only end with their user, too.
            self.look(&*self.store()?)?;
        }
        let known = match self.index.read().place(handle) {
            Some(Place::Session { key, .. }) => {
                let seen = policy::may_read(access.login, key.is_token(), key.is_private());
                seen.then(|| Arc::clone(key))
            }
            Some(Place::Token { open: Some((header, key)), .. })
                if self.is_fresh() && sees(access.login, header.owner) =>
            {
                Some(Arc::clone(key))
            }
            _ => None,
        };
        let key = match known {
            Some(key) => key,
            None => self.object(access, handle).map_err(|error| match error {
                Error::ObjectHandleInvalid => Error::KeyHandleInvalid,
                other => other,
            })?,
        };
        policy::may_use(access.login, &key)?;
        Ok(key)
    }
}
