//! A token file is open in one copy of this library per process.
//!
//! POSIX locks belong to a process: two SQLite copies in it (the module loaded under two names, or by
//! dlmopen) do not exclude each other, and when one closes the file the locks of the other are gone.
//! Both then write one log at the same time, or one removes the log under the other: commits are
//! lost. So the first to open a file claims it with a socket in the abstract name space, named after
//! process and file; the kernel frees the name when the process ends.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::fs;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The files that this copy holds, by name. Locked under the gate's read lock only, so never over a
/// fork.
static HELD: Mutex<Vec<(String, Arc<UnixDatagram>)>> = Mutex::new(Vec::new());

/// A share in this copy's claim of a file; gone when the last share is.
#[derive(Default)]
pub struct Claim(Mutex<Option<(String, Arc<UnixDatagram>)>>);

impl Claim {
    /// Takes the claim for the file as it lies there now and for the process that this is now (a
    /// forked child is another). `TokenNotRecognized` when another copy in the process has it.
    pub fn take(&self, path: &Path) -> Result<()> {
        // No file: opening it says so better.
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        let name = name(file.dev(), file.ino());
        let mut share = self.0.lock();
        if share.as_ref().is_some_and(|(held, _)| *held == name) {
            return Ok(());
        }
        give_back(share.take());
        let mut held = HELD.lock();
        let known = held.iter().find(|(known, _)| *known == name).map(|(_, socket)| socket.clone());
        let socket = match known {
            Some(socket) => socket,
            None => match SocketAddr::from_abstract_name(&name).and_then(|at| UnixDatagram::bind_addr(&at)) {
                Ok(socket) => {
                    let socket = Arc::new(socket);
                    held.push((name.clone(), socket.clone()));
                    socket
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(refused(path)),
                Err(error) => {
                    log::warn!("{}: not claimed: {error}", path.display());
                    return Ok(());
                }
            },
        };
        *share = Some((name, socket));
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        give_back(self.0.get_mut().take());
    }
}

/// Frees the name with the last share, before anyone else looks.
fn give_back(share: Option<(String, Arc<UnixDatagram>)>) {
    let Some((name, socket)) = share else { return };
    let mut held = HELD.lock();
    drop(socket);
    let Some(place) = held.iter().position(|(known, _)| *known == name) else { return };
    if Arc::strong_count(&held[place].1) > 1 {
        return;
    }
    let (_, socket) = held.swap_remove(place);
    // A host that closed every descriptor may have given the number to a file of its own.
    let ours = socket.local_addr().is_ok_and(|at| at.as_abstract_name() == Some(name.as_bytes()));
    if !ours {
        std::mem::forget(socket);
    }
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

/// The same in all copies of this process and nowhere else: numbers of processes are used again, and
/// containers may share a network but not them.
fn name(device: u64, inode: u64) -> String {
    let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in parentheses, may hold blanks; the start time is the 20th field after it.
    let start =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)).unwrap_or_default();
    format!("strongroom {} {} {start} {device:x}:{inode:x}", space.display(), std::process::id())
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
        let address = SocketAddr::from_abstract_name(name(identity.dev(), identity.ino())).unwrap();
        let other_copy = || UnixDatagram::bind_addr(&address).map_err(|error| error.kind());
        drop(first);
        assert_eq!(other_copy().err(), Some(ErrorKind::AddrInUse));
        drop(second);
        let theirs = other_copy().unwrap();
        assert_eq!(Claim::default().take(file.path()), Err(Error::TokenNotRecognized));
        drop(theirs);
        Claim::default().take(file.path()).unwrap();
    }
}
