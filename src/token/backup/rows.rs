//! Rows of a token as bytes in the stream: kind (u8), length (u32 LE), then
//!
//! | kind | holds |
//! |---|---|
//! | 1 identity | token id 16, seal key 32, `state` row: of a token of before there were epochs |
//! | 2 record | header 65, body, number of keys u32, each holder 16 and wrapped, number of terms u32, each 16 |
//! | 3 line | sequence u64, sealed line |
//! | 4 identity | token id 16, the token's secrets after their length (u32), `state` row |
//!
//! What has no fixed width follows its length (u32 LE).

use super::stream::{Opener, Sealer};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::store::{Id, Identity, RecordRow, Ring, Row};

const IDENTITY: u8 = 1;
const RECORD: u8 = 2;
const LINE: u8 = 3;
const IDENTITY_WITH_RING: u8 = 4;

fn length_of(bytes: usize) -> Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| Error::DeviceMemory.because("a row over 4 GiB"))
}

/// Writes the next row.
pub fn write(out: &mut Sealer, row: &Row) -> Result<()> {
    let (kind, payload) = match row {
        // The seal key goes through no buffer but the chunk's.
        Row::Identity(identity) => {
            let ring = identity.ring.encode();
            let (kind, width) = if ring.len() == 32 { (IDENTITY, 0) } else { (IDENTITY_WITH_RING, 4) };
            out.write(&[kind])?;
            out.write(&length_of(16 + width + ring.len() + identity.state.len())?)?;
            out.write(&identity.token.0)?;
            out.write(&length_of(ring.len())?[..width])?;
            out.write(&ring)?;
            return out.write(&identity.state);
        }
        Row::Record(row) => (RECORD, row.encode()),
        Row::Line(sequence, body) => (LINE, [&sequence.to_le_bytes()[..], body].concat()),
    };
    out.write(&[kind])?;
    out.write(&length_of(payload.len())?)?;
    out.write(&payload)
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
    if matches!(start[0], IDENTITY | IDENTITY_WITH_RING) {
        let mut payload = Secret::zeroed(length);
        from.read(&mut payload)?;
        return identity(start[0], &payload).map(Some).ok_or_else(unknown);
    }
    let mut payload = vec![0; length];
    from.read(&mut payload)?;
    let row = match start[0] {
        RECORD => RecordRow::decode(&payload).map(Row::Record),
        LINE => payload
            .split_first_chunk()
            .map(|(sequence, line)| Row::Line(u64::from_le_bytes(*sequence), line.to_vec())),
        _ => None,
    };
    row.map(Some).ok_or_else(unknown)
}

fn identity(kind: u8, payload: &[u8]) -> Option<Row> {
    let (token, mut rest) = payload.split_first_chunk::<16>()?;
    let mut length = 32;
    if kind == IDENTITY_WITH_RING {
        let (said, ring) = rest.split_first_chunk::<4>()?;
        (length, rest) = (u32::from_le_bytes(*said) as usize, ring);
    }
    let (ring, state) = rest.split_at_checked(length)?;
    let ring = Ring::decode(ring)?;
    Some(Row::Identity(Identity { token: Id(*token), ring, state: state.to_vec() }))
}
