//! Proving a password: PIN forms, lock-out, and the verifier that spares repeat logins the KDF.

use super::audit::person;
use super::keychain::{self, UserKeys};
use super::users::User;
use super::{Role, Token};
use crate::audit::{Event, Note, Person};
use crate::crypto::Secret;
use crate::crypto::hash::Hmac;
use crate::error::{Error, Result};
use crate::store::{Id, Store};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a login waits for the end of others' attempts; many times what a password takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);

/// A person who proved a password, with the keys that follow from it. Wiped on drop.
pub struct Login {
    pub user: Id,
    pub name: String,
    pub role: Role,
    /// The token as it was then; one that is initialised anew knows this login no more.
    pub(super) token: Id,
    /// The process that logged in: a forked child has its parent's login.
    pub(super) process: u32,
    /// The user's credential version that was proved.
    pub(super) credential: u64,
    pub(super) keys: UserKeys,
    /// The user was deleted: to the policy this is nobody.
    pub(super) ended: AtomicBool,
}

impl Login {
    /// Of a user whose password was right, to the token of this id.
    pub(super) fn new(token: Id, user: User, keys: UserKeys) -> Login {
        Login {
            user: user.header.id,
            name: user.name,
            role: user.role,
            token,
            process: std::process::id(),
            credential: user.credential,
            keys,
            ended: AtomicBool::new(false),
        }
    }

    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// What remembers good passwords in this process: the KEK under a key that only the password and a
/// random key of this process give, bound to the user's credential version.
#[derive(Default)]
pub struct Verifiers {
    process: Option<Secret>,
    known: HashMap<Id, (u64, Vec<u8>)>,
    given: Vec<Weak<Login>>,
}

impl Verifiers {
    /// All passwords; who is logged in stays known, so that a login can still be ended.
    pub(super) fn forget(&mut self) {
        self.process = None;
        self.known.clear();
    }

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

    /// The logins that somebody still holds.
    pub(super) fn given(&self) -> Vec<Arc<Login>> {
        self.given.iter().filter_map(Weak::upgrade).collect()
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
        self.authenticate(role, name, pin, Some(Event::Login))
    }

    /// As `log_in`; a right password is recorded as this event, or is part of what is recorded later.
    pub(super) fn authenticate(
        &self,
        role: Role,
        name: Option<&str>,
        pin: &[u8],
        event: Option<Event>,
    ) -> Result<Arc<Login>> {
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
        let user = match user {
            Some(user) if user.role == role => user,
            Some(other) => return self.refuse(&store, other.person(), Error::PinIncorrect),
            None => {
                let typed = Person { name: name.unwrap_or_default().to_owned(), ..Person::default() };
                return self.refuse(&store, typed, Error::PinIncorrect);
            }
        };
        let keys = self.prove(&store, &user, password, event)?;
        let login = self.admit(&store, user, keys)?;
        self.note_rules(&store, &login)?;
        if role == Role::Officer {
            self.give_appliance(&store)?;
            self.give_reset_public(&store, &login)?;
        }
        Ok(login)
    }

    /// The login of a user whose password was right; `PinIncorrect` when he was deleted or got new keys
    /// meanwhile.
    pub(super) fn admit(&self, store: &Store, user: User, keys: UserKeys) -> Result<Arc<Login>> {
        self.let_in(store, Arc::new(Login::new(store.token_id(), user, keys)))
    }

    /// From here on this process sees to it that the login ends when it must.
    pub(super) fn let_in(&self, store: &Store, login: Arc<Login>) -> Result<Arc<Login>> {
        {
            let given = &mut self.verifiers.write().given;
            given.retain(|given| given.strong_count() > 0);
            given.push(Arc::downgrade(&login));
        }
        // From here on whoever notices such a change ends this login; what came before is seen now.
        self.end_logins(store, |changed| changed == login.user)?;
        if login.ended() { Err(Error::PinIncorrect) } else { Ok(login) }
    }

    /// Records an attempt that was not even tried, and answers why.
    fn refuse<T>(&self, store: &Store, user: Person, why: Error) -> Result<T> {
        if !store.read_only() {
            let note = Note::of(Event::LoginFailed).user(user).detail("answer", why);
            self.write_here(store, |change| change.enter(note))?;
        }
        Err(why)
    }

    /// C_Login(CKU_CONTEXT_SPECIFIC): the password of the one who is logged in, again.
    pub fn confirm(&self, login: &Login, pin: &[u8]) -> Result<()> {
        let prefix = [login.name.as_bytes(), b":"].concat();
        let store = self.store()?;
        let user = self.find_user(&store, &login.name)?.ok_or(Error::PinIncorrect)?;
        let password = pin.strip_prefix(&prefix[..]).unwrap_or(pin);
        self.prove(&store, &user, password, None).map(drop)
    }

