//! The library between C_Initialize and C_Finalize: one for the process, never freed, so that a late
//! call on another thread finds it closed and not gone.

use super::sessions::{SessionCounts, Slot};
use super::table::Table;
use super::{logger, tracer};
use crate::config::{Allowed, Config};
use crate::error::{Error, Result};
use crate::lock::{Rank, RwLock};
use crate::sync::background;
use crate::token::{Info, Login, Token};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub struct Library {
    open: AtomicBool,
    /// Counts forks in the children: what was made before belongs to the parent's time.
    pub(super) generation: AtomicU64,
    /// The generation that was initialised.
    initialized_in: AtomicU64,
    pub(super) slots: RwLock<Vec<&'static Slot>>,
    pub(super) sessions: Table,
    /// Counts C_Finalize: one who waits is done when it rises, even if the library is open again by
    /// the time it wakes.
    finalized: AtomicU64,
    /// Wakes C_WaitForSlotEvent. Of the standard library and without a rank: nothing is ever
    /// locked while it is held, and its waiters hold nothing.
    waiting: std::sync::Mutex<()>,
    wake: std::sync::Condvar,
}

static LIBRARY: Library = Library {
    open: AtomicBool::new(false),
    generation: AtomicU64::new(0),
    initialized_in: AtomicU64::new(0),
    slots: RwLock::new(Rank::Library, Vec::new()),
    sessions: Table::new(),
    finalized: AtomicU64::new(0),
    waiting: std::sync::Mutex::new(()),
    wake: std::sync::Condvar::new(),
};

impl Library {
    /// C_Initialize. `config`: the reserved string. `CryptokiAlreadyInitialized`, except once in a
    /// forked child, where it starts afresh: with its parent's configuration unless it names one,
    /// because servers such as nginx empty the environment of their workers. `threads`: the host allows
    /// them; tokens in clusters get one each.
    pub fn initialize(config: Option<&str>, threads: bool) -> Result<()> {
        Self::open(config.is_none(), || {
            let config = Config::load(config)?;
            logger::install(&config);
            tracer::install(&config);
            Ok(config)
        })?;
        if threads {
            LIBRARY.slots.read().iter().for_each(|slot| background::start(slot.token.config()));
        }
        Ok(())
    }

    /// As C_Initialize, for the command line, which reads the configuration and logs by itself, and does
    /// not live long enough for a thread.
    pub fn initialize_with(config: Config) -> Result<()> {
        Self::open(false, || Ok(config))
    }

    /// `inherits`: a forked child keeps its parent's configuration.
    fn open(inherits: bool, config: impl FnOnce() -> Result<Config>) -> Result<()> {
        let library = &LIBRARY;
        let mut slots = library.slots.write();
        let open = library.open.load(Ordering::Acquire);
        let generation = library.generation.load(Ordering::Acquire);
        if open && library.initialized_in.load(Ordering::Acquire) == generation {
            return Err(Error::CryptokiAlreadyInitialized);
        }
        let fresh: Vec<_> = if open && inherits {
            slots.iter().map(|slot| slot.afresh()).collect()
        } else {
            config()?.slots.into_iter().map(Slot::new).collect()
        };
        library.forget_sessions();
        // A slot's shell stays for good: sessions of other threads may still point to it.
        let fresh = fresh.into_iter().map(|slot| &*Box::leak(Box::new(slot))).collect();
        // What a forked child took from its parent: its login and keys would stay in memory.
        std::mem::replace(&mut *slots, fresh).iter().for_each(|slot| slot.close());
        library.initialized_in.store(generation, Ordering::Release);
        library.open.store(true, Ordering::Release);
        Ok(())
    }

    /// C_Finalize: ends our threads, wakes C_WaitForSlotEvent, wipes sessions and keys.
    pub fn finalize() -> Result<()> {
        let library = Library::current()?;
        let slots = {
            let mut slots = library.slots.write();
            library.open.store(false, Ordering::Release);
            std::mem::take(&mut *slots)
        };
        background::stop();
        library.forget_sessions();
        slots.iter().for_each(|slot| slot.close());
        library.finalized.fetch_add(1, Ordering::AcqRel);
        drop(library.waiting.lock());
        library.wake.notify_all();
        Ok(())
    }

    /// The initialised library, or `CryptokiNotInitialized`.
    pub fn current() -> Result<&'static Library> {
        if LIBRARY.open.load(Ordering::Acquire) { Ok(&LIBRARY) } else { Err(Error::CryptokiNotInitialized) }
    }

    /// The library whatever its state: for the fork handlers.
    pub(super) fn any() -> &'static Library {
        &LIBRARY
    }

    /// Tells one time between C_Initialize and its end from another: handles mean the same in it.
    pub(super) fn era(&self) -> [u64; 2] {
        [self.initialized_in.load(Ordering::Acquire), self.finalized.load(Ordering::Acquire)]
    }

    pub(super) fn slot(&self, id: u64) -> Result<&'static Slot> {
        self.slots.read().iter().find(|slot| slot.id == id).copied().ok_or(Error::SlotIdInvalid)
    }

    /// The token in a slot, for the command line: it asks what no session can.
    pub fn token(&self, slot: u64) -> Result<&'static Token> {
        Ok(&self.slot(slot)?.token)
    }

    /// The rules against attacks that are loosened on a slot: they say which mechanisms its token has.
    pub fn allowed(&self, slot: u64) -> Result<Allowed> {
        Ok(self.slot(slot)?.token.allowed())
    }

    /// Who is logged in on a slot in this process.
    pub fn logged_in(&self, slot: u64) -> Result<Option<Arc<Login>>> {
        Ok(self.slot(slot)?.login.read().clone().filter(|login| !login.ended()))
    }

    /// Slot numbers, sorted. Every slot has a token present.
    pub fn slots(&self) -> Vec<u64> {
        self.slots.read().iter().map(|slot| slot.id).collect()
    }

    pub fn token_info(&self, slot: u64) -> Result<(Info, SessionCounts)> {
        let slot = self.slot(slot)?;
        Ok((slot.token.info()?, *slot.counts.read()))
    }

    /// `NoEvent` at once without `block`; with it, waits until C_Finalize and then answers
    /// `CryptokiNotInitialized`. Holds no lock of ours while it waits.
    pub fn wait_for_slot_event(&self, block: bool) -> Result<u64> {
        if !block {
            return Err(Error::NoEvent);
        }
        let Ok(mut guard) = self.waiting.lock() else { return Err(Error::GeneralError) };
        let era = self.finalized.load(Ordering::Acquire);
        while self.open.load(Ordering::Acquire) && self.finalized.load(Ordering::Acquire) == era {
            guard = self.wake.wait(guard).map_err(|_| Error::GeneralError)?;
        }
        Err(Error::CryptokiNotInitialized)
    }

    pub fn init_token(&self, slot: u64, pin: &[u8], label: &str) -> Result<()> {
        let slot = self.slot(slot)?;
        if slot.counts.read().all > 0 {
            return Err(Error::SessionExists);
        }
        slot.token.initialize(pin, label)
    }
}
