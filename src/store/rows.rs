//! A token's rows out of its file, and back as they were: what a backup is made of.
//!
//! Sealed stays sealed: bodies, wrapped keys, terms and lines of the log travel as they lie in the file. Only
//! the token's secrets are in the clear in an [`Identity`]; whoever takes one encrypts it. [`Check`] follows rows
//! outside the file as strictly as the file's own reading does.

use super::connection::{self, sql};
use super::digest::{self, State, Sum};
use super::seal::{self, Keys};
use super::{BodyKey, Change, GATE, HEADER, Id, Record, Ring, Store, Term, Wrapping, header, log};
use crate::audit::Tip;
use crate::config::SlotConfig;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// What makes a file this token.
#[derive(Clone)]
pub struct Identity {
    pub token: Id,
    /// In the clear.
    pub ring: Ring,
    /// The `state` row: the digest's root, how many records, the end of the log, under a MAC.
    pub state: Vec<u8>,
}

/// A record and all that is stored of it, sealed as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    pub record: Record,
    /// Its data key as wrapped for each holder, by holder.
    pub keys: Vec<(Id, Vec<u8>)>,
    /// Its entries in the blind index, in order.
    pub terms: Vec<[u8; 16]>,
}

/// The rows of a token in the order in which they are told: the identity, the records, the log.
pub enum Row {
    Identity(Identity),
    Record(RecordRow),
    /// Number and sealed line.
    Line(u64, Vec<u8>),
}

/// Follows the rows of a token outside its file: each record's element, all of them against the token's
/// state, the numbers and the end of the log. Opens what the seal key alone opens.
pub struct Check {
    keys: Keys,
    state: State,
    sums: BTreeMap<u16, Sum>,
    records: u64,
    log: Tip,
}

impl Check {
    /// `DeviceError` when the state is not one under this identity's key.
    pub fn new(identity: &Identity) -> Result<Check> {
        // What the rows say needs no file.
        let keys = Keys::new(identity.token, identity.ring.root.clone(), identity.ring.clone());
        let state = State::parse(&identity.state, &keys)?
            .ok_or_else(|| Error::DeviceError.because("the state of the token was altered"))?;
        Ok(Check { keys, state, sums: BTreeMap::new(), records: 0, log: Tip::default() })
    }

    /// How many records there must be.
    pub fn records(&self) -> u64 {
        self.state.records
    }

    /// Where the log must end.
    pub fn tip(&self) -> Tip {
        self.state.log
    }

    /// Where the log ended with the line that came last.
    pub fn so_far(&self) -> Tip {
        self.log
    }

    pub fn record(&mut self, row: &RecordRow) -> Result<()> {
        let sum = self.sums.entry(digest::bucket(row.record.header.id)).or_default();
        *sum = sum.plus(digest::element_of(&self.keys, row)?);
        self.records += 1;
        Ok(())
    }

    /// The next line of the log, opened.
    pub fn line(&mut self, sequence: u64, body: &[u8]) -> Result<Vec<u8>> {
        let next = follows(self.log, sequence);
        let line = seal::open_line(&self.keys, sequence, body).filter(|_| next);
        let line = line.ok_or_else(|| {
            Error::DeviceError.because(format_args!("entry {sequence} of the audit log was altered"))
        })?;
        self.log = Tip { sequence: sequence - 1, ..self.log }.and(&line);
        Ok(line)
    }

    /// What is sealed under the seal key itself.
    pub fn open(&self, record: &Record) -> Result<Secret> {
        seal::open(&self.keys, record, BodyKey::Seal)
    }

    /// Whether a record has this term in its owner's scope.
    pub fn has_term(&self, row: &RecordRow, term: &Term) -> bool {
        row.terms.contains(&self.keys.term(row.record.header.owner, term))
    }

    /// Whether this was all, as the state says: `DeviceError`.
    pub fn finish(self) -> Result<()> {
        if self.log != self.state.log {
            return Err(Error::DeviceError.because("the audit log does not end where the token says"));
        }
        if self.records != self.state.records || digest::root_of(&self.keys, self.sums) != self.state.root {
            return Err(Error::DeviceError
                .because("the records are not those of the token's state: some were altered or dropped"));
        }
        Ok(())
    }
}

