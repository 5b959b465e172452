//! The one life cycle of operations: init, one-shot or parts, length queries, buffers that are too
//! small, and the end (PKCS#11 3.2 §5.2, §5.8 to §5.14). What goes on and what ends is `running`'s.

use super::Library;
use super::running::{Messages, NO_KEY, Operation, Origin, Output, Purpose, Recent, Work};
use super::sessions::Session;
use crate::crypto::Direction;
use crate::error::{Error, Result};
use crate::mechanism::{Key, Mechanism, Params};
use crate::object::validity::{Day, Outside};
use crate::object::version;
use crate::token::Handle;
use cryptoki_sys::*;
use rustix::time::{ClockId, clock_gettime};
use std::mem::take;
use std::sync::Arc;

/// That a key may be used by a mechanism for what `usage` (a CKA_ flag) says.
pub(super) fn check_key(key: &Key, mechanism: &Mechanism, usage: u64) -> Result<()> {
    if !key.key_type().is_some_and(|key_type| mechanism.keys.contains(&key_type)) {
        return Err(Error::KeyTypeInconsistent);
    }
    if !key.may(usage) {
        return Err(not_for(key));
    }
    if !key.allows(mechanism.id) {
        return Err(Error::MechanismInvalid);
    }
    in_time(key, usage)?;
    let (least, most) = mechanism.sizes;
    if (least, most) != (0, 0) && !(least..=most).contains(&key.size()) {
        return Err(Error::KeySizeRange);
    }
    Ok(())
}

/// Why a key has not got a use that was asked of it.
fn not_for(key: &Key) -> Error {
    match version::is_retired(key.object()) {
        true => Error::KeyFunctionNotPermitted
            .because(format_args!("a newer version took the place of key {}", key.id())),
        false => Error::KeyFunctionNotPermitted,
    }
}

/// Today in UTC, by the coarse clock.
fn today() -> Day {
    clock_gettime(ClockId::RealtimeCoarse).tv_sec.div_euclid(86_400)
}

/// That today is within a key's dates, for what `usage` (a CKA_ flag, or 0) says.
fn in_time(key: &Key, usage: u64) -> Result<()> {
    let Some(validity) = key.validity() else { return Ok(()) };
    let (attribute, object) = match validity.allows(usage, today()) {
        Ok(()) => return Ok(()),
        Err(Outside::NotYet) => ("is not valid before CKA_START_DATE", key.id()),
        Err(Outside::Over) => ("only reads what it protected until CKA_END_DATE, which is over", key.id()),
    };
    Err(Error::KeyFunctionNotPermitted.because(format_args!("key {object} {attribute}")))
}

/// The CKA_ flag a purpose needs, and whether the key must be a private or secret one.
pub(super) fn needs(purpose: Purpose) -> (u64, bool) {
    match purpose {
        Purpose::Encrypt | Purpose::MessageEncrypt => (CKA_ENCRYPT, false),
        Purpose::Decrypt | Purpose::MessageDecrypt => (CKA_DECRYPT, true),
        Purpose::Sign | Purpose::MessageSign => (CKA_SIGN, true),
        Purpose::Verify | Purpose::VerifySignature | Purpose::MessageVerify => (CKA_VERIFY, false),
        Purpose::SignRecover => (CKA_SIGN_RECOVER, true),
        Purpose::VerifyRecover => (CKA_VERIFY_RECOVER, false),
        Purpose::Digest => (0, false),
    }
}

/// The work of a mechanism for a purpose; `MechanismInvalid` when its row has none.
fn begin(purpose: Purpose, mechanism: &Mechanism, params: Params, key: Arc<Key>) -> Result<Work> {
    let none = Error::MechanismInvalid;
    Ok(match purpose {
        Purpose::Encrypt => Work::Transform(mechanism.cipher.ok_or(none)?(key, params, Direction::Encrypt)?),
        Purpose::Decrypt => Work::Transform(mechanism.cipher.ok_or(none)?(key, params, Direction::Decrypt)?),
        Purpose::Sign | Purpose::SignRecover => Work::Transform(mechanism.sign.ok_or(none)?(key, params)?),
        Purpose::Verify | Purpose::VerifySignature => {
            Work::Verifier(mechanism.verify.ok_or(none)?(key, params)?)
        }
        Purpose::VerifyRecover => Work::Transform(mechanism.recover.ok_or(none)?(key, params)?),
        Purpose::MessageEncrypt | Purpose::MessageDecrypt => Work::Messages(Box::default()),
        // Whether the parameter is one is told now.
        Purpose::MessageSign => {
            let asks = key.always_authenticate();
            mechanism.sign.ok_or(none)?(key, params.clone())?;
            Work::Messages(Box::new(Messages { params, asks, ..Messages::default() }))
        }
        Purpose::MessageVerify => {
            mechanism.verify.ok_or(none)?(key, params.clone())?;
            Work::Messages(Box::new(Messages { params, ..Messages::default() }))
        }
        Purpose::Digest => return Err(Error::GeneralError),
    })
}

