//! Seal providers: where the key comes from that wraps the token's seal key S.
//!
//! The `seal` row of `meta`: version (1), provider (1), salt (16), Argon2id memory in KiB (u32 LE)
//! and passes (u32 LE), nonce (12), S under AES-256-GCM (32 + 16), the token's id as associated data.
//! To add a provider: a number here, an arm in [`wrapping_key`], an option in `config`.

use super::connection::{draft_of, io, meta, sql, sync_folder};
use super::{Id, Keys};
use crate::config::{PassphraseSource, SealConfig, SlotConfig};
use crate::crypto::aes::GcmKey;
use crate::crypto::{Secret, argon2id, derive, random};
use crate::error::{Error, Result};
use rusqlite::Connection;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

const VERSION: u8 = 1;
const KEY_FILE: u8 = 1;
const PASSPHRASE: u8 = 2;
const MEMORY_KIB: u32 = 65536;
const PASSES: u32 = 3;
const FIRST_LINE: &str =
    "# Strongroom seal key. Whoever has this and the token's file can try passwords. Keep a copy.";

/// A key from outside the file, and how it was made.
pub struct Wrapping {
    key: Secret,
    provider: u8,
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
}

struct Made {
    provider: u8,
    salt: [u8; 16],
    memory_kib: u32,
    passes: u32,
}

/// The wrapping key: as `made` says, or with fresh parameters for a new token (`create`: a missing
/// key file is made).
pub fn wrapping_key(config: &SealConfig, made: Option<&[u8]>, create: bool) -> Result<Wrapping> {
    let Made { provider, salt, memory_kib, passes } = match made {
        Some(row) => parse(row)?,
        None => fresh(config)?,
    };
    let key = match (config, provider) {
        (SealConfig::KeyFile(path), KEY_FILE) => {
            derive::hkdf_sha256(&salt, &key_file(path, create)?, b"strongroom key file", 32)
        }
        (SealConfig::Passphrase(source), PASSPHRASE) => {
            argon2id::derive(&passphrase(source)?, &salt, memory_kib, passes)?
        }
        (_, KEY_FILE) => {
            return Err(Error::TokenNotRecognized
                .because("this token is sealed by a key file; the configuration says passphrase"));
        }
        (_, PASSPHRASE) => {
            return Err(Error::TokenNotRecognized
                .because("this token is sealed by a passphrase; the configuration says key file"));
        }
        _ => {
            return Err(Error::TokenNotRecognized
                .because("this token is sealed in a way that this version does not know"));
        }
    };
    Ok(Wrapping { key, provider, salt, memory_kib, passes })
}

fn fresh(config: &SealConfig) -> Result<Made> {
    let mut salt = [0; 16];
    random::fill(&mut salt)?;
    Ok(match config {
        SealConfig::KeyFile(_) => Made { provider: KEY_FILE, salt, memory_kib: 0, passes: 0 },
        SealConfig::Passphrase(_) => {
            Made { provider: PASSPHRASE, salt, memory_kib: MEMORY_KIB, passes: PASSES }
        }
    })
}

fn parse(row: &[u8]) -> Result<Made> {
    let wrong = || Error::TokenNotRecognized.because("the token's seal row is damaged or of a newer version");
    if row.len() != 86 || row[0] != VERSION {
        return Err(wrong());
    }
    let number = |at: usize| row[at..at + 4].try_into().map(u32::from_le_bytes).map_err(|_| wrong());
    let (memory_kib, passes) = (number(18)?, number(22)?);
    // Nobody is to make us fill the memory by editing the file.
    if memory_kib > 4 << 20 || passes > 64 {
        return Err(wrong());
    }
    Ok(Made { provider: row[1], salt: row[2..18].try_into().map_err(|_| wrong())?, memory_kib, passes })
}

impl Wrapping {
    /// The `seal` row for these keys.
    pub fn wrap(&self, keys: &Keys) -> Result<Vec<u8>> {
        let mut row = vec![VERSION, self.provider];
        row.extend_from_slice(&self.salt);
        row.extend_from_slice(&self.memory_kib.to_le_bytes());
        row.extend_from_slice(&self.passes.to_le_bytes());
        let (mut nonce, mut sealed) = ([0; 12], [0; 48]);
        random::fill(&mut nonce)?;
        GcmKey::new(&self.key)?.seal(&nonce, &keys.token.0, 16, &keys.seal, &mut sealed)?;
        row.extend_from_slice(&nonce);
        row.extend_from_slice(&sealed);
        Ok(row)
    }
}

