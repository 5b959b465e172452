//! What officers do: make the token and its users, set passwords, end locks, delete. And the token's own
//! record, which says its label and what a reset does.

use super::appliance;
use super::deletion::take_all;
use super::keychain::{Stretch, UserKeys};
use super::policy::{self, Operation};
use super::reset;
use super::shareholders::{self, Part};
use super::users::{AUDIT_KEY, User};
use super::{Access, Login, MAX_PIN_LENGTH, Role, Token, renewal};
use crate::audit::{Event, Note, hex};
use crate::config::ResetPolicy;
use crate::crypto::Secret;
use crate::crypto::ed25519::PrivateKey;
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use crate::store::{BodyKey, Change, Header, Id, Kind, Store};
use std::sync::Arc;

/// Fields of the token's record, numbered together with those of users.
const LABEL: u64 = 12;
const RESET_POLICY: u64 = 13;
/// Officers of a quorum.
const RESET_THRESHOLD: u64 = 15;

const KEEPS: u64 = 1;
const QUORUM: u64 = 2;
const DESTROYS: u64 = 3;

const LONGEST_NAME: usize = 64;

fn token_fields(label: &str, policy: ResetPolicy) -> Object {
    let (number, threshold) = match policy {
        ResetPolicy::Keeps => (KEEPS, None),
        ResetPolicy::Quorum { threshold } => (QUORUM, Some(threshold)),
        ResetPolicy::Destroys => (DESTROYS, None),
    };
    let mut fields = Object::new(vec![
        (LABEL, Value::Bytes(label.as_bytes().to_vec())),
        (RESET_POLICY, Value::Ulong(number)),
    ]);
    if let Some(threshold) = threshold {
        fields.set(RESET_THRESHOLD, Value::Ulong(threshold.into()));
    }
    fields
}

fn check_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fine) {
        return Err(Error::ArgumentsBad.because("a user's name is 1 to 64 of letters, digits and . _ - @"));
    }
    if name == appliance::NAME { Err(nobody(name)) } else { Ok(()) }
}

pub(super) fn nobody(name: &str) -> Error {
    if name == appliance::NAME {
        return Error::ArgumentsBad.because("appliance is this host's own identity (AU), and not a person");
    }
    Error::ArgumentsBad.because(format_args!("there is no user {name}"))
}

/// A new password that an officer sets, stretched.
struct NewPassword {
    stretch: Stretch,
    kek: Secret,
    policy: ResetPolicy,
    /// With policy `keeps`: the token's reset key.
    reset: Option<Secret>,
}

impl NewPassword {
    /// Puts it in a user's record, with these keys, and provides for the next reset.
    fn set(&self, change: &mut Change<'_>, user: &mut User, keys: &UserKeys) -> Result<()> {
        user.set_password(self.stretch, &self.kek, keys)?;
        user.given = true;
        match (self.policy, user.role) {
            (ResetPolicy::Keeps, role) => {
                let reset = self.reset.as_ref().ok_or(Error::GeneralError)?;
                if role == Role::Officer {
                    give_reset_key(user, &keys.public, reset)
                } else {
                    user.keys_for_reset = keys.wrap_for_reset(reset)?;
                    Ok(())
                }
            }
            (ResetPolicy::Quorum { threshold }, Role::User) => reset::deal(change, user, keys, threshold),
            (ResetPolicy::Quorum { .. }, Role::Officer) => {
                user.part = Part::Given;
                Ok(())
            }
            (ResetPolicy::Quorum { .. }, Role::Appliance) | (ResetPolicy::Destroys, _) => Ok(()),
        }
    }

    /// The user of this name, if there is one: an officer whose password another sets holds no shares.
    fn target(&self, change: &mut Change<'_>, name: &str) -> Result<Option<User>> {
        let user = change.user_named(name)?;
        let (Some(officer), ResetPolicy::Quorum { threshold }) =
            (user.as_ref().filter(|user| user.role == Role::Officer), self.policy)
        else {
            return Ok(user);
        };
        shareholders::leave(change, officer, threshold)?;
        change.user(officer.header.id)
    }

