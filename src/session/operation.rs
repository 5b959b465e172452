//! The one life cycle of operations: init, one-shot or parts, length queries, buffers that are too
//! small, and the end (PKCS#11 3.2 §5.2, §5.8 to §5.14).
//!
//! A length query and a too-small buffer leave an operation as it is; success and every other error
//! end it.

use super::Library;
use super::sessions::Session;
use crate::crypto::Direction;
use crate::crypto::hash::Context;
use crate::error::{Error, Result};
use crate::mechanism::{Key, Mechanism, Params, Transform, Verifier};
use crate::token::Handle;
use cryptoki_sys::*;
use std::sync::Arc;

/// The kinds of running operation a session can have, one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Encrypt,
    Decrypt,
    Digest,
    Sign,
    Verify,
}

/// Where a result goes: the caller's buffer, or nowhere (a length query). `length` is set on Ok and
/// on `BufferTooSmall`: bytes written, or needed.
pub struct Output<'a> {
    pub buffer: Option<&'a mut [u8]>,
    pub length: usize,
}

impl Output<'_> {
    /// The buffer when it has `needed` bytes; `None` after a length query.
    pub(super) fn room(&mut self, needed: usize) -> Result<Option<&mut [u8]>> {
        self.length = needed;
        match &mut self.buffer {
            None => Ok(None),
            Some(buffer) => buffer.get_mut(..needed).map(Some).ok_or(Error::BufferTooSmall),
        }
    }
}

enum Work {
    Transform(Box<dyn Transform>),
    Verifier(Box<dyn Verifier>),
}

pub(super) struct Operation {
    work: Work,
    pub mechanism: &'static Mechanism,
    /// The key's handle; `None` for digests.
    pub key: Option<Handle>,
    /// Parts were processed: a one-shot call is too late.
    pub in_parts: bool,
    /// The key is CKA_ALWAYS_AUTHENTICATE and its password was not given yet.
    awaits_login: bool,
    /// With a private key: ends at logout.
    private: bool,
}

/// The running operations of a session.
#[derive(Default)]
pub(super) struct Operations(pub [Option<Operation>; 5]);

impl Operations {
    /// The running operation, ready to work.
    fn running(&mut self, purpose: Purpose) -> Result<&mut Operation> {
        let operation = self.0[purpose as usize].as_mut().ok_or(Error::OperationNotInitialized)?;
        if operation.awaits_login { Err(Error::UserNotLoggedIn) } else { Ok(operation) }
    }

    fn end(&mut self, purpose: Purpose) {
        self.0[purpose as usize] = None;
    }

    pub fn end_private(&mut self) {
        self.0.iter_mut().filter(|o| o.as_ref().is_some_and(|o| o.private)).for_each(|o| *o = None);
    }

    pub fn awaits_login(&self) -> bool {
        self.0.iter().flatten().any(|operation| operation.awaits_login)
    }

    pub fn confirm(&mut self) {
        self.0.iter_mut().flatten().for_each(|operation| operation.awaits_login = false);
    }

    /// Runs one step of an operation and ends it as the life cycle says. A step that panics ends it
    /// too: nothing goes on with a half-changed state.
    fn step<T>(
        &mut self,
        purpose: Purpose,
        ends: bool,
        step: impl FnOnce(&mut Operation) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.running(purpose)?;
        let place = &mut self.0[purpose as usize];
        let mut operation = place.take().ok_or(Error::OperationNotInitialized)?;
        let result = step(&mut operation);
        let goes_on = match &result {
            // A query answered None: nothing was done.
            Ok(None) | Err(Error::BufferTooSmall) => true,
            Ok(Some(_)) => !ends,
            Err(_) => false,
        };
        if goes_on {
            *place = Some(operation);
        }
        result
    }
}

impl Operation {
    /// A new one with a key, which is checked.
    pub fn keyed(
        purpose: Purpose,
        mechanism: &'static Mechanism,
        params: Params,
        handle: Handle,
        key: Arc<Key>,
    ) -> Result<Operation> {
        let (usage, secret) = needs(purpose);
        check_key(&key, mechanism, usage)?;
        let (awaits_login, private) = (secret && key.always_authenticate(), key.is_private());
        let work = begin(purpose, mechanism, params, key)?;
        Ok(Operation { work, mechanism, key: Some(handle), in_parts: false, awaits_login, private })
    }

    /// A new digest.
    pub fn digest(mechanism: &'static Mechanism, params: Params) -> Result<Operation> {
        let work = Work::Transform(mechanism.digest.ok_or(Error::MechanismInvalid)?(params)?);
        Ok(Operation { work, mechanism, key: None, in_parts: false, awaits_login: false, private: false })
    }

    /// The running hash that is its whole state, if that is so.
    pub fn context(&mut self) -> Option<&mut Context> {
        match &mut self.work {
            Work::Transform(transform) => transform.context(),
            Work::Verifier(verifier) => verifier.context(),
        }
    }

