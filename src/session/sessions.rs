//! Slots and the sessions on them.

use super::Library;
use super::running::Operations;
use crate::audit::Note;
use crate::config::SlotConfig;
use crate::error::{Error, Result};
use crate::lock::{MutexGuard, Rank, RwLock};
use crate::object::Object;
use crate::sync::CARRIER;
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
    pub fn new(config: SlotConfig) -> Slot {
        Slot::of(config.id, Token::new(config).carried_by(&CARRIER))
    }

    /// As new in a forked child: see [`Token::afresh`].
    pub fn afresh(&self) -> Slot {
        Slot::of(self.id, self.token.afresh())
    }

    fn of(id: u64, token: Token) -> Slot {
        Slot {
            id,
            token,
            login: RwLock::new(Rank::Slot, None),
            counts: RwLock::new(Rank::Session, SessionCounts::default()),
        }
    }

    /// Ends the login and wipes what it opened.
    pub fn log_out(&self) {
        self.log_out_if(|_, _| true);
    }

    /// The same when `ends` says so of the login, if there is one, and of the open sessions; what it said.
    pub fn log_out_if(&self, ends: impl FnOnce(Option<&Login>, &SessionCounts) -> bool) -> bool {
        let mut login = self.login.write();
        let ends = ends(login.as_deref(), &self.counts.read());
        if ends {
            self.token.log_out(login.take());
        }
        ends
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

/// An open session: small enough to be copied, so that a call counts no references.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub handle: u64,
    pub slot: &'static Slot,
    pub write: bool,
}

/// What a session is in the middle of.
#[derive(Default)]
pub(super) struct State {
    /// Whose state it is; `None` between two sessions.
    pub session: Option<Session>,
    /// How many sessions had it before.
    pub uses: u64,
    pub operations: Operations,
    /// Handles found and not yet fetched, the next one last.
    pub search: Option<Vec<Handle>>,
}

impl State {
    pub fn session(&self) -> Result<Session> {
        self.session.ok_or(Error::SessionHandleInvalid)
    }
}

impl Session {
    /// The session's own lock again.
    pub fn state(&self) -> Result<MutexGuard<'static, State>> {
        Library::any().state(self.handle)
    }

    /// Whether nobody closed it meanwhile; waits for nothing.
    pub fn is_open(&self) -> bool {
        Library::any().sessions.is_open(self.handle)
    }

    /// New objects of a call that began with this login: `UserNotLoggedIn` when it ended meanwhile, or
    /// what is private would outlive the logout. The same for a session that was closed.
    pub fn insert(
        &self,
        began: &Option<Arc<Login>>,
        objects: Vec<Object>,
        note: Note,
    ) -> Result<Vec<Handle>> {
        let login = self.slot.login.read();
        let same = |began: &Arc<Login>| login.as_ref().is_some_and(|login| Arc::ptr_eq(login, began));
        if !began.as_ref().is_none_or(same) {
            return Err(Error::UserNotLoggedIn);
        }
        let handles = self.slot.token.insert_all(self.access(began), objects, note)?;
        if !self.is_open() {
            self.slot.token.close_session(self.handle);
            return Err(Error::SessionHandleInvalid);
        }
        Ok(handles)
    }

    /// As [`Session::insert`], of one.
    pub fn insert_one(&self, began: &Option<Arc<Login>>, object: Object, note: Note) -> Result<Handle> {
        self.insert(began, vec![object], note)?.first().copied().ok_or(Error::GeneralError)
    }

    /// This session's access with the slot's login.
    pub fn access<'a>(&self, login: &'a Option<Arc<Login>>) -> Access<'a> {
        Access { login: login.as_ref(), write: self.write, session: self.handle }
    }
}

impl Library {
    /// A session's state, locked: waits for another call of the same session.
    pub(super) fn state(&self, handle: u64) -> Result<MutexGuard<'_, State>> {
        self.sessions.lock(handle, self.generation.load(Ordering::Relaxed))
    }

    pub(super) fn session(&self, handle: u64) -> Result<Session> {
        self.state(handle)?.session()
    }

    pub fn open_session(&self, slot: u64, read_write: bool) -> Result<u64> {
        let slot = self.slot(slot)?;
        slot.token.ready()?;
        // Held until the session counts, so that an officer's login cannot slip in between.
        let login = slot.login.read();
        if !read_write && login.as_ref().is_some_and(|login| login.role == Role::Officer) {
            return Err(Error::SessionReadWriteSoExists);
        }
        let handle = self.sessions.insert(slot, read_write, self.generation.load(Ordering::Relaxed))?;
        let mut counts = slot.counts.write();
        counts.all += 1;
        counts.read_write += u64::from(read_write);
        Ok(handle)
    }

    pub fn close_session(&self, session: u64) -> Result<()> {
        let ended = self.sessions.remove(session, self.generation.load(Ordering::Relaxed))?;
        let slot = self.slot(ended.slot)?;
        slot.token.close_session(session);
        let last = {
            let mut counts = slot.counts.write();
            counts.all = counts.all.saturating_sub(1);
            counts.read_write = counts.read_write.saturating_sub(u64::from(ended.write));
            counts.all == 0
        };
        if last {
            // Unless a session was opened meanwhile: it would lose a login, and keep what runs with it.
            slot.log_out_if(|_, counts| counts.all == 0);
        }
        Ok(())
    }

    /// Closes everything at once: the library starts or ends.
    pub(super) fn forget_sessions(&self) {
        let generation = self.generation.load(Ordering::Relaxed);
        for handle in self.sessions.handles(None) {
            // Another thread may close it at the same time.
            let _ = self.sessions.remove(handle, generation);
        }
    }

    pub fn close_all_sessions(&self, slot: u64) -> Result<()> {
        let slot = self.slot(slot)?;
        for handle in self.sessions.handles(Some(slot.id)) {
            // As above.
            let _ = self.close_session(handle);
        }
        Ok(())
    }

    pub fn session_info(&self, session: u64) -> Result<SessionInfo> {
        let session = self.session(session)?;
        let role = self.logged_in(session.slot.id)?.map(|login| login.role);
        let state = match (session.write, role) {
            (false, Some(Role::User)) => CKS_RO_USER_FUNCTIONS,
            (false, _) => CKS_RO_PUBLIC_SESSION,
            // The host (AU) logs in to no session.
            (true, None | Some(Role::Appliance)) => CKS_RW_PUBLIC_SESSION,
            (true, Some(Role::User)) => CKS_RW_USER_FUNCTIONS,
            (true, Some(Role::Officer)) => CKS_RW_SO_FUNCTIONS,
        };
        let flags = CKF_SERIAL_SESSION | if session.write { CKF_RW_SESSION } else { 0 };
        Ok(SessionInfo { slot: session.slot.id, state, flags })
    }
}
