//! The only place that seals or opens: keys that follow from the token's secrets (`ring`), record bodies, lines
//! of the audit log.
//!
//! Body: salt (16 bytes), then AES-256-GCM ciphertext and tag under HMAC(base key, salt) with a zero
//! nonce: each salt makes a key of its own, so no nonce can repeat. Associated data: the token's id
//! and every clear header field (what an officer brought back is sealed twice: `returned.rs`); of a line, the
//! token's id, "audit" and its sequence (u64 LE).

use super::ring::{Known, Ring};
use super::{BodyKey, Header, Id, Record, Term, returned};
use crate::crypto::aes::GcmKey;
use crate::crypto::hash::Hmac;
use crate::crypto::{Hash, Secret, derive};
use crate::error::{Error, Result};

const SALT: usize = 16;
const TAG: usize = 16;
const NONCE: [u8; 12] = [0; 12];

/// Of record bodies, from an epoch's secret.
pub(super) const BODIES: &[u8] = b"strongroom record bodies";

/// The file's own key, the token's secrets, and what follows from them.
pub struct Keys {
    pub token: Id,
    /// What the seals wrap.
    pub file: Secret,
    log: Secret,
    index: Secret,
    pub digest: Secret,
    pub state: Secret,
    /// Bodies of records that are of no epoch.
    pub(super) standing: Secret,
    /// Of the wrappings' rows.
    pub wrappings: Secret,
    pub(super) first: Known,
}

impl Keys {
    pub fn new(token: Id, file: Secret, ring: Ring) -> Keys {
        let sub = |purpose: &[u8]| derive::hkdf_sha256(&token.0, &ring.root, purpose, 32);
        Keys {
            log: sub(b"strongroom audit log"),
            index: sub(b"strongroom blind index"),
            digest: sub(b"strongroom state digest"),
            state: sub(b"strongroom state header"),
            standing: sub(BODIES),
            wrappings: derive::hkdf_sha256(&token.0, &file, b"strongroom wrappings", 32),
            first: Known::new(token, Vec::new(), ring),
            token,
            file,
        }
    }

    /// Of a new token.
    pub fn random() -> Result<Keys> {
        Keys::of_new_file(Id::random()?, Ring::random()?)
    }

    /// Of a new file of a token.
    pub fn of_new_file(token: Id, ring: Ring) -> Result<Keys> {
        Ok(Keys::new(token, Secret::random(32)?, ring))
    }

    fn purpose(&self, purpose: &str, epoch: Option<u32>) -> Option<Secret> {
        let ring = self.ring();
        let secret = match epoch {
            None => &ring.root,
            Some(number) => ring.epochs.get(&number)?,
        };
        Some(derive::hkdf_sha256(&self.token.0, secret, purpose.as_bytes(), 32))
    }

    /// A secret for a purpose of the rooms above; it stays the same in all epochs.
    pub fn derived(&self, purpose: &[u8]) -> Secret {
        let purpose = [b"strongroom above: ", purpose].concat();
        derive::hkdf_sha256(&self.token.0, &self.ring().root, &purpose, 32)
    }

    /// The blind index entry of a term in an owner's scope.
    pub fn term(&self, owner: Id, (kind, value): &Term) -> [u8; 16] {
        let hash = Hmac::sha256(&self.index, &[&owner.0, &kind.to_le_bytes(), value]);
        let mut term = [0; 16];
        term.copy_from_slice(&hash[..16]);
        term
    }
}

/// The header fields in a fixed order and width.
pub fn header_bytes(header: &Header) -> [u8; 65] {
    let mut out = [0; 65];
    out[0] = header.kind as u8;
    out[1..17].copy_from_slice(&header.id.0);
    out[17..25].copy_from_slice(&header.version.to_le_bytes());
    out[25..29].copy_from_slice(&header.epoch.to_le_bytes());
    out[29..45].copy_from_slice(&header.author.0);
    out[45..61].copy_from_slice(&header.owner.0);
    out[61..65].copy_from_slice(&header.flags.to_le_bytes());
    out
}

fn base<'a>(keys: &'a Keys, header: &Header, key: BodyKey<'a>) -> Result<&'a Secret> {
    match key {
        BodyKey::Seal => keys.bodies(header).ok_or_else(|| {
            Error::DeviceError.because(format_args!(
                "record {} is of epoch {}, whose key this file does not have",
                header.id, header.epoch
            ))
        }),
        BodyKey::Data(key) => Ok(key),
    }
}

