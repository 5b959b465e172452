//! Seal providers: where the key comes from that wraps the token's seal key S: a key file, a credential of
//! systemd, a passphrase. What they give, the material, is stretched into a wrapping key here; the wrappings
//! in the file are the business of `wrapping.rs`.
//!
//! A credential holds what a key file holds, and is the same provider to the file: which of the two hands
//! the key over is a matter of configuration alone. To add a provider: a number in [`Provider`], an arm in
//! [`material`] and in [`Provider::stretch`], an option in `config`.

use super::connection::{draft_of, io, sync_folder};
use crate::config::{PassphraseSource, SealConfig};
use crate::crypto::{Secret, argon2id, derive};
use crate::error::{Error, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

const FIRST_LINE: &str =
    "# Strongroom seal key. Whoever has this and the token's file can try passwords. Keep a copy.\n";

/// What kind of key a wrapping is under; the number is the one in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Provider {
    /// 32 random bytes, of a key file or a credential.
    Key = 1,
    Passphrase = 2,
}

impl Provider {
    pub fn of(config: &SealConfig) -> Provider {
        match config {
            SealConfig::KeyFile(_) | SealConfig::Credential { .. } => Provider::Key,
            SealConfig::Passphrase(_) => Provider::Passphrase,
        }
    }

    pub fn from_number(number: u8) -> Option<Provider> {
        [Provider::Key, Provider::Passphrase].into_iter().find(|provider| *provider as u8 == number)
    }

    /// As commands and the audit log say it.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Key => "key",
            Provider::Passphrase => "passphrase",
        }
    }

    /// The wrapping key; Argon2id's cost is a passphrase's alone.
    pub fn stretch(self, material: &Secret, salt: &[u8; 16], memory_kib: u32, passes: u32) -> Result<Secret> {
        match self {
            Provider::Key => Ok(derive::hkdf_sha256(salt, material, b"strongroom key file", 32)),
            Provider::Passphrase => argon2id::derive(material, salt, memory_kib, passes),
        }
    }
}

/// Where a configuration's seal key lies, for messages.
pub fn described(config: &SealConfig) -> String {
    match config {
        SealConfig::KeyFile(path) => format!("key file {}", path.display()),
        SealConfig::Credential { name, .. } => format!("credential {name}"),
        SealConfig::Passphrase(PassphraseSource::File(path)) => format!("passphrase in {}", path.display()),
        SealConfig::Passphrase(PassphraseSource::Environment) => {
            "passphrase in STRONGROOM_SEAL_PASSPHRASE".into()
        }
    }
}

/// What the provider gives: a key's 32 bytes, or the bytes of a passphrase. `TokenNotRecognized` when it
/// gives nothing good, the reason in the log.
pub fn material(config: &SealConfig) -> Result<Secret> {
    match config {
        SealConfig::KeyFile(path) => key_in(path, 0o077),
        // systemd gives a service's user a right of his own, which the group's bits of the mode show.
        SealConfig::Credential { name, folder } => key_in(&credential(name, folder.as_deref())?, 0o007),
        SealConfig::Passphrase(PassphraseSource::File(path)) => {
            passphrase(fs::read(path).map_err(|e| unreadable(path, &e))?)
        }
        SealConfig::Passphrase(PassphraseSource::Environment) => {
            let unset = || Error::TokenNotRecognized.because("STRONGROOM_SEAL_PASSPHRASE is not set");
            let value = std::env::var_os("STRONGROOM_SEAL_PASSPHRASE").ok_or_else(unset)?;
            passphrase(std::os::unix::ffi::OsStringExt::into_vec(value))
        }
    }
}

/// As `material`; a key file that is not there is made.
pub fn material_or_new(config: &SealConfig) -> Result<Secret> {
    if let SealConfig::KeyFile(path) = config
        && !path.exists()
    {
        make_key_file(path)?;
    }
    material(config)
}

