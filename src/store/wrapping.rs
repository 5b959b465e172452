//! Wrappings of the file's own key, the rows `seal-N` of `meta`: each opens by a provider's key of its own, like
//! the slots of a LUKS volume. Under that key lie the token's secrets (`ring`).
//!
//! Version 2, 134 bytes, numbers little-endian: version (1), provider (1), number u32, the number of the one
//! it is to replace u32 (or 0), seconds since 1970 u64, salt 16, Argon2id KiB u32 and passes u32, nonce 12, the
//! key under AES-256-GCM (48; associated data the token's id and all before the nonce), HMAC-SHA-256 under a key
//! that follows from it (32). The last lets whoever opened the token by one wrapping tell of every other that
//! nobody altered or made it up. The row `seal` of earlier files is version 1, 86 bytes: version, provider, salt,
//! KiB, passes, nonce, key (associated data the token's id); its number is 1.

use super::connection::{meta, sql};
use super::provider::{self, Provider};
use super::{Id, Keys};
use crate::config::{SealConfig, SlotConfig};
use crate::crypto::aes::GcmKey;
use crate::crypto::hash::Hmac;
use crate::crypto::{Secret, random};
use crate::error::{Error, Result};
use rusqlite::Connection;
use std::time::{SystemTime, UNIX_EPOCH};

const FIRST: u8 = 1;
const VERSION: u8 = 2;
const MEMORY_KIB: u32 = 65536;
const PASSES: u32 = 3;
/// The row's name before there were several.
const FORMER: &str = "seal";
/// So often the rows and the key are read again while somebody exchanges both.
const ATTEMPTS: usize = 20;

/// A provider's key, and how it is made, for a wrapping that is to be written.
pub struct Wrapping {
    key: Secret,
    terms: Terms,
}

/// What a wrapping key is made with, besides the material.
#[derive(Clone, Copy)]
struct Terms {
    provider: Provider,
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
}

/// A row as it lies in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    pub number: u32,
    name: String,
    bytes: Vec<u8>,
}

/// What a good row says in the clear.
pub struct Said {
    pub provider: Provider,
    /// Seconds since 1970; earlier files do not say.
    pub made: Option<u64>,
    /// The wrapping it was made to replace, or 0.
    pub replaces: u32,
    terms: Terms,
    /// Where the nonce begins.
    nonce_at: usize,
}

/// An open wrapping.
pub struct Opened {
    seal: Secret,
    pub(super) row: Row,
    pub(super) material: Secret,
}

impl Opened {
    pub fn number(&self) -> u32 {
        self.row.number
    }
}

impl Wrapping {
    /// With fresh parameters, under what the configuration names; a missing key file is made.
    pub fn fresh(config: &SealConfig) -> Result<Wrapping> {
        Wrapping::under(Provider::of(config), &provider::material_or_new(config)?)
    }

    /// With fresh parameters, under this material.
    pub fn under(provider: Provider, material: &Secret) -> Result<Wrapping> {
        let mut salt = [0; 16];
        random::fill(&mut salt)?;
        let (memory_kib, passes) = match provider {
            Provider::Key => (0, 0),
            Provider::Passphrase => (MEMORY_KIB, PASSES),
        };
        let key = provider.stretch(material, &salt, memory_kib, passes)?;
        Ok(Wrapping { key, terms: Terms { provider, salt, memory_kib, passes } })
    }

    pub fn provider(&self) -> Provider {
        self.terms.provider
    }

    /// The row for these keys.
    fn wrap(&self, keys: &Keys, number: u32, replaces: u32) -> Result<Vec<u8>> {
        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut row = vec![VERSION, self.terms.provider as u8];
        row.extend_from_slice(&number.to_le_bytes());
        row.extend_from_slice(&replaces.to_le_bytes());
        row.extend_from_slice(&made.to_le_bytes());
        row.extend_from_slice(&self.terms.salt);
        row.extend_from_slice(&self.terms.memory_kib.to_le_bytes());
        row.extend_from_slice(&self.terms.passes.to_le_bytes());
        let (mut nonce, mut sealed) = ([0; 12], [0; 48]);
        random::fill(&mut nonce)?;
        let associated = [&keys.token.0[..], &row].concat();
        GcmKey::new(&self.key)?.seal(&nonce, &associated, 16, &keys.file, &mut sealed)?;
        row.extend_from_slice(&nonce);
        row.extend_from_slice(&sealed);
        row.extend_from_slice(&Hmac::sha256(&keys.wrappings, &[&row]));
        Ok(row)
    }

