//! Who keeps a token in step with its peers on this host: one process at a time, by a lock on a file beside
//! the token's (`.sync-lock`), and what it says of itself in another (`.sync`, a line of JSON).
//!
//! Both are advice between processes of one host. Nothing secret is in them, and whoever can write them could
//! as well keep the token from its peers altogether.

use super::connection::{draft_of, io};
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, utimensat};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
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
    _lock: File,
    path: PathBuf,
}

fn lock_of(token: &Path) -> PathBuf {
    token.with_extension("sync-lock")
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

/// Tells whoever keeps this token in step that a change for its peers was committed: the lock's file gets a new
/// time, which `sync::doorbell` hears. Without one nobody listens. By its name: to open and close the file could
/// give locks of this process free.
pub(super) fn ring(token: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let _ = utimensat(CWD, lock_of(token), &times, AtFlags::empty());
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
        drop(keeper);
        assert_eq!(condition(&token), None);
        assert!(Keeper::become_for(&token).unwrap().is_some());
    }
}
