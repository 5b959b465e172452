//! Users as records, the token's own record, and what officers do with users.
//!
//! The fields of a record are numbered and stored in an object's stored form.

use super::keychain::{Stretch, UserKeys};
use super::{Access, Login, MAX_PIN_LENGTH, Role, Token, UserInfo, policy};
use crate::audit::{Event, Note, hex};
use crate::crypto::Secret;
use crate::crypto::ed25519::PrivateKey;
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use crate::store::{BodyKey, Change, Header, Id, Kind, Record, Store, Term};
use std::sync::Arc;

const NAME: u64 = 1;
const ROLE: u64 = 2;
const SALT: u64 = 3;
const MEMORY_KIB: u64 = 4;
const PASSES: u64 = 5;
/// The user's keys under the KEK.
const KEYS: u64 = 6;
const PUBLIC: u64 = 7;
/// The user's keys under the reset key.
const KEYS_FOR_RESET: u64 = 8;
/// An officer's copy of the reset key.
const RESET_KEY: u64 = 9;
const FAILURES: u64 = 10;
/// Counts the changes that end earlier logins: password set, user unlocked.
const CREDENTIAL: u64 = 11;
const LABEL: u64 = 12;
const RESET_POLICY: u64 = 13;
/// Absent in records of before it was there.
const ATTEMPTS: u64 = 14;
/// The token's: the seed of the Ed25519 key that signs the audit log. Absent as above.
pub const AUDIT_KEY: u64 = 20;

/// `keeps`: an officer's reset keeps the user's objects.
const KEEPS: u64 = 1;
const LONGEST_NAME: usize = 64;

/// A user record, opened.
#[derive(Clone)]
pub struct User {
    pub header: Header,
    pub name: String,
    pub role: Role,
    pub stretch: Stretch,
    pub keys: Vec<u8>,
    pub public: [u8; 32],
    pub keys_for_reset: Vec<u8>,
    pub reset_key: Vec<u8>,
    /// Wrong passwords since the last right one.
    pub failures: u32,
    /// Passwords being tried now; those of killed processes stay until the next login ends.
    pub attempts: u32,
    pub credential: u64,
}

fn name_term(name: &str) -> Term {
    (NAME, name.as_bytes().to_vec())
}

impl User {
    fn new(name: &str, role: Role, author: Id, stretch: Stretch) -> Result<User> {
        let header = Header {
            kind: Kind::User,
            id: Id::random()?,
            version: 0,
            epoch: 1,
            author,
            owner: Id::NONE,
            flags: 0,
        };
        Ok(User {
            header,
            name: name.to_owned(),
            role,
            stretch,
            keys: Vec::new(),
            public: [0; 32],
            keys_for_reset: Vec::new(),
            reset_key: Vec::new(),
            failures: 0,
            attempts: 0,
            credential: 0,
        })
    }

    pub fn decode(header: Header, body: &Secret) -> Result<User> {
        let fields = Object::decode(body)?;
        let damaged = || Error::DeviceError.because("a user record does not decode");
        let number = |kind| fields.number(kind).ok_or_else(damaged);
        let small = |kind| number(kind).and_then(|n| u32::try_from(n).map_err(|_| damaged()));
        Ok(User {
            header,
            name: String::from_utf8(fields.bytes(NAME).to_vec()).map_err(|_| damaged())?,
            role: if number(ROLE)? == 0 { Role::Officer } else { Role::User },
            stretch: Stretch {
                salt: fields.bytes(SALT).try_into().map_err(|_| damaged())?,
                memory_kib: small(MEMORY_KIB)?,
                passes: small(PASSES)?,
            },
            keys: fields.bytes(KEYS).to_vec(),
            public: fields.bytes(PUBLIC).try_into().map_err(|_| damaged())?,
            keys_for_reset: fields.bytes(KEYS_FOR_RESET).to_vec(),
            reset_key: fields.bytes(RESET_KEY).to_vec(),
            failures: small(FAILURES)?,
            attempts: fields.number(ATTEMPTS).map_or(Ok(0), u32::try_from).map_err(|_| damaged())?,
            credential: number(CREDENTIAL)?,
        })
    }