impl Operation {
    /// A new one with a key, which is checked.
    pub fn keyed(origin: Origin, params: Params, key: Arc<Key>) -> Result<Operation> {
        let (usage, secret) = needs(origin.purpose);
        check_key(&key, origin.mechanism, usage)?;
        let (awaits_login, private) = (secret && key.always_authenticate(), key.is_private());
        let mut operation = Operation::new(begin(origin.purpose, origin.mechanism, params, key)?, origin);
        (operation.awaits_login, operation.private) = (awaits_login, private);
        Ok(operation)
    }

    /// A new digest.
    pub fn digest(origin: Origin, params: Params) -> Result<Operation> {
        let work = Work::Transform(origin.mechanism.digest.ok_or(Error::MechanismInvalid)?(params)?);
        Ok(Operation::new(work, origin))
    }
}

/// A key as the slot's login may use it; sets the generation at which that was so. The use of a key that
/// asks for it is recorded, once for all of an operation's tries.
fn look_up(session: &Session, origin: &mut Origin, recorded: &mut bool) -> Result<Arc<Key>> {
    let login = session.slot.login.read();
    let token = &session.slot.token;
    origin.generation = token.generation();
    let key = token.key(session.access(&login), origin.key)?;
    // Of messages, each is recorded when it is worked on.
    let messages = matches!(
        origin.purpose,
        Purpose::MessageEncrypt | Purpose::MessageDecrypt | Purpose::MessageSign | Purpose::MessageVerify
    );
    if key.audits_use() && !messages && !std::mem::replace(recorded, true) {
        let (usage, purpose) = (needs(origin.purpose).0, origin.purpose.name());
        check_key(&key, origin.mechanism, usage)?;
        token.record_use(session.access(&login), &key, purpose, origin.mechanism.name)?;
    }
    Ok(key)
}

fn can(purpose: Purpose, mechanism: &Mechanism) -> bool {
    match purpose {
        Purpose::Encrypt | Purpose::Decrypt => mechanism.cipher.is_some(),
        Purpose::Digest => mechanism.digest.is_some(),
        Purpose::MessageEncrypt | Purpose::MessageDecrypt => mechanism.message.is_some(),
        Purpose::Sign | Purpose::MessageSign => mechanism.sign.is_some(),
        Purpose::Verify | Purpose::VerifySignature | Purpose::MessageVerify => mechanism.verify.is_some(),
        Purpose::SignRecover | Purpose::VerifyRecover => mechanism.recover.is_some(),
    }
}

impl Library {
    /// C_EncryptInit and its like; `key` is `None` for digests. The parameter is taken.
    pub fn start(
        &self,
        session: u64,
        purpose: Purpose,
        mechanism: &'static Mechanism,
        params: &mut Params,
        key: Option<Handle>,
    ) -> Result<()> {
        let mut state = self.state(session)?;
        let session = state.session()?;
        if state.operations.is_running(purpose) {
            return Err(Error::OperationActive);
        }
        if !can(purpose, mechanism) {
            return Err(Error::MechanismInvalid);
        }
        mechanism.check_on(session.slot.token.allowed(), 0)?;
        let mut origin = Origin { purpose, mechanism, key: NO_KEY, generation: 0 };
        if purpose == Purpose::Digest {
            return state.operations.begin(Operation::digest(origin, take(params))?);
        }
        origin.key = key.ok_or(Error::KeyHandleInvalid)?;
        let valid = |key: &Key, then| session.slot.token.still_valid(key, then);
        let key = match state.operations.start_recent(&mut origin, params, valid) {
            Recent::Started => return Ok(()),
            Recent::Key(key) => key,
            Recent::Other => {
                let mut recorded = false;
                loop {
                    // Let go while the key is looked up.
                    drop(state);
                    let key = look_up(&session, &mut origin, &mut recorded)?;
                    state = session.state()?;
                    // A logout in between has ended this session's operations already, so none may begin.
                    if origin.generation == session.slot.token.generation() {
                        // One whose use is recorded or whose time may be over comes this way each time.
                        if !recorded && key.validity().is_none() {
                            state.operations.remember(&origin, Arc::clone(&key));
                        }
                        break key;
                    }
                }
            }
        };
        state.operations.begin(Operation::keyed(origin, take(params), key)?)
    }

    /// C_EncryptInit with a NULL mechanism: ends a running operation; `OperationNotInitialized`
    /// when there is none.
    pub fn stop(&self, session: u64, purpose: Purpose) -> Result<()> {
        let mut state = self.state(session)?;
        if state.operations.end(purpose) { Ok(()) } else { Err(Error::OperationNotInitialized) }
    }

