//! The running operations of a session, the rules by which each goes on or ends, and the finished one
//! that can start again without being built anew.
//!
//! A length query and a too-small buffer leave an operation as it is; success and every other error
//! end it.

use crate::crypto::hash::Context;
use crate::error::{Error, Result};
use crate::mechanism::{Key, Mechanism, Params, Transform, Verifier};
use crate::token::Handle;
use std::sync::Arc;

/// The kinds of running operation a session can have, one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Encrypt,
    Decrypt,
    Digest,
    Sign,
    Verify,
    SignRecover,
    VerifyRecover,
    MessageEncrypt,
    MessageDecrypt,
    MessageSign,
    MessageVerify,
    /// Of a signature that is given first.
    VerifySignature,
}

impl Purpose {
    /// As the audit log says it.
    pub const fn name(self) -> &'static str {
        match self {
            Purpose::Encrypt => "encrypt",
            Purpose::Decrypt => "decrypt",
            Purpose::Digest => "digest",
            Purpose::Sign => "sign",
            Purpose::Verify | Purpose::VerifySignature => "verify",
            Purpose::SignRecover => "sign-recover",
            Purpose::VerifyRecover => "verify-recover",
            // The key is used as in the functions without messages.
            Purpose::MessageEncrypt => "encrypt",
            Purpose::MessageDecrypt => "decrypt",
            Purpose::MessageSign => "sign",
            Purpose::MessageVerify => "verify",
        }
    }
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

pub(super) enum Work {
    Transform(Box<dyn Transform>),
    Verifier(Box<dyn Verifier>),
    /// Apart: it is large, and every operation moves as its work begins.
    Messages(Box<Messages>),
}

/// A process over many messages.
#[derive(Default)]
pub(super) struct Messages {
    /// Of each signature.
    pub params: Params,
    /// The key asks for its password at each signature.
    pub asks: bool,
    /// The message whose parts are coming, and how many bytes of it came.
    pub current: Option<Work>,
    pub bytes: usize,
}

impl Work {
    fn rest(&mut self) -> bool {
        match self {
            Work::Transform(transform) => transform.rest(),
            Work::Verifier(_) | Work::Messages(_) => false,
        }
    }

    fn restart(&mut self, params: &mut Params) -> bool {
        match self {
            Work::Transform(transform) => transform.restart(params),
            Work::Verifier(_) | Work::Messages(_) => false,
        }
    }
}

/// What stands for no key, as in C.
pub(super) const NO_KEY: Handle = 0;

/// What an operation was started with.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub purpose: Purpose,
    pub mechanism: &'static Mechanism,
    /// [`NO_KEY`] for a digest.
    pub key: Handle,
    /// The token's generation when the key was looked up.
    pub generation: u64,
}

impl Origin {
    fn is(&self, other: &Origin) -> bool {
        std::ptr::eq(self.mechanism, other.mechanism)
            && (self.purpose, self.key, self.generation) == (other.purpose, other.key, other.generation)
    }
}

/// Where an operation in its place stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Runs,
    /// It finished, and starts again without being built anew.
    Rests,
    /// A step is under way, or panicked: nothing goes on with a half-changed state.
    Steps,
}

pub(super) struct Operation {
    pub work: Work,
    pub origin: Origin,
    phase: Phase,
    /// Parts were processed: a one-shot call is too late.
    pub in_parts: bool,
    /// The key is CKA_ALWAYS_AUTHENTICATE and its password was not given yet.
    pub awaits_login: bool,
    /// With a private key: ends at logout.
    pub private: bool,
    /// What [`Purpose::VerifySignature`] verifies.
    pub signature: Vec<u8>,
}

impl Operation {
    pub fn new(work: Work, origin: Origin) -> Operation {
        let phase = Phase::Runs;
        let signature = Vec::new();
        Operation { work, origin, phase, in_parts: false, awaits_login: false, private: false, signature }
    }

    fn runs(&self) -> bool {
        self.phase == Phase::Runs
    }

    pub fn transform(&mut self) -> Result<&mut dyn Transform> {
        match &mut self.work {
            Work::Transform(transform) => Ok(&mut **transform),
            Work::Verifier(_) | Work::Messages(_) => Err(Error::GeneralError),
        }
    }

    pub fn messages(&mut self) -> Result<&mut Messages> {
        if let Work::Messages(messages) = &mut self.work { Ok(messages) } else { Err(Error::GeneralError) }
    }

    pub fn verifier(&mut self) -> Result<&mut dyn Verifier> {
        match &mut self.work {
            Work::Verifier(verifier) => Ok(&mut **verifier),
            Work::Transform(_) | Work::Messages(_) => Err(Error::GeneralError),
        }
    }

    /// The running hash that is its whole state, if that is so.
    pub fn context(&mut self) -> Option<&mut Context> {
        match &mut self.work {
            Work::Transform(transform) => transform.context(),
            Work::Verifier(verifier) => verifier.context(),
            Work::Messages(_) => None,
        }
    }

    pub fn whole(&self) -> Result<()> {
        if self.in_parts { Err(Error::OperationActive) } else { Ok(()) }
    }
}

/// What a session still knows of the key that an operation wants.
pub(super) enum Recent {
    /// Nothing: it is another key, or may have changed.
    Other,
    Key(Arc<Key>),
    /// All: the operation runs.
    Started,
}

/// The key used last: most sessions use one key in one way again and again.
struct Last {
    handle: Handle,
    generation: u64,
    key: Arc<Key>,
}

