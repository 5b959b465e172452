//! A record as bytes, sealed as it lies in the file: in backups, and on its way between the hosts of a cluster.

use super::{Header, Id, Kind, Record, RecordRow, seal};
use crate::error::Result;

impl Header {
    /// The 65 bytes that are authenticated with a body.
    pub fn to_bytes(&self) -> [u8; 65] {
        seal::header_bytes(self)
    }

    pub fn from_bytes(bytes: &[u8; 65]) -> Result<Header> {
        let id = |at: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[at..at + 16]);
            Id(id)
        };
        let small = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let version = u64::from(small(17)) | u64::from(small(21)) << 32;
        let kind = Kind::from_row(bytes[0].into())?;
        Ok(Header {
            kind,
            id: id(1),
            version,
            epoch: small(25),
            author: id(29),
            owner: id(45),
            flags: small(61),
        })
    }
}

impl RecordRow {
    /// Header (65), then the body after its length, the number of keys, each holder (16) and wrapped key after
    /// its length, the number of terms, each 16; numbers u32 LE.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.record.header.to_bytes().to_vec();
        put(&mut out, &self.record.body);
        out.extend_from_slice(&length_of(self.keys.len()));
        for (holder, wrapped) in &self.keys {
            out.extend_from_slice(&holder.0);
            put(&mut out, wrapped);
        }
        out.extend_from_slice(&length_of(self.terms.len()));
        self.terms.iter().for_each(|term| out.extend_from_slice(term));
        out
    }

    /// `None` when the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Option<RecordRow> {
        let mut rest = Rest(bytes);
        let header = Header::from_bytes(&rest.take()?).ok()?;
        let record = Record { header, body: rest.bytes()?.to_vec() };
        let mut keys = Vec::new();
        for _ in 0..rest.number()? {
            keys.push((Id(rest.take()?), rest.bytes()?.to_vec()));
        }
        let mut terms = Vec::new();
        for _ in 0..rest.number()? {
            terms.push(rest.take()?);
        }
        rest.0.is_empty().then_some(RecordRow { record, keys, terms })
    }

    /// Several, each after its length.
    pub fn encode_all(rows: &[RecordRow]) -> Vec<u8> {
        let mut out = Vec::new();
        rows.iter().for_each(|row| put(&mut out, &row.encode()));
        out
    }

    pub fn decode_all(bytes: &[u8]) -> Option<Vec<RecordRow>> {
        let (mut rest, mut rows) = (Rest(bytes), Vec::new());
        while !rest.0.is_empty() {
            rows.push(RecordRow::decode(rest.bytes()?)?);
        }
        Some(rows)
    }
}

/// SQLite holds nothing over 2 GiB.
fn length_of(bytes: usize) -> [u8; 4] {
    (bytes as u32).to_le_bytes()
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length_of(bytes.len()));
    out.extend_from_slice(bytes);
}

/// What was not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()? as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
