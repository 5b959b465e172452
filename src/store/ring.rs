//! The token's secrets by epoch: the *ring*.
//!
//! A ring has a *root*, which stays and from which everything follows that must (`seal`), and a secret for each
//! *epoch*, under which record bodies and what lies in etcd are sealed. A cluster that removes a host begins a
//! new epoch; records are sealed anew one after the other, and the old epoch's secret is thrown away. The ring
//! lies in `meta` (row `ring`), sealed under the file's own key, which is what the seals wrap. A file of before
//! format 4 has no such row: its key is the root and the secret of epoch 1, until the first change of epochs.
//!
//! Whoever has a file open learns of a new ring with his next transaction, or when he meets a record of an
//! epoch that he does not know.

use super::connection::{meta, sql};
use super::seal::{self, Keys};
use super::{Change, Header, Id, Kind, Record, Store};
use crate::crypto::{Secret, derive};
use crate::error::{Error, Result};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::sync::OnceLock;

const ROW: &str = "ring";
/// The epoch of a new token.
pub const FIRST: u32 = 1;

/// What a new member gets, and a backup holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Ring {
    pub root: Secret,
    /// By number; the greatest is the present one. Never empty.
    pub epochs: BTreeMap<u32, Secret>,
}

impl Ring {
    pub fn random() -> Result<Ring> {
        Ok(Ring { root: Secret::random(32)?, epochs: BTreeMap::from([(FIRST, Secret::random(32)?)]) })
    }

    /// Of a file of before there were epochs.
    pub fn of_before(seal: &Secret) -> Ring {
        Ring { root: seal.clone(), epochs: BTreeMap::from([(FIRST, seal.clone())]) }
    }

    pub fn present(&self) -> u32 {
        self.epochs.last_key_value().map_or(FIRST, |(number, _)| *number)
    }

    /// Root (32), then for each epoch its number (u32 LE) and secret (32); of before there were epochs the root
    /// alone.
    pub fn encode(&self) -> Secret {
        let mut bytes = Vec::with_capacity(32 + 36 * self.epochs.len());
        bytes.extend_from_slice(&self.root);
        if *self != Ring::of_before(&self.root) {
            for (number, secret) in &self.epochs {
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(secret);
            }
        }
        Secret::from(bytes)
    }

    /// `None` when it is none.
    pub fn decode(bytes: &[u8]) -> Option<Ring> {
        let (root, rest) = bytes.split_first_chunk::<32>()?;
        let root = Secret::from(&root[..]);
        let (epochs, []) = rest.as_chunks::<36>() else { return None };
        if epochs.is_empty() {
            return Some(Ring::of_before(&root));
        }
        let epoch = |bytes: &[u8; 36]| {
            let (number, secret) = bytes.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*number), Secret::from(secret)))
        };
        Some(Ring { root, epochs: epochs.iter().map(epoch).collect::<Option<_>>()? })
    }
}

/// What is known of the ring, and after a change of it the next. Nobody who reads waits for a lock.
pub(super) struct Known {
    /// The row it was read from.
    row: Vec<u8>,
    pub ring: Ring,
    bodies: BTreeMap<u32, Secret>,
    next: OnceLock<Box<Known>>,
}

impl Known {
    pub fn new(token: Id, row: Vec<u8>, ring: Ring) -> Known {
        let bodies = |(number, secret): (&u32, &Secret)| {
            (*number, derive::hkdf_sha256(&token.0, secret, seal::BODIES, 32))
        };
        Known { row, bodies: ring.epochs.iter().map(bodies).collect(), ring, next: OnceLock::new() }
    }
}

/// Of what every member must read whatever epoch it has: who the members are, and the epochs themselves.
fn is_standing(header: &Header) -> bool {
    let kind = if header.kind == Kind::Gone { header.flags } else { header.kind as u32 };
    kind == Kind::Member as u32 || kind == Kind::Epoch as u32
}

/// Whether a body is sealed under its epoch: of private objects under keys of their own.
pub(super) fn follows_epoch(header: &Header) -> bool {
    !is_standing(header) && (header.kind != Kind::Object || header.owner == Id::NONE)
}

impl Keys {
    pub(super) fn known(&self) -> &Known {
        let mut known = &self.first;
        while let Some(next) = known.next.get() {
            known = next;
        }
        known
    }

