//! The audit log's table: sealed lines with numbers, the last of them known to the state row. What a line
//! says, and that it names the one before, is the business of whoever writes and checks it.

use super::connection::sql;
use super::digest::State;
use super::{Change, Store, format, seal};
use crate::audit::Tip;
use crate::error::{Error, Result};
use rusqlite::{Connection, params};

/// The first format that has the table.
const SINCE: i64 = 2;

/// What the token knows of its log, and what the table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// By the authenticated state.
    pub tip: Tip,
    /// The greatest number in the table.
    pub last: u64,
}

/// A line and its number; `None`: it does not open.
pub type Line = (u64, Option<Vec<u8>>);

impl Change<'_> {
    /// The end of the log as this transaction sees it.
    pub fn tip(&self) -> Tip {
        self.state.log
    }

    /// Adds the next line.
    pub fn append(&mut self, line: Vec<u8>) -> Result<()> {
        State::load(self.connection, self.keys)?;
        let tip = self.state.log.and(&line);
        let mut statement = self.connection.prepare_cached("INSERT INTO audit VALUES (?, ?)").map_err(sql)?;
        statement
            .execute(params![tip.sequence as i64, seal::seal_line(self.keys, tip.sequence, &line)?])
            .map_err(sql)?;
        self.state.log = tip;
        self.lines.push(line);
        Ok(())
    }

    /// Removes the lines up to a number; how many.
    pub fn remove_lines(&mut self, upto: u64) -> Result<u64> {
        State::load(self.connection, self.keys)?;
        let removed = self.connection.execute("DELETE FROM audit WHERE sequence <= ?", params![upto as i64]);
        self.removed = true;
        removed.map(|lines| lines as u64).map_err(sql)
    }

    /// The lines that this transaction added.
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }
}

fn has_table(connection: &Connection) -> Result<bool> {
    Ok(format::number(connection)? >= SINCE)
}

/// All lines as they lie there, in order.
pub fn export_lines(connection: &Connection, take: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>) -> Result<()> {
    if !has_table(connection)? {
        return Ok(());
    }
    let mut statement =
        connection.prepare("SELECT sequence, body FROM audit ORDER BY sequence").map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        take(row.get::<_, i64>(0).map_err(sql)? as u64, row.get(1).map_err(sql)?)?;
    }
    Ok(())
}

impl Store {
    pub fn log(&self) -> Result<Log> {
        self.read(|connection| {
            let tip = State::load(connection, &self.keys)?.log;
            if !has_table(connection)? {
                return Ok(Log { tip, last: 0 });
            }
            let mut statement =
                connection.prepare_cached("SELECT ifnull(max(sequence), 0) FROM audit").map_err(sql)?;
            let last: i64 = statement.query_row([], |row| row.get(0)).map_err(sql)?;
            Ok(Log { tip, last: last as u64 })
        })
    }

    /// At most `most` lines from number `from` on.
    pub fn lines(&self, from: u64, most: usize) -> Result<Vec<Line>> {
        let from = i64::try_from(from).map_err(|_| Error::ArgumentsBad)?;
        self.read(|connection| {
            let mut lines = Vec::new();
            if !has_table(connection)? {
                return Ok(lines);
            }
            let mut statement = connection
                .prepare_cached(
                    "SELECT sequence, body FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT ?",
                )
                .map_err(sql)?;
            let mut rows = statement.query(params![from, most as i64]).map_err(sql)?;
            while let Some(row) = rows.next().map_err(sql)? {
                let sequence = row.get::<_, i64>(0).map_err(sql)? as u64;
                let body: Vec<u8> = row.get(1).map_err(sql)?;
                lines.push((sequence, seal::open_line(&self.keys, sequence, &body)));
            }
            Ok(lines)
        })
    }
}
