//! Login state: one for all sessions of a slot in this process.

use super::Library;
use super::sessions::Session;
use crate::error::{Error, Result};
use crate::token::{Login, Role};
use cryptoki_sys::*;
use std::sync::Arc;

fn role(user_type: u64) -> Result<Role> {
    match user_type {
        CKU_SO => Ok(Role::Officer),
        CKU_USER => Ok(Role::User),
        _ => Err(Error::UserTypeInvalid),
    }
}

impl Library {
    /// `user_type` is CKU_; `name` from C_LoginUser.
    pub fn login(&self, session: u64, user_type: u64, name: Option<&str>, pin: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        if user_type == CKU_CONTEXT_SPECIFIC {
            return confirm(&session, pin);
        }
        let role = role(user_type)?;
        self.log_in(session, role, || session.slot.token.log_in(role, name, pin))
    }

    /// Logs in whom `prove` gives: the password takes its time, nobody waits for it but this caller, and
    /// anything may happen meanwhile.
    fn log_in(&self, session: Session, role: Role, prove: impl FnOnce() -> Result<Arc<Login>>) -> Result<()> {
        let slot = session.slot;
        self.log_out_where(session, Login::ended);
        let taken = |present: &Login| match present.role == role {
            true => Error::UserAlreadyLoggedIn,
            false => Error::UserAnotherAlreadyLoggedIn,
        };
        let read_only = || {
            let counts = slot.counts.read();
            if role == Role::Officer && counts.all > counts.read_write {
                Err(Error::SessionReadOnlyExists)
            } else {
                Ok(())
            }
        };
        slot.login.read().as_ref().map_or(Ok(()), |present| Err(taken(present)))?;
        read_only()?;
        let login = prove()?;
        let mut place = slot.login.write();
        let refused = match &*place {
            Some(present) => Some(taken(present)),
            // Who closes the last session logs out: after that there would be a login without a session.
            None if !session.is_open() => Some(Error::SessionHandleInvalid),
            None => read_only().err(),
        };
        if let Some(error) = refused {
            slot.token.end_unused(&login);
            return Err(error);
        }
        *place = Some(login);
        slot.token.log_in_changed();
        Ok(())
    }

    /// Ends the slot's login if it is such a one, and what runs with it; whether it was.
    fn log_out_where(&self, session: Session, ends: impl FnOnce(&Login) -> bool) -> bool {
        let ended = session.slot.log_out_if(|login, _| login.is_some_and(ends));
        if ended {
            // Operations with private keys end with the login.
            for handle in self.sessions.handles(Some(session.slot.id)) {
                // One that is being closed has nothing left to end.
                if let Ok(mut state) = self.state(handle) {
                    state.operations.end_private();
                }
            }
        }
        ended
    }

    pub fn logout(&self, session: u64) -> Result<()> {
        let session = self.session(session)?;
        if self.log_out_where(session, |_| true) { Ok(()) } else { Err(Error::UserNotLoggedIn) }
    }

    pub fn init_pin(&self, session: u64, pin: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.init_pin(session.access(&login), pin)
    }

    pub fn set_pin(&self, session: u64, old: &[u8], new: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let slot = session.slot;
        let login = slot.login.read().clone();
        let renewed = slot.token.set_pin(session.access(&login), old, new)?;
        let Some(renewed) = renewed else { return Ok(()) };
        // The slot's login goes on with the new keys, if it is still the one that changed its password.
        let mut place = slot.login.write();
        let same = |login: &Arc<Login>| place.as_ref().is_some_and(|present| Arc::ptr_eq(present, login));
        if login.as_ref().is_some_and(same) {
            *place = Some(renewed);
            slot.token.log_in_changed();
        }
        Ok(())
    }
}

/// C_Login(CKU_CONTEXT_SPECIFIC): for the operation that waits for it.
fn confirm(session: &Session, pin: &[u8]) -> Result<()> {
    let login = session.slot.login.read().clone().ok_or(Error::UserNotLoggedIn)?;
    if !session.state()?.operations.awaits_login() {
        return Err(Error::OperationNotInitialized);
    }
    session.slot.token.confirm(&login, pin)?;
    // Not for somebody who logged in meanwhile.
    let now = session.slot.login.read();
    if !now.as_ref().is_some_and(|now| Arc::ptr_eq(now, &login)) {
        return Err(Error::UserNotLoggedIn);
    }
    session.state()?.operations.confirm();
    Ok(())
}

#[cfg(test)]
mod tests;