    /// Writes the row; a number that is taken is replaced.
    pub fn save(&self, connection: &Connection, keys: &Keys, number: u32, replaces: u32) -> Result<Row> {
        let row = Row { number, name: format!("seal-{number}"), bytes: self.wrap(keys, number, replaces)? };
        let mut statement =
            connection.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").map_err(sql)?;
        statement.execute(rusqlite::params![row.name, row.bytes]).map_err(sql)?;
        Ok(row)
    }
}

impl Row {
    /// What it says; `None` when it is damaged or of a newer version.
    pub fn said(&self) -> Option<Said> {
        let (number, replaces, made, terms_at) = match (*self.bytes.first()?, self.bytes.len()) {
            (FIRST, 86) => (1, 0, None, 2),
            (VERSION, 134) => (self.u32_at(2)?, self.u32_at(6)?, Some(self.u64_at(10)?), 18),
            _ => return None,
        };
        let terms = Terms {
            provider: Provider::from_number(self.bytes[1])?,
            salt: self.bytes[terms_at..terms_at + 16].try_into().ok()?,
            memory_kib: self.u32_at(terms_at + 16)?,
            passes: self.u32_at(terms_at + 20)?,
        };
        // Nobody is to make us fill the memory by editing the file.
        let cheap = match terms.provider {
            Provider::Key => true,
            Provider::Passphrase => {
                (8..=4 << 20).contains(&terms.memory_kib) && (1..=64).contains(&terms.passes)
            }
        };
        (number == self.number && cheap).then_some(Said {
            provider: terms.provider,
            made,
            replaces,
            terms,
            nonce_at: terms_at + 24,
        })
    }

    /// Whether it was to replace one of these: its exchange is under way, or was broken off.
    pub fn is_successor(&self, rows: &[Row]) -> bool {
        let replaces = self.said().map_or(0, |said| said.replaces);
        replaces != 0 && rows.iter().any(|row| row.number == replaces)
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        self.bytes.get(at..at + 8)?.try_into().map(u64::from_le_bytes).ok()
    }

    /// Whether it is as it was written; `None`: of an earlier version, which only its own key can tell.
    pub fn intact(&self, keys: &Keys) -> Option<bool> {
        if self.said().is_none() {
            return Some(false);
        }
        let (row, mac) = self.bytes.split_last_chunk::<32>()?;
        (self.bytes[0] == VERSION).then(|| Hmac::sha256(&keys.wrappings, &[row]) == *mac)
    }

    /// The file's key, when this material opens it.
    fn open(&self, said: &Said, token: Id, material: &Secret) -> Result<Option<Secret>> {
        let Terms { provider, salt, memory_kib, passes } = said.terms;
        let key = provider.stretch(material, &salt, memory_kib, passes)?;
        let (clear, rest) = self.bytes.split_at(said.nonce_at);
        let associated = match self.bytes[0] {
            FIRST => token.0.to_vec(),
            _ => [&token.0[..], clear].concat(),
        };
        let mut seal = Secret::zeroed(32);
        let opened = GcmKey::new(&key)?.open(&rest[..12], &associated, 16, &rest[12..60], &mut seal);
        Ok(opened.is_ok().then_some(seal))
    }

    /// Takes the row out of the file.
    pub fn delete(&self, connection: &Connection) -> Result<()> {
        connection.execute("DELETE FROM meta WHERE name = ?", [&self.name]).map(drop).map_err(sql)
    }
}

impl Opened {
    /// Whether what was opened is still so: the row in the file, and what the configuration names.
    pub fn still_true(&self, rows: &[Row], config: &SealConfig) -> bool {
        rows.contains(&self.row) && provider::material(config).is_ok_and(|now| now == self.material)
    }
}

