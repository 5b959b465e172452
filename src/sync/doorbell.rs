//! Rings when any process of this host committed a change that the peers are to get (`store::keeper::ring`): by
//! inotify on the folder of the token's file. Who hears it looks into the outbox. The writing itself must not
//! ring: it comes before the commit, when there is nothing to be seen yet.

use crate::error::{Error, Result};
use rustix::fs::inotify;
use std::io::ErrorKind;
use std::path::Path;
use tokio::net::unix::pipe::Receiver;

pub struct Doorbell(Receiver);

fn failed(error: impl std::fmt::Display) -> Error {
    Error::GeneralError.because(format_args!("inotify: {error}"))
}

impl Doorbell {
    /// Of the token's file at `path`. Inside a runtime.
    pub fn new(path: &Path) -> Result<Doorbell> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let bell = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
        let bell = bell.map_err(failed)?;
        inotify::add_watch(&bell, folder.unwrap_or(Path::new(".")), inotify::WatchFlags::ATTRIB)
            .map_err(failed)?;
        // Not a pipe, and read in the same way.
        Receiver::from_owned_fd_unchecked(bell).map(Doorbell).map_err(failed)
    }

    /// Returns when it has rung since the last time.
    pub async fn rung(&self) {
        let mut events = [0; 4096];
        loop {
            if self.0.readable().await.is_err() {
                return;
            }
            match self.0.try_read(&mut events) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        // The rest of what rang until now says nothing more.
        while self.0.try_read(&mut events).is_ok_and(|length| length > 0) {}
    }
}
