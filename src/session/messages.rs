//! Message-based functions (PKCS#11 3.2 §5.9, §5.11, §5.14, §5.16): one key, many messages, each whole or
//! in parts. What a message does wrong ends the message; the process over all of them goes on until
//! C_Message…Final, a logout, or a key that may no longer be used.

use super::Library;
use super::operation::{check_key, needs};
use super::running::{Messages, Origin, Output, Purpose, Work};
use super::sessions::Session;
use crate::crypto::{Direction, Secret};
use crate::error::{Error, Result};
use crate::mechanism::{Key, Message, MessageShape, Params, Transform};
use std::sync::Arc;

/// A message about to begin.
struct Begin {
    session: Session,
    origin: Origin,
    /// Of the whole process; none for ciphers.
    params: Params,
    key: Arc<Key>,
}

impl Begin {
    /// Records the use of a key that asks for it; before the work.
    fn record(&self) -> Result<()> {
        let login = self.session.slot.login.read();
        let (access, token) = (self.session.access(&login), &self.session.slot.token);
        token.record_use(access, &self.key, self.origin.purpose.name(), self.origin.mechanism.name)
    }

    fn cipher(&self, message: &Message, aad: &[u8]) -> Result<Box<dyn Transform>> {
        let encrypts = self.origin.purpose == Purpose::MessageEncrypt;
        let direction = if encrypts { Direction::Encrypt } else { Direction::Decrypt };
        let start = self.origin.mechanism.cipher.ok_or(Error::MechanismInvalid)?;
        start(Arc::clone(&self.key), message.params(aad.to_vec())?, direction)
    }
}

/// What a message that does not open is called here.
fn of_message(error: Error) -> Error {
    if error == Error::EncryptedDataInvalid { Error::AeadDecryptFailed } else { error }
}

/// Room for a message's bytes; `None` after a length query. Where there are none there is nothing to ask:
/// a message of additional data alone is worked on, and its tag verified, at the first call.
fn room<'a>(output: &'a mut Output<'_>, needed: usize) -> Result<Option<&'a mut [u8]>> {
    if needed == 0 {
        output.length = 0;
        return Ok(Some(&mut []));
    }
    output.room(needed)
}

impl Library {
    /// What the parameter of each message looks like.
    pub fn message_shape(&self, session: u64, purpose: Purpose) -> Result<MessageShape> {
        let mut state = self.state(session)?;
        let operation = state.operations.running(purpose)?;
        operation.origin.mechanism.message.ok_or(Error::GeneralError)
    }

    /// The key as it may be used now: a process may outlive the key, its dates and its owner's favour.
    fn begin_message(&self, session: u64, purpose: Purpose) -> Result<Begin> {
        let mut state = self.state(session)?;
        let session = state.session()?;
        let operation = state.operations.running(purpose)?;
        let messages = operation.messages()?;
        if messages.current.is_some() {
            return Err(Error::OperationActive);
        }
        let (params, origin) = (messages.params.clone(), operation.origin);
        drop(state);
        let login = session.slot.login.read();
        let key = session.slot.token.key(session.access(&login), origin.key)?;
        check_key(&key, origin.mechanism, needs(purpose).0)?;
        drop(login);
        Ok(Begin { session, origin, params, key })
    }

    /// Work on the process's state, if it is still there.
    fn with_messages<T>(
        &self,
        session: u64,
        purpose: Purpose,
        work: impl FnOnce(&mut Messages) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.state(session)?;
        work(state.operations.running(purpose)?.messages()?)
    }

    /// C_Message…Final: `OperationActive` in the middle of a message.
    pub fn finish_messages(&self, session: u64, purpose: Purpose) -> Result<()> {
        let mut state = self.state(session)?;
        if state.operations.running(purpose)?.messages()?.current.is_some() {
            return Err(Error::OperationActive);
        }
        state.operations.end(purpose);
        Ok(())
    }

    /// C_EncryptMessage: `message` gets the nonce and the tag; false after a length query.
    pub fn encrypt_message(
        &self,
        session: u64,
        message: &mut Message,
        aad: &[u8],
        plain: &[u8],
        output: &mut Output<'_>,
    ) -> Result<bool> {
        let purpose = Purpose::MessageEncrypt;
        let begin = self.begin_message(session, purpose)?;
        let Some(room) = room(output, plain.len())? else { return Ok(false) };
        message.make_nonce(|| begin.key.count_nonce())?;
        let mut cipher = begin.cipher(message, aad)?;
        begin.record()?;
        self.with_messages(session, purpose, |_| {
            let mut whole = Secret::zeroed(cipher.one_shot_length(plain.len()));
            cipher.one_shot(plain, &mut whole)?;
            let (body, tag) = whole.split_at_checked(plain.len()).ok_or(Error::GeneralError)?;
            room.copy_from_slice(body);
            message.tag.copy_from_slice(tag);
            Ok(true)
        })
    }