    /// C_SessionCancel: ends the operations named by CKF_ flags.
    pub fn cancel(&self, session: u64, flags: u64) -> Result<()> {
        let mut state = self.state(session)?;
        let named = [
            (CKF_ENCRYPT, Purpose::Encrypt),
            (CKF_DECRYPT, Purpose::Decrypt),
            (CKF_DIGEST, Purpose::Digest),
            (CKF_SIGN, Purpose::Sign),
            (CKF_VERIFY, Purpose::Verify),
            (CKF_VERIFY, Purpose::VerifySignature),
            (CKF_SIGN_RECOVER, Purpose::SignRecover),
            (CKF_VERIFY_RECOVER, Purpose::VerifyRecover),
            (CKF_MESSAGE_ENCRYPT, Purpose::MessageEncrypt),
            (CKF_MESSAGE_DECRYPT, Purpose::MessageDecrypt),
            (CKF_MESSAGE_SIGN, Purpose::MessageSign),
            (CKF_MESSAGE_VERIFY, Purpose::MessageVerify),
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

    /// C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover. `input` does not overlap the output buffer.
    pub fn one_shot(
        &self,
        session: u64,
        purpose: Purpose,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let mut state = self.state(session)?;
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
        let mut state = self.state(session)?;
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
        let mut state = self.state(session)?;
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
        let (access, handle) = (session.access(&login), key);
        let key = session.slot.token.key(access, handle)?;
        let readable = || session.slot.token.attributes(access, handle, &[CKA_VALUE]);
        if key.object().class() != CKO_SECRET_KEY || !matches!(readable()?[..], [Ok(_)]) {
            return Err(Error::KeyIndigestible);
        }
        in_time(&key, 0)?;
        session.slot.token.record_use(session.access(&login), &key, "digest", "C_DigestKey")?;
        state.operations.step(Purpose::Digest, false, |operation| {
            operation.in_parts = true;
            operation.transform()?.update(key.value(), &mut []).map(Some)
        })?;
        Ok(())
    }

    /// C_Verify.
    pub fn verify(&self, session: u64, data: &[u8], signature: &[u8]) -> Result<()> {
        let mut state = self.state(session)?;
        let done = state.operations.step(Purpose::Verify, true, |operation| {
            operation.whole()?;
            operation.verifier()?.one_shot(data, signature).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifyRecover: the data in a signature. A buffer need be no longer than the data are, and how
    /// long that is is known when the signature is open; a length query gets the most that it can be.
    pub fn recover(&self, session: u64, signature: &[u8], output: &mut Output<'_>) -> Result<()> {
        let mut state = self.state(session)?;
        let written = state.operations.step(Purpose::VerifyRecover, true, |operation| {
            let transform = operation.transform()?;
            let mut data = vec![0; transform.one_shot_length(signature.len())];
            if output.buffer.is_none() {
                output.length = data.len();
                return Ok(None);
            }
            let length = transform.one_shot(signature, &mut data)?;
            let Some(room) = output.room(length)? else { return Ok(None) };
            room.copy_from_slice(&data[..length]);
            Ok(Some(length))
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(())
    }

    /// C_VerifySignatureInit: the signature is given before the data. Other arguments as of [`Self::start`].
    pub fn start_signature(
        &self,
        session: u64,
        mechanism: &'static Mechanism,
        params: &mut Params,
        key: Handle,
        signature: &[u8],
    ) -> Result<()> {
        self.start(session, Purpose::VerifySignature, mechanism, params, Some(key))?;
        self.state(session)?.operations.running(Purpose::VerifySignature)?.signature = signature.to_vec();
        Ok(())
    }

    /// C_VerifySignature.
    pub fn verify_signature(&self, session: u64, data: &[u8]) -> Result<()> {
        let mut state = self.state(session)?;
        let done = state.operations.step(Purpose::VerifySignature, true, |operation| {
            operation.whole()?;
            let signature = std::mem::take(&mut operation.signature);
            operation.verifier()?.one_shot(data, &signature).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifySignatureFinal.
    pub fn verify_signature_final(&self, session: u64) -> Result<()> {
        let mut state = self.state(session)?;
        let done = state.operations.step(Purpose::VerifySignature, true, |operation| {
            let signature = std::mem::take(&mut operation.signature);
            operation.verifier()?.finish(&signature).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifyUpdate, C_VerifySignatureUpdate.
    pub fn verify_update(&self, session: u64, purpose: Purpose, data: &[u8]) -> Result<()> {
        let mut state = self.state(session)?;
        let done = state.operations.step(purpose, false, |operation| {
            operation.in_parts = true;
            operation.verifier()?.update(data).map(Some)
        });
        done.map(drop)
    }

    /// C_VerifyFinal.
    pub fn verify_final(&self, session: u64, signature: &[u8]) -> Result<()> {
        let mut state = self.state(session)?;
        let done = state
            .operations
            .step(Purpose::Verify, true, |operation| operation.verifier()?.finish(signature).map(Some));
        done.map(drop)
    }
}