    fn transform(&mut self) -> Result<&mut dyn Transform> {
        match &mut self.work {
            Work::Transform(transform) => Ok(&mut **transform),
            Work::Verifier(_) => Err(Error::GeneralError),
        }
    }

    fn verifier(&mut self) -> Result<&mut dyn Verifier> {
        match &mut self.work {
            Work::Verifier(verifier) => Ok(&mut **verifier),
            Work::Transform(_) => Err(Error::GeneralError),
        }
    }

    fn whole(&self) -> Result<()> {
        if self.in_parts { Err(Error::OperationActive) } else { Ok(()) }
    }
}

/// That a key may be used by a mechanism for what `usage` (a CKA_ flag) says.
pub(super) fn check_key(key: &Key, mechanism: &Mechanism, usage: u64) -> Result<()> {
    if !key.key_type().is_some_and(|key_type| mechanism.keys.contains(&key_type)) {
        return Err(Error::KeyTypeInconsistent);
    }
    if !key.may(usage) {
        return Err(Error::KeyFunctionNotPermitted);
    }
    if !key.allows(mechanism.id) {
        return Err(Error::MechanismInvalid);
    }
    let (least, most) = mechanism.sizes;
    if (least, most) != (0, 0) && !(least..=most).contains(&key.size()) {
        return Err(Error::KeySizeRange);
    }
    Ok(())
}

/// The CKA_ flag a purpose needs, and whether the key must be a private or secret one.
fn needs(purpose: Purpose) -> (u64, bool) {
    match purpose {
        Purpose::Encrypt => (CKA_ENCRYPT, false),
        Purpose::Decrypt => (CKA_DECRYPT, true),
        Purpose::Sign => (CKA_SIGN, true),
        Purpose::Verify => (CKA_VERIFY, false),
        Purpose::Digest => (0, false),
    }
}

/// The work of a mechanism for a purpose; `MechanismInvalid` when its row has none.
fn begin(purpose: Purpose, mechanism: &Mechanism, params: Params, key: Arc<Key>) -> Result<Work> {
    let none = Error::MechanismInvalid;
    Ok(match purpose {
        Purpose::Encrypt => Work::Transform(mechanism.cipher.ok_or(none)?(key, params, Direction::Encrypt)?),
        Purpose::Decrypt => Work::Transform(mechanism.cipher.ok_or(none)?(key, params, Direction::Decrypt)?),
        Purpose::Sign => Work::Transform(mechanism.sign.ok_or(none)?(key, params)?),
        Purpose::Verify => Work::Verifier(mechanism.verify.ok_or(none)?(key, params)?),
        Purpose::Digest => return Err(Error::GeneralError),
    })
}

/// A key as the slot's login may use it, and the generation at which that was so.
fn look_up(session: &Session, handle: Handle) -> Result<(u64, Arc<Key>)> {
    let login = session.slot.login.read();
    let generation = session.slot.token.generation();
    Ok((generation, session.slot.token.key(session.access(&login), handle)?))
}

fn can(purpose: Purpose, mechanism: &Mechanism) -> bool {
    match purpose {
        Purpose::Encrypt | Purpose::Decrypt => mechanism.cipher.is_some(),
        Purpose::Digest => mechanism.digest.is_some(),
        Purpose::Sign => mechanism.sign.is_some(),
        Purpose::Verify => mechanism.verify.is_some(),
    }
}

