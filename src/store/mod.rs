//! Sealed records in one SQLite file. Knows bytes, ids and versions; nothing of PKCS#11.
//!
//! Contract: a `write` that answered Ok is on disk and survives kill -9 and power loss; one that
//! failed changed nothing. Whatever was altered, dropped, added or put back from an older copy is
//! noticed when it is touched and by `verify`, and never served. Many processes may hold the same
//! file. The format is written down in ARCHITECTURE.md; `format.rs` has its numbers.

mod bytes;
mod change;
pub mod claim;
mod connection;
mod digest;
mod format;
pub mod keeper;
mod local;
mod log;
pub mod merge;
mod opening;
pub mod process_lock;
mod provider;
mod record;
mod replica;
mod returned;
mod ring;
mod rows;
mod seal;
mod seals;
mod search;
mod verify;
mod vfs;
mod wrapping;

#[cfg(test)]
mod tests;

pub use change::Change;
pub use connection::{GATE, io as file_error, make_folder, sync_folder};
pub use log::{Line, Log};
pub use provider::{Provider, passphrase};
pub use record::{BodyKey, Header, Id, Kind, Record, Term};
pub use replica::{Fate, Position};
pub use ring::{Mark, Ring};
pub use rows::{Check, Identity, RecordRow, Row};
pub use seals::{Rotation, SealInfo, SealState};
pub use wrapping::{Opened, Wrapping};

use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::lock::Mutex;
use connection::{Link, sql};
use digest::Sum;
use record::{HEADER, header};
use rusqlite::Connection;
use seal::Keys;
use search::{find, select};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

/// What changed since some point.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Pass this to the next call.
    pub upto: u64,
    pub records: Vec<(Kind, Id)>,
    /// The log no longer reaches back that far: forget all.
    pub reset: bool,
}

/// What a transaction that answered Ok survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// kill -9 and the loss of power.
    Durable,
    /// kill -9. After a loss of power the file may be as it was some such commits ago: never without one of
    /// them and with a later commit of any kind. For what is kept elsewhere as well, and found there again.
    InOrder,
}

/// What `verify` found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub records: u64,
    /// Entries of the audit log.
    pub entries: u64,
    /// One sentence per fault; empty when all is well.
    pub faults: Vec<String>,
}

/// How long a removal waits for readers, so that nothing of it stays in the log.
const READERS: Duration = Duration::from_millis(50);

const NO_TRACES: u8 = 0;
/// Perhaps those of a process that was killed; nobody is kept waiting for them.
const OTHERS: u8 = 1;
/// Of this process, which could not take them away because somebody read.
const OURS: u8 = 2;

/// No data version.
const NEVER: i64 = -1;

/// An open token file.
pub struct Store {
    keys: Keys,
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<Connection>>,
    /// The root of the state digest that was last compared with all buckets.
    proven: Mutex<Option<Sum>>,
    /// How often the reading connection was opened.
    openings: AtomicU32,
    /// The data version at which the file was last seen to be the same token; [`NEVER`].
    current: AtomicI64,
    /// Whether the log may hold what was removed: [`NO_TRACES`], [`OTHERS`], [`OURS`].
    traces: AtomicU8,
    /// After the connections: it gives the file free.
    link: Link,
}

impl Store {
    pub fn read_only(&self) -> bool {
        self.link.read_only()
    }

    /// The id given when the token was made; changes when it is initialised anew.
    pub fn token_id(&self) -> Id {
        self.keys.token
    }

    /// A secret that only this token has, separate for each `purpose` and the same in all epochs.
    pub fn derived_secret(&self, purpose: &[u8]) -> Secret {
        self.keys.derived(purpose)
    }