    pub fn ring(&self) -> &Ring {
        &self.known().ring
    }

    /// The epoch that a record gets which is written now.
    pub fn epoch_of_new(&self, header: &Header) -> u32 {
        if is_standing(header) { FIRST } else { self.ring().present() }
    }

    /// The key of bodies of this header's epoch; `None`: this file does not have it.
    pub(super) fn bodies(&self, header: &Header) -> Option<&Secret> {
        let standing = is_standing(header) || header.is_sealed_twice();
        if standing { Some(&self.standing) } else { self.known().bodies.get(&header.epoch) }
    }

    /// Whether a body is under an earlier epoch than the present one.
    fn is_stale(&self, header: &Header) -> bool {
        follows_epoch(header) && header.epoch < self.ring().present()
    }

    fn ring_key(&self) -> Secret {
        derive::hkdf_sha256(&self.token.0, &self.file, b"strongroom key ring", 32)
    }

    /// The ring in a file that these keys open; `None`: altered, or another token's.
    fn ring_of(&self, row: &[u8]) -> Option<Ring> {
        if row.is_empty() {
            return Some(Ring::of_before(&self.file));
        }
        Ring::decode(&seal::open_bytes(&self.ring_key(), &self.ring_associated(), row)?)
    }

    fn ring_associated(&self) -> Vec<u8> {
        [&self.token.0[..], ROW.as_bytes()].concat()
    }

    /// The keys of a file: `DeviceError` when its ring was altered.
    pub fn read(connection: &Connection, token: Id, file: Secret) -> Result<Keys> {
        let row = meta(connection, ROW)?.unwrap_or_default();
        let before = Keys::new(token, file.clone(), Ring::of_before(&file));
        if row.is_empty() {
            return Ok(before);
        }
        let altered = || Error::DeviceError.because("the token's key ring was altered");
        let ring = before.ring_of(&row).ok_or_else(altered)?;
        let mut keys = Keys::new(token, file, ring.clone());
        keys.first = Known::new(token, row, ring);
        Ok(keys)
    }

    /// Takes note of a ring that somebody changed. Another token's says nothing here: its state will.
    pub(super) fn refresh(&self, connection: &Connection) -> Result<()> {
        let row = meta(connection, ROW)?.unwrap_or_default();
        let known = self.known();
        if known.row != row
            && let Some(ring) = self.ring_of(&row)
        {
            let _ = known.next.set(Box::new(Known::new(self.token, row, ring)));
        }
        Ok(())
    }

    pub(super) fn save_ring(&self, connection: &Connection, ring: &Ring) -> Result<()> {
        if *ring == Ring::of_before(&self.file) {
            return Ok(());
        }
        let row = seal::seal_bytes(&self.ring_key(), &self.ring_associated(), &ring.encode())?;
        let mut statement =
            connection.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").map_err(sql)?;
        statement.execute(params![ROW, row]).map(drop).map_err(sql)
    }
}

/// Records whose bodies are under an epoch before this one.
const STALE: &str = "epoch < ?1 AND (kind IN (1, 2) OR kind = 4 AND flags NOT IN (5, 6) OR kind = 3 AND owner = x'00000000000000000000000000000000')";

/// Where a walk over the file's records is; each walk begins at the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(i64);

