//! Who keeps a token in step with its peers on this host: one process at a time, by a lock on a file beside
//! the token's (`.sync-lock`), and what it says of itself in another (`.sync`, a line of JSON). An agent,
//! which does so for good, holds a lock besides (`.sync-agent`): whoever else keeps the token in step leaves
//! it to him. Others ask it to read everything again by one more (`.sync-request`).
//!
//! All of it is advice between processes of one host. Nothing secret is in it, and whoever can write these
//! files could as well keep the token from its peers altogether.

use super::connection::{draft_of, io};
use super::process_lock::ProcessLock;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How the one who keeps it in step is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub pid: u32,
    /// The engine answers, and everything it had is here.
    pub connected: bool,
    /// Why not; or what was noticed last, such as a refused record.
    pub last_error: String,
    /// Records of the engine that were refused, since the start.
    pub refused: u64,
    /// The member of the engine that it is connected to, or was last.
    pub endpoint: String,
    /// While it reads: how many of how many records.
    pub reading: Option<(u64, u64)>,
    /// The last request to read everything again that was carried out, by its name.
    pub resynced: String,
    /// How the other hosts do, as it heard it.
    pub peers: Vec<Sighting>,
}

/// What is known of another host. Times in seconds since 1970 by this host's clock, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub peer: String,
    /// When something new was last heard of it.
    pub heard: u64,
    /// When it was last known to have all that the others have.
    pub in_step: u64,
    pub standing: Standing,
    /// Since when that is so.
    pub since: u64,
}

/// How another host does, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    InStep,
    /// It has not read, or not sent, everything.
    Behind,
    /// It says that it has everything, so does this host, and the digests are not equal.
    Differs,
    /// It said nothing for so long that it is cut off, or off.
    Silent,
    /// It never said anything.
    Unheard,
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

fn request_of(token: &Path) -> PathBuf {
    token.with_extension("sync-request")
}

fn put_in_place(path: &Path, text: &[u8]) -> Result<()> {
    let draft = draft_of(path);
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path));
    written.map_err(|e| io(path, &e))
}

/// Asks whoever keeps this token in step to read everything again; the name of the request, which
/// [`Condition::resynced`] is when that is done.
pub fn ask_to_read_again(token: &Path) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("{}-{}", std::process::id(), now.as_nanos());
    put_in_place(&request_of(token), name.as_bytes())?;
    Ok(name)
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
        put_in_place(&self.path, &text).inspect_err(|_| {
            // What was said before may be true no more.
            let _ = std::fs::remove_file(&self.path);
        })
    }

    /// A request to read everything again, which stays until that is done.
    pub fn asked_to_read_again(&self) -> Option<String> {
        std::fs::read_to_string(request_of(&self.path)).ok()
    }

    /// This request is fulfilled; one that came meanwhile is not.
    pub fn has_read_again(&self, request: &str) {
        if self.asked_to_read_again().is_some_and(|name| name == request) {
            let _ = std::fs::remove_file(request_of(&self.path));
        }
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
        assert_eq!(keeper.asked_to_read_again(), None);
        let name = ask_to_read_again(&token).unwrap();
        assert_eq!(keeper.asked_to_read_again(), Some(name));
        keeper.has_read_again("another");
        assert!(keeper.asked_to_read_again().is_some(), "until it is done");
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
