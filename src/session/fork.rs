//! Fork: the child inherits sessions, login and handles, and no lock of another thread, no connection to the
//! file or to etcd, and no thread with them.

use super::Library;
use super::sessions::{SessionCounts, Slot};
use super::table::Free;
use crate::crypto::guarded;
use crate::lock::ForkGuard;
use crate::store::{GATE, claim, process_lock};
use crate::sync::background;
use crate::sync::descriptors::{self, Descriptor};
use crate::token::{ForkGuards, Login};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Every structural lock, held by the forking thread over the fork. Dropped in this order.
struct Held {
    _memory: guarded::ForkGuard,
    _claims: claim::ForkGuard,
    _locks: process_lock::ForkGuard,
    _descriptors: descriptors::ForkGuard,
    _gate: ForkGuard<'static, ()>,
    _tokens: Vec<ForkGuards<'static>>,
    _counts: Vec<ForkGuard<'static, SessionCounts>>,
    _sessions: ForkGuard<'static, Free>,
    _logins: Vec<ForkGuard<'static, Option<Arc<Login>>>>,
    _threads: background::ForkGuard,
    _slots: ForkGuard<'static, Vec<&'static Slot>>,
}

thread_local! {
    // Without a destructor: threads may end in any order with this library.
    static HELD: RefCell<ManuallyDrop<Option<Held>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

impl Library {
    /// Waits until no call is in the middle of changing anything, and closes the files.
    pub fn before_fork() {
        let library = Library::any();
        let slots = library.slots.write_for_fork();
        let logins = slots.iter().map(|slot| slot.login.write_for_fork()).collect();
        let sessions = library.sessions.fork_guard();
        let counts = slots.iter().map(|slot| slot.counts.write_for_fork()).collect();
        let threads = background::fork_guard();
        let tokens = slots.iter().map(|slot| &slot.token).chain(threads.tokens());
        let tokens: Vec<_> = tokens.map(|token| token.fork_guards()).collect();
        let gate = GATE.write_for_fork();
        tokens.iter().for_each(ForkGuards::suspend);
        let (claims, locks) = (claim::fork_guard(), process_lock::fork_guard());
        let descriptors = descriptors::fork_guard();
        let held = Held {
            // Nothing allocates from here on.
            _memory: guarded::fork_guard(),
            _claims: claims,
            _locks: locks,
            _descriptors: descriptors,
            _gate: gate,
            _tokens: tokens,
            _counts: counts,
            _sessions: sessions,
            _logins: logins,
            _threads: threads,
            _slots: slots,
        };
        HELD.with(|place| **place.borrow_mut() = Some(held));
    }

    pub fn after_fork_in_parent() {
        drop(HELD.with(|place| place.borrow_mut().take()));
    }

    /// What is left to close of the parent's descriptors.
    pub fn after_fork_in_child() -> Vec<Descriptor> {
        Library::any().generation.fetch_add(1, Ordering::AcqRel);
        drop(HELD.with(|place| place.borrow_mut().take()));
        background::forget_parents();
        process_lock::forget_parents();
        descriptors::of_parent()
    }
}
