//! Who keeps a token in step with its peers on this host: one process at a time, by a lock on a file beside
//! the token's (`.sync-lock`), and what it says of itself in another (`.sync`, a line of JSON). Others ask it to
//! read everything again by a third one (`.sync-request`).
//!
//! All are advice between processes of one host. Nothing secret is in them, and whoever can write them could
//! as well keep the token from its peers altogether.

use super::connection::{draft_of, io};
use crate::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
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
    _lock: File,
    path: PathBuf,
}

fn lock_of(token: &Path) -> PathBuf {
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

impl Keeper {
    /// `None` while another process is it.
    pub fn become_for(token: &Path) -> Result<Option<Keeper>> {
        let path = lock_of(token);
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|e| io(&path, &e))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Keeper { _lock: lock, path: token.with_extension("sync") })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(io(&path, &e.into())),
        }
    }

    /// Says how it is doing.
    pub fn tell(&self, condition: &Condition) -> Result<()> {
        let text = serde_json::to_vec(condition).map_err(|e| Error::GeneralError.because(e))?;
        put_in_place(&self.path, &text)
    }

    /// A request to read everything again, which is now taken from its place.
    pub fn asked_to_read_again(&self) -> Option<String> {
        let path = request_of(&self.path);
        let name = std::fs::read_to_string(&path).ok()?;
        std::fs::remove_file(&path).ok()?;
        Some(name)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How the one who keeps this token in step is doing; `None` when nobody is.
pub fn condition(token: &Path) -> Option<Condition> {
    let lock = File::open(lock_of(token)).ok()?;
    // Whoever asks holds the lock together with others who ask, and for a moment only.
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let said = std::fs::read(token.with_extension("sync")).ok()?;
    serde_json::from_slice(&said).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_at_a_time_and_it_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token.db");
        assert_eq!(condition(&token), None);
        let keeper = Keeper::become_for(&token).unwrap().unwrap();
        assert!(Keeper::become_for(&token).unwrap().is_none());
        let said = Condition { pid: 7, connected: true, ..Condition::default() };
        keeper.tell(&said).unwrap();
        assert_eq!(condition(&token), Some(said));
        assert_eq!(keeper.asked_to_read_again(), None);
        let name = ask_to_read_again(&token).unwrap();
        assert_eq!(keeper.asked_to_read_again(), Some(name));
        assert_eq!(keeper.asked_to_read_again(), None, "once");
        drop(keeper);
        assert_eq!(condition(&token), None);
        assert!(Keeper::become_for(&token).unwrap().is_some());
    }
}
