//! The encrypted part of a backup: chunks of 64 KiB, each under AES-256-GCM with a nonce that says which one
//! it is and whether it is the last (STREAM, Hoang and others 2015), and the header's hash as associated
//! data. Cut, reordered, exchanged, lengthened and flipped files do not open, nor do others' headers.
//!
//! After the last chunk stands the SHA-256 of everything before: what somebody without the key can check.

use crate::crypto::aes::GcmKey;
use crate::crypto::hash::Context;
use crate::crypto::{Hash, Secret, derive};
use crate::error::{Error, Result};
use crate::store::file_error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// Bytes of the checksum at the end.
pub const CHECKSUM: u64 = 32;
/// So much is written before it is synced: many small syncs hold up other writers of the disk less than
/// one large one.
const SYNC_EVERY: usize = 1 << 20;

fn nonce(number: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = last.into();
    nonce
}

/// The stream's key, of the backup key and the header's hash.
fn key(backup_key: &Secret, header: &[u8]) -> Result<GcmKey> {
    GcmKey::new(&derive::hkdf_sha256(header, backup_key, b"strongroom backup stream", 32))
}

/// A file that is hashed as it is written.
pub struct HashingFile {
    file: File,
    path: PathBuf,
    hash: Context,
    unsynced: usize,
    pub written: u64,
}

impl HashingFile {
    /// `path`: for messages.
    pub fn new(file: File, path: &Path) -> HashingFile {
        HashingFile { file, path: path.to_owned(), hash: Context::new(Hash::Sha256), unsynced: 0, written: 0 }
    }

    /// `DeviceMemory` when the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |e| file_error(&self.path, &e);
        self.file.write_all(bytes).map_err(failed)?;
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.file.sync_data().map_err(failed)?;
        }
        Ok(())
    }

    /// The hash of what was written; the header's, while it is all.
    pub fn so_far(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        self.hash.clone().finish(&mut hash);
        hash
    }

    fn finish(mut self) -> Result<u64> {
        let checksum = self.so_far();
        self.write(&checksum)?;
        self.file.sync_all().map_err(|e| file_error(&self.path, &e))?;
        Ok(self.written)
    }
}

/// Encrypts into a file.
pub struct Sealer {
    out: HashingFile,
    key: GcmKey,
    header: [u8; 32],
    /// Plaintext of the chunk that is being filled.
    chunk: Secret,
    filled: usize,
    sealed: Vec<u8>,
    number: u64,
}

impl Sealer {
    /// After the header, which is all that was written so far.
    pub fn new(out: HashingFile, backup_key: &Secret) -> Result<Sealer> {
        let header = out.so_far();
        let key = key(backup_key, &header)?;
        let (chunk, sealed) = (Secret::zeroed(CHUNK), vec![0; CHUNK + TAG]);
        Ok(Sealer { out, key, header, chunk, filled: 0, sealed, number: 0 })
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.filled == CHUNK {
                self.flush(false)?;
            }
            let part = bytes.len().min(CHUNK - self.filled);
            self.chunk[self.filled..self.filled + part].copy_from_slice(&bytes[..part]);
            self.filled += part;
            bytes = &bytes[part..];
        }
        Ok(())
    }

    fn flush(&mut self, last: bool) -> Result<()> {
        let sealed = &mut self.sealed[..self.filled + TAG];
        self.key.seal(&nonce(self.number, last), &self.header, TAG, &self.chunk[..self.filled], sealed)?;
        self.out.write(sealed)?;
        self.number += 1;
        self.filled = 0;
        Ok(())
    }

    /// The last chunk and the checksum, all of it on the disk; gives the file's length.
    pub fn finish(mut self) -> Result<u64> {
        self.flush(true)?;
        self.out.finish()
    }
}

/// Decrypts from a file.
pub struct Opener {
    file: File,
    path: PathBuf,
    key: GcmKey,
    header: [u8; 32],
    /// Bytes of chunks that were not read yet, and all.
    left: u64,
    pub all: u64,
    hash: Context,
    chunk: Secret,
    /// What of the chunk is plaintext that nobody took yet.
    ready: std::ops::Range<usize>,
    sealed: Vec<u8>,
    number: u64,
}

impl Opener {
    /// `hash`: of the header, which was just read; `left`: the bytes up to the checksum.
    pub fn new(file: File, path: &Path, backup_key: &Secret, hash: Context, left: u64) -> Result<Opener> {
        let mut header = [0; 32];
        hash.clone().finish(&mut header);
        Ok(Opener {
            file,
            path: path.to_owned(),
            key: key(backup_key, &header)?,
            header,
            left,
            all: left,
            hash,
            chunk: Secret::zeroed(CHUNK),
            ready: 0..0,
            sealed: vec![0; CHUNK + TAG],
            number: 0,
        })
    }

    fn damaged(&self, why: impl std::fmt::Display) -> Error {
        Error::EncryptedDataInvalid.because(format_args!("{}: {why}", self.path.display()))
    }

    /// The next chunk; false at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.left == 0 {
            return if self.number == 0 { Err(self.damaged("the backup is cut off")) } else { Ok(false) };
        }
        let length = (CHUNK + TAG).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if length < TAG {
            return Err(self.damaged("the backup is cut off"));
        }
        self.left -= length as u64;
        let last = self.left == 0;
        self.file.read_exact(&mut self.sealed[..length]).map_err(|e| self.damaged(e))?;
        self.hash.update(&self.sealed[..length]);
        let (sealed, plain) = (&self.sealed[..length], length - TAG);
        let mut open = |last| {
            self.key.open(&nonce(self.number, last), &self.header, TAG, sealed, &mut self.chunk[..plain])
        };
        if open(last).is_err() {
            let why = match open(!last) {
                Ok(()) if last => "the backup is cut off".to_owned(),
                Ok(()) => "something follows the end of the backup".to_owned(),
                Err(_) if last => "the backup is damaged at its end, or cut off".to_owned(),
                Err(_) => format!("the backup is damaged in chunk {}", self.number),
            };
            return Err(self.damaged(why));
        }
        self.number += 1;
        self.ready = 0..plain;
        Ok(true)
    }

    /// Whether all was read; the checksum, too, is right then.
    pub fn at_end(&mut self) -> Result<bool> {
        if !self.ready.is_empty() || self.fill()? && !self.ready.is_empty() {
            return Ok(false);
        }
        let (mut made, mut said) = ([0; 32], [0; 32]);
        self.hash.clone().finish(&mut made);
        self.file.read_exact(&mut said).map_err(|e| self.damaged(e))?;
        if made == said { Ok(true) } else { Err(self.damaged("the checksum at its end is damaged")) }
    }

    pub fn read(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            if self.ready.is_empty() && !self.fill()? {
                return Err(self.damaged("it ends within a row"));
            }
            let part = out.len().min(self.ready.len());
            out[..part].copy_from_slice(&self.chunk[self.ready.start..self.ready.start + part]);
            self.ready.start += part;
            out = &mut out[part..];
        }
        Ok(())
    }

    /// Bytes of the file that were read.
    pub fn done(&self) -> u64 {
        self.all - self.left
    }
}
