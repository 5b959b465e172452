//! The state digest: an incremental keyed multiset hash over all live records.
//!
//! Each record has an element, HMAC over its header, body, wrapped keys and terms. Records fall into
//! buckets by id; a bucket's sum is the sum of its elements modulo 2^256, in table `digest`. The
//! root is the sum over all buckets of HMAC(bucket number, sum); it lies in `meta` under a MAC of its
//! own. A row that is altered, dropped, added, swapped or older breaks its bucket; a bucket that is
//! put back breaks the root. A write updates one element, one sum and the root.

use super::connection::{meta, sql};
use super::rows::RecordRow;
use super::seal::{Keys, header_bytes};
use super::{Id, Kind, Record};
use crate::audit::Tip;
use crate::crypto::Hash;
use crate::crypto::hash::{Context, Hmac};
use crate::error::{Error, Result};
use rusqlite::{Connection, OptionalExtension, params};

const BUCKETS: u16 = 4096;

/// A number modulo 2^256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum([u64; 4]);

impl Sum {
    pub fn from_bytes(bytes: &[u8]) -> Result<Sum> {
        let bytes: &[u8; 32] =
            bytes.try_into().map_err(|_| Error::DeviceError.because("a digest of the wrong length"))?;
        let mut limbs = [0; 4];
        for (limb, part) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*part);
        }
        Ok(Sum(limbs))
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        for (part, limb) in out.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *part = limb.to_le_bytes();
        }
        out
    }

    pub fn plus(self, other: Sum) -> Sum {
        let (mut out, mut carry) = ([0; 4], false);
        for (position, limb) in out.iter_mut().enumerate() {
            let (partial, first) = self.0[position].overflowing_add(other.0[position]);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            (*limb, carry) = (total, first | second);
        }
        Sum(out)
    }

    pub fn minus(self, other: Sum) -> Sum {
        self.plus(Sum(other.0.map(|limb| !limb))).plus(Sum([1, 0, 0, 0]))
    }
}

pub fn bucket(id: Id) -> u16 {
    u16::from_be_bytes([id.0[0], id.0[1]]) % BUCKETS
}

/// What a bucket adds to the root; an empty one adds nothing.
fn weight(keys: &Keys, bucket: u16, sum: Sum) -> Sum {
    if sum == Sum::default() {
        return sum;
    }
    let hash = Hmac::sha256(&keys.digest, &[b"bucket", &bucket.to_le_bytes(), &sum.to_bytes()]);
    Sum::from_bytes(&hash).unwrap_or_default()
}

/// The element of a record: over everything that is stored of it.
pub fn element(connection: &Connection, keys: &Keys, record: &Record) -> Result<Sum> {
    let mut attached = Attached::new();
    for query in [
        "SELECT holder, wrapped FROM keys WHERE object = ? ORDER BY holder",
        "SELECT term, x'' FROM terms WHERE object = ? ORDER BY term",
    ] {
        let mut statement = connection.prepare_cached(query).map_err(sql)?;
        let mut rows = statement.query([record.header.id.0]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            for column in 0..2 {
                attached.add(row.get_ref(column).map_err(sql)?.as_bytes().map_err(|_| Error::DeviceError)?);
            }
        }
        attached.end_list();
    }
    attached.element(keys, record)
}

/// What hangs on a record, hashed in order: its wrapped keys by holder, then its terms.
struct Attached(Context);

