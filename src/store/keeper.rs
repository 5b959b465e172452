//! Who keeps a token in step with its peers on this host: one process at a time, by a lock on a file beside
//! the token's (`.sync-lock`), and what it says of itself in another (`.sync`, a line of JSON). An agent,
//! which does so for good, holds a lock besides (`.sync-agent`): whoever else keeps the token in step leaves
//! it to him.
//!
//! All of it is advice between processes of one host. Nothing secret is in it, and whoever can write these
//! files could as well keep the token from its peers altogether.

use super::connection::{draft_of, io};
use super::process_lock::ProcessLock;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How the one who keeps it in step is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub pid: u32,
    /// The engine answers, and everything it had is here.
    pub connected: bool,
    /// Why not; or what was noticed last, such as a refused record.
    pub last_error: String,
    /// Records of the engine that were refused, since the start.
    pub refused: u64,
}

/// The lock; given free when dropped, and by the kernel when the process dies.
pub struct Keeper {
    _lock: ProcessLock,
    path: PathBuf,
}

/// That this process is the agent of its host; given free like [`Keeper`].
pub struct Agent(#[allow(dead_code)] ProcessLock);

/// The lock's file, which is the bell as well: see [`ring`].
pub fn lock_of(token: &Path) -> PathBuf {
    token.with_extension("sync-lock")
}

/// Tells whoever keeps the token in step that there is something for the peers: by the time of the lock's
/// file, which he watches. That the token's own files change tells him nothing: they do so before a commit
/// can be seen, and not after it.
pub fn ring(token: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    // Nobody may ever have been there.
    let _ = utimensat(CWD, lock_of(token), &times, AtFlags::empty());
}

impl Keeper {
    /// `None` while somebody is it.
    pub fn become_for(token: &Path) -> Result<Option<Keeper>> {
        let path = token.with_extension("sync");
        let Some(lock) = ProcessLock::take(&lock_of(token))? else { return Ok(None) };
        // What one that was killed said is true no more.
        let _ = std::fs::remove_file(&path);
        Ok(Some(Keeper { _lock: lock, path }))
    }

    /// Says how it is doing.
    pub fn tell(&self, condition: &Condition) -> Result<()> {
        let text = serde_json::to_vec(condition).map_err(|e| Error::GeneralError.because(e))?;
        let draft = draft_of(&self.path);
        let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &self.path));
        written.map_err(|e| io(&self.path, &e))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Agent {
    /// `None` while another process is it.
    pub fn become_for(token: &Path) -> Result<Option<Agent>> {
        Ok(ProcessLock::take(&token.with_extension("sync-agent"))?.map(Agent))
    }
}

/// Which process is this host's agent, or about to be.
pub fn agent(token: &Path) -> Option<u32> {
    ProcessLock::holder(&token.with_extension("sync-agent"))
}

/// Which process keeps this token in step.
pub fn holder(token: &Path) -> Option<u32> {
    ProcessLock::holder(&lock_of(token))
}

/// How the one who keeps this token in step is doing; `None` when nobody is. Who has not said anything yet is
/// not connected, and knows no reason why.
pub fn condition(token: &Path) -> Option<Condition> {
    let pid = holder(token)?;
    let said = std::fs::read(token.with_extension("sync")).ok();
    let said = said.and_then(|said| serde_json::from_slice(&said).ok());
    Some(said.unwrap_or(Condition { pid, ..Condition::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time_and_it_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token.db");
        assert_eq!(condition(&token), None);
        std::fs::write(token.with_extension("sync"), "{\"connected\":true}").unwrap();
        let keeper = Keeper::become_for(&token).unwrap().unwrap();
        assert!(Keeper::become_for(&token).unwrap().is_none());
        let nothing = Condition { pid: std::process::id(), ..Condition::default() };
        assert_eq!(condition(&token), Some(nothing), "of one that was killed");
        let said = Condition { pid: 7, connected: true, ..Condition::default() };
        keeper.tell(&said).unwrap();
        assert_eq!(condition(&token), Some(said));
        drop(keeper);
        assert_eq!(condition(&token), None);
        assert!(Keeper::become_for(&token).unwrap().is_some());
    }

    #[test]
    fn there_is_one_agent() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token.db");
        assert_eq!(agent(&token), None);
        let first = Agent::become_for(&token).unwrap().unwrap();
        assert_eq!(agent(&token), Some(std::process::id()));
        assert!(Agent::become_for(&token).unwrap().is_none());
        drop(first);
        assert_eq!(agent(&token), None);
    }
}