    /// Runs `work` on the reading connection, in one read transaction.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let _gate = GATE.read();
        let mut slot = self.reader.lock();
        let transaction = self.reader_in(&mut slot)?.unchecked_transaction().map_err(sql)?;
        work(&transaction)
    }

    fn reader_in<'a>(&self, slot: &'a mut Option<Connection>) -> Result<&'a Connection> {
        if slot.is_none() {
            *slot = Some(self.link.reader()?);
            self.openings.fetch_add(1, Ordering::Relaxed);
        }
        slot.as_ref().ok_or(Error::GeneralError)
    }

    /// A record, its place in the state digest checked: `DeviceError` when it was tampered with.
    pub fn load(&self, kind: Kind, id: Id) -> Result<Option<Record>> {
        self.read(|connection| self.load_in(connection, kind, id))
    }

    fn load_in(&self, connection: &Connection, kind: Kind, id: Id) -> Result<Option<Record>> {
        let record = select(connection, kind, id)?;
        digest::check_bucket(connection, id)?;
        self.check_root(connection)?;
        let Some((record, element)) = record else {
            digest::check_absent(connection, kind, id)?;
            return Ok(None);
        };
        digest::check_element(connection, &self.keys, &record, &element)?;
        Ok(Some(record))
    }

    /// The root against all buckets, unless this very root was compared before.
    fn check_root(&self, connection: &Connection) -> Result<()> {
        let root = digest::State::load(connection, &self.keys)?.root;
        if *self.proven.lock() != Some(root) {
            if digest::sum_of_buckets(connection, &self.keys)? != root {
                return Err(
                    Error::DeviceError.because("the state digest does not match: the token file was altered")
                );
            }
            *self.proven.lock() = Some(root);
        }
        Ok(())
    }

    /// As `load`, together with the data key as wrapped for a holder.
    pub fn load_with_key(&self, kind: Kind, id: Id, holder: Id) -> Result<Option<(Record, Option<Vec<u8>>)>> {
        self.read(|connection| {
            let record = self.load_in(connection, kind, id)?;
            record.map(|record| Ok((record, change::load_key(connection, id, holder)?))).transpose()
        })
    }

    /// All of a kind, headers only.
    pub fn list(&self, kind: Kind) -> Result<Vec<Header>> {
        self.read(|connection| change::list(connection, kind))
    }

    /// Unseals a body: `DeviceError` if it does not open.
    pub fn open_body(&self, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
        self.know_epoch_of(record)?;
        seal::open(&self.keys, record, key)
    }

    /// The data key of an object as wrapped for a holder.
    pub fn load_key(&self, object: Id, holder: Id) -> Result<Option<Vec<u8>>> {
        self.read(|connection| change::load_key(connection, object, holder))
    }

    /// Who holds a data key of an object.
    pub fn holders(&self, object: Id) -> Result<Vec<Id>> {
        self.read(|connection| change::holders(connection, object))
    }

    /// Headers of records of a kind that carry all the terms in one of these scopes (by the blind
    /// index, so terms should be checked again on the opened object); no terms: all records whose
    /// owner is one of them. Terms should come with the most selective first.
    pub fn find(&self, kind: Kind, scopes: &[Id], terms: &[Term]) -> Result<Vec<Header>> {
        self.read(|connection| find(connection, &self.keys, kind, scopes, terms))
    }

    /// A number that differs after any commit to the file by any process, and after a fork; 2 microseconds.
    pub fn data_version(&self) -> Result<i64> {
        let _gate = GATE.read();
        let mut slot = self.reader.lock();
        let connection = self.reader_in(&mut slot)?;
        let mut statement = connection.prepare_cached("PRAGMA data_version").map_err(sql)?;
        let version: i64 = statement.query_row([], |row| row.get(0)).map_err(sql)?;
        // SQLite counts for each connection anew, in 32 bits: after a fork it would say what it said before.
        Ok((i64::from(self.openings.load(Ordering::Relaxed)) << 32) | version)
    }

    /// Whether the file still holds the token that was opened: another process may have made it anew.
    pub fn is_current(&self) -> Result<bool> {
        let version = self.data_version()?;
        if self.current.load(Ordering::Acquire) == version {
            return Ok(true);
        }
        let token = self.read(|connection| connection::meta(connection, "token"))?;
        let same = token.is_some_and(|id| id == self.keys.token.0);
        self.current.store(if same { version } else { NEVER }, Ordering::Release);
        Ok(same)
    }

    /// Records changed after `since`; `u64::MAX` only tells the present point.
    pub fn changes(&self, since: u64) -> Result<Changes> {
        self.read(|connection| change::changes(connection, &self.keys, since))
    }

    /// One transaction: everything `work` did is durable on Ok, nothing of it happened on Err.
    /// `TokenWriteProtected` when read-only, `DeviceMemory` when the disk is full, `DeviceRemoved` when the
    /// file was taken away.
    pub fn write<T>(&self, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        self.write_as(Commit::Durable, work).map(|(result, _)| result)
    }

    /// As `write`, with a commit of either kind; tells the records of it that the peers of a cluster are to get.
    pub fn write_as<T>(
        &self,
        commit: Commit,
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Header>)> {
        if self.read_only() {
            return Err(Error::TokenWriteProtected);
        }
        self.link.in_place()?;
        let _gate = GATE.read();
        let mut slot = self.writer.lock();
        if slot.is_none() {
            *slot = Some(self.link.writer()?);
        }
        let Some(connection) = slot.as_ref() else { return Err(Error::GeneralError) };
        if commit == Commit::InOrder {
            connection::wait_for_disk(connection, false)?;
        }
        let done = change::transact_counted(connection, &self.keys, work);
        if commit == Commit::InOrder {
            // One that cannot be told to wait again is opened anew, and waits.
            connection::wait_for_disk(connection, true).inspect_err(|_| drop(slot.take()))?;
        }
        let (result, done) = done?;
        let Some(connection) = slot.as_ref() else { return Err(Error::GeneralError) };
        if commit == Commit::InOrder && done.entered {
            // An audit log that somebody may have read does not go back.
            connection::sync_log(connection)?;
        }
        let mut proven = self.proven.lock();
        if *proven == Some(done.roots.0) {
            *proven = Some(done.roots.1);
        }
        drop(proven);
        if done.removed {
            self.traces.store(OURS, Ordering::Relaxed);
        }
        self.tidy_with(connection, if done.removed { READERS } else { Duration::ZERO });
        Ok((result, done.pending))
    }

    /// Takes out of the log what a removal had to leave there because somebody read; waits so long for
    /// readers, if it was ours. Nothing to do costs one load.
    pub fn tidy(&self, wait: Duration) {
        if self.traces.load(Ordering::Relaxed) == NO_TRACES {
            return;
        }
        let _gate = GATE.read();
        if let Some(connection) = self.writer.lock().as_ref() {
            self.tidy_with(connection, wait);
        }
    }

    fn tidy_with(&self, connection: &Connection, wait: Duration) {
        let wait = match self.traces.load(Ordering::Relaxed) {
            NO_TRACES => return,
            OURS => wait,
            _ => Duration::ZERO,
        };
        if connection::truncate_log(connection, wait) {
            self.traces.store(NO_TRACES, Ordering::Relaxed);
        }
    }

    /// Reads everything and compares it with the state digest. Never changes the file.
    pub fn verify(&self) -> Result<Report> {
        self.verify_watched(&mut |_, _| {})
    }

    /// The same; `watch` is told how many records of how many are done.
    pub fn verify_watched(&self, watch: &mut dyn FnMut(u64, u64)) -> Result<Report> {
        self.read(|connection| verify::verify(connection, &self.keys, watch))
    }

    /// Closes the connections so that a fork inherits none; the next use opens them again. The
    /// caller holds [`GATE`] for writing.
    pub fn suspend(&self) {
        connection::close_quickly(self.reader.lock().take());
        connection::close_quickly(self.writer.lock().take());
    }
}
