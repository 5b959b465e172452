//! One password is tried at a time on a token, by all its processes and threads. An attempt is counted
//! before it is tried; without turns, many who log in at once with the right password (the workers of a
//! web server) would look like many wrong guesses, and be told that they are locked out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(2);
/// A process may be stopped in the middle of its turn. Who has waited so long goes on without one:
/// attempts are counted all the same.
const LONGEST: Duration = Duration::from_secs(60);

/// The file lock of whose turn it is; ends when dropped, or with the process.
pub struct Turn(File);

impl Turn {
    /// Waits for the turn at the token in the file `token`. None when the lock cannot be had.
    pub fn wait(token: &Path) -> Option<Turn> {
        let path = token.with_added_extension("login");
        let file = open(&path, token)
            .inspect_err(|error| log::warn!("{}: {error}; going on without it", path.display()))
            .ok()?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Some(Turn(file)),
                Err(TryLockError::WouldBlock) if start.elapsed() < LONGEST => std::thread::sleep(PAUSE),
                Err(error) => {
                    log::warn!("{}: {error}; going on without it", path.display());
                    return None;
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Said, not left to closing: a child forked meanwhile holds the same open file.
        let _ = self.0.unlock();
    }
}

/// Opens the lock file. Made by root, it is given to the owner of the token, as SQLite does with its own.
fn open(path: &Path, token: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let (ours, theirs) = (file.metadata()?, fs::metadata(token)?);
    if ours.uid() == 0 && theirs.uid() != 0 {
        chown(path, Some(theirs.uid()), Some(theirs.gid()))?;
    }
    Ok(file)
}
