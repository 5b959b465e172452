//! Slots and the sessions on them.

use super::Library;
use super::operation::Operations;
use crate::error::{Error, Result};
use crate::lock::{Mutex, MutexGuard, Rank, RwLock};
use crate::mechanism::Key;
use crate::token::{Access, Handle, Login, Role, Token};
use cryptoki_sys::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One slot: its token, and what all its sessions share.
pub(super) struct Slot {
    pub id: u64,
    pub token: Token,
    pub login: RwLock<Option<Arc<Login>>>,
    pub counts: RwLock<SessionCounts>,
}

impl Slot {
    pub fn new(id: u64, token: Token) -> Slot {
        Slot {
            id,
            token,
            login: RwLock::new(Rank::Slot, None),
            counts: RwLock::new(Rank::Session, SessionCounts::default()),
        }
    }

    /// Ends the login and wipes what it opened.
    pub fn log_out(&self) {
        let mut login = self.login.write();
        *login = None;
        self.token.log_out();
    }

    /// Wipes everything: the library is finalised.
    pub fn close(&self) {
        self.log_out();
        *self.counts.write() = SessionCounts::default();
        self.token.close();
    }
}

/// Counts of open sessions of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionCounts {
    pub all: u64,
    pub read_write: u64,
}

/// What C_GetSessionInfo tells.
#[derive(Clone, Copy, Debug)]
pub struct SessionInfo {
    pub slot: u64,
    /// CKS_.
    pub state: u64,
    /// CKF_SERIAL_SESSION and CKF_RW_SESSION.
    pub flags: u64,
}

/// An open session: small enough to be copied out of the map, so that a call counts no references.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub handle: u64,
    pub slot: &'static Slot,
    pub write: bool,
    generation: u64,
    /// From the pool: states are used again and never freed.
    state: &'static Mutex<State>,
}

/// What a session is in the middle of.
#[derive(Default)]
pub(super) struct State {
    /// The session it belongs to now; 0 in the pool.
    owner: u64,
    pub operations: Operations,
    /// Handles found and not yet fetched, the next one last.
    pub search: Option<Vec<Handle>>,
    /// The key used last and the token's generation then: most sessions use one key again and again.
    pub recent: Option<(Handle, u64, Arc<Key>)>,
}

impl Session {
    /// The session's own lock. In a forked child, a session that another thread of the parent held
    /// at that moment stays locked for ever: it answers `FunctionFailed` instead of hanging.
    pub fn state(&self) -> Result<MutexGuard<'static, State>> {
        let state = if self.generation == Library::any().generation.load(Ordering::Relaxed) {
            self.state.lock()
        } else {
            self.state.try_lock().ok_or(Error::FunctionFailed)?
        };
        // It was closed, and perhaps opened anew, while this call waited.
        if state.owner == self.handle { Ok(state) } else { Err(Error::SessionHandleInvalid) }
    }

    /// Wipes the state and gives it back to the pool; waits for a call that is using it.
    fn retire(&self) {
        if let Ok(mut state) = self.state() {
            *state = State::default();
            drop(state);
            Library::any().pool.write().push(self.state);
        }
    }

    /// This session's access with the slot's login.
    pub fn access<'a>(&self, login: &'a Option<Arc<Login>>) -> Access<'a> {
        Access { login: login.as_ref(), write: self.write, session: self.handle }
    }
}

impl Library {
    fn shard(&self, handle: u64) -> &RwLock<crate::token::HandleMap<Session>> {
        &self.sessions[handle as usize % super::library::SHARDS]
    }

    pub(super) fn session(&self, handle: u64) -> Result<Session> {
        self.shard(handle).read().get(&handle).copied().ok_or(Error::SessionHandleInvalid)
    }

    pub fn open_session(&self, slot: u64, read_write: bool) -> Result<u64> {
        let slot = self.slot(slot)?;
        slot.token.ready()?;
        // Held until the session counts, so that an officer's login cannot slip in between.
        let login = slot.login.read();
        if !read_write && login.as_ref().is_some_and(|login| login.role == Role::Officer) {
            return Err(Error::SessionReadWriteSoExists);
        }
        let handle = self.last_session.fetch_add(1, Ordering::Relaxed) + 1;
        let pooled = self.pool.write().pop();
        let state =
            pooled.unwrap_or_else(|| Box::leak(Box::new(Mutex::new(Rank::Session, State::default()))));
        state.lock().owner = handle;
        let generation = self.generation.load(Ordering::Relaxed);
        self.shard(handle)
            .write()
            .insert(handle, Session { handle, slot, write: read_write, generation, state });
        let mut counts = slot.counts.write();
        counts.all += 1;
        counts.read_write += u64::from(read_write);
        Ok(handle)
    }

    pub fn close_session(&self, session: u64) -> Result<()> {
        let removed = self.shard(session).write().remove(&session).ok_or(Error::SessionHandleInvalid)?;
        removed.retire();
        removed.slot.token.close_session(session);
        let last = {
            let mut counts = removed.slot.counts.write();
            counts.all = counts.all.saturating_sub(1);
            counts.read_write = counts.read_write.saturating_sub(u64::from(removed.write));
            counts.all == 0
        };
        if last {
            removed.slot.log_out();
        }
        Ok(())
    }

    /// Closes everything at once: the library starts or ends.
    pub(super) fn forget_sessions(&self) {
        for shard in &self.sessions {
            let gone = std::mem::take(&mut *shard.write());
            gone.values().for_each(Session::retire);
        }
    }

    pub fn close_all_sessions(&self, slot: u64) -> Result<()> {
        let slot = self.slot(slot)?;
        for shard in &self.sessions {
            let mine: Vec<u64> =
                shard.read().values().filter(|s| std::ptr::eq(s.slot, slot)).map(|s| s.handle).collect();
            for handle in mine {
                // Another thread may close it at the same time.
                let _ = self.close_session(handle);
            }
        }
        Ok(())
    }

    pub fn session_info(&self, session: u64) -> Result<SessionInfo> {
        let session = self.session(session)?;
        let role = session.slot.login.read().as_ref().map(|login| login.role);
        let state = match (session.write, role) {
            (false, Some(Role::User)) => CKS_RO_USER_FUNCTIONS,
            (false, _) => CKS_RO_PUBLIC_SESSION,
            (true, None) => CKS_RW_PUBLIC_SESSION,
            (true, Some(Role::User)) => CKS_RW_USER_FUNCTIONS,
            (true, Some(Role::Officer)) => CKS_RW_SO_FUNCTIONS,
        };
        let flags = CKF_SERIAL_SESSION | if session.write { CKF_RW_SESSION } else { 0 };
        Ok(SessionInfo { slot: session.slot.id, state, flags })
    }
}