fn credential(name: &str, folder: Option<&Path>) -> Result<PathBuf> {
    folder.map(|folder| folder.join(name)).ok_or_else(|| {
        Error::TokenNotRecognized.because(format_args!(
            "seal key: there is no credential {name}, because CREDENTIALS_DIRECTORY is not set: systemd sets it \
             for a service with LoadCredentialEncrypted={name}"
        ))
    })
}

/// The bytes without the newlines at their end.
pub fn passphrase(bytes: Vec<u8>) -> Result<Secret> {
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

/// The 32 bytes of a key file that has none of the `forbidden` bits in its mode.
fn key_in(path: &Path, forbidden: u32) -> Result<Secret> {
    let file = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if file.mode() & forbidden != 0 {
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

/// What a key file with this key says.
fn key_text(key: &Secret) -> Secret {
    let mut text = Secret::zeroed(FIRST_LINE.len() + 65);
    let (head, digits) = text.split_at_mut(FIRST_LINE.len());
    head.copy_from_slice(FIRST_LINE.as_bytes());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(key.iter()) {
        let hex = b"0123456789abcdef";
        pair.copy_from_slice(&[hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
    }
    digits[64] = b'\n';
    text
}

fn make_key_file(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        super::connection::make_folder(folder)?;
    }
    let text = key_text(&Secret::random(32)?);
    // Whole or not at all: another process may be making it too, and the first one wins.
    let draft = draft_of(path);
    let linked = write_draft(&draft, &text).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match linked {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        // A token whose key's name is lost with the power is lost too.
        other => other.and_then(|()| sync_folder(path)).map_err(|e| io(path, &e)),
    }
}

fn write_draft(draft: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text)?;
    file.sync_all()
}

/// New material on disk beside the file it is to replace; gone again unless it was put in place.
pub struct Successor {
    pub material: Secret,
    draft: PathBuf,
    place: PathBuf,
}

impl Successor {
    /// A fresh key for a key file, or this passphrase for a passphrase file; owner and mode stay as they
    /// are. `ActionProhibited` for what nobody here can write: a variable, a credential.
    pub fn write(config: &SealConfig, new_passphrase: Option<Secret>) -> Result<Successor> {
        let (path, material, text) = match (config, new_passphrase) {
            (SealConfig::KeyFile(path), None) => {
                let key = Secret::random(32)?;
                let text = key_text(&key);
                (path, key, text)
            }
            (SealConfig::Passphrase(PassphraseSource::File(path)), Some(words)) => {
                let text = Secret::from([&words[..], b"\n"].concat());
                (path, words, text)
            }
            _ => {
                return Err(Error::ActionProhibited.because(format_args!(
                    "the {} cannot be exchanged from here: add a seal, tell the configuration, remove this one",
                    described(config)
                )));
            }
        };
        // Of a symbolic link its end is exchanged.
        let place = fs::canonicalize(path).map_err(|e| unreadable(path, &e))?;
        let successor = Successor { material, draft: draft_of(&place), place };
        successor.fill(&text).map_err(|e| io(&successor.place, &e))?;
        Ok(successor)
    }

    /// Who could read the old file can read the new one, and nobody else.
    fn fill(&self, text: &[u8]) -> std::io::Result<()> {
        let present = fs::metadata(&self.place)?;
        write_draft(&self.draft, text)?;
        let made = fs::metadata(&self.draft)?;
        if (made.uid(), made.gid()) != (present.uid(), present.gid()) {
            chown(&self.draft, Some(present.uid()), Some(present.gid()))?;
        }
        fs::set_permissions(&self.draft, fs::Permissions::from_mode(present.mode() & 0o777))?;
        fs::File::open(&self.draft)?.sync_all()
    }

    /// In the old one's place, durably: whoever reads it sees the one or the other.
    pub fn put_in_place(&self) -> Result<()> {
        let moved = fs::rename(&self.draft, &self.place);
        moved.and_then(|()| sync_folder(&self.place)).map_err(|e| io(&self.place, &e))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}