    /// C_DecryptMessage.
    pub fn decrypt_message(
        &self,
        session: u64,
        message: &Message,
        aad: &[u8],
        sealed: &[u8],
        output: &mut Output<'_>,
    ) -> Result<()> {
        let purpose = Purpose::MessageDecrypt;
        let begin = self.begin_message(session, purpose)?;
        let Some(room) = room(output, sealed.len())? else { return Ok(()) };
        let mut cipher = begin.cipher(message, aad)?;
        begin.record()?;
        self.with_messages(session, purpose, |_| {
            let whole = [sealed, &message.tag].concat();
            cipher.one_shot(&whole, room).map(drop).map_err(of_message)
        })
    }

    /// C_EncryptMessageBegin, which makes the nonce, and C_DecryptMessageBegin.
    pub fn begin_cipher(
        &self,
        session: u64,
        purpose: Purpose,
        message: &mut Message,
        aad: &[u8],
    ) -> Result<()> {
        let begin = self.begin_message(session, purpose)?;
        if purpose == Purpose::MessageEncrypt {
            message.make_nonce(|| begin.key.count_nonce())?;
        }
        let cipher = begin.cipher(message, aad)?;
        begin.record()?;
        self.put_current(session, purpose, Work::Transform(cipher))
    }

    fn put_current(&self, session: u64, purpose: Purpose, work: Work) -> Result<()> {
        self.with_messages(session, purpose, |messages| {
            if messages.current.is_some() {
                return Err(Error::OperationActive);
            }
            (messages.current, messages.bytes) = (Some(work), 0);
            Ok(())
        })
    }

    /// A step of the message in parts. It ends with an error, or when `last` and something was done
    /// (`Some`); it is not there meanwhile, so that nothing goes on after a panic.
    fn next_part<T>(
        &self,
        session: u64,
        purpose: Purpose,
        last: bool,
        step: impl FnOnce(&mut Work, &mut usize) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.with_messages(session, purpose, |messages| {
            let mut work = messages.current.take().ok_or(Error::OperationNotInitialized)?;
            let result = step(&mut work, &mut messages.bytes);
            if matches!(result, Ok(None) | Err(Error::BufferTooSmall)) || (result.is_ok() && !last) {
                messages.current = Some(work);
            }
            result
        })
    }

