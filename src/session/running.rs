//! The running operations of a session, the rules by which each goes on or ends, and the finished one
//! that can start again without being built anew.
//!
//! A length query and a too-small buffer leave an operation as it is; success and every other error
//! end it.

use crate::error::{Error, Result};
use crate::mechanism::{Key, Params, Transform, Verifier};
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
}

impl Work {
    fn rest(&mut self) -> bool {
        match self {
            Work::Transform(transform) => transform.rest(),
            Work::Verifier(_) => false,
        }
    }

    fn restart(&mut self, params: &mut Params) -> bool {
        match self {
            Work::Transform(transform) => transform.restart(params),
            Work::Verifier(_) => false,
        }
    }
}

/// What an operation was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub purpose: Purpose,
    /// CKM_.
    pub mechanism: u64,
    /// 0 for a digest.
    pub key: Handle,
    /// The token's generation when the key was looked up.
    pub generation: u64,
}

pub(super) struct Operation {
    pub work: Work,
    pub origin: Origin,
    /// Parts were processed: a one-shot call is too late.
    pub in_parts: bool,
    /// The key is CKA_ALWAYS_AUTHENTICATE and its password was not given yet.
    pub awaits_login: bool,
    /// With a private key: ends at logout.
    pub private: bool,
}

impl Operation {
    pub fn transform(&mut self) -> Result<&mut dyn Transform> {
        match &mut self.work {
            Work::Transform(transform) => Ok(&mut **transform),
            Work::Verifier(_) => Err(Error::GeneralError),
        }
    }

    pub fn verifier(&mut self) -> Result<&mut dyn Verifier> {
        match &mut self.work {
            Work::Verifier(verifier) => Ok(&mut **verifier),
            Work::Transform(_) => Err(Error::GeneralError),
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
    /// A finished operation with this key.
    rested: Option<Operation>,
}

#[derive(Default)]
pub(super) struct Operations {
    running: [Option<Operation>; 5],
    last: Option<Last>,
}

impl Operations {
    pub fn is_running(&self, purpose: Purpose) -> bool {
        self.running[purpose as usize].is_some()
    }

    /// The running operation, ready to work.
    pub fn running(&mut self, purpose: Purpose) -> Result<&mut Operation> {
        let operation = self.running[purpose as usize].as_mut().ok_or(Error::OperationNotInitialized)?;
        if operation.awaits_login { Err(Error::UserNotLoggedIn) } else { Ok(operation) }
    }

    /// `OperationActive` when one of its purpose is running.
    pub fn begin(&mut self, operation: Operation) -> Result<()> {
        let place = &mut self.running[operation.origin.purpose as usize];
        if place.is_some() {
            return Err(Error::OperationActive);
        }
        *place = Some(operation);
        Ok(())
    }

    /// Whether there was one to end.
    pub fn end(&mut self, purpose: Purpose) -> bool {
        self.running[purpose as usize].take().is_some()
    }

    /// Ends what works with private keys and forgets the key used last: somebody logs out.
    pub fn end_private(&mut self) {
        self.running.iter_mut().filter(|o| o.as_ref().is_some_and(|o| o.private)).for_each(|o| *o = None);
        self.last = None;
    }

    pub fn awaits_login(&self) -> bool {
        self.running.iter().flatten().any(|operation| operation.awaits_login)
    }

    pub fn confirm(&mut self) {
        self.running.iter_mut().flatten().for_each(|operation| operation.awaits_login = false);
    }

    pub fn remember(&mut self, handle: Handle, generation: u64, key: Arc<Key>) {
        self.last = Some(Last { handle, generation, key, rested: None });
    }

    /// Starts the rested operation again if it was started in the same way and takes the parameters;
    /// sets the origin's generation if its key is the recent one.
    pub fn start_recent(
        &mut self,
        origin: &mut Origin,
        params: &mut Params,
        valid: impl FnOnce(&Key, u64) -> bool,
    ) -> Recent {
        let Some(last) = self.last.as_mut().filter(|last| last.handle == origin.key) else {
            return Recent::Other;
        };
        if !valid(&last.key, last.generation) {
            return Recent::Other;
        }
        origin.generation = last.generation;
        let fits = |rested: &mut Operation| rested.origin == *origin && rested.work.restart(params);
        let Some(mut operation) = last.rested.take_if(fits) else {
            return Recent::Key(Arc::clone(&last.key));
        };
        operation.in_parts = false;
        self.running[origin.purpose as usize] = Some(operation);
        Recent::Started
    }

    /// Runs one step of an operation and ends it as the life cycle says. A step that panics ends it
    /// too: nothing goes on with a half-changed state.
    pub fn step<T>(
        &mut self,
        purpose: Purpose,
        ends: bool,
        step: impl FnOnce(&mut Operation) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        self.running(purpose)?;
        let mut operation = self.running[purpose as usize].take().ok_or(Error::OperationNotInitialized)?;
        let result = step(&mut operation);
        match &result {
            // A query answered None: nothing was done.
            Ok(None) | Err(Error::BufferTooSmall) => self.running[purpose as usize] = Some(operation),
            Ok(Some(_)) if !ends => self.running[purpose as usize] = Some(operation),
            Ok(Some(_)) => self.rest(operation),
            Err(_) => {}
        }
        result
    }

    /// Keeps a finished operation for the next time, if it wants to and belongs to the key used last as
    /// it is now.
    fn rest(&mut self, mut operation: Operation) {
        let Some(last) = &mut self.last else { return };
        let origin = operation.origin;
        if (origin.key, origin.generation) == (last.handle, last.generation)
            && !last.key.always_authenticate()
            && operation.work.rest()
        {
            last.rested = Some(operation);
        }
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
        let origin = Origin { purpose: Purpose::Verify, mechanism: 0, key: 0, generation: 0 };
        let operation = Operation { work, origin, in_parts: false, awaits_login: false, private: false };
        operations.begin(operation).unwrap();
        let mut update = |data: &[u8]| {
            operations.step(Purpose::Verify, false, |operation| operation.verifier()?.update(data).map(Some))
        };
        assert_eq!(update(b""), Ok(Some(())));
        assert!(catch_unwind(AssertUnwindSafe(|| update(b"x"))).is_err());
        assert_eq!(update(b""), Err(Error::OperationNotInitialized));
    }
}
