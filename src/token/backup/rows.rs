//! Rows of a token as bytes in the stream: kind (u8), length (u32 LE), then
//!
//! | kind | holds |
//! |---|---|
//! | 1 identity | token id 16, seal key 32, `state` row |
//! | 2 record | header 65, body, number of keys u32, each holder 16 and wrapped, number of terms u32, each 16 |
//! | 3 line | sequence u64, sealed line |
//!
//! What has no fixed width follows its length (u32 LE).

use super::stream::{Opener, Sealer};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::store::{Header, Id, Identity, Record, RecordRow, Row};

const IDENTITY: u8 = 1;
const RECORD: u8 = 2;
const LINE: u8 = 3;

fn length_of(bytes: usize) -> Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| Error::DeviceMemory.because("a row over 4 GiB"))
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.extend_from_slice(&length_of(bytes.len())?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Writes the next row.
pub fn write(out: &mut Sealer, row: &Row) -> Result<()> {
    let (kind, payload) = match row {
        // The seal key goes through no buffer but the chunk's.
        Row::Identity(identity) => {
            out.write(&[IDENTITY])?;
            out.write(&length_of(48 + identity.state.len())?)?;
            out.write(&identity.token.0)?;
            out.write(&identity.seal)?;
            return out.write(&identity.state);
        }
        Row::Record(row) => (RECORD, record(row)?),
        Row::Line(sequence, body) => (LINE, [&sequence.to_le_bytes()[..], body].concat()),
    };
    out.write(&[kind])?;
    out.write(&length_of(payload.len())?)?;
    out.write(&payload)
}

fn record(row: &RecordRow) -> Result<Vec<u8>> {
    let mut out = row.record.header.to_bytes().to_vec();
    put(&mut out, &row.record.body)?;
    out.extend_from_slice(&length_of(row.keys.len())?);
    for (holder, wrapped) in &row.keys {
        out.extend_from_slice(&holder.0);
        put(&mut out, wrapped)?;
    }
    out.extend_from_slice(&length_of(row.terms.len())?);
    row.terms.iter().for_each(|term| out.extend_from_slice(term));
    Ok(out)
}

/// The next row; `None` at the end of an intact stream.
pub fn read(from: &mut Opener) -> Result<Option<Row>> {
    if from.at_end()? {
        return Ok(None);
    }
    let mut start = [0; 5];
    from.read(&mut start)?;
    let length = u32::from_le_bytes([start[1], start[2], start[3], start[4]]) as usize;
    let unknown =
        || Error::EncryptedDataInvalid.because("the backup holds a row that this version cannot read");
    // Whoever wrote it had the backup's key; a length beyond the file is still no reason to fill the memory.
    if length as u64 > from.all {
        return Err(unknown());
    }
    if start[0] == IDENTITY {
        let mut payload = Secret::zeroed(length);
        from.read(&mut payload)?;
        return identity(&payload).map(Some).ok_or_else(unknown);
    }
    let mut payload = vec![0; length];
    from.read(&mut payload)?;
    let mut rest = Rest(&payload);
    let row = match start[0] {
        RECORD => rest.record().map(Row::Record),
        LINE => rest.take::<8>().map(|sequence| Row::Line(u64::from_le_bytes(sequence), rest.0.to_vec())),
        _ => None,
    };
    row.map(Some).ok_or_else(unknown)
}

fn identity(payload: &[u8]) -> Option<Row> {
    let (token, rest) = payload.split_first_chunk::<16>()?;
    let (seal, state) = rest.split_at_checked(32)?;
    Some(Row::Identity(Identity { token: Id(*token), seal: seal.into(), state: state.to_vec() }))
}

/// What of a payload was not read yet.
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

    fn record(&mut self) -> Option<RecordRow> {
        let header = Header::from_bytes(&self.take()?).ok()?;
        let record = Record { header, body: self.bytes()?.to_vec() };
        let mut keys = Vec::new();
        for _ in 0..self.number()? {
            keys.push((Id(self.take()?), self.bytes()?.to_vec()));
        }
        let mut terms = Vec::new();
        for _ in 0..self.number()? {
            terms.push(self.take()?);
        }
        self.0.is_empty().then_some(RecordRow { record, keys, terms })
    }
}
