//! Rings when any process of this host committed something for the peers (`store::keeper::ring`): by inotify,
//! so that writers need not know who listens. Who hears it looks into the outbox.

use super::descriptors::Entry;
use crate::error::{Error, Result};
use crate::store::keeper;
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
    /// Of the token's file at `path`, which this process keeps in step. Inside a runtime.
    pub fn new(path: &Path) -> Result<Doorbell> {
        let bell = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
        let bell = bell.map_err(failed)?;
        inotify::add_watch(&bell, keeper::lock_of(path), inotify::WatchFlags::ATTRIB).map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_heard_once_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token.db");
        let _keeper = keeper::Keeper::become_for(&token).unwrap().unwrap();
        crate::sync::on_this_thread(async {
            let bell = Doorbell::new(&token).unwrap();
            let heard = |patience| tokio::time::timeout(patience, bell.rung());
            std::fs::write(&token, "anything").unwrap();
            assert!(heard(Duration::from_millis(20)).await.is_err());
            keeper::ring(&token);
            keeper::ring(&token);
            heard(Duration::from_secs(10)).await.unwrap();
            assert!(heard(Duration::from_millis(20)).await.is_err());
        })
        .unwrap();
    }
}