#[derive(Default)]
pub(super) struct Operations {
    /// By purpose. They never move: moving one costs more than a step of a short one.
    places: [Option<Operation>; 12],
    /// Those that rest were started with it.
    last: Option<Last>,
}

impl Operations {
    pub fn is_running(&self, purpose: Purpose) -> bool {
        self.places[purpose as usize].as_ref().is_some_and(Operation::runs)
    }

    /// The running operation, ready to work.
    pub fn running(&mut self, purpose: Purpose) -> Result<&mut Operation> {
        let operation = self.places[purpose as usize].as_mut().filter(|operation| operation.runs());
        let operation = operation.ok_or(Error::OperationNotInitialized)?;
        if operation.awaits_login { Err(Error::UserNotLoggedIn) } else { Ok(operation) }
    }

    /// `OperationActive` when one of its purpose is running.
    pub fn begin(&mut self, operation: Operation) -> Result<()> {
        if self.is_running(operation.origin.purpose) {
            return Err(Error::OperationActive);
        }
        self.put(operation);
        Ok(())
    }

    fn put(&mut self, operation: Operation) {
        let place = operation.origin.purpose as usize;
        self.places[place] = Some(operation);
    }

    /// All that run.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Operation> {
        self.places.iter_mut().flatten().filter(|operation| operation.runs())
    }

    fn drop_if(&mut self, ends: impl Fn(&Operation) -> bool) {
        self.places
            .iter_mut()
            .filter(|place| place.as_ref().is_some_and(&ends))
            .for_each(|place| *place = None);
    }

    /// These run, and nothing else.
    pub fn replace(&mut self, operations: Vec<Operation>) {
        self.places = Default::default();
        operations.into_iter().for_each(|operation| self.put(operation));
    }

    /// Whether there was one to end.
    pub fn end(&mut self, purpose: Purpose) -> bool {
        self.places[purpose as usize].take().is_some_and(|operation| operation.runs())
    }

    /// Ends what works with private keys and forgets the key used last: somebody logs out.
    pub fn end_private(&mut self) {
        self.drop_if(|operation| operation.private || !operation.runs());
        self.last = None;
    }

    pub fn awaits_login(&mut self) -> bool {
        self.all().any(|operation| operation.awaits_login)
    }

    pub fn confirm(&mut self) {
        self.all().for_each(|operation| operation.awaits_login = false);
    }

    /// The key that was looked up for an operation is the one used last.
    pub fn remember(&mut self, origin: &Origin, key: Arc<Key>) {
        self.drop_if(|operation| !operation.runs());
        self.last = Some(Last { handle: origin.key, generation: origin.generation, key });
    }

    /// Starts the rested operation again if it was started in the same way and takes the parameters;
    /// sets the origin's generation if its key is the recent one.
    pub fn start_recent(
        &mut self,
        origin: &mut Origin,
        params: &mut Params,
        valid: impl FnOnce(&Key, u64) -> bool,
    ) -> Recent {
        let Some(last) = self.last.as_ref().filter(|last| last.handle == origin.key) else {
            return Recent::Other;
        };
        if !valid(&last.key, last.generation) {
            return Recent::Other;
        }
        origin.generation = last.generation;
        let rests = |rested: &&mut Operation| rested.phase == Phase::Rests && rested.origin.is(origin);
        if let Some(rested) = self.places[origin.purpose as usize].as_mut().filter(rests)
            && rested.work.restart(params)
        {
            rested.phase = Phase::Runs;
            rested.in_parts = false;
            return Recent::Started;
        }
        Recent::Key(Arc::clone(&last.key))
    }

    /// Runs one step of an operation and ends it as the life cycle says. A step that panics ends it
    /// too: nothing goes on with a half-changed state.
    pub fn step<T>(
        &mut self,
        purpose: Purpose,
        ends: bool,
        step: impl FnOnce(&mut Operation) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let operation = self.running(purpose)?;
        operation.phase = Phase::Steps;
        let result = step(operation);
        let goes_on = match &result {
            // A query answered None: nothing was done.
            Ok(None) | Err(Error::BufferTooSmall) => true,
            Ok(Some(_)) => !ends,
            Err(_) => false,
        };
        if goes_on {
            operation.phase = Phase::Runs;
        } else if result.is_err() || !self.rest(purpose) {
            self.places[purpose as usize] = None;
        }
        result
    }

    /// Keeps a finished operation for the next time, if it wants to and belongs to the key used last as
    /// it is now.
    fn rest(&mut self, purpose: Purpose) -> bool {
        let (Some(last), Some(operation)) = (&self.last, &mut self.places[purpose as usize]) else {
            return false;
        };
        let origin = &operation.origin;
        let rests = (origin.key, origin.generation) == (last.handle, last.generation)
            && !last.key.always_authenticate()
            && operation.work.rest();
        if rests {
            operation.phase = Phase::Rests;
        }
        rests
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
        let mechanism = crate::mechanism::find(cryptoki_sys::CKM_SHA256).unwrap();
        let origin = Origin { purpose: Purpose::Verify, mechanism, key: NO_KEY, generation: 0 };
        operations.begin(Operation::new(work, origin)).unwrap();
        let mut update = |data: &[u8]| {
            operations.step(Purpose::Verify, false, |operation| operation.verifier()?.update(data).map(Some))
        };
        assert_eq!(update(b""), Ok(Some(())));
        assert!(catch_unwind(AssertUnwindSafe(|| update(b"x"))).is_err());
        assert_eq!(update(b""), Err(Error::OperationNotInitialized));
    }
}