/// The keys of an open file: `TokenNotRecognized` with the reason in the log.
pub fn unseal(connection: &Connection, config: &SlotConfig) -> Result<Keys> {
    let missing = || Error::DeviceError.because("the token file has no seal row");
    let row = meta(connection, "seal")?.ok_or_else(missing)?;
    let token = Id::from_row(meta(connection, "token")?.ok_or_else(missing)?)?;
    let wrapping = wrapping_key(&config.seal, Some(&row), false)?;
    let mut seal = Secret::zeroed(32);
    let opened = GcmKey::new(&wrapping.key)?.open(&row[26..38], &token.0, 16, &row[38..], &mut seal);
    opened.map_err(|_| {
        Error::TokenNotRecognized.because(format_args!(
            "the seal key ({}) does not open {}: use the one the token was made with",
            described(&config.seal),
            config.path.display()
        ))
    })?;
    Ok(Keys::new(token, seal))
}

fn described(config: &SealConfig) -> String {
    match config {
        SealConfig::KeyFile(path) => format!("key file {}", path.display()),
        SealConfig::Passphrase(PassphraseSource::File(path)) => format!("passphrase in {}", path.display()),
        SealConfig::Passphrase(PassphraseSource::Environment) => {
            "passphrase in STRONGROOM_SEAL_PASSPHRASE".into()
        }
    }
}

fn passphrase(source: &PassphraseSource) -> Result<Secret> {
    let bytes = match source {
        PassphraseSource::File(path) => fs::read(path).map_err(|e| unreadable(path, &e))?,
        PassphraseSource::Environment => std::env::var_os("STRONGROOM_SEAL_PASSPHRASE")
            .map(std::os::unix::ffi::OsStringExt::into_vec)
            .ok_or_else(|| Error::TokenNotRecognized.because("STRONGROOM_SEAL_PASSPHRASE is not set"))?,
    };
    let mut secret = Secret::from(bytes);
    let length = secret.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |last| last + 1);
    secret.truncate(length);
    if secret.is_empty() {
        return Err(Error::TokenNotRecognized.because("the seal passphrase is empty"));
    }
    Ok(secret)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::TokenNotRecognized.because(format_args!("seal key {}: {error}", path.display()))
}

/// The 32 bytes of a key file, made if it is missing and may be.
fn key_file(path: &Path, create: bool) -> Result<Secret> {
    if create && !path.exists() {
        make_key_file(path)?;
    }
    let file = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if file.mode() & 0o077 != 0 {
        return Err(Error::TokenNotRecognized.because(format_args!(
            "seal key {} may be read by others (mode {:o}): chmod 600 it",
            path.display(),
            file.mode() & 0o777
        )));
    }
    let text = Secret::from(fs::read(path).map_err(|e| unreadable(path, &e))?);
    let line =
        text.split(|b| *b == b'\n').find(|line| !line.is_empty() && line[0] != b'#').unwrap_or_default();
    decode_hex(line).ok_or_else(|| {
        Error::TokenNotRecognized.because(format_args!("seal key {}: not 64 hex digits", path.display()))
    })
}

fn decode_hex(line: &[u8]) -> Option<Secret> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8);
    let mut key = Secret::zeroed(32);
    if line.len() != 64 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(line.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

fn make_key_file(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        super::connection::make_folder(folder)?;
    }
    let key = Secret::random(32)?;
    let mut text = Secret::zeroed(64);
    for (pair, byte) in text.chunks_exact_mut(2).zip(key.iter()) {
        let digits = b"0123456789abcdef";
        pair.copy_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
    }
    let failed = |e: std::io::Error| io(path, &e);
    // Whole or not at all: another process may be making it too, and the first one wins.
    let draft = draft_of(path);
    let written = write_draft(&draft, &text);
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match linked {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // A token whose key's name is lost with the power is lost too.
        other => other.and_then(|()| sync_folder(path)).map_err(failed),
    }
}

fn write_draft(draft: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{FIRST_LINE}")?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Writes the rows that make an empty file a token.
pub fn write_rows(connection: &Connection, keys: &Keys, wrapping: &Wrapping) -> Result<()> {
    let mut statement =
        connection.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").map_err(sql)?;
    statement.execute(rusqlite::params!["seal", wrapping.wrap(keys)?]).map_err(sql)?;
    statement.execute(rusqlite::params!["token", keys.token.0]).map_err(sql)?;
    Ok(())
}