    /// The keys that a present user goes on with: his own where the policy keeps them, else new ones, and
    /// what the old ones opened is destroyed: those ids come along.
    fn keys_of(&self, change: &mut Change<'_>, officer: &Login, user: &User) -> Result<(UserKeys, Vec<Id>)> {
        let keys = match (self.policy, user.role, &self.reset) {
            (ResetPolicy::Keeps, Role::User, _) if user.keys_for_reset.is_empty() => Err(reset::refused(
                &user.name,
                "came back from a backup, and no officer can reset this password",
            )),
            (ResetPolicy::Keeps, Role::User, Some(reset)) => {
                UserKeys::unwrap_for_reset(reset, &user.keys_for_reset, user.public)
                    .map_err(|_| Error::DeviceError.because("a user's keys do not open for reset"))
            }
            (ResetPolicy::Keeps, Role::User, None) => Err(Error::GeneralError),
            (ResetPolicy::Quorum { threshold }, Role::User, _) => reset::collect(officer, user, threshold),
            // An officer owns nothing that would be worth keeping.
            (_, Role::Officer | Role::Appliance, _) | (ResetPolicy::Destroys, ..) => {
                return Ok((UserKeys::random()?, take_all(change, user.header.id)?));
            }
        };
        Ok((keys?, Vec::new()))
    }
}

/// The bytes of a field of the token's own record; none when it is not there.
pub(super) fn own_field(store: &Store, field: u64) -> Result<Vec<u8>> {
    Ok(Token::own_record(store)?.bytes(field).to_vec())
}

impl Change<'_> {
    /// The token's own record.
    pub(super) fn own_record(&mut self) -> Result<(Header, Object)> {
        let id = self.token_id();
        let missing = || Error::DeviceError.because("the token's own record is missing");
        let record = self.load(Kind::Token, id)?.ok_or_else(missing)?;
        let fields = Object::decode(&self.open_body(&record, BodyKey::Seal)?)?;
        Ok((record.header, fields))
    }

    /// Sets or takes a field of it.
    pub(super) fn set_own_field(&mut self, field: u64, value: Option<Value>) -> Result<()> {
        let (header, mut fields) = self.own_record()?;
        match value {
            Some(value) => fields.set(field, value),
            None => drop(fields.take(field)),
        }
        let next = Header { version: header.version + 1, ..header };
        self.put(next, BodyKey::Seal, &fields.encode(), &[])
    }
}

/// With policy `keeps` the token's reset key, which every officer can open.
pub(super) fn reset_key(change: &mut Change<'_>, officer: &Login) -> Result<Secret> {
    let user = change.user(officer.user)?.ok_or(Error::UserNotLoggedIn)?;
    officer.keys.take_reset_key(&user.reset_key).map_err(|_| Error::UserNotLoggedIn)
}

/// The reset key for an officer of this public key. His own keys are not under it: whoever had it could keep
/// them, and open with them the reset key that comes after it.
pub(super) fn give_reset_key(officer: &mut User, public: &[u8; 32], reset: &Secret) -> Result<()> {
    officer.keys_for_reset.clear();
    officer.reset_key = UserKeys::give_reset_key(public, reset)?;
    Ok(())
}

/// Before an officer is deleted: nothing that he may have kept opens what comes after him. With policy
/// `keeps` the token gets a new reset key, and each user's keys are wrapped anew: with ten thousand users
/// that takes seconds.
pub(super) fn part_with(
    change: &mut Change<'_>,
    acting: &Login,
    leaving: &User,
    policy: ResetPolicy,
) -> Result<()> {
    match policy {
        ResetPolicy::Quorum { threshold } => shareholders::leave(change, leaving, threshold),
        ResetPolicy::Destroys => Ok(()),
        ResetPolicy::Keeps => {
            let (old, new) = (reset_key(change, acting)?, Secret::random(32)?);
            renewal::tell_reset_key(change, &new)?;
            for header in change.list(Kind::User)? {
                let Some(mut user) =
                    change.user(header.id)?.filter(|user| user.header.id != leaving.header.id)
                else {
                    continue;
                };
                if user.role == Role::Officer {
                    let public = user.public;
                    give_reset_key(&mut user, &public, &new)?;
                } else {
                    let keys = UserKeys::unwrap_for_reset(&old, &user.keys_for_reset, user.public);
                    let Ok(keys) = keys else {
                        log::warn!("{}'s keys did not open for reset before, and do not now", user.name);
                        continue;
                    };
                    user.keys_for_reset = keys.wrap_for_reset(&new)?;
                }
                user.save(change)?;
            }
            Ok(())
        }
    }
}

