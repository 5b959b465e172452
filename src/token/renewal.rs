//! A user's first password of his own: keys that nobody else ever had.
//!
//! Whoever gave a user a password can, with the file and the seal key, have kept all that follows from it: the
//! user's keys, and every data key they open. So the first password that the user gives himself after that comes
//! with a new key chain, in the same transaction: what he owns is sealed under new data keys, and what others
//! share with him is wrapped anew and marked, so that its owner's next change gives it a new data key too.
//!
//! With reset policy `keeps` a user has no reset key to wrap the new chain under. He wraps it for the public half,
//! which stands in the token's own record.

use super::cache::open_data_key;
use super::custody::{self, lost_term};
use super::keychain::{self, UserKeys};
use super::officers::{give_reset_key, own_field, reset_key};
use super::reset;
use super::shareholders::{self, Part};
use super::users::User;
use super::{Login, Role, Token};
use crate::config::ResetPolicy;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use crate::store::{BodyKey, Change, Header, Kind, Store};
use std::sync::Arc;

/// A field of the token's own record: the public half of the reset key, with policy `keeps`. Absent in tokens
/// of before, until an officer logs in.
const RESET_PUBLIC: u64 = 22;

/// Whether somebody else may have given the user's password. (Of officers with shares it was always noted.)
pub fn is_given(policy: ResetPolicy, user: &User) -> bool {
    match (policy, user.role) {
        (ResetPolicy::Quorum { .. }, Role::Officer) => user.part == Part::Given,
        _ => user.given,
    }
}

/// What a password of one's own brings with it: new keys, if another gave the last one, and the way back to
/// them that the reset policy wants. Where that cannot be provided the keys stay, and the password counts as given.
pub fn own_password(
    change: &mut Change<'_>,
    policy: ResetPolicy,
    user: &mut User,
    login: &Login,
) -> Result<Option<UserKeys>> {
    // In a token of before, other officers could keep an officer's keys, which lay under the reset key.
    let given = is_given(policy, user) || (user.role == Role::Officer && !user.keys_for_reset.is_empty());
    let keys = if given { UserKeys::random()? } else { login.keys.clone() };
    let provided = match (policy, user.role) {
        (ResetPolicy::Keeps, _) if given => keep(change, user, login, &keys)?,
        (ResetPolicy::Quorum { threshold }, Role::User) => {
            match reset::deal(change, user, &keys, threshold) {
                Ok(()) => true,
                // Too few officers is no reason against a new password.
                Err(Error::ActionProhibited) => false,
                Err(error) => return Err(error),
            }
        }
        (ResetPolicy::Quorum { threshold }, Role::Officer) if given => {
            user.part = shareholders::part_of_own_password(change, threshold)?;
            true
        }
        _ => true,
    };
    if !(given && provided) {
        return Ok(None);
    }
    user.given = false;
    Ok(Some(keys))
}

/// New keys under the reset key of policy `keeps`; false when it cannot be reached.
fn keep(change: &mut Change<'_>, user: &mut User, login: &Login, keys: &UserKeys) -> Result<bool> {
    if user.role == Role::Officer {
        let Ok(reset) = login.keys.take_reset_key(&user.reset_key) else {
            log::warn!("{} has no reset key that opens, and keeps the keys of before", user.name);
            return Ok(false);
        };
        give_reset_key(user, &keys.public, &reset)?;
        return Ok(true);
    }
    let (_, fields) = change.own_record()?;
    let Ok(public) = fields.bytes(RESET_PUBLIC).try_into() else {
        log::warn!("{} keeps the keys of before: an officer must log in once in this older token", user.name);
        return Ok(false);
    };
    user.keys_for_reset = keys.give_for_reset(public)?;
    Ok(true)
}

/// How many objects went over to new keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub own: usize,
    pub shared: usize,
}

/// Everything that the old keys of a user open goes over to the new ones; his record has them already.
/// `DeviceError` when something is damaged: then nothing is changed, because nobody could open it later.
pub fn move_objects(change: &mut Change<'_>, old: &Login, new: &Arc<Login>) -> Result<Moved> {
    let mut moved = Moved::default();
    let me = old.user;
    for id in change.held_by(me)? {
        let (Some(record), Some(wrapped)) = (change.load(Kind::Object, id)?, change.load_key(id, me)?) else {
            continue;
        };
        let data_key = open_data_key(old, id, &wrapped)?;
        if record.header.owner == me {
            let object = Object::decode(&change.open_body(&record, BodyKey::Data(&data_key))?)?;
            let next = Header { version: record.header.version + 1, ..record.header };
            custody::reseal(change, new, next, &object)?;
            moved.own += 1;
        } else {
            change.remove_key(id, me)?;
            change.put_key(id, me, &new.keys.wrap_data_key(id, me, &data_key)?)?;
            change.add_terms(id, record.header.owner, &[lost_term()])?;
            moved.shared += 1;
        }
    }
    Ok(moved)
}

/// Notes the public half of the reset key of policy `keeps`.
pub fn tell_reset_key(change: &mut Change<'_>, reset: &Secret) -> Result<()> {
    change.set_own_field(RESET_PUBLIC, Some(Value::Bytes(keychain::reset_public(reset).to_vec())))
}

impl Token {
    /// The public half of the reset key for a token of before there was one. An officer whose reset key does
    /// not open leaves it to another.
    pub(super) fn give_reset_public(&self, store: &Store, officer: &Login) -> Result<()> {
        if store.read_only()
            || !own_field(store, RESET_PUBLIC)?.is_empty()
            || self.policy_of(store)? != ResetPolicy::Keeps
        {
            return Ok(());
        }
        let told = self.write(store, |change| {
            let reset = reset_key(change, officer)?;
            tell_reset_key(change, &reset)
        });
        match told {
            Err(Error::UserNotLoggedIn) => Ok(()),
            other => other,
        }
    }
}
