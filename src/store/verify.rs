//! Reads everything and names what is wrong.

use super::connection::sql;
use super::digest::{self, State, Sum};
use super::seal::Keys;
use super::{Kind, Report, change, select, wrapping};
use crate::error::Result;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Every record against its element, every bucket against its records, the root against the
/// buckets, SQLite's own check of its pages. `watch` is told how many records of how many are done.
pub fn verify(connection: &Connection, keys: &Keys, watch: &mut dyn FnMut(u64, u64)) -> Result<Report> {
    let mut report = Report::default();
    let pages: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(sql)?;
    if pages != "ok" {
        report.faults.push(format!("the file's pages are damaged: {pages}"));
    }
    let mut sums: BTreeMap<u16, Sum> = BTreeMap::new();
    let kinds = [Kind::Token, Kind::User, Kind::Object];
    let lists = kinds.map(|kind| change::list(connection, kind).map(|headers| (kind, headers)));
    let lists = lists.into_iter().collect::<Result<Vec<_>>>()?;
    let all = lists.iter().map(|(_, headers)| headers.len() as u64).sum();
    for (kind, headers) in lists {
        for header in headers {
            report.records += 1;
            watch(report.records, all);
            let Some((record, stored)) = select(connection, kind, header.id)? else { continue };
            let made = digest::element(connection, keys, &record)?;
            if Sum::from_bytes(&stored).ok() != Some(made) {
                report.faults.push(format!("{kind:?} {} was altered", header.id));
            }
            let sum = sums.entry(digest::bucket(header.id)).or_default();
            *sum = sum.plus(made);
        }
    }
    let mut statement = connection.prepare("SELECT bucket, sum FROM digest").map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    while let Some(row) = rows.next().map_err(sql)? {
        let bucket: u16 = row.get(0).map_err(sql)?;
        let stored = Sum::from_bytes(&row.get::<_, Vec<u8>>(1).map_err(sql)?).ok();
        if stored != Some(sums.remove(&bucket).unwrap_or_default()) {
            report.faults.push(format!("bucket {bucket}: a record was altered, dropped, added or put back"));
        }
    }
    for bucket in sums.keys() {
        report.faults.push(format!("bucket {bucket} has records but no sum"));
    }
    report.faults.extend(wrapping::faults(connection, keys)?);
    match State::load(connection, keys) {
        Err(_) => report.faults.push("the state row was altered".into()),
        Ok(state) => {
            if digest::sum_of_buckets(connection, keys)? != state.root {
                report.faults.push("the root of the state digest does not match its buckets".into());
            }
            if state.records != report.records {
                report
                    .faults
                    .push(format!("{} records are there, {} should be", report.records, state.records));
            }
        }
    }
    Ok(report)
}