    /// Writes the next version.
    pub fn save(&mut self, change: &mut Change<'_>) -> Result<()> {
        self.header.version += 1;
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let fields = Object::new(vec![
            (NAME, bytes(self.name.as_bytes())),
            (ROLE, Value::Ulong(u64::from(self.role == Role::User))),
            (SALT, bytes(&self.stretch.salt)),
            (MEMORY_KIB, Value::Ulong(self.stretch.memory_kib.into())),
            (PASSES, Value::Ulong(self.stretch.passes.into())),
            (KEYS, bytes(&self.keys)),
            (PUBLIC, bytes(&self.public)),
            (KEYS_FOR_RESET, bytes(&self.keys_for_reset)),
            (RESET_KEY, bytes(&self.reset_key)),
            (FAILURES, Value::Ulong(self.failures.into())),
            (CREDENTIAL, Value::Ulong(self.credential)),
            (ATTEMPTS, Value::Ulong(self.attempts.into())),
        ]);
        change.put(self.header, BodyKey::Seal, &fields.encode(), &[name_term(&self.name)])
    }

    /// Gives the user a password: new salt, keys under the new KEK, no failures.
    fn set_password(
        &mut self,
        stretch: Stretch,
        kek: &Secret,
        keys: &UserKeys,
        reset: &Secret,
    ) -> Result<()> {
        self.stretch = stretch;
        self.keys = keys.wrap(kek)?;
        self.public = keys.public;
        self.keys_for_reset = keys.wrap_for_reset(reset)?;
        if self.role == Role::Officer {
            self.reset_key = UserKeys::give_reset_key(&keys.public, reset)?;
        }
        (self.failures, self.attempts) = (0, 0);
        self.credential += 1;
        Ok(())
    }
}

impl Change<'_> {
    /// The user of an id as this transaction sees him.
    pub(super) fn user(&mut self, id: Id) -> Result<Option<User>> {
        let Some(record) = self.load(Kind::User, id)? else { return Ok(None) };
        let body = self.open_body(&record, BodyKey::Seal)?;
        User::decode(record.header, &body).map(Some)
    }
}