impl Attached {
    fn new() -> Attached {
        Attached(Context::new(Hash::Sha256))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn end_list(&mut self) {
        self.0.update(b"|");
    }

    fn element(mut self, keys: &Keys, record: &Record) -> Result<Sum> {
        let mut attached = [0; 32];
        self.0.finish(&mut attached);
        let header = header_bytes(&record.header);
        Sum::from_bytes(&Hmac::sha256(&keys.digest, &[b"record", &header, &attached, &record.body]))
    }
}

/// The same of a record outside the file; keys and terms in the order of the file.
pub fn element_of(keys: &Keys, row: &RecordRow) -> Result<Sum> {
    let mut attached = Attached::new();
    for (holder, wrapped) in &row.keys {
        attached.add(&holder.0);
        attached.add(wrapped);
    }
    attached.end_list();
    for term in &row.terms {
        attached.add(term);
        attached.add(b"");
    }
    attached.end_list();
    attached.element(keys, &row.record)
}

/// The root that these sums of buckets make.
pub fn root_of(keys: &Keys, sums: impl IntoIterator<Item = (u16, Sum)>) -> Sum {
    sums.into_iter().fold(Sum::default(), |root, (bucket, sum)| root.plus(weight(keys, bucket, sum)))
}

/// The sum of a bucket as the `digest` table says it.
fn stored_sum(connection: &Connection, bucket: u16) -> Result<Sum> {
    let mut statement = connection.prepare_cached("SELECT sum FROM digest WHERE bucket = ?").map_err(sql)?;
    let sum: Option<Vec<u8>> = statement.query_row([bucket], |row| row.get(0)).optional().map_err(sql)?;
    sum.map_or(Ok(Sum::default()), |sum| Sum::from_bytes(&sum))
}

/// The sum of a bucket as its rows make it.
fn counted_sum(connection: &Connection, bucket: u16) -> Result<Sum> {
    let mut statement =
        connection.prepare_cached("SELECT element FROM records WHERE bucket = ?").map_err(sql)?;
    let mut rows = statement.query([bucket]).map_err(sql)?;
    let mut sum = Sum::default();
    while let Some(row) = rows.next().map_err(sql)? {
        sum = sum.plus(Sum::from_bytes(&row.get::<_, Vec<u8>>(0).map_err(sql)?)?);
    }
    Ok(sum)
}

/// The rows of the bucket that an id falls into against its sum: `DeviceError` if one is missing,
/// too many or older.
pub fn check_bucket(connection: &Connection, id: Id) -> Result<()> {
    let bucket = bucket(id);
    if stored_sum(connection, bucket)? != counted_sum(connection, bucket)? {
        return Err(Error::DeviceError.because(format_args!("bucket {bucket} of the token file was altered")));
    }
    Ok(())
}

/// That a record which its primary key does not find is not among the rows of its bucket either:
/// a damaged index must not make it vanish.
pub fn check_absent(connection: &Connection, kind: Kind, id: Id) -> Result<()> {
    let query =
        "SELECT 1 FROM records INDEXED BY records_by_bucket WHERE bucket = ? AND +kind = ? AND +id = ?";
    let mut statement = connection.prepare_cached(query).map_err(sql)?;
    if statement.exists(params![bucket(id), kind as u8, id.0]).map_err(sql)? {
        return Err(Error::DeviceError.because(format_args!("record {id} is there but its index is damaged")));
    }
    Ok(())
}

/// A record against its stored element.
pub fn check_element(connection: &Connection, keys: &Keys, record: &Record, stored: &[u8]) -> Result<()> {
    if element(connection, keys, record)? != Sum::from_bytes(stored)? {
        return Err(Error::DeviceError.because(format_args!("record {} was altered", record.header.id)));
    }
    Ok(())
}

/// The same of a record that was read whole.
pub fn check_element_of(keys: &Keys, row: &RecordRow, stored: &[u8]) -> Result<()> {
    if element_of(keys, row)? != Sum::from_bytes(stored)? {
        return Err(Error::DeviceError.because(format_args!("record {} was altered", row.record.header.id)));
    }
    Ok(())
}

/// The root that the `digest` table makes.
pub fn sum_of_buckets(connection: &Connection, keys: &Keys) -> Result<Sum> {
    let mut statement = connection.prepare_cached("SELECT bucket, sum FROM digest").map_err(sql)?;
    let mut rows = statement.query([]).map_err(sql)?;
    let mut root = Sum::default();
    while let Some(row) = rows.next().map_err(sql)? {
        let sum = Sum::from_bytes(&row.get::<_, Vec<u8>>(1).map_err(sql)?)?;
        root = root.plus(weight(keys, row.get(0).map_err(sql)?, sum));
    }
    Ok(root)
}

/// The `state` row of `meta`: root (32), number of records (u64 LE), the audit log's last sequence (u64
/// LE) and the hash of its last line (32), HMAC over all (32). Without the log in files of format 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub root: Sum,
    pub records: u64,
    pub log: Tip,
}

impl State {
    pub fn load(connection: &Connection, keys: &Keys) -> Result<State> {
        Self::read(connection, keys)?.ok_or_else(|| {
            Error::DeviceError.because("the token's state row was altered, or the token was initialised anew")
        })
    }

    /// The row as far as it is one under these keys: a token in the making has none.
    pub fn read(connection: &Connection, keys: &Keys) -> Result<Option<State>> {
        Self::parse(&meta(connection, "state")?.unwrap_or_default(), keys)
    }

    /// A row that lies elsewhere.
    pub fn parse(row: &[u8], keys: &Keys) -> Result<Option<State>> {
        let Some((said, mac)) = row.split_last_chunk::<32>() else { return Ok(None) };
        if Hmac::sha256(&keys.state, &[said]) != *mac {
            return Ok(None);
        }
        let number = |at: usize| said.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok();
        let log = match said.len() {
            40 => Some(Tip::default()),
            80 => number(40).zip(said[48..].try_into().ok()).map(|(sequence, hash)| Tip { sequence, hash }),
            _ => None,
        };
        let (Some(log), Some(records)) = (log, number(32)) else { return Ok(None) };
        Ok(Some(State { root: Sum::from_bytes(&said[..32])?, records, log }))
    }

    pub fn save(&self, connection: &Connection, keys: &Keys) -> Result<()> {
        let mut row = self.root.to_bytes().to_vec();
        row.extend_from_slice(&self.records.to_le_bytes());
        row.extend_from_slice(&self.log.sequence.to_le_bytes());
        row.extend_from_slice(&self.log.hash);
        let mac = Hmac::sha256(&keys.state, &[&row]);
        row.extend_from_slice(&mac);
        let mut statement = connection
            .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('state', ?)")
            .map_err(sql)?;
        statement.execute([row]).map_err(sql)?;
        Ok(())
    }

    /// Exchanges one element of an id's bucket for another, in the table and in the root.
    pub fn exchange(
        &mut self,
        connection: &Connection,
        keys: &Keys,
        id: Id,
        old: Sum,
        new: Sum,
    ) -> Result<()> {
        let bucket = bucket(id);
        let before = stored_sum(connection, bucket)?;
        let after = before.minus(old).plus(new);
        let mut statement = connection
            .prepare_cached("INSERT OR REPLACE INTO digest (bucket, sum) VALUES (?, ?)")
            .map_err(sql)?;
        statement.execute(params![bucket, after.to_bytes()]).map_err(sql)?;
        self.root = self.root.minus(weight(keys, bucket, before)).plus(weight(keys, bucket, after));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_form_a_group(a in any::<[u64; 4]>(), b in any::<[u64; 4]>(), c in any::<[u64; 4]>()) {
            let (a, b, c) = (Sum(a), Sum(b), Sum(c));
            prop_assert_eq!(a.plus(b).minus(b), a);
            prop_assert_eq!(a.plus(b), b.plus(a));
            prop_assert_eq!(a.plus(b).plus(c), a.plus(b.plus(c)));
            prop_assert_eq!(Sum::from_bytes(&a.to_bytes()).unwrap(), a);
        }
    }
}
