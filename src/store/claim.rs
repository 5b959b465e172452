//! A token file is open in one copy of this library per process.
//!
//! POSIX locks belong to a process: two SQLite copies in it (the module loaded under two names, or by
//! dlmopen) do not exclude each other, and when one closes the file the locks of the other are gone.
//! Both then write one log at the same time, or one removes the log under the other: commits are
//! lost. So the first to open a file claims it with a mark: an empty memory file whose name says which
//! process and which token file. Every copy in the process can read the names of the process's
//! descriptors, nobody else can add one, and the kernel closes them when the process ends.

use crate::crypto::random;
use crate::error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The files that this copy holds, by name.
static HELD: Mutex<Vec<(String, Arc<Mark>)>> = Mutex::new(Vec::new());

/// How often two copies that want a file at the same moment step back for each other.
const TRIES: usize = 10;

/// A descriptor that says by its name that a file is claimed.
struct Mark {
    file: Option<File>,
    /// Which file it was: a host that closes every descriptor may give the number to one of its own.
    is: (u64, u64),
}

fn identity(file: &File) -> std::io::Result<(u64, u64)> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}

impl Mark {
    fn make(name: &str) -> std::io::Result<Mark> {
        // Hardened systems want to be told that nothing in it is a program; older kernels do not know that.
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL)
            .or_else(|_| memfd_create(name, MemfdFlags::CLOEXEC))?;
        let file = File::from(file);
        Ok(Mark { is: identity(&file)?, file: Some(file) })
    }

    fn is_there(&self) -> bool {
        self.file.as_ref().is_some_and(|file| identity(file).is_ok_and(|now| now == self.is))
    }

    /// Whether another descriptor of this process has the same name.
    fn has_rival(&self, name: &str) -> std::io::Result<bool> {
        let mine = self.file.as_ref().map_or(-1, File::as_raw_fd).to_string();
        let target = format!("/memfd:{name} (deleted)");
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            let same = || fs::read_link(entry.path()).is_ok_and(|link| link == Path::new(&target));
            if entry.file_name() != mine.as_str() && same() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let ours = self.is_there();
        if let Some(file) = self.file.take().filter(|_| !ours) {
            let _ = file.into_raw_fd();
        }
    }
}

/// A share in this copy's claim of a file; gone when the last share is.
#[derive(Default)]
pub struct Claim(Mutex<Option<(String, Arc<Mark>)>>);

impl Claim {
    /// Takes the claim for the file as it lies there now and for the process that this is now (a
    /// forked child is another). `TokenNotRecognized` when another copy in the process has it.
    pub fn take(&self, path: &Path) -> Result<()> {
        // No file: opening it says so better.
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        let name = name(file.dev(), file.ino());
        let mut share = self.0.lock();
        if share.as_ref().is_some_and(|(held, mark)| *held == name && mark.is_there()) {
            return Ok(());
        }
        give_back(share.take());
        let mut held = HELD.lock();
        let known = held.iter().find(|(known, mark)| *known == name && mark.is_there());
        let mark = match known.map(|(_, mark)| Arc::clone(mark)) {
            Some(mark) => mark,
            None => match alone(&name) {
                Ok(Some(mark)) => {
                    let mark = Arc::new(mark);
                    held.push((name.clone(), Arc::clone(&mark)));
                    mark
                }
                Ok(None) => return Err(refused(path)),
                Err(error) => {
                    log::warn!("{}: not claimed: {error}", path.display());
                    return Ok(());
                }
            },
        };
        *share = Some((name, mark));
        Ok(())
    }
}

/// A mark of a name that no other copy has; `None` when one has it.
fn alone(name: &str) -> std::io::Result<Option<Mark>> {
    for _ in 0..TRIES {
        let mark = Mark::make(name)?;
        if !mark.has_rival(name)? {
            return Ok(Some(mark));
        }
        drop(mark);
        let mut pause = [0];
        let _ = random::fill(&mut pause);
        std::thread::sleep(Duration::from_micros(u64::from(pause[0]) * 16));
    }
    Ok(None)
}

impl Drop for Claim {
    fn drop(&mut self) {
        give_back(self.0.get_mut().take());
    }
}

/// Takes the mark away with the last share, before anyone else looks.
fn give_back(share: Option<(String, Arc<Mark>)>) {
    let Some((_, mark)) = share else { return };
    let mut held = HELD.lock();
    // The share and the list's own.
    if Arc::strong_count(&mark) <= 2 {
        held.retain(|(_, known)| !Arc::ptr_eq(known, &mark));
    }
    drop(mark);
}

/// Held over a fork, so that the child finds the list whole and free.
pub struct ForkGuard(#[allow(dead_code)] MutexGuard<'static, Vec<(String, Arc<Mark>)>>);

pub fn fork_guard() -> ForkGuard {
    ForkGuard(HELD.lock())
}

fn refused(path: &Path) -> Error {
    let text = format!(
        "{}: open in another copy of Strongroom in this process; two copies would destroy it, load one",
        path.display()
    );
    // Whoever set this up did not mean to, and there may be no log. Clients ask again and again.
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        eprintln!("strongroom: {text}");
    }
    Error::TokenNotRecognized.because(text)
}

/// The same in all copies of this process; a forked child inherits the marks of its parent, and numbers
/// of processes are used again.
fn name(device: u64, inode: u64) -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may hold blanks; the start time is the 20th field after it.
    let start =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).unwrap_or_default();
    format!("strongroom {} {start} {device:x}:{inode:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_one_copy_go_together_and_the_name_is_free_after() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (first, second) = (Claim::default(), Claim::default());
        first.take(file.path()).unwrap();
        second.take(file.path()).unwrap();
        second.take(file.path()).unwrap();
        let identity = file.as_file().metadata().unwrap();
        let name = name(identity.dev(), identity.ino());
        let other_copy = || alone(&name).unwrap();
        drop(first);
        assert!(other_copy().is_none());
        drop(second);
        let theirs = other_copy().unwrap();
        assert_eq!(Claim::default().take(file.path()), Err(Error::TokenNotRecognized));
        drop(theirs);
        Claim::default().take(file.path()).unwrap();
    }

    /// Names of sockets could be taken by anybody on the machine, before we did.
    #[test]
    fn a_mark_of_another_name_or_kind_is_nobodys_claim() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let name = name(1, 2);
        let _socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let _parents = Mark::make(&name.replacen("strongroom ", "strongroom 1", 1)).unwrap();
        assert!(alone(&name).unwrap().is_some());
    }

    #[test]
    fn copies_that_start_together_do_not_both_go_without() {
        for round in 0..20 {
            let name = name(3, round);
            let start = std::sync::Barrier::new(2);
            let both = std::thread::scope(|scope| {
                let one = || {
                    start.wait();
                    alone(&name).unwrap()
                };
                [scope.spawn(one), scope.spawn(one)].map(|thread| thread.join().unwrap())
            });
            assert_eq!(both.iter().flatten().count(), 1, "round {round}");
        }
    }
}
