//! Users as records, and what a user does with his own password.
//!
//! The fields of a record are numbered and stored in an object's stored form.

use super::keychain::{Stretch, UserKeys};
use super::reset::{self, Request, Shares};
use super::shareholders::Part;
use super::{Access, Login, Role, Token, UserInfo, renewal};
use crate::audit::{Event, Note};
use crate::config::ResetPolicy;
use crate::crypto::Secret;
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
/// The user's keys under the reset key; empty of officers.
const KEYS_FOR_RESET: u64 = 8;
/// An officer's copy of the reset key.
const RESET_KEY: u64 = 9;
const FAILURES: u64 = 10;
/// Counts the changes that end earlier logins: password set, user unlocked.
const CREDENTIAL: u64 = 11;
/// Absent in records of before it was there. (12, 13 and 15 are the token's: `officers.rs`.)
const ATTEMPTS: u64 = 14;
/// Shares of the user's reset key, sealed to officers.
const RESET_SHARES: u64 = 16;
/// The reset that is asked for; absent for none.
const REQUEST: u64 = 17;
/// An officer's part in resets, a number of [`Part`]; absent when he holds shares.
const PART: u64 = 18;
/// The token's: the seed of the Ed25519 key that signs the audit log. Absent as above.
pub const AUDIT_KEY: u64 = 20;
/// Present when the password is the user's own. (22 is the token's: `renewal.rs`.)
const OWN_PASSWORD: u64 = 23;

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
    pub reset_shares: Shares,
    pub request: Option<Request>,
    pub part: Part,
    /// Wrong passwords since the last right one.
    pub failures: u32,
    /// Passwords being tried now; those of killed processes stay until the next login ends.
    pub attempts: u32,
    pub credential: u64,
    /// Somebody else gave the password, or it is not known who did: a record of before this was noted.
    pub given: bool,
}

fn name_term(name: &str) -> Term {
    (NAME, name.as_bytes().to_vec())
}

fn officer_term() -> Term {
    (ROLE, Vec::new())
}

/// Of users for whom a reset is asked for.
pub fn request_term() -> Term {
    (REQUEST, Vec::new())
}

