//! What a token that is one of several (a *member* of a cluster) keeps besides: who it is among its peers,
//! and which of its changes they do not have yet.
//!
//! Knows nothing of networks. While the `peer` row of `meta` is there, each transaction puts what it changed
//! into the outbox, and what it removed leaves a small sealed record of kind `Gone`, so that nobody brings it
//! back. Which of two versions stays is decided by whoever calls [`Change::adopt`].

use super::connection::{meta, sql};
use super::digest::bucket;
use super::rows::{keys_of, terms_of};
use super::seal::{self, Keys};
use super::{Change, HEADER, Header, Id, Kind, RecordRow, Ring, Store, change, header, select};
use crate::config::SlotConfig;
use crate::crypto::Secret;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, params};

/// How many overruled changes are remembered.
const OVERRULED: i64 = 1_000;

/// How far a member has read what its peers wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The engine's own id: another engine counts anew.
    pub engine: u64,
    pub revision: i64,
}

/// The peer id of a file that is a member.
pub(super) fn peer(connection: &Connection) -> Result<Option<Id>> {
    let Some(row) = meta(connection, "peer")? else { return Ok(None) };
    Id::from_row(row).map(Some)
}

/// The header of whatever a present record of this id is.
pub(super) fn present(connection: &Connection, id: Id) -> Result<Option<Header>> {
    let query =
        format!("SELECT {HEADER} FROM records INDEXED BY records_by_bucket WHERE bucket = ? AND id = ?");
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    let found = statement.query_row(params![bucket(id), id.0], |row| Ok(header(row))).optional();
    found.map_err(sql)?.transpose()
}

/// `keys`: to compare the record with its element, unless that is still to be made.
fn row_of(connection: &Connection, keys: Option<&Keys>, header: Header) -> Result<Option<RecordRow>> {
    let Some((record, element)) = select(connection, header.kind, header.id)? else { return Ok(None) };
    let whole =
        RecordRow { record, keys: keys_of(connection, header.id)?, terms: terms_of(connection, header.id)? };
    if let Some(keys) = keys {
        super::digest::check_element_of(keys, &whole, &element)?;
    }
    Ok(Some(whole))
}

/// Whether keys and terms are as the file would give them: in order, and each once.
fn in_order(row: &RecordRow) -> bool {
    row.keys.is_sorted_by(|one, next| one.0 < next.0) && row.terms.is_sorted_by(|one, next| one < next)
}