    /// The user's keys, if the password is right. An attempt is written down before it is tried, so
    /// that killing the process or trying from many at once gains nothing.
    pub(super) fn prove(
        &self,
        store: &Store,
        user: &User,
        password: &[u8],
        event: Option<Event>,
    ) -> Result<UserKeys> {
        let right = || event.map(|event| Note::of(event).by(Some(user.person())));
        if user.failures >= self.config.max_failures {
            return self.refuse(store, user.person(), Error::PinLocked);
        }
        let (most, recalled) = (self.config.max_failures, self.verifiers.read().recall(user, password));
        // Two hosts may have given the same password apart: it opens, and not by the same key.
        let recalled = recalled.and_then(|kek| UserKeys::unwrap(&kek, &user.keys, user.public).ok());
        if let Some(keys) = recalled {
            if user.failures > 0 {
                let good = |current: &mut User| current.failures < most && current.attempt_was_right();
                if !self.count(store, user, right(), good)? && !store.read_only() {
                    return self.refuse(store, user.person(), Error::PinLocked);
                }
            } else if event.is_some() {
                self.repeats.write().count(user.header.id, user.person(), true);
            }
            return Ok(keys);
        }
        if let Err(error) = self.begin_attempt(store, user, PATIENCE) {
            let locked = error == Error::PinLocked;
            return if locked { self.refuse(store, user.person(), error) } else { Err(error) };
        }
        let kek = match user.stretch.kek(password, &Self::pepper(store)) {
            Ok(kek) => kek,
            // There was not the memory to try it: that is nobody's wrong guess.
            Err(error) => {
                self.count(store, user, None, User::attempt_was_none)?;
                return Err(error);
            }
        };
        let Ok(keys) = UserKeys::unwrap(&kek, &user.keys, user.public) else {
            let wrong =
                Note::of(Event::LoginFailed).user(user.person()).detail("answer", Error::PinIncorrect);
            self.count(store, user, Some(wrong), User::attempt_was_wrong)?;
            return Err(Error::PinIncorrect.because(format_args!("user {}", user.name)));
        };
        let good = |current: &mut User| current.failures < most && current.attempt_was_right();
        if !self.count(store, user, right(), good)? && !store.read_only() {
            // A lock came from another host of the cluster meanwhile.
            return self.refuse(store, user.person(), Error::PinLocked);
        }
        self.verifiers.write().remember(user, password, &kek)?;
        Ok(keys)
    }

    /// Writes an attempt down; `PinLocked`. Never more are under way than tries are left, so right
    /// passwords given by many processes at once wait for each other instead of locking the user.
    /// Attempts that show no end for `patience` (their process was killed) count as wrong.
    pub(super) fn begin_attempt(&self, store: &Store, user: &User, patience: Duration) -> Result<()> {
        let most = self.config.max_failures;
        if store.read_only() {
            return Ok(());
        }
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let current = self.find_user(store, &user.name)?.ok_or(Error::PinIncorrect)?;
            if current.failures >= most {
                return Err(Error::PinLocked);
            }
            if current.may_attempt(most) {
                if self.count(store, user, None, |current| current.attempt(most))? {
                    return Ok(());
                }
                continue;
            }
            if current.header.version != seen {
                (seen, since) = (current.header.version, Instant::now());
            } else if since.elapsed() >= patience {
                let ended = |current: &mut User| current.header.version == seen && current.end_attempts();
                self.count(store, user, None, ended)?;
                continue;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Changes the user's counts and saves them if `change` says so, with what is to be recorded of it;
    /// answers what it said. A file that cannot be written counts nothing: who can write-protect it can
    /// also copy it.
    fn count(
        &self,
        store: &Store,
        user: &User,
        note: Option<Note>,
        change: impl FnOnce(&mut User) -> bool,
    ) -> Result<bool> {
        if store.read_only() {
            return Ok(false);
        }
        let most = self.config.max_failures;
        let counted = self.write_here(store, |writing| {
            let mut current = writing.user(user.header.id)?.ok_or(Error::PinIncorrect)?;
            if current.credential != user.credential {
                return Err(Error::PinIncorrect);
            }
            let before = current.failures;
            let save = change(&mut current);
            if save {
                if current.failures >= most {
                    current.lock();
                }
                current.save(writing)?;
                note.map_or(Ok(()), |note| writing.enter(note))?;
                if before < most && current.failures >= most {
                    writing.enter(Note::of(Event::Locked).user(current.person()))?;
                }
            }
            Ok(save)
        });
        counted.map(|(save, _)| save)
    }
}

/// The counts of a user's record.
impl User {
    pub(super) fn person(&self) -> Person {
        person(self.header.id, &self.name, self.role)
    }

    fn may_attempt(&self, most: u32) -> bool {
        self.failures.saturating_add(self.attempts) < most
    }

    fn attempt(&mut self, most: u32) -> bool {
        let may = self.may_attempt(most);
        self.attempts += u32::from(may);
        may
    }

    /// Those under way that turn out wrong are counted when they end.
    fn attempt_was_right(&mut self) -> bool {
        (self.failures, self.attempts) = (0, 0);
        true
    }

    fn attempt_was_wrong(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.attempt_was_none()
    }

    fn attempt_was_none(&mut self) -> bool {
        self.attempts = self.attempts.saturating_sub(1);
        true
    }

    fn end_attempts(&mut self) -> bool {
        self.failures = self.failures.saturating_add(self.attempts);
        self.attempts = 0;
        true
    }
}
