//! The only place that seals or opens: keys that follow from the token's seal key S, record bodies, lines of
//! the audit log.
//!
//! Body: salt (16 bytes), then AES-256-GCM ciphertext and tag under HMAC(base key, salt) with a zero
//! nonce: each salt makes a key of its own, so no nonce can repeat. Associated data: the token's id
//! and every clear header field (what an officer brought back is sealed twice: `returned.rs`); of a line, the token's id, "audit" and its sequence (u64 LE).

use super::{BodyKey, Header, Id, Record, Term, returned};
use crate::crypto::aes::GcmKey;
use crate::crypto::hash::Hmac;
use crate::crypto::{Secret, derive};
use crate::error::{Error, Result};

const SALT: usize = 16;
const TAG: usize = 16;
const NONCE: [u8; 12] = [0; 12];

/// The seal key and what follows from it.
pub struct Keys {
    pub token: Id,
    pub seal: Secret,
    bodies: Secret,
    log: Secret,
    index: Secret,
    pub digest: Secret,
    pub state: Secret,
    /// Of the wrappings' rows.
    pub wrappings: Secret,
}

impl Keys {
    pub fn new(token: Id, seal: Secret) -> Keys {
        let sub = |purpose: &str| derive::hkdf_sha256(&token.0, &seal, purpose.as_bytes(), 32);
        Keys {
            bodies: sub("strongroom record bodies"),
            log: sub("strongroom audit log"),
            index: sub("strongroom blind index"),
            digest: sub("strongroom state digest"),
            state: sub("strongroom state header"),
            wrappings: sub("strongroom wrappings"),
            token,
            seal,
        }
    }

    pub fn random() -> Result<Keys> {
        Ok(Keys::new(Id::random()?, Secret::random(32)?))
    }

    fn purpose(&self, purpose: &str) -> Secret {
        derive::hkdf_sha256(&self.token.0, &self.seal, purpose.as_bytes(), 32)
    }

    /// A secret for a purpose of the rooms above.
    pub fn derived(&self, purpose: &[u8]) -> Secret {
        derive::hkdf_sha256(&self.token.0, &self.seal, &[b"strongroom above: ", purpose].concat(), 32)
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

fn base<'a>(keys: &'a Keys, key: BodyKey<'a>) -> &'a Secret {
    match key {
        BodyKey::Seal => &keys.bodies,
        BodyKey::Data(key) => key,
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
    seal_bytes(base(keys, key), &associated(keys, header), plain)
}

fn seal_bytes(base: &Secret, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let mut body = vec![0; SALT + plain.len() + TAG];
    let (salt, sealed) = body.split_at_mut(SALT);
    crate::crypto::random::fill(salt)?;
    salted(base, salt)?.seal(&NONCE, associated, TAG, plain, sealed)?;
    Ok(body)
}

/// What was sealed, or `DeviceError`.
pub fn open(keys: &Keys, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
    match returned::inner(keys, record)? {
        Some(inner) => open_once(keys, &inner, key),
        None => open_once(keys, record, key),
    }
}

/// As `open`, of what is not sealed twice.
pub fn open_once(keys: &Keys, record: &Record, key: BodyKey<'_>) -> Result<Secret> {
    let opened = open_bytes(base(keys, key), &associated(keys, &record.header), &record.body);
    opened
        .ok_or_else(|| Error::DeviceError.because(format_args!("record {} does not open", record.header.id)))
}

fn open_bytes(base: &Secret, associated: &[u8], body: &[u8]) -> Option<Secret> {
    let (salt, sealed) = body.split_at_checked(SALT)?;
    let mut plain = Secret::zeroed(sealed.len().checked_sub(TAG)?);
    salted(base, salt).ok()?.open(&NONCE, associated, TAG, sealed, &mut plain).ok()?;
    Some(plain)
}

/// Something else for whoever has the seal key; each purpose has a key of its own.
pub fn seal_for(keys: &Keys, purpose: &str, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    seal_bytes(&keys.purpose(purpose), &[&keys.token.0[..], associated].concat(), plain)
}

/// The reverse; `None` when it does not open.
pub fn open_for(keys: &Keys, purpose: &str, associated: &[u8], sealed: &[u8]) -> Option<Secret> {
    open_bytes(&keys.purpose(purpose), &[&keys.token.0[..], associated].concat(), sealed)
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