/// A user's record came from another time or cluster, where the token may have had another reset key (policy
/// `keeps`): his keys are wrapped under the present one, or under none, since who left may have kept the old
/// one; an officer gets the present one. `old`: the reset key of there, if it is known. Whether the record
/// changed; the caller writes it.
pub(super) fn rejoin(
    change: &mut Change<'_>,
    acting: &Login,
    policy: ResetPolicy,
    old: Option<&Secret>,
    user: &mut User,
) -> Result<bool> {
    if policy != ResetPolicy::Keeps {
        return Ok(false);
    }
    let new = reset_key(change, acting)?;
    if user.role == Role::Officer {
        let other = old.is_none_or(|old| *old != new);
        if other {
            let public = user.public;
            give_reset_key(user, &public, &new)?;
        }
        return Ok(other);
    }
    if user.keys_for_reset.is_empty() {
        return Ok(false);
    }
    if UserKeys::unwrap_for_reset(&new, &user.keys_for_reset, user.public).is_ok() {
        return Ok(false);
    }
    let keys = old.and_then(|old| UserKeys::unwrap_for_reset(old, &user.keys_for_reset, user.public).ok());
    if keys.is_none() {
        log::warn!(
            "{}: no officer can reset this password, because {} has other keys than then",
            user.name,
            acting.name
        );
    }
    user.keys_for_reset = keys.map_or(Ok(Vec::new()), |keys| keys.wrap_for_reset(&new))?;
    Ok(true)
}

impl Token {
    fn own_record(store: &Store) -> Result<Object> {
        let Some(record) = store.load(Kind::Token, store.token_id())? else {
            return Err(Error::DeviceError.because("the token's own record is missing"));
        };
        Object::decode(&store.open_body(&record, BodyKey::Seal)?)
    }

    /// The token's label.
    pub(super) fn label(&self, store: &Store) -> Result<String> {
        Ok(String::from_utf8_lossy(Self::own_record(store)?.bytes(LABEL)).into_owned())
    }

    /// What an officer's reset does, fixed when the token was made.
    pub fn reset_policy(&self) -> Result<ResetPolicy> {
        self.policy_of(&*self.store()?)
    }

    pub(super) fn policy_of(&self, store: &Store) -> Result<ResetPolicy> {
        let fields = Self::own_record(store)?;
        let threshold = fields.number(RESET_THRESHOLD).and_then(|number| u32::try_from(number).ok());
        match (fields.number(RESET_POLICY), threshold) {
            (Some(KEEPS), _) => Ok(ResetPolicy::Keeps),
            (Some(QUORUM), Some(threshold)) => Ok(ResetPolicy::Quorum { threshold }),
            (Some(DESTROYS), _) => Ok(ResetPolicy::Destroys),
            _ => Err(Error::DeviceError.because("the token's reset policy is none that this version knows")),
        }
    }

    pub(super) fn check_password(&self, password: &[u8]) -> Result<()> {
        let allowed = self.config.min_pin_length..=MAX_PIN_LENGTH;
        if allowed.contains(&password.len()) { Ok(()) } else { Err(Error::PinLenRange) }
    }

    /// C_InitToken: as `initialize_with` the configured reset policy.
    pub fn initialize(&self, pin: &[u8], label: &str) -> Result<()> {
        self.initialize_with(pin, label, self.config.reset_policy)
    }