impl Token {
    pub(super) fn find_user(&self, store: &Store, name: &str) -> Result<Option<User>> {
        for header in store.find(Kind::User, &[Id::NONE], &[name_term(name)])? {
            let Some(record) = store.load(Kind::User, header.id)? else { continue };
            let user = open(store, &record)?;
            if user.name == name {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    pub(super) fn pepper(store: &Store) -> Secret {
        store.derived_secret(b"password pepper")
    }

    /// The token's label.
    pub(super) fn label(&self, store: &Store) -> Result<String> {
        let Some(record) = store.load(Kind::Token, store.token_id())? else {
            return Err(Error::DeviceError.because("the token's own record is missing"));
        };
        let fields = Object::decode(&store.open_body(&record, BodyKey::Seal)?)?;
        Ok(String::from_utf8_lossy(fields.bytes(LABEL)).into_owned())
    }

    pub(super) fn check_password(&self, password: &[u8]) -> Result<()> {
        let allowed = self.config.min_pin_length..=MAX_PIN_LENGTH;
        if allowed.contains(&password.len()) { Ok(()) } else { Err(Error::PinLenRange) }
    }

    /// C_InitToken: a new token with the officer `default_officer`; a present one needs that
    /// officer's PIN (`PinIncorrect`, `PinLocked`) and loses everything: of its audit log the new one
    /// begins with the end.
    pub fn initialize(&self, pin: &[u8], label: &str) -> Result<()> {
        let mut made = Note::of(Event::TokenInitialized);
        if Store::exists(&self.config) {
            let officer = self.authenticate(Role::Officer, Some(&self.config.default_officer), pin, None)?;
            let former = self.store()?;
            let tip = former.log()?.tip;
            made = made.by(Some(officer.person())).detail("former_token", former.token_id());
            made = made.detail("former_sequence", tip.sequence).detail("former_hash", hex(&tip.hash));
        }
        self.check_password(pin)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let (keys, reset) = (UserKeys::random()?, Secret::random(32)?);
        let audit_key = PrivateKey::generate()?;
        let store = Store::create(&self.config, |change| {
            let token = change.token_id();
            let header = Header {
                kind: Kind::Token,
                id: token,
                version: 1,
                epoch: 1,
                author: token,
                owner: Id::NONE,
                flags: 0,
            };
            let fields = Object::new(vec![
                (LABEL, Value::Bytes(label.as_bytes().to_vec())),
                (RESET_POLICY, Value::Ulong(KEEPS)),
                (AUDIT_KEY, Value::Secret(audit_key)),
            ]);
            change.put(header, BodyKey::Seal, &fields.encode(), &[])?;
            let mut officer = User::new(&self.config.default_officer, Role::Officer, token, stretch)?;
            let kek = stretch.kek(pin, &change.derived_secret(b"password pepper"))?;
            officer.set_password(stretch, &kek, &keys, &reset)?;
            officer.save(change)?;
            change.enter(made)?;
            change.enter(Note::of(Event::UserCreated).user(officer.person()))
        })?;
        self.replace_store(Some(Arc::new(store)));
        Ok(())
    }

    /// The officer behind an access: `UserNotLoggedIn` for anyone else, `SessionReadOnly`.
    pub(super) fn officer<'a>(access: Access<'a>) -> Result<&'a Arc<Login>> {
        let officer = policy::who(access.login) == policy::Who::Officer;
        let login = access.login.filter(|_| officer).ok_or(Error::UserNotLoggedIn)?;
        if access.write { Ok(login) } else { Err(Error::SessionReadOnly) }
    }

    /// The reset key, which every officer can open.
    fn reset_key(&self, store: &Store, officer: &Login) -> Result<Secret> {
        let record = store.load(Kind::User, officer.user)?.ok_or(Error::UserNotLoggedIn)?;
        officer.keys.take_reset_key(&open(store, &record)?.reset_key).map_err(|_| Error::UserNotLoggedIn)
    }

    /// C_InitPIN: makes the slot's default user, or resets that user's password and lock.
    /// `user:password` resets the user of that name.
    pub fn init_pin(&self, access: Access<'_>, pin: &[u8]) -> Result<()> {
        let officer = Self::officer(access)?;
        let store = self.store()?;
        let (user, password) = self.named_in(&store, pin)?;
        let user = match user.filter(|user| user.role == Role::User) {
            Some(user) => Some(user),
            None => self.find_user(&store, &self.config.default_user)?,
        };
        let name = user.map_or_else(|| self.config.default_user.clone(), |user| user.name);
        self.set_user(&store, officer, &name, Role::User, password).map(drop)
    }

    /// A new user by an officer; `UserAlreadyLoggedIn` never, `ArgumentsBad` for a name that is
    /// taken. Names: 1 to 64 of letters, digits, `.`, `_`, `-`, `@`.
    pub fn create_user(&self, access: Access<'_>, name: &str, role: Role, password: &[u8]) -> Result<Id> {
        let officer = Self::officer(access)?;
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fine) {
            return Err(
                Error::ArgumentsBad.because("a user's name is 1 to 64 of letters, digits and . _ - @")
            );
        }
        let store = self.store()?;
        if self.find_user(&store, name)?.is_some() {
            return Err(Error::ArgumentsBad.because(format_args!("there is a user {name} already")));
        }
        self.set_user(&store, officer, name, role, password)
    }

