//! A clone: what one cluster holds, in another with members of its own, at another etcd. They have the same token
//! id and seal key, so that records of one open at the other (`replicate.rs`), and no member in common: what one's
//! members sign, the other's refuse. Nothing goes from one to the other by itself.

use super::members::{check_name, drop_members, first_member};
use super::{Token, appliance};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::store::{Change, Store};
use std::sync::Arc;

/// The file is in no cluster from now on, and this host is none of those it knew: it gets an identity that
/// nobody has seen.
pub(super) fn leave(change: &mut Change<'_>) -> Result<()> {
    change.disband()?;
    drop_members(change)?;
    let host = appliance::make(change)?;
    change.enter(Note::of(Event::ApplianceMade).detail("appliance", host.fingerprint()))
}

/// The first member of a cluster of its own, of a file that left another.
pub(super) fn founded(change: &mut Change<'_>, name: &str) -> Result<()> {
    let host = appliance::own(change)?;
    first_member(change, host, name)?;
    change.enter(Note::of(Event::ClusterCloned).object(host.id))
}

impl Token {
    /// A token where there is none, of everything in another file, as the first member of a cluster of its own.
    /// `name`: this host's. Whoever has the other file open has its seal key; for one that was read from a
    /// cluster an officer there said yes ([`Token::welcome_clone`]). `ActionProhibited`: there is a token.
    pub fn clone_of(&self, other: &Token, name: &str) -> Result<()> {
        check_name(name)?;
        if self.is_made() {
            return Err(Error::ActionProhibited.because("there is a token already"));
        }
        let made = Store::copy(&self.config, &*other.store()?, |change| {
            leave(change)?;
            founded(change, name)
        })?;
        self.replace_store(Some(Arc::new(made)));
        Ok(())
    }
}