impl Change<'_> {
    fn ring(&self) -> Result<Ring> {
        let row = meta(self.connection, ROW)?.unwrap_or_default();
        self.keys.ring_of(&row).ok_or_else(|| Error::DeviceError.because("the token's key ring was altered"))
    }

    /// The number of the present epoch.
    pub fn present_epoch(&self) -> u32 {
        self.keys.ring().present()
    }

    /// A new epoch's secret, or one of a backup. What is written from here on is sealed under the greatest.
    pub fn learn_epochs(&mut self, learned: impl IntoIterator<Item = (u32, Secret)>) -> Result<()> {
        let mut ring = self.ring()?;
        for (number, secret) in learned {
            ring.epochs.entry(number).or_insert(secret);
        }
        self.keys.save_ring(self.connection, &ring)?;
        self.keys.refresh(self.connection)
    }

    /// Seals bodies of earlier epochs anew, looking at `most` records from a mark on; where it came to, `None` at
    /// the end. The content and the version stay; hosts that do the same get the same bytes.
    pub fn reseal(&mut self, from: Mark, most: usize) -> Result<Option<Mark>> {
        let present = self.keys.ring().present();
        let found = stale(self.connection, from, present, most)?;
        found.iter().try_for_each(|(_, kind, id)| self.seal_anew(*kind, *id))?;
        Ok(found.last().map(|(row, ..)| Mark(*row)))
    }

    /// The same of one record, if its body is of an earlier epoch.
    pub fn seal_anew(&mut self, kind: Kind, id: Id) -> Result<()> {
        let Some(record) = self.load(kind, id)? else { return Ok(()) };
        if !self.keys.is_stale(&record.header) {
            return Ok(());
        }
        let header = Header { epoch: self.keys.ring().present(), ..record.header };
        let plain = seal::open(self.keys, &record, super::BodyKey::Seal)?;
        self.touch(kind, id)?;
        self.insert(&header, &seal::seal_again(self.keys, &header, &plain)?)
    }

    /// Throws the secrets of earlier epochs away; which. None while a record here needs one.
    pub fn drop_epochs(&mut self) -> Result<Vec<u32>> {
        let mut ring = self.ring()?;
        let present = ring.present();
        if !stale(self.connection, Mark::default(), present, 1)?.is_empty() {
            return Ok(Vec::new());
        }
        let gone = ring.epochs.keys().copied().filter(|number| *number != present).collect();
        ring.epochs.retain(|number, _| *number == present);
        self.removed = true;
        self.keys.save_ring(self.connection, &ring)?;
        Ok(gone)
    }
}

fn stale(connection: &Connection, from: Mark, present: u32, most: usize) -> Result<Vec<(i64, Kind, Id)>> {
    let query =
        format!("SELECT rowid, kind, id FROM records WHERE rowid > ?2 AND {STALE} ORDER BY rowid LIMIT ?3");
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    let mut rows = statement.query(params![present, from.0, most as i64]).map_err(sql)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        let kind = Kind::from_row(row.get(1).map_err(sql)?)?;
        found.push((row.get(0).map_err(sql)?, kind, Id::from_row(row.get(2).map_err(sql)?)?));
    }
    Ok(found)
}

impl Store {
    /// What the token's secrets are, for a new member. An officer says who gets it.
    pub fn ring(&self) -> &Ring {
        self.keys.ring()
    }

    /// A body for a record that does not lie in the file yet.
    pub fn seal_body(&self, header: &Header, plain: &[u8]) -> Result<Vec<u8>> {
        seal::seal(&self.keys, header, super::BodyKey::Seal, plain)
    }

    /// Reads the ring as it is in the file now.
    pub fn refresh(&self) -> Result<()> {
        self.read(|connection| self.keys.refresh(connection))
    }

    /// Whether a record of this id was destroyed.
    pub fn is_gone(&self, id: Id) -> Result<bool> {
        Ok(self.load(Kind::Gone, id)?.is_some())
    }

    /// Whether there is a record of this id, of whatever kind.
    pub fn has(&self, id: Id) -> Result<bool> {
        self.read(|connection| Ok(super::replica::present(connection, id)?.is_some()))
    }

    /// How many records have bodies of an earlier epoch.
    pub fn stale(&self) -> Result<u64> {
        if self.keys.ring().epochs.len() < 2 {
            return Ok(0);
        }
        self.read(|connection| {
            let query = format!("SELECT count(*) FROM records WHERE {STALE}");
            let count =
                connection.query_row(&query, [self.keys.ring().present()], |row| row.get::<_, i64>(0));
            count.map(|count| count as u64).map_err(sql)
        })
    }

    /// Whether a record's body is under an earlier epoch than the present one.
    pub fn is_stale(&self, header: &Header) -> bool {
        self.keys.is_stale(header)
    }

    /// Whether this file has the key of the epoch that a record's body is under.
    pub fn has_epoch_of(&self, header: &Header) -> bool {
        !follows_epoch(header) || self.keys.bodies(header).is_some()
    }

    /// Before a body is opened: somebody else may have begun its epoch.
    pub(super) fn know_epoch_of(&self, record: &Record) -> Result<()> {
        let header = &record.header;
        if follows_epoch(header) && self.keys.bodies(header).is_none() { self.refresh() } else { Ok(()) }
    }
}
