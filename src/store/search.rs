//! Finding records: one by kind and id, many by the blind index.

use super::connection::sql;
use super::record::{HEADER, header};
use super::seal::Keys;
use super::{Header, Id, Kind, Record, Term};
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, params};

/// A record with its stored element of the state digest.
pub(super) fn select(connection: &Connection, kind: Kind, id: Id) -> Result<Option<(Record, Vec<u8>)>> {
    let query = format!("SELECT {HEADER}, body, element FROM records WHERE kind = ? AND id = ?");
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    let read = |row: &rusqlite::Row<'_>| Ok((header(row), row.get(7)?, row.get(8)?));
    let row = statement.query_row(params![kind as u8, id.0], read).optional().map_err(sql)?;
    row.map(|(header, body, element)| Ok((Record { header: header?, body }, element))).transpose()
}

/// As [`super::Store::find`].
pub(super) fn find(
    connection: &Connection,
    keys: &Keys,
    kind: Kind,
    scopes: &[Id],
    terms: &[Term],
) -> Result<Vec<Header>> {
    let mut found = Vec::new();
    for scope in scopes {
        let hashes: Vec<_> = terms.iter().map(|term| keys.term(*scope, term)).collect();
        search(connection, kind, *scope, &hashes, &mut found)?;
    }
    Ok(found)
}

/// Adds the headers of the records under all the hashes: the first leads, the rest filter. Without
/// hashes: of an owner's records. (A hash is of one scope; it needs no owner beside it.)
pub(super) fn search(
    connection: &Connection,
    kind: Kind,
    owner: Id,
    hashes: &[[u8; 16]],
    found: &mut Vec<Header>,
) -> Result<()> {
    let mut query = format!("SELECT {HEADER} FROM records r WHERE kind = ?1 AND owner = ?2");
    let mut values: Vec<rusqlite::types::Value> = vec![i64::from(kind as u8).into()];
    if let Some(rest) = hashes.len().checked_sub(1) {
        // CROSS JOIN keeps SQLite's planner from starting anywhere but at the first term.
        query = format!(
            "SELECT {HEADER} FROM terms t0 CROSS JOIN records r ON r.kind = ?1 AND r.id = t0.object \
             WHERE t0.term = ?2"
        );
        for number in 0..rest {
            let parameter = number + 3;
            query += &format!(
                " AND EXISTS (SELECT 1 FROM terms WHERE term = ?{parameter} AND object = t0.object)"
            );
        }
    } else {
        values.push(owner.0.to_vec().into());
    }
    let mut statement = connection.prepare_cached(&query).map_err(sql)?;
    values.extend(hashes.iter().map(|hash| hash.to_vec().into()));
    let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        found.push(header(row)?);
    }
    Ok(())
}