impl User {
    pub fn new(name: &str, role: Role, author: Id, stretch: Stretch) -> Result<User> {
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
            reset_shares: Vec::new(),
            request: None,
            part: Part::Holds,
            failures: 0,
            attempts: 0,
            credential: 0,
            given: true,
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
            reset_shares: reset::decode_shares(fields.get(RESET_SHARES)).ok_or_else(damaged)?,
            request: match fields.get(REQUEST) {
                Some(request) => Some(Request::decode(request).ok_or_else(damaged)?),
                None => None,
            },
            part: Part::of(fields.number(PART)).ok_or_else(damaged)?,
            failures: small(FAILURES)?,
            attempts: fields.number(ATTEMPTS).map_or(Ok(0), u32::try_from).map_err(|_| damaged())?,
            credential: number(CREDENTIAL)?,
            given: fields.number(OWN_PASSWORD).is_none(),
        })
    }

    /// Writes the next version.
    pub fn save(&mut self, change: &mut Change<'_>) -> Result<()> {
        self.header.version += 1;
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
        let mut fields = Object::new(vec![
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
        let mut terms = vec![name_term(&self.name)];
        if self.role == Role::Officer {
            terms.push(officer_term());
        }
        if !self.reset_shares.is_empty() {
            fields.set(RESET_SHARES, reset::encode_shares(&self.reset_shares));
        }
        if !self.given {
            fields.set(OWN_PASSWORD, Value::Ulong(1));
        }
        if let Some(number) = self.part.number() {
            fields.set(PART, Value::Ulong(number));
        }
        if let Some(request) = &self.request {
            fields.set(REQUEST, request.encode());
            terms.push(request_term());
        }
        change.put(self.header, BodyKey::Seal, &fields.encode(), &terms)
    }

    /// Attempts under way belong to the host that wrote the record.
    fn seen_by(mut self, author: Id) -> User {
        if self.header.author != author {
            self.attempts = 0;
        }
        self
    }

    /// Gives the user a password: keys under the new KEK, no failures.
    pub fn set_password(&mut self, stretch: Stretch, kek: &Secret, keys: &UserKeys) -> Result<()> {
        self.stretch = stretch;
        self.keys = keys.wrap(kek)?;
        self.public = keys.public;
        self.unlock();
        self.credential += 1;
        Ok(())
    }

    /// No failures. The record's flags count this, so that it outlives counts that another host made
    /// before it heard of it; a lock makes them odd.
    pub fn unlock(&mut self) {
        (self.failures, self.attempts) = (0, 0);
        self.header.set_strictness((self.header.strictness() | 1) + 1);
    }

    /// A lock outlives counts of another host that stayed below the limit.
    pub fn lock(&mut self) {
        self.header.set_strictness(self.header.strictness() | 1);
    }
}

impl Change<'_> {
    /// The user of an id as this transaction sees him.
    pub(super) fn user(&mut self, id: Id) -> Result<Option<User>> {
        let Some(record) = self.load(Kind::User, id)? else { return Ok(None) };
        let body = self.open_body(&record, BodyKey::Seal)?;
        let author = self.author();
        User::decode(record.header, &body).map(|user| Some(user.seen_by(author)))
    }

    /// The user of a name as this transaction sees him.
    pub(super) fn user_named(&mut self, name: &str) -> Result<Option<User>> {
        for header in self.find(Kind::User, &[Id::NONE], &[name_term(name)])? {
            if let Some(user) = self.user(header.id)?.filter(|user| user.name == name) {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// All officers as this transaction sees them. (Tokens made before officers had a term have reset
    /// policy `keeps` and need no list.)
    pub(super) fn officers(&mut self) -> Result<Vec<User>> {
        let mut officers = Vec::new();
        for header in self.find(Kind::User, &[Id::NONE], &[officer_term()])? {
            officers.extend(self.user(header.id)?.filter(|user| user.role == Role::Officer));
        }
        Ok(officers)
    }
}

impl Token {
    pub(super) fn find_user(&self, store: &Store, name: &str) -> Result<Option<User>> {
        for header in store.find(Kind::User, &[Id::NONE], &[name_term(name)])? {
            if let Some(user) = self.load_user(store, header.id)?.filter(|user| user.name == name) {
                // No other host's attempts are under way: no need to ask who this one is.
                return Ok(Some(if user.attempts == 0 { user } else { user.seen_by(store.author()?) }));
            }
        }
        Ok(None)
    }

    pub(super) fn load_user(&self, store: &Store, id: Id) -> Result<Option<User>> {
        store.load(Kind::User, id)?.map(|record| open(store, &record)).transpose()
    }

    pub(super) fn pepper(store: &Store) -> Secret {
        store.derived_secret(b"password pepper")
    }

    /// C_SetPIN: of the one logged in, or of the default user in a public session. Both PINs may
    /// carry the user's `name:`. Where it brings new keys (`renewal.rs`), earlier logins end, and the one to
    /// go on with is answered.
    pub fn set_pin(&self, access: Access<'_>, old: &[u8], new: &[u8]) -> Result<Option<Arc<Login>>> {
        if !access.write {
            return Err(Error::SessionReadOnly);
        }
        let (login, new) = self.prove_present(access, old, new)?;
        self.change_own(&login, new)
    }

    /// Who is meant, the old password being right, and the new one without the name.
    pub(super) fn prove_present<'a>(
        &self,
        access: Access<'_>,
        old: &[u8],
        new: &'a [u8],
    ) -> Result<(Arc<Login>, &'a [u8])> {
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
        Ok((self.authenticate(role, Some(&name), old_password, None)?, new))
    }

    /// `PinIncorrect` when an officer gave another password, or deleted the user, since the old one was
    /// proved: that is the later word.
    pub(super) fn change_own(&self, login: &Arc<Login>, new: &[u8]) -> Result<Option<Arc<Login>>> {
        let store = self.store()?;
        self.check_password(new)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let kek = stretch.kek(new, &Self::pepper(&store))?;
        let policy = self.policy_of(&store)?;
        let renewed = self.write(&store, |change| {
            super::custody::still_good(change, login).map_err(|error| match error {
                Error::UserNotLoggedIn => Error::PinIncorrect,
                other => other,
            })?;
            let user = change.user(login.user)?.filter(|user| user.credential == login.credential);
            let mut user = user.ok_or(Error::PinIncorrect)?;
            let renewed = renewal::own_password(change, policy, &mut user, login)?;
            user.set_password(stretch, &kek, renewed.as_ref().unwrap_or(&login.keys))?;
            user.save(change)?;
            let mut note = Note::of(Event::PasswordChanged).user(user.person());
            let renewed = renewed.map(|keys| Arc::new(Login::new(change.token_id(), user, keys)));
            if let Some(next) = &renewed {
                let moved = renewal::move_objects(change, login, next)?;
                note = note.detail("keys", "renewed");
                note = note.detail("objects", moved.own).detail("shares", moved.shared);
            }
            change.audit(Some(login), note)?;
            Ok(renewed)
        })?;
        let Some(next) = renewed else { return Ok(None) };
        self.index_for_change().forget_opened(true);
        // The password is changed, whatever became of the user meanwhile.
        Ok(self.let_in(&store, next).ok())
    }

    pub fn users(&self) -> Result<Vec<UserInfo>> {
        let store = self.store()?;
        let policy = self.policy_of(&store)?;
        let mut users = Vec::new();
        for header in store.list(Kind::User)? {
            let Some(record) = store.load(Kind::User, header.id)? else { continue };
            users.push(self.told(policy, open(&store, &record)?));
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// One user, by name.
    pub fn user(&self, name: &str) -> Result<Option<UserInfo>> {
        let store = self.store()?;
        let policy = self.policy_of(&store)?;
        Ok(self.find_user(&store, name)?.map(|user| self.told(policy, user)))
    }

    fn told(&self, policy: ResetPolicy, user: User) -> UserInfo {
        let shares = matches!(policy, ResetPolicy::Quorum { .. }) && user.role == Role::Officer;
        UserInfo {
            part: shares.then_some(user.part),
            id: user.header.id,
            locked: user.failures >= self.config.max_failures,
            failures: user.failures,
            given: renewal::is_given(policy, &user),
            name: user.name,
            role: user.role,
        }
    }
}

fn open(store: &Store, record: &Record) -> Result<User> {
    User::decode(record.header, &store.open_body(record, BodyKey::Seal)?)
}
