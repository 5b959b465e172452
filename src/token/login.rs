//! Proving a password: PIN forms, lock-out, and the verifier that spares repeat logins the KDF.

use super::keychain::{self, UserKeys};
use super::users::User;
use super::{Role, Token};
use crate::crypto::Secret;
use crate::crypto::hash::Hmac;
use crate::error::{Error, Result};
use crate::store::{Id, Store};
use std::collections::HashMap;
use std::sync::Arc;

/// A person who proved a password, with the keys that follow from it. Wiped on drop.
pub struct Login {
    pub user: Id,
    pub name: String,
    pub role: Role,
    /// The token as it was then; one that is initialised anew knows this login no more.
    pub(super) token: Id,
    pub(super) keys: UserKeys,
}

/// What remembers good passwords in this process: the KEK under a key that only the password and a
/// random key of this process give, bound to the user's credential version.
#[derive(Default)]
pub struct Verifiers {
    process: Option<Secret>,
    known: HashMap<Id, (u64, Vec<u8>)>,
}

impl Verifiers {
    fn key(process: &Secret, user: Id, password: &[u8]) -> Secret {
        Secret::from(&Hmac::sha256(process, &[&user.0, password])[..])
    }

    /// The KEK, if this very password was proved before and nothing changed since.
    fn recall(&self, user: &User, password: &[u8]) -> Option<Secret> {
        let (credential, sealed) = self.known.get(&user.header.id)?;
        if *credential != user.credential {
            return None;
        }
        let key = Self::key(self.process.as_ref()?, user.header.id, password);
        keychain::unwrap(&key, b"verifier", sealed).ok()
    }

    fn remember(&mut self, user: &User, password: &[u8], kek: &Secret) -> Result<()> {
        if self.process.is_none() {
            self.process = Some(Secret::random(32)?);
        }
        if let Some(process) = &self.process {
            let key = Self::key(process, user.header.id, password);
            let sealed = keychain::wrap(&key, b"verifier", kek)?;
            self.known.insert(user.header.id, (user.credential, sealed));
        }
        Ok(())
    }
}

impl Token {
    /// Splits `user:password` when the prefix is a user's name; else all of it is a password.
    pub(super) fn named_in<'a>(&self, store: &Store, pin: &'a [u8]) -> Result<(Option<User>, &'a [u8])> {
        let colon = pin.iter().position(|byte| *byte == b':');
        let Some((name, password)) = colon.map(|at| (&pin[..at], &pin[at + 1..])) else {
            return Ok((None, pin));
        };
        let Ok(name) = std::str::from_utf8(name) else { return Ok((None, pin)) };
        Ok(match self.find_user(store, name)? {
            Some(user) => (Some(user), password),
            None => (None, pin),
        })
    }

    /// Checks a password; counts failures in the store (`PinIncorrect`, `PinLocked`,
    /// `UserPinNotInitialized`). Without `name`, the PIN may be `user:password`; a prefix that is
    /// no user's name belongs to the password of the slot's default user.
    pub fn log_in(&self, role: Role, name: Option<&str>, pin: &[u8]) -> Result<Arc<Login>> {
        let store = self.store()?;
        let (user, password) = match name {
            Some(name) => (self.find_user(&store, name)?, pin),
            None => match self.named_in(&store, pin)? {
                (Some(user), password) => (Some(user), password),
                (None, password) => {
                    let default = if role == Role::User {
                        &self.config.default_user
                    } else {
                        &self.config.default_officer
                    };
                    let user = self.find_user(&store, default)?;
                    (Some(user.ok_or(Error::UserPinNotInitialized)?), password)
                }
            },
        };
        let user = user.filter(|user| user.role == role).ok_or(Error::PinIncorrect)?;
        let keys = self.prove(&store, &user, password)?;
        Ok(Arc::new(Login { user: user.header.id, name: user.name, role, token: store.token_id(), keys }))
    }

    /// C_Login(CKU_CONTEXT_SPECIFIC): the password of the one who is logged in, again.
    pub fn confirm(&self, login: &Login, pin: &[u8]) -> Result<()> {
        let prefix = [login.name.as_bytes(), b":"].concat();
        let store = self.store()?;
        let user = self.find_user(&store, &login.name)?.ok_or(Error::PinIncorrect)?;
        let password = pin.strip_prefix(&prefix[..]).unwrap_or(pin);
        self.prove(&store, &user, password).map(drop)
    }

    /// The user's keys, if the password is right. An attempt is counted before it is tried, so that
    /// killing the process or trying from many at once gains nothing.
    fn prove(&self, store: &Store, user: &User, password: &[u8]) -> Result<UserKeys> {
        if user.failures >= self.config.max_failures {
            return Err(Error::PinLocked);
        }
        if let Some(keys) = self.recall(store, user, password)? {
            return Ok(keys);
        }
        let _turn = store.turn();
        // Another thread may have had the turn before, with the same password.
        if let Some(keys) = self.recall(store, user, password)? {
            return Ok(keys);
        }
        self.count(store, user, |failures| failures + 1)?;
        let kek = user.stretch.kek(password, &Self::pepper(store))?;
        let keys = UserKeys::unwrap(&kek, &user.keys, user.public)
            .map_err(|_| Error::PinIncorrect.because(format_args!("user {}", user.name)))?;
        self.count(store, user, |_| 0)?;
        self.verifiers.write().remember(user, password, &kek)?;
        Ok(keys)
    }

    /// The user's keys, if this very password was right before in this process.
    fn recall(&self, store: &Store, user: &User, password: &[u8]) -> Result<Option<UserKeys>> {
        let Some(kek) = self.verifiers.read().recall(user, password) else { return Ok(None) };
        if user.failures > 0 {
            self.count(store, user, |_| 0)?;
        }
        UserKeys::unwrap(&kek, &user.keys, user.public).map(Some).map_err(|_| Error::PinIncorrect)
    }

    /// Changes the count of failures; `PinLocked` when it stands at the limit and would grow. A
    /// file that cannot be written counts nothing: who can write-protect it can also copy it.
    fn count(&self, store: &Store, user: &User, next: impl Fn(u32) -> u32) -> Result<()> {
        if store.read_only() {
            return Ok(());
        }
        store.write(|change| {
            let mut current = change.user(user.header.id)?.ok_or(Error::PinIncorrect)?;
            if current.credential != user.credential {
                return Err(Error::PinIncorrect);
            }
            let wanted = next(current.failures);
            if wanted > current.failures && current.failures >= self.config.max_failures {
                return Err(Error::PinLocked);
            }
            current.failures = wanted;
            current.save(change)
        })
    }
}