    /// A new password for a user by an officer; the user's lock ends.
    pub fn reset_password(&self, access: Access<'_>, name: &str, password: &[u8]) -> Result<()> {
        let officer = Self::officer(access)?;
        let store = self.store()?;
        let user = self.find_user(&store, name)?;
        let role =
            user.ok_or_else(|| Error::ArgumentsBad.because(format_args!("there is no user {name}")))?.role;
        self.set_user(&store, officer, name, role, password).map(drop)
    }

    /// Makes a user, or gives a present one a new password and keeps his keys.
    fn set_user(
        &self,
        store: &Store,
        officer: &Arc<Login>,
        name: &str,
        role: Role,
        password: &[u8],
    ) -> Result<Id> {
        self.check_password(password)?;
        let reset = self.reset_key(store, officer)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let kek = stretch.kek(password, &Self::pepper(store))?;
        let present = self.find_user(store, name)?;
        self.write(store, |change| {
            change.user(officer.user)?.ok_or(Error::UserNotLoggedIn)?;
            let current = match &present {
                Some(user) => change.user(user.header.id)?,
                None => None,
            };
            let event = if current.is_some() { Event::PasswordReset } else { Event::UserCreated };
            let (mut user, keys) = match current {
                Some(user) => {
                    let keys = UserKeys::unwrap_for_reset(&reset, &user.keys_for_reset, user.public);
                    (
                        user,
                        keys.map_err(|_| Error::DeviceError.because("a user's keys do not open for reset"))?,
                    )
                }
                None => (User::new(name, role, change.token_id(), stretch)?, UserKeys::random()?),
            };
            user.set_password(stretch, &kek, &keys, &reset)?;
            user.save(change)?;
            change.audit(Some(officer), Note::of(event).user(user.person()))?;
            Ok(user.header.id)
        })
    }

    /// C_SetPIN: of the one logged in, or of the default user in a public session. Both PINs may
    /// carry the user's `name:`.
    pub fn set_pin(&self, access: Access<'_>, old: &[u8], new: &[u8]) -> Result<()> {
        if !access.write {
            return Err(Error::SessionReadOnly);
        }
        let role = access.login.map_or(Role::User, |login| login.role);
        let store = self.store()?;
        let (named, old_password) = self.named_in(&store, old)?;
        let name = match (access.login, named) {
            (Some(login), Some(user)) if user.header.id != login.user => return Err(Error::PinIncorrect),
            (Some(login), _) => login.name.clone(),
            (None, Some(user)) => user.name,
            (None, None) => self.config.default_user.clone(),
        };
        let prefix = [name.as_bytes(), b":"].concat();
        let new = new.strip_prefix(&prefix[..]).unwrap_or(new);
        let login = self.authenticate(role, Some(&name), old_password, None)?;
        self.check_password(new)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let kek = stretch.kek(new, &Self::pepper(&store))?;
        self.write(&store, |change| {
            let mut user = change.user(login.user)?.ok_or(Error::PinIncorrect)?;
            user.stretch = stretch;
            user.keys = login.keys.wrap(&kek)?;
            (user.failures, user.attempts) = (0, 0);
            user.credential += 1;
            user.save(change)?;
            change.audit(Some(&login), Note::of(Event::PasswordChanged).user(user.person()))
        })
    }

    pub fn users(&self) -> Result<Vec<UserInfo>> {
        let store = self.store()?;
        let mut users = Vec::new();
        for header in store.list(Kind::User)? {
            let Some(record) = store.load(Kind::User, header.id)? else { continue };
            users.push(self.told(open(&store, &record)?));
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// One user, by name.
    pub fn user(&self, name: &str) -> Result<Option<UserInfo>> {
        let store = self.store()?;
        Ok(self.find_user(&store, name)?.map(|user| self.told(user)))
    }

    fn told(&self, user: User) -> UserInfo {
        UserInfo {
            id: user.header.id,
            locked: user.failures >= self.config.max_failures,
            failures: user.failures,
            name: user.name,
            role: user.role,
        }
    }
}

fn open(store: &Store, record: &Record) -> Result<User> {
    User::decode(record.header, &store.open_body(record, BodyKey::Seal)?)
}