impl Change<'_> {
    /// Who writes here: the peer, or the token itself where there is no cluster.
    pub fn author(&self) -> Id {
        self.peer.unwrap_or(self.keys.token)
    }

    /// As who this file is a member of a cluster, if it is one.
    pub fn peer_id(&self) -> Option<Id> {
        self.peer
    }

    /// Makes the file a member. What is in it already is the peers' to get, too.
    pub fn enlist(&mut self, peer: Id) -> Result<()> {
        self.set_local("peer", &peer.0)?;
        self.peer = Some(peer);
        let all = "INSERT OR IGNORE INTO outbox (id) SELECT id FROM records";
        self.connection.execute(all, []).map_err(sql)?;
        Ok(())
    }

    /// Makes the file nobody's peer: who they were stays in no row of its own, nor does what they were to get.
    pub fn disband(&mut self) -> Result<()> {
        for query in [
            "DELETE FROM meta WHERE name IN ('peer', 'position', 'witness')",
            "DELETE FROM outbox",
            "DELETE FROM overruled",
        ] {
            self.connection.execute(query, []).map_err(sql)?;
        }
        self.peer = None;
        Ok(())
    }

    /// From now on this transaction writes what peers have already: nothing of it goes to the outbox.
    pub fn from_peers(&mut self) {
        self.outgoing = false;
    }

    /// What is here of this id, of whatever kind.
    pub fn whole(&mut self, id: Id) -> Result<Option<RecordRow>> {
        let Some(header) = present(self.connection, id)? else { return Ok(None) };
        let untouched = !self.touched_ids.contains(&(header.kind, id));
        row_of(self.connection, untouched.then_some(self.keys), header)
    }

    /// Puts a peer's record in the place of what is here of its id, whatever the versions say.
    pub fn adopt(&mut self, new: &RecordRow) -> Result<()> {
        let Header { kind, id, .. } = new.record.header;
        match present(self.connection, id)? {
            Some(old) => {
                self.touch(old.kind, id)?;
                self.erase(old.kind, id)?;
            }
            None if in_order(new) && !self.touched_ids.contains(&(kind, id)) => {
                return self.insert_whole(new);
            }
            None => {}
        }
        self.touch(kind, id)?;
        self.insert(&new.record.header, &new.record.body)?;
        for (holder, wrapped) in &new.keys {
            self.put_key(id, *holder, wrapped)?;
        }
        let mut statement =
            self.connection.prepare_cached("INSERT OR IGNORE INTO terms VALUES (?, ?)").map_err(sql)?;
        for term in &new.terms {
            statement.execute(params![term, id.0]).map_err(sql)?;
        }
        Ok(())
    }

    /// The record that stays when another is destroyed.
    pub(super) fn put_gone(&mut self, old: Header) -> Result<()> {
        let header = Header {
            kind: Kind::Gone,
            version: old.version + 1,
            author: self.author(),
            owner: Id::NONE,
            flags: old.flags_when_gone(),
            ..old
        };
        let header = Header { epoch: self.keys.epoch_of_new(&header), ..header };
        self.touch(Kind::Gone, old.id)?;
        let body = seal::seal(self.keys, &header, super::BodyKey::Seal, b"")?;
        self.insert(&header, &body)
    }

    /// Whether the peers are still to get what is here of this id.
    pub fn is_pending(&self, id: Id) -> Result<bool> {
        let mut statement =
            self.connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?").map_err(sql)?;
        statement.exists([id.0]).map_err(sql)
    }

    /// The peers are to get what is here of this id (again).
    pub fn send(&mut self, id: Id) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("INSERT OR IGNORE INTO outbox (id) VALUES (?)").map_err(sql)?;
        statement.execute([id.0]).map_err(sql)?;
        Ok(())
    }

    /// The peers have this: it leaves the outbox, unless it is not what is here any more.
    pub fn sent(&mut self, what: &RecordRow) -> Result<()> {
        let id = what.record.header.id;
        if self.is_still(what)? {
            self.connection
                .prepare_cached("DELETE FROM outbox WHERE id = ?")
                .and_then(|mut statement| statement.execute([id.0]))
                .map_err(sql)?;
        }
        Ok(())
    }

    /// Whether nothing else than this is here of its id, by the digest's element.
    fn is_still(&mut self, what: &RecordRow) -> Result<bool> {
        let id = what.record.header.id;
        if Kind::ALL.iter().any(|kind| self.touched_ids.contains(&(*kind, id))) {
            return Ok(self.whole(id)?.is_none_or(|now| now == *what));
        }
        let query = "SELECT element FROM records INDEXED BY records_by_bucket WHERE bucket = ? AND id = ?";
        let mut statement = self.connection.prepare_cached(query).map_err(sql)?;
        let stored: Option<Vec<u8>> =
            statement.query_row(params![bucket(id), id.0], |row| row.get(0)).optional().map_err(sql)?;
        let element = super::digest::element_of(self.keys, what)?.to_bytes();
        Ok(stored.is_none_or(|stored| stored == element))
    }

    /// A change made here, of this id and up to this version, gives way to a peer's.
    pub fn overruled(&mut self, id: Id, version: u64) -> Result<()> {
        let run = |query: &str, values: &[&dyn rusqlite::ToSql]| {
            self.connection.prepare_cached(query).map_err(sql)?.execute(values).map_err(sql)
        };
        run("DELETE FROM outbox WHERE id = ?", &[&id.0])?;
        run("INSERT OR REPLACE INTO overruled (id, version) VALUES (?, ?)", &[&id.0, &(version as i64)])?;
        let kept = self.connection.last_insert_rowid() - OVERRULED;
        run("DELETE FROM overruled WHERE number <= ?", &[&kept])?;
        Ok(())
    }

    /// What peers wrote up to here is in the file.
    pub fn set_position(&mut self, position: Position) -> Result<()> {
        let row = [position.engine.to_le_bytes(), position.revision.to_le_bytes()].concat();
        self.set_local("position", &row)
    }

    /// Whether the peers are to get something of this transaction.
    pub fn has_news(&self) -> bool {
        self.peer.is_some() && self.outgoing && !(self.touched_ids.is_empty() && self.pending.is_empty())
    }

    /// Puts what this transaction changed in the outbox of a member.
    pub(super) fn note_outgoing(&mut self, header: Header) -> Result<()> {
        if self.peer.is_none() || !self.outgoing {
            return Ok(());
        }
        let mut forget = self.connection.prepare_cached("DELETE FROM overruled WHERE id = ?").map_err(sql)?;
        forget.execute([header.id.0]).map_err(sql)?;
        self.send(header.id)?;
        self.pending.push(header);
        Ok(())
    }
}

/// What became of changes that were to go to the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// At least one of them was not confirmed yet.
    Pending,
    /// The peers have them all.
    Sent,
    /// A peer's change came first, and is what counts.
    Overruled,
}

