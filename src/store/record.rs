//! What a record is: its id, its kind, its clear header and its sealed body.

use super::connection::sql;
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// 16 random bytes that name a record for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// No one: the owner of public records.
    pub const NONE: Id = Id([0; 16]);

    pub fn random() -> Result<Id> {
        let mut id = [0; 16];
        crate::crypto::random::fill(&mut id)?;
        Ok(Id(id))
    }

    pub(super) fn from_row(bytes: Vec<u8>) -> Result<Id> {
        bytes.try_into().map(Id).map_err(|_| Error::DeviceError.because("an id of the wrong length"))
    }
}

/// Lower-case hex in the form of a UUID.
impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let dash = if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The token's own description (one).
    Token = 1,
    User = 2,
    Object = 3,
    /// What is left of a destroyed record in a cluster; its flags say the kind.
    Gone = 4,
    /// A peer of the cluster.
    Member = 5,
    /// The beginning of an epoch: its secret, sealed to each member.
    Epoch = 6,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::Token, Kind::User, Kind::Object, Kind::Gone, Kind::Member, Kind::Epoch];

    pub(super) fn from_row(number: i64) -> Result<Kind> {
        match number {
            1 => Ok(Kind::Token),
            2 => Ok(Kind::User),
            3 => Ok(Kind::Object),
            4 => Ok(Kind::Gone),
            5 => Ok(Kind::Member),
            6 => Ok(Kind::Epoch),
            _ => Err(Error::DeviceError.because("a record of an unknown kind")),
        }
    }
}

/// The clear, authenticated part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub id: Id,
    /// Counts the changes of this record, from 1.
    pub version: u64,
    /// Whose secret the body is sealed under (`BodyKey::Seal`), or under which it was written; given by the store.
    pub epoch: u32,
    /// Who wrote this version (a peer; the token's own id on a single host).
    pub author: Id,
    /// Whose it is; also the scope its search terms live in, with those of others it is shared to.
    /// `Id::NONE`: everybody's.
    pub owner: Id,
    /// Of two versions made apart the one with the greater number stays: see [`Header::returns`] and
    /// [`Header::strictness`], to which `token` gives meaning.
    pub flags: u32,
}

/// A record as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub header: Header,
    /// Sealed body.
    pub body: Vec<u8>,
}

/// What a body is sealed under.
#[derive(Clone, Copy)]
pub enum BodyKey<'a> {
    /// The token's, of the record's epoch.
    Seal,
    /// A data key of 32 bytes, wrapped elsewhere for those who may open it.
    Data(&'a Secret),
}

/// A searchable value: attribute type and value; stored only as a keyed hash with its scope.
pub type Term = (u64, Vec<u8>);

/// The columns of a [`Header`], in the order that [`header`] reads.
pub(super) const HEADER: &str = "kind, id, version, epoch, author, owner, flags";

pub(super) fn header(row: &rusqlite::Row<'_>) -> Result<Header> {
    Ok(Header {
        kind: Kind::from_row(row.get(0).map_err(sql)?)?,
        id: Id::from_row(row.get(1).map_err(sql)?)?,
        version: row.get::<_, i64>(2).map_err(sql)? as u64,
        epoch: row.get(3).map_err(sql)?,
        author: Id::from_row(row.get(4).map_err(sql)?)?,
        owner: Id::from_row(row.get(5).map_err(sql)?)?,
        flags: row.get(6).map_err(sql)?,
    })
}