/// All rows, in the order of their numbers.
pub fn rows(connection: &Connection) -> Result<Vec<Row>> {
    let mut statement = connection
        .prepare_cached("SELECT name, value FROM meta WHERE name = 'seal' OR name GLOB 'seal-*'")
        .map_err(sql)?;
    let mut found = statement.query([]).map_err(sql)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(sql)? {
        let name: String = row.get(0).map_err(sql)?;
        let number = if name == FORMER { Some(1) } else { name["seal-".len()..].parse().ok() };
        // A name of nobody's making has a number that no row says.
        rows.push(Row { number: number.unwrap_or(0), name, bytes: row.get(1).map_err(sql)? });
    }
    rows.sort_by_key(|row| row.number);
    Ok(rows)
}

/// What is in the file, and what the configuration names.
#[derive(PartialEq, Eq)]
struct Seen {
    rows: Vec<Row>,
    material: Secret,
}

impl Seen {
    /// One that cannot be tried (there is no memory for what it asks, say) does not stand in the way of the
    /// others.
    fn open(&self, provider: Provider, token: Id) -> Result<Option<(Secret, Row)>> {
        let mut failed = None;
        for row in &self.rows {
            let Some(said) = row.said().filter(|said| said.provider == provider) else { continue };
            match row.open(&said, token, &self.material) {
                Ok(Some(seal)) => return Ok(Some((seal, row.clone()))),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}

fn missing() -> Error {
    Error::DeviceError.because("the token file has no seal row")
}

/// The wrapping that a provider's key opens, if there is one: `TokenNotRecognized` when the provider
/// gives no key. `rows` reads them as they are now.
pub fn find(rows: impl Fn() -> Result<Vec<Row>>, token: Id, config: &SealConfig) -> Result<Option<Opened>> {
    let read = || Ok(Seen { rows: rows()?, material: provider::material(config)? });
    let mut seen: Seen = read()?;
    for _ in 0..ATTEMPTS {
        if let Some((seal, row)) = seen.open(Provider::of(config), token)? {
            return Ok(Some(Opened { seal, row, material: seen.material }));
        }
        // Key and file are two things: somebody may be exchanging both just now.
        let now = read()?;
        if now == seen {
            break;
        }
        seen = now;
    }
    Ok(None)
}

/// The keys of an open file: `TokenNotRecognized` with the reason in the log.
pub fn unseal(connection: &Connection, config: &SlotConfig) -> Result<Keys> {
    let token = Id::from_row(meta(connection, "token")?.ok_or_else(missing)?)?;
    let present = rows(connection)?;
    let fits = |row: &Row| row.said().is_some_and(|said| said.provider == Provider::of(&config.seal));
    // Of a token that has no such seal, the missing key is not what is wrong.
    let opened = match present.iter().any(fits) {
        true => find(|| rows(connection), token, &config.seal)?,
        false => None,
    };
    match opened {
        Some(opened) => Keys::read(connection, token, opened.seal),
        None => Err(why_not(&rows(connection)?, config)),
    }
}

fn why_not(rows: &[Row], config: &SlotConfig) -> Error {
    if rows.is_empty() {
        return missing();
    }
    let wanted = Provider::of(&config.seal);
    let (mut others, mut damaged) = (Vec::new(), Vec::new());
    for row in rows {
        match row.said() {
            None => damaged.push(row.number.to_string()),
            Some(said) if said.provider != wanted => others.push(said.provider),
            Some(_) => {}
        }
    }
    let damaged = match damaged[..] {
        [] => String::new(),
        _ => format!("; seal {} in it is damaged or of a newer version", damaged.join(", ")),
    };
    let kind = |provider| if provider == Provider::Key { "key file" } else { "passphrase" };
    let described = provider::described(&config.seal);
    Error::TokenNotRecognized.because(match others.first() {
        Some(other) if others.len() == rows.len() => format!(
            "this token is sealed by a {}; the configuration says {}",
            kind(*other),
            described.split(' ').next().map_or("", |word| if word == "key" { "key file" } else { word })
        ),
        _ => format!(
            "the seal key ({described}) does not open {}: use the one the token was made with, or the one of its \
             last rotation; a copy of the file needs the key of its own day{damaged}",
            config.path.display()
        ),
    })
}

/// One sentence for each row that is not as it was written.
pub fn faults(connection: &Connection, keys: &Keys) -> Result<Vec<String>> {
    let altered = rows(connection)?.into_iter().filter(|row| row.intact(keys) == Some(false));
    Ok(altered.map(|row| format!("seal {} was altered", row.number)).collect())
}
