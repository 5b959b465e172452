//! A lock on a file that belongs to this process, and to no child of it: it ends with the process, whoever
//! else still has its descriptors.
//!
//! flock belongs to an open file, which a forked child has, too: a worker that outlives its parent would
//! hold for ever what the parent took. POSIX record locks belong to the process; but they are gone when the
//! process closes the file anywhere, and they do not keep two threads apart. So all locks that this process
//! holds are in one list, and a file that is in it is not opened again.

use super::connection::io;
use crate::error::Result;
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use std::fs::{File, OpenOptions};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

struct Held {
    /// A forked child inherits the list, and none of the locks.
    process: u32,
    is: (u64, u64),
    file: Option<File>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // A host that closes every descriptor may have given the number to a file of its own.
        let ours = |file: &File| file.metadata().is_ok_and(|now| (now.dev(), now.ino()) == self.is);
        if let Some(file) = self.file.take().filter(|file| !ours(file)) {
            let _ = file.into_raw_fd();
        }
    }
}

/// Given free when dropped.
#[derive(Debug)]
pub struct ProcessLock {
    process: u32,
    is: (u64, u64),
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn held() -> MutexGuard<'static, Vec<Held>> {
    let mut held = HELD.lock();
    held.retain(|one| one.process == std::process::id());
    held
}

impl ProcessLock {
    /// `None` while somebody has it, in this process or in another. Makes the file.
    pub fn take(path: &Path) -> Result<Option<ProcessLock>> {
        let mut held = held();
        if identity(path).is_some_and(|is| held.iter().any(|one| one.is == is)) {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(|e| io(path, &e))?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(e) => return Err(io(path, &e.into())),
        }
        let is = file.metadata().map(|file| (file.dev(), file.ino())).map_err(|e| io(path, &e))?;
        let process = std::process::id();
        held.push(Held { process, is, file: Some(file) });
        Ok(Some(ProcessLock { process, is }))
    }

    /// Which process has it; `Some(0)`: one whose number means nothing here, as in another container.
    pub fn holder(path: &Path) -> Option<u32> {
        let held = held();
        let is = identity(path)?;
        if held.iter().any(|one| one.is == is) {
            return Some(std::process::id());
        }
        let file = File::open(path).ok()?;
        let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
        Some(found.pid.map_or(0, |pid| Pid::as_raw(Some(pid)).unsigned_abs()))
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        // In a forked child it is the parent's.
        if self.process == std::process::id() {
            held().retain(|one| one.is != self.is);
        }
    }
}

/// Held over a fork, so that the child finds the list whole and free.
pub struct ForkGuard(#[allow(dead_code)] MutexGuard<'static, Vec<Held>>);

pub fn fork_guard() -> ForkGuard {
    ForkGuard(HELD.lock())
}

/// In a forked child: closes its copies of the parent's files. The parent's locks stay.
pub fn forget_parents() {
    drop(held());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Whether a process of its own could take it.
    fn is_free_to_others(path: &Path) -> bool {
        let mut other = Command::new(std::env::current_exe().unwrap());
        other.args(["--exact", "store::process_lock::tests::role_other", "--ignored"]).env("LOCK", path);
        let output = other.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("running 1 test"), "{said}");
        output.status.success()
    }

    #[test]
    #[ignore = "the other process of the test below"]
    fn role_other() {
        let path = std::env::var_os("LOCK").unwrap();
        assert!(ProcessLock::take(Path::new(&path)).unwrap().is_some());
    }

    #[test]
    fn one_at_a_time_and_looking_does_not_give_it_free() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(ProcessLock::holder(&path), None);
        let lock = ProcessLock::take(&path).unwrap().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for name in [&path, &link] {
            assert!(ProcessLock::take(name).unwrap().is_none());
            assert_eq!(ProcessLock::holder(name), Some(std::process::id()));
        }
        assert!(!is_free_to_others(&path));
        drop(lock);
        assert_eq!(ProcessLock::holder(&path), None);
        assert!(is_free_to_others(&path));
        assert!(ProcessLock::take(&path).unwrap().is_some());
    }
}
