//! The numbered formats of the file: what each has, and how a file comes from one to the next.
//!
//! A file of an earlier format is read as it is and moved on at its first write. To change the format:
//! the next migration in [`MIGRATIONS`], a table's name in [`TABLES`], a line in ARCHITECTURE.md, vectors in
//! `pkcs11-tests/vectors`.

use super::connection::sql;
use crate::error::{Error, Result};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::path::Path;

/// "Strg": tells our files from others.
const APPLICATION_ID: i64 = 0x5374_7267;
const FIRST: i64 = 1;
/// What is written now.
const FORMAT: i64 = FIRST + MIGRATIONS.len() as i64;

/// Emptied when a token is made anew.
pub const TABLES: &[&str] =
    &["records", "keys", "terms", "digest", "changes", "audit", "meta", "outbox", "overruled"];

/// From format N to N+1, the first from 1.
const MIGRATIONS: &[&str] = &[
    // 2: the audit log. The `state` row grows by the log's end when it is written next.
    "CREATE TABLE audit (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    // 3: the cluster: what peers do not have yet, and what gave way to theirs.
    "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE) STRICT;
     CREATE TABLE overruled (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
        version INTEGER NOT NULL) STRICT;",
    // 4: epochs: the row `ring` in `meta`, and records of kind 6. No table changes.
    "",
];

/// Format 1.
const SCHEMA: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (
    kind INTEGER NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, epoch INTEGER NOT NULL,
    author BLOB NOT NULL, owner BLOB NOT NULL, flags INTEGER NOT NULL,
    bucket INTEGER NOT NULL, element BLOB NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, id)) STRICT;
CREATE INDEX records_by_bucket ON records (bucket, element);
CREATE INDEX records_by_owner ON records (kind, owner);
CREATE TABLE keys (object BLOB NOT NULL, holder BLOB NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (object, holder)) STRICT, WITHOUT ROWID;
CREATE TABLE terms (term BLOB NOT NULL, object BLOB NOT NULL, PRIMARY KEY (term, object)) STRICT, WITHOUT ROWID;
CREATE INDEX terms_by_object ON terms (object);
CREATE TABLE digest (bucket INTEGER PRIMARY KEY, sum BLOB NOT NULL) STRICT;
CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, id BLOB NOT NULL) STRICT;
";

/// The tables of a new file.
pub fn make(connection: &Connection) -> Result<()> {
    connection.execute_batch(SCHEMA).map_err(sql)?;
    for migration in MIGRATIONS {
        connection.execute_batch(migration).map_err(sql)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
    connection.pragma_update(None, "user_version", FORMAT).map_err(sql)
}

/// The format of a file.
pub fn number(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)
}

/// Brings an earlier file to the present format: each step whole or not at all. A program that knows only
/// the earlier one refuses the file from then on.
pub fn migrate(connection: &Connection) -> Result<()> {
    if number(connection)? == FORMAT {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(sql)?;
    // Another process may have been faster.
    let done = usize::try_from(number(&transaction)? - FIRST).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.get(done..).unwrap_or_default() {
        transaction.execute_batch(migration).map_err(sql)?;
    }
    if done < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", FORMAT).map_err(sql)?;
    }
    transaction.commit().map_err(sql)
}

/// `TokenNotRecognized` when the file is not ours or of a newer format.
pub fn check(connection: &Connection, path: &Path) -> Result<()> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let not_ours = |why: &str| Error::TokenNotRecognized.because(format_args!("{}: {why}", path.display()));
    let application = pragma("application_id").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => not_ours("not a token file"),
        _ => sql(error),
    })?;
    if application != APPLICATION_ID {
        return Err(not_ours("not a Strongroom token file"));
    }
    // Its pages of another kind look like a tree's to `vfs`.
    if pragma("auto_vacuum").map_err(sql)? != 0 {
        return Err(not_ours(
            "rewritten by SQLite with auto_vacuum, which is not its format: set it to 0 and VACUUM",
        ));
    }
    match pragma("user_version").map_err(sql)? {
        FIRST..=FORMAT => Ok(()),
        newer if newer > FORMAT => Err(not_ours("made by a newer Strongroom")),
        _ => Err(not_ours("of an unknown format")),
    }
}