    /// A new token with the officer `default_officer` and a reset policy; a present one needs that
    /// officer's PIN (`PinIncorrect`, `PinLocked`) and loses everything: of its audit log the new one
    /// begins with the end.
    pub fn initialize_with(&self, pin: &[u8], label: &str, policy: ResetPolicy) -> Result<()> {
        let mut made = Note::of(Event::TokenInitialized);
        if Store::exists(&self.config) {
            let officer = self.authenticate(Role::Officer, Some(&self.config.default_officer), pin, None)?;
            let former = self.store()?;
            let tip = former.log()?.tip;
            made = made.by(Some(officer.person())).detail("former_token", former.token_id());
            made = made.detail("former_sequence", tip.sequence).detail("former_hash", hex(&tip.hash));
        }
        self.check_password(pin)?;
        check_name(&self.config.default_officer)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let keys = UserKeys::random()?;
        let reset = if policy == ResetPolicy::Keeps { Some(Secret::random(32)?) } else { None };
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
            let mut fields = token_fields(label, policy);
            fields.set(AUDIT_KEY, Value::Secret(audit_key));
            change.put(header, BodyKey::Seal, &fields.encode(), &[])?;
            reset.as_ref().map_or(Ok(()), |reset| renewal::tell_reset_key(change, reset))?;
            let mut officer = User::new(&self.config.default_officer, Role::Officer, token, stretch)?;
            let kek = stretch.kek(pin, &change.derived_secret(b"password pepper"))?;
            NewPassword { stretch, kek, policy, reset }.set(change, &mut officer, &keys)?;
            // It is his own.
            (officer.part, officer.given) = (Part::Holds, false);
            officer.save(change)?;
            let host = appliance::make(change)?;
            change.enter(made.detail("appliance", host.fingerprint()))?;
            change.enter(Note::of(Event::UserCreated).user(officer.person()))
        })?;
        self.replace_store(Some(Arc::new(store)));
        Ok(())
    }

    /// The officer behind an access: the policy's word, `SessionReadOnly`.
    pub(super) fn officer<'a>(access: Access<'a>, operation: Operation) -> Result<&'a Arc<Login>> {
        policy::may_manage(access, operation)?;
        access.login.ok_or(Error::UserNotLoggedIn)
    }

    /// C_InitPIN: makes the slot's default user, or resets that user's password and lock.
    /// `user:password` resets the user of that name.
    pub fn init_pin(&self, access: Access<'_>, pin: &[u8]) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        let store = self.store()?;
        let (user, password) = self.named_in(&store, pin)?;
        let user = match user.filter(|user| user.role == Role::User) {
            Some(user) => Some(user),
            None => self.find_user(&store, &self.config.default_user)?,
        };
        let name = user.as_ref().map_or_else(|| self.config.default_user.clone(), |user| user.name.clone());
        self.set_user(&store, officer, &name, Role::User, user.is_some(), password).map(drop)
    }

    /// A new user by an officer; `ArgumentsBad` for a name that is taken, or none: names have 1 to 64
    /// letters, digits, `.`, `_`, `-`, `@`.
    pub fn create_user(&self, access: Access<'_>, name: &str, role: Role, password: &[u8]) -> Result<Id> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        self.set_user(&*self.store()?, officer, name, role, false, password)
    }

    /// A new password for a user by an officer; the user's lock ends. What becomes of his private objects
    /// is the reset policy's: with `quorum` the officer is the one who asked for the reset and finishes
    /// it (`ActionProhibited` before enough others approved).
    pub fn reset_password(&self, access: Access<'_>, name: &str, password: &[u8]) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        let store = self.store()?;
        let role = self.find_user(&store, name)?.ok_or_else(|| nobody(name))?.role;
        self.set_user(&store, officer, name, role, true, password).map(drop)
    }

    /// Makes a user, or gives a present one a new password.
    fn set_user(
        &self,
        store: &Store,
        officer: &Arc<Login>,
        name: &str,
        role: Role,
        present: bool,
        password: &[u8],
    ) -> Result<Id> {
        if !present {
            check_name(name)?;
        }
        self.check_password(password)?;
        let policy = self.policy_of(store)?;
        let stretch = Stretch::fresh(self.config.kdf)?;
        let kek = stretch.kek(password, &Self::pepper(store))?;
        let event = if present { Event::PasswordReset } else { Event::UserCreated };
        self.write(store, |change| {
            super::custody::still_good(change, officer)?;
            // Now: another officer's deletion may have changed it.
            let reset = match policy {
                ResetPolicy::Keeps => Some(reset_key(change, officer)?),
                _ => None,
            };
            let new = NewPassword { stretch, kek, policy, reset };
            let (mut user, (keys, destroyed)) = match (new.target(change, name)?, present) {
                (Some(user), true) if user.role == role => {
                    let keys = new.keys_of(change, officer, &user)?;
                    (user, keys)
                }
                (None, false) => {
                    (User::new(name, role, change.token_id(), stretch)?, (UserKeys::random()?, Vec::new()))
                }
                (None, true) => return Err(nobody(name)),
                (Some(_), _) => {
                    return Err(Error::ArgumentsBad.because(format_args!("there is a user {name} already")));
                }
            };
            new.set(change, &mut user, &keys)?;
            user.save(change)?;
            let note = Note::of(event).user(user.person());
            change.audit(Some(officer), destroyed.iter().fold(note, |note, id| note.object(id)))?;
            Ok(user.header.id)
        })
    }

    /// Ends a user's lock and keeps his password: what a forgotten one costs is the reset policy's.
    pub fn unlock(&self, access: Access<'_>, name: &str) -> Result<()> {
        let officer = Self::officer(access, Operation::ManageUsers)?;
        self.write(&*self.store()?, |change| {
            super::custody::still_good(change, officer)?;
            let mut user = change.user_named(name)?.ok_or_else(|| nobody(name))?;
            user.unlock();
            user.save(change)?;
            change.audit(Some(officer), Note::of(Event::Unlocked).user(user.person()))
        })
    }
}
