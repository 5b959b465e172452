//! A transaction under way: records, their keys and terms, the state digest, the change log and the audit
//! log in one commit.

use super::connection::sql;
use super::digest::{self, State, Sum};
use super::format;
use super::replica;
use super::seal::{self, Keys};
use super::wrapping::Wrapping;
use super::{BodyKey, Changes, HEADER, Header, Id, Kind, Record, RecordRow, Term, header, select};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::HashSet;

/// How many changes the log keeps for other processes to catch up with.
const LOG_LENGTH: i64 = 10_000;

/// A transaction under way.
pub struct Change<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keys: &'a Keys,
    pub(super) state: State,
    /// There is a good state row: a file without one is new, and only `clear` makes it a token.
    has_state: bool,
    pub(super) removed: bool,
    /// Who this file is among its peers, if it has any.
    pub(super) peer: Option<Id>,
    /// What is changed is news to the peers.
    pub(super) outgoing: bool,
    /// What went to the outbox.
    pub(super) pending: Vec<Header>,
    /// Lines that this transaction added to the log.
    pub(super) lines: Vec<Vec<u8>>,
    /// Records whose element must be made anew before the commit, with their old element.
    touched: Vec<(Kind, Id, Sum)>,
    /// Their ids, and the buckets they fall into: a change may touch very many.
    pub(super) touched_ids: HashSet<(Kind, Id)>,
    touched_buckets: HashSet<u16>,
    /// Something is in the state that is not in its row yet.
    settled: bool,
}

