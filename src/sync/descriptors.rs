//! What the sync has open, so that a forked child can close it: etcd would hold a connection for good that a
//! child keeps open after its parent's end, and the kernel a queue of events that nobody reads.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A descriptor, and what it was when it was opened: a host that closes every descriptor may give
/// the number to one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub number: RawFd,
    pub device: u64,
    pub inode: u64,
}

static OPEN: Mutex<Vec<Descriptor>> = Mutex::new(Vec::new());

/// Held over a fork, so that the child finds the list whole and free.
pub struct ForkGuard(#[allow(dead_code)] MutexGuard<'static, Vec<Descriptor>>);

pub fn fork_guard() -> ForkGuard {
    ForkGuard(OPEN.lock())
}

/// In a forked child: what it inherited and is to close.
pub fn of_parent() -> Vec<Descriptor> {
    std::mem::take(&mut OPEN.lock())
}

/// Remembers a descriptor for as long as it lives; to be dropped before the descriptor is.
pub struct Entry(Descriptor);

impl Entry {
    pub fn of(open: &(impl AsFd + AsRawFd)) -> io::Result<Entry> {
        let found = rustix::fs::fstat(open)?;
        let entry = Descriptor { number: open.as_raw_fd(), device: found.st_dev, inode: found.st_ino };
        OPEN.lock().push(entry);
        Ok(Entry(entry))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        OPEN.lock().retain(|open| *open != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_in_the_list() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let entry = Entry::of(&socket).unwrap();
        let is = entry.0;
        assert_eq!(is.number, socket.as_raw_fd());
        assert!(OPEN.lock().contains(&is));
        drop(entry);
        assert!(!OPEN.lock().contains(&is));
    }
}