impl Library {
    /// C_EncryptInit and its like; `key` is `None` for digests.
    pub fn start(
        &self,
        session: u64,
        purpose: Purpose,
        mechanism: &'static Mechanism,
        params: Params,
        key: Option<Handle>,
    ) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        if state.operations.0[purpose as usize].is_some() {
            return Err(Error::OperationActive);
        }
        if !can(purpose, mechanism) {
            return Err(Error::MechanismInvalid);
        }
        let operation = if purpose == Purpose::Digest {
            Operation::digest(mechanism, params)?
        } else {
            let handle = key.ok_or(Error::KeyHandleInvalid)?;
            let token = &session.slot.token;
            let key = match &state.recent {
                Some((last, then, key)) if *last == handle && token.still_valid(key, *then) => {
                    Arc::clone(key)
                }
                _ => {
                    drop(state);
                    let (generation, key) = look_up(&session, handle)?;
                    state = session.state()?;
                    state.recent = Some((handle, generation, Arc::clone(&key)));
                    key
                }
            };
            Operation::keyed(purpose, mechanism, params, handle, key)?
        };
        let place = &mut state.operations.0[purpose as usize];
        // The lock was let go while the key was looked up.
        if place.is_some() {
            return Err(Error::OperationActive);
        }
        *place = Some(operation);
        Ok(())
    }

    /// C_EncryptInit with a NULL mechanism: ends a running operation; `OperationNotInitialized`
    /// when there is none.
    pub fn stop(&self, session: u64, purpose: Purpose) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        state.operations.0[purpose as usize].take().map(drop).ok_or(Error::OperationNotInitialized)
    }

    /// C_SessionCancel: ends the operations named by CKF_ flags.
    pub fn cancel(&self, session: u64, flags: u64) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let named = [
            (CKF_ENCRYPT, Purpose::Encrypt),
            (CKF_DECRYPT, Purpose::Decrypt),
            (CKF_DIGEST, Purpose::Digest),
            (CKF_SIGN, Purpose::Sign),
            (CKF_VERIFY, Purpose::Verify),
        ];
        for (flag, purpose) in named {
            if flags & flag != 0 {
                state.operations.end(purpose);
            }
        }
        if flags & CKF_FIND_OBJECTS != 0 {
            state.search = None;
        }
        Ok(())
    }

    /// C_Encrypt, C_Decrypt, C_Digest, C_Sign. `input` does not overlap the output buffer.
    pub fn one_shot(
        &self,
        session: u64,
        purpose: Purpose,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let written = state.operations.step(purpose, true, |operation| {
            operation.whole()?;
            let transform = operation.transform()?;
            let Some(room) = output.room(transform.one_shot_length(input.len()))? else { return Ok(None) };
            transform.one_shot(input, room).map(Some)
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(())
    }

    /// C_EncryptUpdate and its like (C_DigestUpdate and C_SignUpdate give no bytes).
    pub fn update(
        &self,
        session: u64,
        purpose: Purpose,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let silent = matches!(purpose, Purpose::Digest | Purpose::Sign);
        let written = state.operations.step(purpose, false, |operation| {
            let transform = operation.transform()?;
            let written = if silent {
                transform.update(input, &mut [])?
            } else {
                let Some(room) = output.room(transform.update_length(input.len()))? else { return Ok(None) };
                transform.update(input, room)?
            };
            operation.in_parts = true;
            Ok(Some(written))
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(())
    }

    /// C_EncryptFinal and its like.
    pub fn finish(&self, session: u64, purpose: Purpose, output: &mut Output<'_>) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let written = state.operations.step(purpose, true, |operation| {
            let transform = operation.transform()?;
            let Some(room) = output.room(transform.finish_length())? else { return Ok(None) };
            transform.finish(room).map(Some)
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(())
    }

    /// C_DigestKey: the value of a secret key that could be read out goes into the digest.
    pub fn digest_key(&self, session: u64, key: Handle) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read();
        let mut state = session.state()?;
        state.operations.running(Purpose::Digest)?;
        let key = session.slot.token.key(session.access(&login), key)?;
        if key.object().class() != CKO_SECRET_KEY
            || crate::object::rules::read(key.object(), CKA_VALUE).is_err()
        {
            return Err(Error::KeyIndigestible);
        }
        state.operations.step(Purpose::Digest, false, |operation| {
            operation.in_parts = true;
            operation.transform()?.update(key.value(), &mut []).map(Some)
        })?;
        Ok(())
    }

    /// C_Verify.
    pub fn verify(&self, session: u64, data: &[u8], signature: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let done = state.operations.step(Purpose::Verify, true, |operation| {
            operation.whole()?;
            operation.verifier()?.one_shot(data, signature).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifyUpdate.
    pub fn verify_update(&self, session: u64, data: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let done = state.operations.step(Purpose::Verify, false, |operation| {
            operation.in_parts = true;
            operation.verifier()?.update(data).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifyFinal.
    pub fn verify_final(&self, session: u64, signature: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let mut state = session.state()?;
        let done = state
            .operations
            .step(Purpose::Verify, true, |operation| operation.verifier()?.finish(signature).map(Some));
        done.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Panics;

    impl Verifier for Panics {
        fn update(&mut self, data: &[u8]) -> Result<()> {
            if data.is_empty() { Ok(()) } else { panic!("on purpose") }
        }
        fn finish(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_ends_the_operation() {
        let mut operations = Operations::default();
        let work = Work::Verifier(Box::new(Panics));
        let mechanism = crate::mechanism::find(CKM_ECDSA).expect("a row");
        let (in_parts, awaits_login, private) = (false, false, false);
        operations.0[Purpose::Verify as usize] =
            Some(Operation { work, mechanism, key: None, in_parts, awaits_login, private });
        let mut update = |data: &[u8]| {
            operations.step(Purpose::Verify, false, |operation| operation.verifier()?.update(data).map(Some))
        };
        assert_eq!(update(b""), Ok(Some(())));
        assert!(catch_unwind(AssertUnwindSafe(|| update(b"x"))).is_err());
        assert_eq!(update(b""), Err(Error::OperationNotInitialized));
    }
}