    /// C_EncryptMessageNext; the last one gives the tag into `tag`. False after a length query.
    pub fn encrypt_next(
        &self,
        session: u64,
        plain: &[u8],
        tag: Option<&mut [u8]>,
        output: &mut Output<'_>,
    ) -> Result<bool> {
        let last = tag.is_some();
        let written = self.next_part(session, Purpose::MessageEncrypt, last, |work, _| {
            let Work::Transform(cipher) = work else { return Err(Error::GeneralError) };
            let Some(tag) = tag else {
                let Some(room) = room(output, cipher.update_length(plain.len()))? else { return Ok(None) };
                return cipher.update(plain, room).map(Some);
            };
            // A cipher that collects its input, or one that lets it through: together it is the same.
            let whole = plain.len() + cipher.finish_length();
            let body = whole.checked_sub(tag.len()).ok_or(Error::MechanismParamInvalid)?;
            let Some(room) = room(output, body)? else { return Ok(None) };
            let mut sealed = Secret::zeroed(whole);
            let through = cipher.update(plain, &mut sealed)?;
            let ended = cipher.finish(&mut sealed[through..])?;
            if through + ended != whole {
                return Err(Error::GeneralError);
            }
            room.copy_from_slice(&sealed[..body]);
            tag.copy_from_slice(&sealed[body..]);
            Ok(Some(body))
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(written.is_some())
    }

    /// C_DecryptMessageNext: nothing comes before the last part, which brings the tag.
    pub fn decrypt_next(
        &self,
        session: u64,
        sealed: &[u8],
        tag: Option<&[u8]>,
        output: &mut Output<'_>,
    ) -> Result<()> {
        let last = tag.is_some();
        let written = self.next_part(session, Purpose::MessageDecrypt, last, |work, bytes| {
            let Work::Transform(cipher) = work else { return Err(Error::GeneralError) };
            let Some(tag) = tag else {
                cipher.update(sealed, &mut [])?;
                *bytes += sealed.len();
                return Ok(Some(0));
            };
            let Some(room) = room(output, *bytes + sealed.len())? else { return Ok(None) };
            cipher.update(sealed, &mut [])?;
            cipher.update(tag, &mut [])?;
            let mut plain = Secret::zeroed(cipher.finish_length());
            let length = cipher.finish(&mut plain).map_err(of_message)?;
            room.get_mut(..length).ok_or(Error::GeneralError)?.copy_from_slice(&plain[..length]);
            Ok(Some(length))
        })?;
        output.length = written.unwrap_or(output.length);
        Ok(())
    }

    /// The work of one signature or verification, and its use recorded.
    fn begin_signature(&self, session: u64, purpose: Purpose) -> Result<Work> {
        let begin = self.begin_message(session, purpose)?;
        let mechanism = begin.origin.mechanism;
        let (key, params) = (Arc::clone(&begin.key), begin.params.clone());
        let work = match purpose {
            Purpose::MessageSign => {
                Work::Transform(mechanism.sign.ok_or(Error::MechanismInvalid)?(key, params)?)
            }
            _ => Work::Verifier(mechanism.verify.ok_or(Error::MechanismInvalid)?(key, params)?),
        };
        begin.record()?;
        Ok(work)
    }

    /// C_SignMessageBegin, C_VerifyMessageBegin.
    pub fn begin_signed(&self, session: u64, purpose: Purpose) -> Result<()> {
        let work = self.begin_signature(session, purpose)?;
        self.put_current(session, purpose, work)
    }

    /// A key that asks for its password at each use asks for each message.
    fn ask_again(&self, session: u64) -> Result<()> {
        let mut state = self.state(session)?;
        let operation = state.operations.running(Purpose::MessageSign)?;
        operation.awaits_login = operation.messages()?.asks;
        Ok(())
    }

    /// C_SignMessage.
    pub fn sign_message(&self, session: u64, data: &[u8], output: &mut Output<'_>) -> Result<()> {
        let purpose = Purpose::MessageSign;
        let Work::Transform(mut transform) = self.begin_signature(session, purpose)? else {
            return Err(Error::GeneralError);
        };
        let done = self.with_messages(session, purpose, |_| {
            let Some(room) = output.room(transform.one_shot_length(data.len()))? else { return Ok(None) };
            transform.one_shot(data, room).map(Some)
        })?;
        if let Some(written) = done {
            output.length = written;
            self.ask_again(session)?;
        }
        Ok(())
    }

    /// C_SignMessageNext; `output` is there for the last part.
    pub fn sign_next(&self, session: u64, data: &[u8], output: Option<&mut Output<'_>>) -> Result<()> {
        let last = output.is_some();
        let done = self.next_part(session, Purpose::MessageSign, last, |work, _| {
            let Work::Transform(transform) = work else { return Err(Error::GeneralError) };
            let Some(output) = output else { return transform.update(data, &mut []).map(Some) };
            let Some(room) = output.room(transform.finish_length())? else { return Ok(None) };
            transform.update(data, &mut [])?;
            output.length = transform.finish(room)?;
            Ok(Some(0))
        })?;
        if last && done.is_some() { self.ask_again(session) } else { Ok(()) }
    }

    /// C_VerifyMessage.
    pub fn verify_message(&self, session: u64, data: &[u8], signature: &[u8]) -> Result<()> {
        let purpose = Purpose::MessageVerify;
        let Work::Verifier(mut verifier) = self.begin_signature(session, purpose)? else {
            return Err(Error::GeneralError);
        };
        self.with_messages(session, purpose, |_| verifier.one_shot(data, signature))
    }

    /// C_VerifyMessageNext; the signature comes with the last part.
    pub fn verify_next(&self, session: u64, data: &[u8], signature: Option<&[u8]>) -> Result<()> {
        let last = signature.is_some();
        let done = self.next_part(session, Purpose::MessageVerify, last, |work, _| {
            let Work::Verifier(verifier) = work else { return Err(Error::GeneralError) };
            verifier.update(data)?;
            signature.map_or(Ok(()), |signature| verifier.finish(signature)).map(Some)
        });
        done.map(drop)
    }
}
