//! When a change that peers are to have is done: here at once, or (`durability = "quorum"`) when the
//! cluster's majority has it.
//!
//! Nothing here knows of networks. Whoever keeps the token in step finds the change in the file's outbox;
//! where nobody does, a [`Carrier`] of the rooms above takes it there on the caller's own thread.

use super::Token;
use crate::config::{ClusterConfig, Durability};
use crate::error::{Error, Result};
use crate::store::{Change, Fate, Header, Store, keeper};
use std::time::{Duration, Instant};

/// How changes get to the majority.
pub trait Carrier: Send + Sync {
    /// Before a change: that the majority can be reached. `TokenWriteProtected`: it cannot, for all that is
    /// known by `until`.
    fn ready<'a>(
        &self,
        token: &'a Token,
        cluster: &'a ClusterConfig,
        until: Instant,
    ) -> Result<Box<dyn Carriage + 'a>>;
}

/// One change's way there.
pub trait Carriage {
    /// After the change: what became of it. `Pending` at the latest by `until`.
    fn settle(&mut self, store: &Store, changed: &[Header], until: Instant) -> Result<Fate>;
}

/// What is known of the way to the majority, by what is said on this host.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Why not, as who keeps the token in step says.
    Shut(String),
    /// Somebody is about to reach it.
    Opening,
    /// Nobody on this host keeps the token in step.
    Nobody,
}

/// Asks the file system, for some 20 microseconds.
pub fn way(path: &std::path::Path) -> Way {
    match keeper::condition(path) {
        Some(now) if now.connected => Way::Open,
        Some(now) if now.last_error.is_empty() => Way::Opening,
        Some(now) => Way::Shut(now.last_error),
        None if keeper::agent(path).is_some() => Way::Opening,
        None => Way::Nobody,
    }
}

/// A change that is not done, because nobody could be told of it.
pub fn refused(why: &str) -> Error {
    Error::TokenWriteProtected.because(format_args!("durability is quorum and {why}; nothing was changed"))
}

/// How long to sleep before the next look at a change's fate: short beside a majority's own syncs at first,
/// then a twentieth of the time that it takes anyway, so that many who wait for a slow majority cost little.
pub fn pause(waited: Duration) -> Duration {
    (waited / 20).clamp(Duration::from_millis(1), Duration::from_millis(20))
}

/// Where there is no carrier: somebody else on this host has to take it there.
pub struct ByOthers;

impl Carrier for ByOthers {
    fn ready<'a>(
        &self,
        token: &'a Token,
        _: &'a ClusterConfig,
        _: Instant,
    ) -> Result<Box<dyn Carriage + 'a>> {
        match way(token.path()) {
            Way::Open => Ok(Box::new(ByOthers)),
            Way::Shut(why) => Err(refused(&why)),
            Way::Opening | Way::Nobody => Err(refused("nobody on this host is connected to the others")),
        }
    }
}

impl Carriage for ByOthers {
    fn settle(&mut self, store: &Store, changed: &[Header], until: Instant) -> Result<Fate> {
        wait(store, changed, until, &mut || false)
    }
}

/// Looks until the change is settled, it is `until`, or `enough` says so, which is asked about every 50 ms.
pub fn wait(
    store: &Store,
    changed: &[Header],
    until: Instant,
    enough: &mut dyn FnMut() -> bool,
) -> Result<Fate> {
    const ASK: Duration = Duration::from_millis(50);
    let (since, mut asked, mut seen) = (Instant::now(), Instant::now(), None);
    loop {
        // A commit of whoever settles it changes the version: less to read than the change's own rows.
        let version = store.data_version()?;
        if seen != Some(version) {
            seen = Some(version);
            match store.fate(changed)? {
                Fate::Pending => {}
                settled => return Ok(settled),
            }
        }
        if Instant::now() >= until {
            return Ok(Fate::Pending);
        }
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            if enough() {
                return Ok(Fate::Pending);
            }
        }
        std::thread::sleep(pause(since.elapsed()));
    }
}

impl Token {
    /// One transaction of a change that peers are to have: done when it is as durable as the configuration
    /// says. `TokenWriteProtected`: there is no majority to be reached, and nothing was done.
    /// `Pending`: it is done here, and no majority confirmed it in time. `FunctionFailed`: a peer was faster.
    pub(super) fn write<T>(
        &self,
        store: &Store,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<T> {
        let quorum = self.config.cluster.as_ref().filter(|cluster| cluster.durability == Durability::Quorum);
        let Some(cluster) = quorum.filter(|_| store.peer().is_ok_and(|peer| peer.is_some())) else {
            return self.write_here(store, work).map(|(result, _)| result);
        };
        let until = Instant::now() + Duration::from_millis(cluster.quorum_timeout_ms);
        let mut carriage = self.carrier.ready(self, cluster, until);
        let (result, pending) = self.write_here(store, |change| {
            let result = work(change)?;
            // What is not for the peers is done all the same.
            if change.has_news() {
                carriage.as_ref().map_err(|error| *error)?;
            }
            Ok(result)
        })?;
        if let (Ok(carriage), false) = (&mut carriage, pending.is_empty()) {
            match carriage.settle(store, &pending, until)? {
                Fate::Sent => {}
                Fate::Overruled => {
                    return Err(Error::FunctionFailed.because("another host changed the same first"));
                }
                Fate::Pending => {
                    let why = "kept here; the cluster's majority has not confirmed it";
                    return Err(Error::Pending.because(why));
                }
            }
        }
        Ok(result)
    }

    /// One transaction of what is this host's alone: its log, its seals. Nobody waits for peers.
    pub(super) fn write_own<T>(
        &self,
        store: &Store,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<T> {
        self.write_here(store, work).map(|(result, _)| result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_long_looks_seldom() {
        let (mut waited, mut looks) = (Duration::ZERO, 0);
        while waited < Duration::from_secs(5) {
            waited += pause(waited);
            looks += 1;
        }
        assert!((200..400).contains(&looks), "{looks}");
        assert_eq!(pause(Duration::from_millis(19)), Duration::from_millis(1));
    }
}