fn salted(base: &Secret, salt: &[u8]) -> Result<GcmKey> {
    GcmKey::new(&Secret::from(&Hmac::sha256(base, &[b"record", salt])[..]))
}

fn associated(keys: &Keys, header: &Header) -> Vec<u8> {
    [&keys.token.0[..], &header_bytes(header)].concat()
}

/// The body of a record.
pub fn seal(keys: &Keys, header: &Header, key: BodyKey<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    seal_bytes(base(keys, header, key)?, &associated(keys, header), plain)
}

/// A body that was sealed under another epoch before. The salt follows from the content, so that all hosts of a
/// cluster make the same bytes of the same record; other content, or another header, has another salt.
pub fn seal_again(keys: &Keys, header: &Header, plain: &[u8]) -> Result<Vec<u8>> {
    let (base, associated) = (base(keys, header, BodyKey::Seal)?, associated(keys, header));
    let mut salt = [0; SALT];
    let content = Hash::Sha256.digest(plain);
    salt.copy_from_slice(&Hmac::sha256(base, &[b"sealed again", &associated, &content])[..SALT]);
    seal_salted(base, salt, &associated, plain)
}

pub(super) fn seal_bytes(base: &Secret, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut salt = [0; SALT];
    crate::crypto::random::fill(&mut salt)?;
    seal_salted(base, salt, associated, plain)
}

fn seal_salted(base: &Secret, salt: [u8; SALT], associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut body = vec![0; SALT + plain.len() + TAG];
    body[..SALT].copy_from_slice(&salt);
    salted(base, &salt)?.seal(&NONCE, associated, TAG, plain, &mut body[SALT..])?;
    Ok(body)
}

/// What was sealed, or `DeviceError`.
pub fn open(keys: &Keys, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
    match returned::inner(keys, record)? {
        Some(inner) => open_once(keys, &inner, key),
        None => open_once(keys, record, key),
    }
}

/// As `open`, of what the token's secrets open, without a word when they do not.
pub fn tried(keys: &Keys, record: &Record) -> Option<Secret> {
    open_bytes(keys.bodies(&record.header)?, &associated(keys, &record.header), &record.body)
}

/// As `open`, of what is not sealed twice.
pub fn open_once(keys: &Keys, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
    let base = base(keys, &record.header, key)?;
    let opened = open_bytes(base, &associated(keys, &record.header), &record.body);
    opened
        .ok_or_else(|| Error::DeviceError.because(format_args!("record {} does not open", record.header.id)))
}

pub(super) fn open_bytes(base: &Secret, associated: &[u8], body: &[u8]) -> Option<Secret> {
    let (salt, sealed) = body.split_at_checked(SALT)?;
    let mut plain = Secret::zeroed(sealed.len().checked_sub(TAG)?);
    salted(base, salt).ok()?.open(&NONCE, associated, TAG, sealed, &mut plain).ok()?;
    Some(plain)
}

/// Something else for whoever has an epoch's secret, or (`None`) the root; each purpose has a key of its own.
pub fn seal_for(
    keys: &Keys,
    (purpose, epoch): (&str, Option<u32>),
    associated: &[u8],
    plain: &[u8],
) -> Result<Vec<u8>> {
    let unknown = || Error::DeviceError.because("an epoch whose key this file does not have");
    let key = keys.purpose(purpose, epoch).ok_or_else(unknown)?;
    seal_bytes(&key, &[&keys.token.0[..], associated].concat(), plain)
}

/// The reverse; `None` when it does not open.
pub fn open_for(
    keys: &Keys,
    (purpose, epoch): (&str, Option<u32>),
    associated: &[u8],
    sealed: &[u8],
) -> Option<Secret> {
    open_bytes(&keys.purpose(purpose, epoch)?, &[&keys.token.0[..], associated].concat(), sealed)
}

fn associated_with_line(keys: &Keys, sequence: u64) -> Vec<u8> {
    [&keys.token.0[..], b"audit", &sequence.to_le_bytes()].concat()
}

/// A line of the audit log.
pub fn seal_line(keys: &Keys, sequence: u64, line: &[u8]) -> Result<Vec<u8>> {
    seal_bytes(&keys.log, &associated_with_line(keys, sequence), line)
}

/// The line again; `None` when it is not the one of this place.
pub fn open_line(keys: &Keys, sequence: u64, body: &[u8]) -> Option<Vec<u8>> {
    open_bytes(&keys.log, &associated_with_line(keys, sequence), body).map(|line| line.to_vec())
}