/// Runs `work` in one write transaction.
pub fn transact<T>(
    connection: &Connection,
    keys: &Keys,
    work: impl FnOnce(&mut Change<'_>) -> Result<T>,
) -> Result<T> {
    transact_counted(connection, keys, work).map(|(result, ..)| result)
}

/// What a transaction did besides its own work.
pub struct Done {
    /// The root before and after.
    pub roots: (Sum, Sum),
    /// Something was removed.
    pub removed: bool,
    /// What the peers are to get of it.
    pub pending: Vec<Header>,
    /// The audit log grew.
    pub entered: bool,
}

/// As `transact`, with what it did.
pub fn transact_counted<T>(
    connection: &Connection,
    keys: &Keys,
    work: impl FnOnce(&mut Change<'_>) -> Result<T>,
) -> Result<(T, Done)> {
    let transaction =
        rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(sql)?;
    keys.refresh(&transaction)?;
    let state = State::read(&transaction, keys)?;
    let mut change = Change {
        connection: &transaction,
        keys,
        has_state: state.is_some(),
        state: state.unwrap_or_default(),
        removed: false,
        peer: replica::peer(&transaction)?,
        outgoing: true,
        pending: Vec::new(),
        lines: Vec::new(),
        touched: Vec::new(),
        touched_ids: HashSet::new(),
        touched_buckets: HashSet::new(),
        settled: false,
    };
    let before = change.state.root;
    // A file without a state is new: only `clear` makes it one. Anything else fails here.
    let result = work(&mut change)?;
    change.settle()?;
    let pending = std::mem::take(&mut change.pending);
    let entered = !change.lines.is_empty();
    let done = Done { roots: (before, change.state.root), removed: change.removed, pending, entered };
    transaction.commit().map_err(sql)?;
    Ok((result, done))
}

impl Change<'_> {
    /// Empties the file and gives it these keys.
    pub(super) fn clear(&mut self, wrapping: &Wrapping) -> Result<()> {
        for table in format::TABLES {
            self.connection.execute(&format!("DELETE FROM {table}"), []).map_err(sql)?;
        }
        self.state = State::default();
        // Whoever it was, the new token is nobody's peer.
        self.peer = None;
        self.removed = true;
        wrapping.save(self.connection, self.keys, 1, 0)?;
        self.keys.save_ring(self.connection, self.keys.ring())?;
        let query = "INSERT INTO meta (name, value) VALUES ('token', ?)";
        self.connection.execute(query, [self.keys.token.0]).map_err(sql)?;
        self.has_state = true;
        self.state.save(self.connection, self.keys)
    }

    /// The record as this transaction sees it.
    pub fn load(&mut self, kind: Kind, id: Id) -> Result<Option<Record>> {
        Ok(self.load_stored(kind, id)?.map(|(record, _)| record))
    }

    /// The same with its stored element.
    fn load_stored(&mut self, kind: Kind, id: Id) -> Result<Option<(Record, Vec<u8>)>> {
        self.check_bucket(id)?;
        let Some((record, element)) = select(self.connection, kind, id)? else { return Ok(None) };
        if !self.touched_ids.contains(&(kind, id)) {
            digest::check_element(self.connection, self.keys, &record, &element)?;
        }
        Ok(Some((record, element)))
    }

    /// A bucket in which this transaction already changed something is checked no more: it was.
    fn check_bucket(&self, id: Id) -> Result<()> {
        match self.touched_buckets.contains(&digest::bucket(id)) {
            true => Ok(()),
            false => digest::check_bucket(self.connection, id),
        }
    }

    /// All of a kind, headers only.
    pub fn list(&mut self, kind: Kind) -> Result<Vec<Header>> {
        list(self.connection, kind)
    }

    /// All objects of an owner, headers only.
    pub fn owned(&mut self, owner: Id) -> Result<Vec<Header>> {
        let mut found = Vec::new();
        super::search::search(self.connection, Kind::Object, owner, &[], &mut found)?;
        Ok(found)
    }

    pub fn open_body(&self, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
        seal::open(self.keys, record, key)
    }

    /// All records were taken out: what this transaction knew of them is void, and their bytes must go.
    pub(super) fn forget_touched(&mut self) {
        self.removed = true;
        self.touched.clear();
        self.touched_ids.clear();
        self.touched_buckets.clear();
    }

    /// Notes that a record changes, with the element it had; checks it the first time.
    pub(super) fn touch(&mut self, kind: Kind, id: Id) -> Result<Option<Header>> {
        self.check_state()?;
        let stored = self.load_stored(kind, id)?;
        if self.touched_ids.insert((kind, id)) {
            let old = stored.as_ref().map_or(Ok(Sum::default()), |(_, element)| Sum::from_bytes(element))?;
            self.touched.push((kind, id, old));
            self.touched_buckets.insert(digest::bucket(id));
        }
        Ok(stored.map(|(record, _)| record.header))
    }

    fn check_state(&self) -> Result<()> {
        if self.has_state { Ok(()) } else { State::load(self.connection, self.keys).map(drop) }
    }

    /// What a record has beside itself, where nothing of it is yet.
    pub(super) fn insert_keys_and_terms(&self, row: &RecordRow) -> Result<()> {
        let id = row.record.header.id;
        let mut keys = self.connection.prepare_cached("INSERT INTO keys VALUES (?, ?, ?)").map_err(sql)?;
        for (holder, wrapped) in &row.keys {
            keys.execute(params![id.0, holder.0, wrapped]).map_err(sql)?;
        }
        let mut terms = self.connection.prepare_cached("INSERT INTO terms VALUES (?, ?)").map_err(sql)?;
        for term in &row.terms {
            terms.execute(params![term, id.0]).map_err(sql)?;
        }
        Ok(())
    }

    /// Puts a record whole in a place where nothing is. `row`: keys and terms in the order of the file.
    pub(super) fn insert_whole(&mut self, row: &RecordRow) -> Result<()> {
        let header = row.record.header;
        self.check_state()?;
        self.check_bucket(header.id)?;
        let element = digest::element_of(self.keys, row)?;
        self.insert_with(&header, &row.record.body, &element.to_bytes())?;
        self.insert_keys_and_terms(row)?;
        self.touched_buckets.insert(digest::bucket(header.id));
        self.note_outgoing(header)?;
        self.account((header.kind, header.id), Sum::default(), element)
    }

    /// Seals and writes. A present record must have `header.version - 1`, a new one version 1:
    /// otherwise `FunctionFailed` (someone else was faster) and the transaction should end.
    /// `terms`, in the scope of `header.owner`, replace the former ones of all scopes.
    pub fn put(&mut self, header: Header, key: BodyKey<'_>, plain: &[u8], terms: &[Term]) -> Result<()> {
        let epoch = self.keys.epoch_of_new(&header);
        let header = Header { author: self.author(), epoch, ..header.sealed_once() };
        let present = self.touch(header.kind, header.id)?.map_or(0, |header| header.version);
        if header.version != present + 1 {
            return Err(
                Error::FunctionFailed.because(format_args!("record {} was changed meanwhile", header.id))
            );
        }
        let body = seal::seal(self.keys, &header, key, plain)?;
        self.insert(&header, &body)?;
        let mut forget = self.connection.prepare_cached("DELETE FROM terms WHERE object = ?").map_err(sql)?;
        forget.execute([header.id.0]).map_err(sql)?;
        self.write_terms(header.id, header.owner, terms)
    }

    /// The row of a record; its element is made at the end.
    pub(super) fn insert(&self, header: &Header, body: &[u8]) -> Result<()> {
        self.insert_with(header, body, b"")
    }

    fn insert_with(&self, header: &Header, body: &[u8], element: &[u8]) -> Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .map_err(sql)?;
        let written = statement.execute(params![
            header.kind as u8,
            header.id.0,
            header.version as i64,
            header.epoch,
            header.author.0,
            header.owner.0,
            header.flags,
            digest::bucket(header.id),
            element,
            body
        ]);
        written.map(drop).map_err(sql)
    }

    /// Terms of an object in one more scope: who searches there finds it too.
    pub fn add_terms(&mut self, object: Id, scope: Id, terms: &[Term]) -> Result<()> {
        self.touch(Kind::Object, object)?;
        self.write_terms(object, scope, terms)
    }

    /// Whether an object has a term in a scope.
    pub fn has_term(&self, object: Id, scope: Id, term: &Term) -> Result<bool> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM terms WHERE term = ? AND object = ?")
            .map_err(sql)?;
        statement.exists(params![self.keys.term(scope, term), object.0]).map_err(sql)
    }

    fn write_terms(&self, object: Id, scope: Id, terms: &[Term]) -> Result<()> {
        let mut remember =
            self.connection.prepare_cached("INSERT OR IGNORE INTO terms VALUES (?, ?)").map_err(sql)?;
        for term in terms {
            remember.execute(params![self.keys.term(scope, term), object.0]).map_err(sql)?;
        }
        Ok(())
    }

    /// Entries of the blind index as they once were, beside the present ones.
    pub fn put_terms_back(&mut self, object: Id, terms: &[[u8; 16]]) -> Result<()> {
        self.touch(Kind::Object, object)?;
        let mut remember =
            self.connection.prepare_cached("INSERT OR IGNORE INTO terms VALUES (?, ?)").map_err(sql)?;
        for term in terms {
            remember.execute(params![term, object.0]).map_err(sql)?;
        }
        Ok(())
    }

    /// As `Store::find`, of what this transaction sees.
    pub fn find(&self, kind: Kind, scopes: &[Id], terms: &[Term]) -> Result<Vec<Header>> {
        super::find(self.connection, self.keys, kind, scopes, terms)
    }

    /// Gives a data key to a holder; one that he had counts as removed.
    pub fn put_key(&mut self, object: Id, holder: Id, wrapped: &[u8]) -> Result<()> {
        self.touch(Kind::Object, object)?;
        self.removed |= load_key(self.connection, object, holder)?.is_some();
        let mut statement =
            self.connection.prepare_cached("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)").map_err(sql)?;
        statement.execute(params![object.0, holder.0, wrapped]).map_err(sql)?;
        Ok(())
    }

    pub fn load_key(&mut self, object: Id, holder: Id) -> Result<Option<Vec<u8>>> {
        load_key(self.connection, object, holder)
    }

    /// Takes a data key away from a holder, overwriting the page.
    pub fn remove_key(&mut self, object: Id, holder: Id) -> Result<()> {
        self.touch(Kind::Object, object)?;
        self.removed = true;
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM keys WHERE object = ? AND holder = ?")
            .map_err(sql)?;
        statement.execute(params![object.0, holder.0]).map_err(sql)?;
        Ok(())
    }

    /// Who holds a data key of an object.
    pub fn holders(&self, object: Id) -> Result<Vec<Id>> {
        holders(self.connection, object)
    }

    /// The objects whose data key someone holds. Reads all keys.
    pub fn held_by(&self, holder: Id) -> Result<Vec<Id>> {
        ids(self.connection, "SELECT object FROM keys WHERE holder = ?", [holder.0])
    }

    /// Removes a record with its terms and wrapped keys, overwriting the pages. Of a member's, the peers
    /// are told.
    pub fn remove(&mut self, kind: Kind, id: Id) -> Result<()> {
        let Some(old) = self.touch(kind, id)? else { return Ok(()) };
        self.erase(kind, id)?;
        if self.peer.is_some() { self.put_gone(old) } else { Ok(()) }
    }

    /// The rows of a record that was touched.
    pub(super) fn erase(&mut self, kind: Kind, id: Id) -> Result<()> {
        self.removed = true;
        for query in ["DELETE FROM terms WHERE object = ?", "DELETE FROM keys WHERE object = ?"] {
            self.connection.prepare_cached(query).map_err(sql)?.execute([id.0]).map_err(sql)?;
        }
        let mut statement =
            self.connection.prepare_cached("DELETE FROM records WHERE kind = ? AND id = ?").map_err(sql)?;
        statement.execute(params![kind as u8, id.0]).map_err(sql)?;
        Ok(())
    }

    /// As `Store::derived_secret`, of the token being written (also inside `Store::create`).
    pub fn derived_secret(&self, purpose: &[u8]) -> Secret {
        self.keys.derived(purpose)
    }

    pub fn token_id(&self) -> Id {
        self.keys.token
    }

    /// New elements for what was touched, the state and the change log.
    pub(super) fn settle(&mut self) -> Result<()> {
        if self.touched.is_empty() && !self.settled {
            return if self.lines.is_empty() { Ok(()) } else { self.state.save(self.connection, self.keys) };
        }
        self.touched_ids.clear();
        self.touched_buckets.clear();
        for (kind, id, old) in std::mem::take(&mut self.touched) {
            let new = match select(self.connection, kind, id)? {
                Some((record, _)) => {
                    let new = digest::element(self.connection, self.keys, &record)?;
                    let mut statement = self
                        .connection
                        .prepare_cached("UPDATE records SET element = ? WHERE kind = ? AND id = ?")
                        .map_err(sql)?;
                    statement.execute(params![new.to_bytes(), kind as u8, id.0]).map_err(sql)?;
                    self.note_outgoing(record.header)?;
                    new
                }
                None => Sum::default(),
            };
            self.account((kind, id), old, new)?;
        }
        self.settled = false;
        let mut prune = self
            .connection
            .prepare_cached("DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?")
            .map_err(sql)?;
        prune.execute([LOG_LENGTH]).map_err(sql)?;
        self.state.save(self.connection, self.keys)
    }

    /// Exchanges an element for another (none: zero) in the digest, and tells other processes.
    fn account(&mut self, (kind, id): (Kind, Id), old: Sum, new: Sum) -> Result<()> {
        self.settled = true;
        self.state.exchange(self.connection, self.keys, id, old, new)?;
        match (old == Sum::default(), new == Sum::default()) {
            (true, false) => self.state.records += 1,
            (false, true) => self.state.records -= 1,
            _ => {}
        }
        let mut log =
            self.connection.prepare_cached("INSERT INTO changes (kind, id) VALUES (?, ?)").map_err(sql)?;
        log.execute(params![kind as u8, id.0]).map(drop).map_err(sql)
    }
}