impl Store {
    /// As `create`, of a token that exists elsewhere: with its id and secrets.
    pub fn create_from(
        config: &SlotConfig,
        token: Id,
        ring: Ring,
        first: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        Self::create_with(config, Keys::of_new_file(token, ring)?, first)
    }

    /// What `derived_secret` gives in the token with this id and secrets.
    pub fn secret_of(token: Id, ring: &Ring, purpose: &[u8]) -> Secret {
        // The file's key has no part in it.
        Keys::new(token, ring.root.clone(), ring.clone()).derived(purpose)
    }

    /// Whether this file is a member of a cluster, and as who.
    pub fn peer(&self) -> Result<Option<Id>> {
        self.read(peer)
    }

    /// Who writes here: the peer, or the token itself where there is no cluster.
    pub fn author(&self) -> Result<Id> {
        Ok(self.peer()?.unwrap_or(self.keys.token))
    }

    pub fn position(&self) -> Result<Position> {
        let row = self.read(|connection| meta(connection, "position"))?.unwrap_or_default();
        let Some((engine, revision)) = row.split_first_chunk::<8>() else { return Ok(Position::default()) };
        let revision = revision.try_into().map(i64::from_le_bytes).unwrap_or_default();
        Ok(Position { engine: u64::from_le_bytes(*engine), revision })
    }

    /// The oldest records that the peers do not have, at most so many.
    pub fn outgoing(&self, most: usize) -> Result<Vec<RecordRow>> {
        self.read(|connection| {
            if peer(connection)?.is_none() {
                return Ok(Vec::new());
            }
            let found = change::ids(
                connection,
                "SELECT id FROM outbox ORDER BY number LIMIT ?",
                params![most as i64],
            )?;
            let mut out = Vec::new();
            for id in found {
                if let Some(header) = present(connection, id)? {
                    out.extend(row_of(connection, Some(&self.keys), header)?);
                }
            }
            Ok(out)
        })
    }

    /// What is here of this id, of whatever kind, checked against its element.
    pub fn whole(&self, id: Id) -> Result<Option<RecordRow>> {
        self.read(|connection| {
            let Some(header) = present(connection, id)? else { return Ok(None) };
            row_of(connection, Some(&self.keys), header)
        })
    }

    /// Whether the peers are still to get what is here of this id.
    pub fn is_pending(&self, id: Id) -> Result<bool> {
        self.read(|connection| {
            let mut waits = connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?").map_err(sql)?;
            waits.exists([id.0]).map_err(sql)
        })
    }

    /// How many records the peers do not have yet.
    pub fn pending(&self) -> Result<u64> {
        self.read(|connection| {
            if peer(connection)?.is_none() {
                return Ok(0);
            }
            let count = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0));
            Ok(count.map_err(sql)? as u64)
        })
    }

    /// What became of changes of these records, up to these versions.
    pub fn fate(&self, changed: &[Header]) -> Result<Fate> {
        self.read(|connection| {
            let mut waits = connection.prepare_cached("SELECT 1 FROM outbox WHERE id = ?").map_err(sql)?;
            let mut lost = connection
                .prepare_cached("SELECT 1 FROM overruled WHERE id = ? AND version >= ?")
                .map_err(sql)?;
            for header in changed {
                if lost.exists(params![header.id.0, header.version as i64]).map_err(sql)? {
                    return Ok(Fate::Overruled);
                }
                if waits.exists([header.id.0]).map_err(sql)? {
                    return Ok(Fate::Pending);
                }
            }
            Ok(Fate::Sent)
        })
    }

    /// Ids of all records.
    pub fn all_ids(&self) -> Result<Vec<Id>> {
        self.read(|connection| change::ids(connection, "SELECT id FROM records", []))
    }

    /// The root of the state digest and the number of records: equal on peers that hold the same.
    pub fn summary(&self) -> Result<([u8; 32], u64)> {
        self.read(|connection| {
            let state = super::digest::State::load(connection, &self.keys)?;
            Ok((state.root.to_bytes(), state.records))
        })
    }

    /// Seals for peers who have the same epoch, or (`None`) for all whatever epoch they have; the purpose makes a
    /// key of its own.
    pub fn seal_for(&self, purpose: (&str, Option<u32>), associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        seal::seal_for(&self.keys, purpose, associated, plain)
    }

    /// The reverse; `None` when it does not open.
    pub fn open_for(&self, purpose: (&str, Option<u32>), associated: &[u8], sealed: &[u8]) -> Option<Secret> {
        seal::open_for(&self.keys, purpose, associated, sealed)
    }
}