/// How often the end of an export tries to empty SQLite's log, and how long it waits in between: readers
/// are gone in a moment.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Tells all rows of one moment. It reads on a connection of its own: nobody waits for it, but a fork of
    /// this very process. `DeviceError` when the file was damaged or altered.
    pub fn export(&self, take: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let _gate = GATE.read();
        self.tell_rows(take)
    }

    /// As `export`; the caller holds the gate.
    fn tell_rows(&self, take: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        self.link.in_place()?;
        let connection = self.link.reader()?;
        let transaction = connection.unchecked_transaction().map_err(sql)?;
        self.keys.refresh(&transaction)?;
        State::load(&transaction, &self.keys)?;
        let state = connection::meta(&transaction, "state")?.unwrap_or_default();
        let identity = Identity { token: self.keys.token, ring: self.keys.ring().clone(), state };
        let mut check = Check::new(&identity)?;
        take(Row::Identity(identity))?;
        self.export_records(&transaction, &mut |row| {
            check.record(&row)?;
            take(Row::Record(row))
        })?;
        log::export_lines(&transaction, &mut |sequence, body| {
            check.line(sequence, &body)?;
            take(Row::Line(sequence, body))
        })?;
        check.finish()
    }

    fn export_records(
        &self,
        connection: &Connection,
        take: &mut dyn FnMut(RecordRow) -> Result<()>,
    ) -> Result<()> {
        let query = format!("SELECT {HEADER}, body, element FROM records ORDER BY kind, id");
        let mut statement = connection.prepare(&query).map_err(sql)?;
        let mut rows = statement.query([]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let record = Record { header: header(row)?, body: row.get(7).map_err(sql)? };
            let id = record.header.id;
            let row_of =
                RecordRow { keys: keys_of(connection, id)?, terms: terms_of(connection, id)?, record };
            let stored = Sum::from_bytes(&row.get::<_, Vec<u8>>(8).map_err(sql)?)?;
            if digest::element_of(&self.keys, &row_of)? != stored {
                return Err(Error::DeviceError.because(format_args!("record {id} was altered")));
            }
            take(row_of)?;
        }
        Ok(())
    }

    /// Empties SQLite's own log, in which deleted bytes stay while somebody reads for long. Not done while
    /// readers come one after the other; then the next deletion or the last close does it.
    pub fn empty_log(&self) {
        if self.read_only() {
            return;
        }
        for _ in 0..TRIES {
            {
                let _gate = GATE.read();
                let Ok(connection) = self.link.writer() else { return };
                if connection::truncate_log(&connection, Duration::ZERO) {
                    return;
                }
                connection::close_quickly(Some(connection));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// A new file holding the token that `identity` names, its seal key wrapped anew as `config` says;
    /// `first` puts its rows back: all or nothing. A present file is never touched.
    pub fn restore(
        config: &SlotConfig,
        identity: &Identity,
        first: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        let wrapping = Wrapping::fresh(&config.seal)?;
        let _gate = GATE.read();
        Self::make(config, Keys::of_new_file(identity.token, identity.ring.clone())?, &wrapping, first)
    }

    /// A new file holding what another one holds, its seal key wrapped anew as `config` says, and then what `last`
    /// does to it: all or nothing. A present file is never touched.
    pub fn copy(
        config: &SlotConfig,
        from: &Store,
        last: impl FnOnce(&mut Change<'_>) -> Result<()>,
    ) -> Result<Store> {
        let wrapping = Wrapping::fresh(&config.seal)?;
        from.refresh()?;
        let keys = Keys::of_new_file(from.keys.token, from.keys.ring().clone())?;
        let _gate = GATE.read();
        Self::make(config, keys, &wrapping, |change| {
            let mut identity = None;
            from.tell_rows(&mut |row| match row {
                Row::Identity(told) => {
                    identity = Some(told);
                    Ok(())
                }
                Row::Record(row) => change.put_back(&row),
                Row::Line(sequence, body) => change.put_line_back(sequence, &body),
            })?;
            if !change.is_whole(&identity.ok_or(Error::GeneralError)?)? {
                return Err(Error::DeviceError.because("what was copied is not what the other file says"));
            }
            last(change)
        })
    }

    /// Whether this is the token that `identity` names, with the same root of its secrets.
    pub fn is(&self, identity: &Identity) -> bool {
        self.keys.token == identity.token && self.keys.ring().root == identity.ring.root
    }
}

/// Whether a line may come after this end. A log of which old entries were removed begins anywhere; that it
/// may do so, the chain of its lines says.
fn follows(end: Tip, sequence: u64) -> bool {
    if end == Tip::default() { sequence > 0 } else { sequence == end.sequence + 1 }
}

pub(super) fn keys_of(connection: &Connection, object: Id) -> Result<Vec<(Id, Vec<u8>)>> {
    let query = "SELECT holder, wrapped FROM keys WHERE object = ? ORDER BY holder";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let mut rows = statement.query([object.0]).map_err(sql)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        found.push((Id::from_row(row.get(0).map_err(sql)?)?, row.get(1).map_err(sql)?));
    }
    Ok(found)
}

pub(super) fn terms_of(connection: &Connection, object: Id) -> Result<Vec<[u8; 16]>> {
    let query = "SELECT term FROM terms WHERE object = ? ORDER BY term";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    let mut rows = statement.query([object.0]).map_err(sql)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql)? {
        found.push(Id::from_row(row.get(0).map_err(sql)?)?.0);
    }
    Ok(found)
}

impl Change<'_> {
    /// Takes all records out, and keeps the log. Other processes forget all that they know.
    pub fn empty(&mut self) -> Result<()> {
        for table in ["records", "keys", "terms", "digest", "changes"] {
            self.connection.execute(&format!("DELETE FROM {table}"), []).map_err(sql)?;
        }
        // A gap in the numbers of the change log: whoever knew it up to any point looks at everything anew.
        let gap = "UPDATE sqlite_sequence SET seq = seq + 2 WHERE name = 'changes'";
        self.connection.execute(gap, []).map_err(sql)?;
        self.state = State { log: self.state.log, ..State::default() };
        self.forget_touched();
        self.state.save(self.connection, self.keys)
    }

    /// Takes the log out, for another one that holds all of it and more.
    pub fn empty_lines(&mut self) -> Result<()> {
        self.connection.execute("DELETE FROM audit", []).map_err(sql)?;
        self.state.log = Tip::default();
        Ok(())
    }

    /// Puts a record back as it was, in the place of a present one.
    pub fn put_back(&mut self, row: &RecordRow) -> Result<()> {
        let Record { header, body } = &row.record;
        self.remove(header.kind, header.id)?;
        self.touch(header.kind, header.id)?;
        self.insert(header, body)?;
        self.insert_keys_and_terms(row)
    }

    /// Puts the next line of the log back as it was.
    pub fn put_line_back(&mut self, sequence: u64, body: &[u8]) -> Result<()> {
        let line =
            seal::open_line(self.keys, sequence, body)
                .filter(|_| follows(self.state.log, sequence))
                .ok_or_else(|| Error::DeviceError.because(format_args!("entry {sequence} does not open")))?;
        let mut statement = self.connection.prepare_cached("INSERT INTO audit VALUES (?, ?)").map_err(sql)?;
        statement.execute(params![sequence as i64, body]).map_err(sql)?;
        self.state.log = Tip { sequence: sequence - 1, ..self.state.log }.and(&line);
        Ok(())
    }

    /// The root and the number of records as they will be; for comparing with where rows came from.
    pub fn is_whole(&mut self, identity: &Identity) -> Result<bool> {
        self.settle()?;
        let there = State::parse(&identity.state, self.keys)?;
        Ok(there.is_some_and(|there| (there.root, there.records) == (self.state.root, self.state.records)))
    }
}