/// All of a kind, headers only.
pub fn list(connection: &Connection, kind: Kind) -> Result<Vec<Header>> {
    let query = format!("SELECT {HEADER} FROM records WHERE kind = ?");
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    let mut rows = statement.query([kind as u8]).map_err(sql)?;
    let mut headers = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        headers.push(header(row)?);
    }
    Ok(headers)
}

/// The ids that a query gives.
pub fn ids(connection: &Connection, query: &str, values: impl rusqlite::Params) -> Result<Vec<Id>> {
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let mut rows = statement.query(values).map_err(sql)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        found.push(Id::from_row(row.get(0).map_err(sql)?)?);
    }
    Ok(found)
}

/// Who holds a data key of an object, in order.
pub fn holders(connection: &Connection, object: Id) -> Result<Vec<Id>> {
    ids(connection, "SELECT holder FROM keys WHERE object = ? ORDER BY holder", [object.0])
}

pub fn load_key(connection: &Connection, object: Id, holder: Id) -> Result<Option<Vec<u8>>> {
    let mut statement =
        connection.prepare_cached("SELECT wrapped FROM keys WHERE object = ? AND holder = ?").map_err(sql)?;
    statement.query_row(params![object.0, holder.0], |row| row.get(0)).optional().map_err(sql)
}

/// The change log after `since`.
pub fn changes(connection: &Connection, keys: &Keys, since: u64) -> Result<Changes> {
    State::load(connection, keys)?;
    let mut bounds = connection
        .prepare_cached("SELECT ifnull(min(seq), 0), ifnull(max(seq), 0) FROM changes")
        .map_err(sql)?;
    let (oldest, newest): (i64, i64) =
        bounds.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
    let mut changes = Changes { upto: newest as u64, ..Changes::default() };
    if since == u64::MAX || since == changes.upto {
        return Ok(changes);
    }
    if since > changes.upto || since + 1 < oldest as u64 {
        changes.reset = true;
        return Ok(changes);
    }
    let mut statement =
        connection.prepare_cached("SELECT kind, id FROM changes WHERE seq > ?").map_err(sql)?;
    let mut rows = statement.query([since as i64]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        let kind = Kind::from_row(row.get(0).map_err(sql)?)?;
        changes.records.push((kind, Id::from_row(row.get(1).map_err(sql)?)?));
    }
    Ok(changes)
}
