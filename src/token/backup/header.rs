//! A backup's file: its name, and the clear header that says of what it is and who can open it.
//!
//! Magic line, length of the header (u32 LE), header as JSON, then the stream. All of the header is bound to
//! the stream by its hash.

use super::recipients::{MOST_SLOTS, Secrets, Slot};
use super::stream::{CHECKSUM, Opener};
use crate::audit::Tip;
use crate::crypto::Hash;
use crate::crypto::hash::Context;
use crate::error::{Error, Result};
use crate::store::{Id, file_error};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: &[u8] = b"strongroom backup ";
const VERSION: &[u8] = b"1\n";
const LONGEST_HEADER: usize = 1 << 20;
pub const SUFFIX: &str = "strongroom-backup";

/// What anyone may read of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The token's id.
    pub token: String,
    pub label: String,
    /// RFC 3339, UTC, seconds.
    pub made: String,
    /// The last entry of the audit log that is inside, and its hash in hex.
    pub sequence: u64,
    pub hash: String,
    pub recipients: Vec<Slot>,
}

/// The moment as headers say it.
pub fn moment(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

impl Header {
    pub fn made_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.made).ok()
    }

    pub fn is_of(&self, token: Id) -> bool {
        self.token == token.to_string()
    }

    pub fn tip_is(&self, tip: Tip) -> bool {
        self.sequence == tip.sequence && self.hash == crate::audit::hex(&tip.hash)
    }

    /// The file's first bytes.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|e| Error::GeneralError.because(e))?;
        let length = u32::try_from(json.len()).map_err(|_| Error::ArgumentsBad)?;
        Ok([MAGIC, VERSION, &length.to_le_bytes(), &json].concat())
    }

    /// A name that tells token and time.
    pub fn file_name(label: &str, at: SystemTime) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let label: String = label.trim().chars().map(plain).collect();
        let label = if label.is_empty() || label.starts_with('.') { format!("token{label}") } else { label };
        let time: String = moment(at).chars().filter(|c| !matches!(c, '-' | ':')).collect();
        format!("{label}-{time}.{SUFFIX}")
    }
}

/// A backup whose header was read.
pub struct BackupFile {
    pub header: Header,
    pub path: PathBuf,
    pub bytes: u64,
    file: File,
    hash: Context,
    /// Of the chunks.
    left: u64,
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::ArgumentsBad.because(format_args!("{}: {why}", path.display()))
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::EncryptedDataInvalid.because(format_args!("{}: {why}", path.display()))
}

impl BackupFile {
    /// `ArgumentsBad`: no backup, or of a newer version. `EncryptedDataInvalid`: damaged or cut off.
    pub fn open(path: &Path) -> Result<BackupFile> {
        let failed = |e: std::io::Error| file_error(path, &e);
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut start = [0; MAGIC.len() + VERSION.len() + 4];
        let got = read_up_to(&mut file, &mut start).map_err(failed)?;
        if !start[..got].starts_with(MAGIC) {
            return Err(foreign(path, "not a Strongroom backup"));
        }
        if got < start.len() {
            return Err(damaged(path, "the backup is cut off"));
        }
        if !start[MAGIC.len()..].starts_with(VERSION) {
            return Err(foreign(path, "made by a newer Strongroom, or damaged in its first line"));
        }
        let length = start.last_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
        let rest = bytes.saturating_sub((start.len() + length) as u64);
        if length > LONGEST_HEADER || rest < CHECKSUM {
            return Err(damaged(path, "the backup is cut off, or damaged in its header"));
        }
        let mut json = vec![0; length];
        file.read_exact(&mut json).map_err(failed)?;
        let header: Header =
            serde_json::from_slice(&json).map_err(|_| damaged(path, "the backup's header is damaged"))?;
        if header.recipients.len() > MOST_SLOTS {
            return Err(damaged(path, "the backup's header names more recipients than any backup has"));
        }
        let mut hash = Context::new(Hash::Sha256);
        hash.update(&start);
        hash.update(&json);
        Ok(BackupFile { header, path: path.to_owned(), bytes, file, hash, left: rest - CHECKSUM })
    }

    /// Whether the file is as it was written, by its checksum: what can be told without a secret.
    pub fn is_intact(self) -> bool {
        let (mut hash, mut file, mut left) = (self.hash, self.file, self.left);
        let mut piece = vec![0; 1 << 16];
        while left > 0 {
            let part = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if file.read_exact(&mut piece[..part]).is_err() {
                return false;
            }
            hash.update(&piece[..part]);
            left -= part as u64;
        }
        let (mut made, mut said) = ([0; 32], [0; 32]);
        hash.finish(&mut made);
        file.read_exact(&mut said).is_ok() && made == said
    }

    /// The stream. `PinIncorrect`: the file is whole, and no recipient's slot opens with these secrets.
    /// `EncryptedDataInvalid`: it is damaged.
    pub fn unlock(self, secrets: &Secrets) -> Result<(Header, Opener)> {
        let token = id_of(&self.header.token).ok_or_else(|| damaged(&self.path, "its header is damaged"))?;
        let opened = self.header.recipients.iter().map(|slot| slot.open(secrets, token));
        let Some(key) = opened.filter_map(Result::transpose).next().transpose()? else {
            let path = self.path.clone();
            let what = match (self.is_intact(), secrets) {
                (false, _) => return Err(damaged(&path, "the backup is damaged or cut off")),
                (true, Secrets::Passphrase(_)) => "passphrase",
                (true, Secrets::Recovery(_)) => "recovery key",
            };
            let why = format_args!("{}: the {what} does not open this backup", path.display());
            return Err(Error::PinIncorrect.because(why));
        };
        let opener = Opener::new(self.file, &self.path, &key, self.hash, self.left)?;
        Ok((self.header, opener))
    }
}

fn read_up_to(file: &mut File, out: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match file.read(&mut out[got..])? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

/// An id as it is shown.
pub fn id_of(text: &str) -> Option<Id> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let id = Id(crate::audit::from_hex(&digits)?.try_into().ok()?);
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_sort_by_time() {
        let at = humantime::parse_rfc3339("2026-11-28T06:15:00Z").unwrap();
        assert_eq!(Header::file_name("My vault/1", at), "My_vault_1-20261128T061500Z.strongroom-backup");
        assert_eq!(Header::file_name("..", at), "token..-20261128T061500Z.strongroom-backup");
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        let id = Id([0xab; 16]);
        assert_eq!(id_of(&id.to_string()), Some(id));
        assert_eq!((id_of("abababab"), id_of(&"ab".repeat(16))), (None, None));
    }
}
