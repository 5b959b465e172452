//! What belongs to this very file: neither a record nor in the state digest, and of no use in another file.
//! The caller seals it.

use super::connection::{meta, sql};
use super::{Change, Store};
use crate::error::Result;
use rusqlite::params;

impl Store {
    /// A row of `meta` by name.
    pub fn local(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|connection| meta(connection, name))
    }
}

impl Change<'_> {
    pub fn local(&self, name: &str) -> Result<Option<Vec<u8>>> {
        meta(self.connection, name)
    }

    pub fn set_local(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let insert = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)";
        self.connection.execute(insert, params![name, value]).map_err(sql)?;
        Ok(())
    }
}
