//! Login state: one for all sessions of a slot in this process.

use super::Library;
use super::sessions::Session;
use crate::error::{Error, Result};
use crate::token::Role;
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
        let (slot, role) = (session.slot, role(user_type)?);
        if slot.login.read().as_ref().is_some_and(|login| login.ended()) {
            self.logout(session.handle)?;
        }
        let free = || match &*slot.login.read() {
            Some(login) if login.role == role => Err(Error::UserAlreadyLoggedIn),
            Some(_) => Err(Error::UserAnotherAlreadyLoggedIn),
            None => Ok(()),
        };
        let read_only = || {
            let counts = slot.counts.read();
            if role == Role::Officer && counts.all > counts.read_write {
                Err(Error::SessionReadOnlyExists)
            } else {
                Ok(())
            }
        };
        free()?;
        read_only()?;
        // The password takes its time; nobody waits for it but this caller.
        let login = slot.token.log_in(role, name, pin)?;
        let mut place = slot.login.write();
        if place.is_some() {
            return Err(Error::UserAlreadyLoggedIn);
        }
        read_only()?;
        // Who closes the last session logs out: after that there would be a login without a session.
        if !session.is_open() {
            return Err(Error::SessionHandleInvalid);
        }
        *place = Some(login);
        slot.token.log_in_changed();
        Ok(())
    }

    pub fn logout(&self, session: u64) -> Result<()> {
        let session = self.session(session)?;
        if session.slot.login.read().is_none() {
            return Err(Error::UserNotLoggedIn);
        }
        session.slot.log_out();
        // Operations with private keys end with the login.
        for handle in self.sessions.handles(Some(session.slot.id)) {
            // One that is being closed has nothing left to end.
            if let Ok(mut state) = self.state(handle) {
                state.operations.end_private();
            }
        }
        Ok(())
    }

    pub fn init_pin(&self, session: u64, pin: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.init_pin(session.access(&login), pin)
    }

    pub fn set_pin(&self, session: u64, old: &[u8], new: &[u8]) -> Result<()> {
        let session = self.session(session)?;
        let login = session.slot.login.read().clone();
        session.slot.token.set_pin(session.access(&login), old, new)
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
