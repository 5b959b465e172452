//! Running operations as bytes, and back: C_GetOperationState and C_SetOperationState
//! (PKCS#11 3.2 §5.6). What can be saved is what consists of a running hash: digests, and signatures
//! by mechanisms that hash first and take no parameter. Everything else is `StateUnsaveable`.
//!
//! A state says what it is and is authenticated: version, then for each operation its purpose,
//! whether parts were processed, mechanism, key handle, length and bytes of the hash, and at the end
//! an HMAC over all of it, the slot and the era, under a key that this process made up. So a state
//! lives in its process (and the children it forks) until C_Finalize, fits the slot it came from, and
//! nobody can make one up or change one. No key is in it: the caller names the key again, and the
//! session's login must still reach it.

use super::Library;
use super::running::{NO_KEY, Operation, Operations, Origin, Output, Purpose};
use super::sessions::Session;
use crate::crypto::Secret;
use crate::crypto::hash::Hmac;
use crate::error::{Error, Result};
use crate::mechanism::{Params, Shape, find};
use crate::token::Handle;
use once_cell::sync::OnceCell;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// No saved state is longer.
pub const LONGEST_STATE: u64 = 1024;

const VERSION: u8 = 1;
const MAC: usize = 32;

/// What can be saved: its byte in a state.
const PURPOSES: [(u8, Purpose); 3] = [(1, Purpose::Digest), (2, Purpose::Sign), (3, Purpose::Verify)];

/// One operation of a saved state.
struct Saved<'a> {
    purpose: Purpose,
    in_parts: bool,
    mechanism: u64,
    /// [`NO_KEY`] for a digest.
    key: Handle,
    hash: &'a [u8],
}

impl Library {
    /// C_GetOperationState: `OperationNotInitialized` when nothing runs, `StateUnsaveable` when
    /// something that runs cannot be saved. What runs goes on.
    pub fn save_state(&self, session: u64, output: &mut Output<'_>) -> Result<()> {
        let session = self.session(session)?;
        let body = write(&mut session.state()?.operations)?;
        if let Some(room) = output.room(body.len() + MAC)? {
            let (text, mac) = room.split_at_mut(body.len());
            text.copy_from_slice(&body);
            mac.copy_from_slice(&self.authenticate(&session, &body)?);
        }
        Ok(())
    }

    /// C_SetOperationState: what was saved takes the place of all that runs in the session. `bytes`
    /// are the caller's no more. An error changes nothing: `SavedStateInvalid`, `KeyNeeded`,
    /// `KeyNotNeeded`, `KeyChanged`, or what keeps the key from being used now.
    pub fn restore_state(
        &self,
        session: u64,
        bytes: &[u8],
        encryption_key: Handle,
        authentication_key: Handle,
    ) -> Result<()> {
        let session = self.session(session)?;
        let (body, mac) = bytes.split_last_chunk::<MAC>().ok_or(Error::SavedStateInvalid)?;
        if !bool::from(self.authenticate(&session, body)?.ct_eq(mac)) {
            return Err(Error::SavedStateInvalid);
        }
        let saved = parse(body).ok_or(Error::SavedStateInvalid)?;
        let key = saved.iter().map(|saved| saved.key).find(|key| *key != NO_KEY);
        match (key, authentication_key) {
            _ if encryption_key != NO_KEY => return Err(Error::KeyNotNeeded),
            (None, NO_KEY) => {}
            (None, _) => return Err(Error::KeyNotNeeded),
            (Some(_), NO_KEY) => return Err(Error::KeyNeeded),
            (Some(key), given) if key != given => return Err(Error::KeyChanged),
            (Some(_), _) => {}
        }
        // Held until all is in place, so that no logout slips in between.
        let login = session.slot.login.read();
        let token = &session.slot.token;
        let mut operations = Vec::new();
        for saved in &saved {
            let (mechanism, generation) = (find(saved.mechanism)?, token.generation());
            let origin = Origin { purpose: saved.purpose, mechanism, key: saved.key, generation };
            let mut operation = if saved.key == NO_KEY {
                Operation::digest(origin, Params::None)?
            } else {
                let key = token.key(session.access(&login), saved.key).map_err(|error| match error {
                    // The handle was a key's when the state was saved.
                    Error::KeyHandleInvalid => Error::KeyChanged,
                    other => other,
                })?;
                token.record_use(session.access(&login), &key, saved.purpose.name(), mechanism.name)?;
                Operation::keyed(origin, Params::None, key)?
            };
            operation.context().ok_or(Error::SavedStateInvalid)?.load(saved.hash)?;
            operation.in_parts = saved.in_parts;
            operations.push(operation);
        }
        session.state()?.operations.replace(operations);
        Ok(())
    }

    /// Binds a state to this process, this time between C_Initialize and C_Finalize, and the slot.
    fn authenticate(&self, session: &Session, body: &[u8]) -> Result<[u8; MAC]> {
        static KEY: OnceCell<Secret> = OnceCell::new();
        let key = KEY.get_or_try_init(|| Secret::random(32))?;
        let [initialized, finalized] = self.era().map(u64::to_le_bytes);
        let slot = session.slot.id.to_le_bytes();
        Ok(Hmac::sha256(key, &[b"operation state", &initialized, &finalized, &slot, body]))
    }
}

/// A state without its MAC.
fn write(operations: &mut Operations) -> Result<Zeroizing<Vec<u8>>> {
    if operations.all().next().is_none() {
        return Err(Error::OperationNotInitialized);
    }
    // C_SetOperationState takes one key for both.
    if operations.is_running(Purpose::Sign) && operations.is_running(Purpose::Verify) {
        return Err(Error::StateUnsaveable);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST_STATE as usize));
    body.push(VERSION);
    for operation in operations.all() {
        let Origin { purpose, mechanism, key, .. } = operation.origin;
        let named = PURPOSES.iter().find(|(_, known)| *known == purpose);
        let (number, _) = named.ok_or(Error::StateUnsaveable)?;
        if mechanism.params != Shape::None {
            return Err(Error::StateUnsaveable);
        }
        let hash = operation.context().ok_or(Error::StateUnsaveable)?.save();
        body.extend_from_slice(&[*number, u8::from(operation.in_parts)]);
        body.extend_from_slice(&mechanism.id.to_le_bytes());
        body.extend_from_slice(&key.to_le_bytes());
        body.extend_from_slice(&(hash.len() as u64).to_le_bytes());
        body.extend_from_slice(&hash);
    }
    Ok(body)
}

/// What [`write`] wrote.
fn parse(body: &[u8]) -> Option<Vec<Saved<'_>>> {
    fn number(rest: &mut &[u8]) -> Option<u64> {
        let (number, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(u64::from_le_bytes(*number))
    }
    let mut rest = body.strip_prefix(&[VERSION])?;
    let mut operations = Vec::new();
    while let [number_of_purpose, in_parts, after @ ..] = rest {
        rest = after;
        let (_, purpose) = PURPOSES.iter().find(|(number, _)| number == number_of_purpose)?;
        let (mechanism, key, length) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        let (hash, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        operations.push(Saved { purpose: *purpose, in_parts: *in_parts == 1, mechanism, key, hash });
    }
    rest.is_empty().then_some(operations)
}
