//! Rings when any process of this host wrote to the token's file: by inotify on its folder, so that writers
//! need to know nothing of it. Other files there ring it, too; who hears it looks into the outbox.

use super::descriptors::Entry;
use crate::error::{Error, Result};
use rustix::fs::inotify;
use std::io::ErrorKind;
use std::path::Path;
use tokio::net::unix::pipe::Receiver;

/// Fields are dropped in this order.
pub struct Doorbell {
    _entry: Entry,
    bell: Receiver,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::GeneralError.because(format_args!("inotify: {error}"))
}

impl Doorbell {
    /// Of the token's file at `path`. Inside a runtime.
    pub fn new(path: &Path) -> Result<Doorbell> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let bell = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
        let bell = bell.map_err(failed)?;
        inotify::add_watch(&bell, folder.unwrap_or(Path::new(".")), inotify::WatchFlags::MODIFY)
            .map_err(failed)?;
        // Not a pipe, and read in the same way.
        let _entry = Entry::of(&bell).map_err(failed)?;
        let bell = Receiver::from_owned_fd_unchecked(bell).map_err(failed)?;
        Ok(Doorbell { _entry, bell })
    }

    /// Returns when it has rung since the last time.
    pub async fn rung(&self) {
        let mut events = [0; 4096];
        loop {
            if self.bell.readable().await.is_err() {
                return;
            }
            match self.bell.try_read(&mut events) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        // The rest of what rang until now says nothing more.
        while self.bell.try_read(&mut events).is_ok_and(|length| length > 0) {}
    }
}
