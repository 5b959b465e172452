//! Sealed records in one SQLite file. Knows bytes, ids and versions; nothing of PKCS#11.
//!
//! Contract: a `write` that answered Ok is on disk and survives kill -9 and power loss; one that
//! failed changed nothing. Whatever was altered, dropped, added or put back from an older copy is
//! noticed when it is touched and by `verify`, and never served. Many processes may hold the same
//! file. The format is version 1, written down in ARCHITECTURE.md.

use crate::config::SlotConfig;
use crate::crypto::Secret;
use crate::error::Result;

/// 16 random bytes that name a record for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// No one: the owner of public records.
    pub const NONE: Id = Id([0; 16]);
    pub fn random() -> Result<Id> {
        todo!()
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The token's own description (one).
    Token = 1,
    User = 2,
    Object = 3,
}

/// The clear, authenticated part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub id: Id,
    /// Counts the changes of this record, from 1.
    pub version: u64,
    pub epoch: u32,
    /// Who wrote this version (a peer; the token's own id on a single host).
    pub author: Id,
    /// Whose it is; also the scope its search terms live in. `Id::NONE`: everybody's.
    pub owner: Id,
    /// Bits given meaning by `token`.
    pub flags: u32,
}

/// A record as it lies on disk.
#[derive(Clone, Debug)]
pub struct Record {
    pub header: Header,
    /// Sealed body.
    pub body: Vec<u8>,
}

/// What a body is sealed under.
#[derive(Clone, Copy)]
pub enum BodyKey<'a> {
    /// The token's seal key.
    Seal,
    /// A data key of 32 bytes, wrapped elsewhere for those who may open it.
    Data(&'a Secret),
}

/// A searchable value: attribute type and value; stored only as a keyed hash with its owner.
pub type Term = (u64, Vec<u8>);

/// What changed since some point.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Pass this to the next call.
    pub upto: u64,
    pub records: Vec<(Kind, Id)>,
    /// The log no longer reaches back that far, or the token was initialised anew: forget all.
    pub reset: bool,
}

/// What `verify` found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub records: u64,
    /// One sentence per fault; empty when all is well.
    pub faults: Vec<String>,
}

/// An open token file.
pub struct Store {}

impl Store {
    /// Whether there is a file at all.
    pub fn exists(config: &SlotConfig) -> bool {
        let _ = config;
        todo!()
    }
    /// Makes a new file (and key file, mode 0600, if the provider wants one) holding the records
    /// that `first` writes: all or nothing. A present file is replaced by a new, empty token with
    /// a new seal key in one transaction; other processes see `Changes::reset`.
    pub fn create(config: &SlotConfig, first: impl FnOnce(&mut Change<'_>) -> Result<()>) -> Result<Store> {
        let _ = (config, first);
        todo!()
    }
    /// Opens; nothing is read that grows with the number of records. Errors, each logged with what
    /// to do: `TokenNotRecognized` (seal key missing, unreadable or wrong; not our file; newer
    /// format), `DeviceError` (damaged). A file or folder that cannot be written opens read-only.
    pub fn open(config: &SlotConfig) -> Result<Store> {
        let _ = config;
        todo!()
    }
    pub fn read_only(&self) -> bool {
        todo!()
    }
    /// The id given when the token was made; changes when it is initialised anew.
    pub fn token_id(&self) -> Id {
        todo!()
    }
    /// A secret that only this token has, separate for each `purpose`: HKDF of the seal key.
    pub fn derived_secret(&self, purpose: &[u8]) -> Secret {
        let _ = purpose;
        todo!()
    }
    /// A record, its place in the state digest checked: `DeviceError` when it was tampered with.
    pub fn load(&self, kind: Kind, id: Id) -> Result<Option<Record>> {
        let _ = (kind, id);
        todo!()
    }
    /// All of a kind, headers only.
    pub fn list(&self, kind: Kind) -> Result<Vec<Header>> {
        let _ = kind;
        todo!()
    }
    /// Unseals a body: `DeviceError` if it does not open.
    pub fn open_body(&self, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
        let _ = (record, key);
        todo!()
    }
    /// The data key of an object as wrapped for a holder.
    pub fn load_key(&self, object: Id, holder: Id) -> Result<Option<Vec<u8>>> {
        let _ = (object, holder);
        todo!()
    }
    /// Object headers of these owners that carry all the terms (by the blind index, so terms
    /// should be checked again on the opened object); no terms: all objects of these owners.
    pub fn find(&self, owners: &[Id], terms: &[Term]) -> Result<Vec<Header>> {
        let _ = (owners, terms);
        todo!()
    }
    /// A number that differs after any commit to the file by any process; 2 microseconds.
    pub fn data_version(&self) -> Result<i64> {
        todo!()
    }
    /// Records changed after `since` (0: only tells the present point).
    pub fn changes(&self, since: u64) -> Result<Changes> {
        let _ = since;
        todo!()
    }
    /// One transaction: everything `work` did is durable on Ok, nothing of it happened on Err.
    /// `TokenWriteProtected` when read-only, `DeviceMemory` when the disk is full.
    pub fn write<T>(&self, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        let _ = work;
        todo!()
    }
    /// Reads everything and compares it with the state digest. Never changes the file.
    pub fn verify(&self) -> Result<Report> {
        todo!()
    }
    /// Closes the connections so that a fork inherits none; the next use opens them again.
    pub fn suspend(&self) {
        todo!()
    }
}

/// A transaction under way.
pub struct Change<'a> {
    _store: std::marker::PhantomData<&'a ()>,
}

impl Change<'_> {
    /// The record as this transaction sees it.
    pub fn load(&mut self, kind: Kind, id: Id) -> Result<Option<Record>> {
        let _ = (kind, id);
        todo!()
    }
    /// All of a kind, headers only.
    pub fn list(&mut self, kind: Kind) -> Result<Vec<Header>> {
        let _ = kind;
        todo!()
    }
    pub fn open_body(&self, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
        let _ = (record, key);
        todo!()
    }
    /// Seals and writes. A present record must have `header.version - 1`, a new one version 1:
    /// otherwise `FunctionFailed` (someone else was faster) and the transaction should end.
    /// `terms` replace the former ones, in the scope of `header.owner`.
    pub fn put(&mut self, header: Header, key: BodyKey<'_>, plain: &[u8], terms: &[Term]) -> Result<()> {
        let _ = (header, key, plain, terms);
        todo!()
    }
    pub fn put_key(&mut self, object: Id, holder: Id, wrapped: &[u8]) -> Result<()> {
        let _ = (object, holder, wrapped);
        todo!()
    }
    pub fn load_key(&mut self, object: Id, holder: Id) -> Result<Option<Vec<u8>>> {
        let _ = (object, holder);
        todo!()
    }
    /// Removes a record with its terms and wrapped keys, overwriting the pages.
    pub fn remove(&mut self, kind: Kind, id: Id) -> Result<()> {
        let _ = (kind, id);
        todo!()
    }
    /// As `Store::derived_secret`, of the token being written (also inside `Store::create`).
    pub fn derived_secret(&self, purpose: &[u8]) -> Secret {
        let _ = purpose;
        todo!()
    }
    pub fn token_id(&self) -> Id {
        todo!()
    }
}
