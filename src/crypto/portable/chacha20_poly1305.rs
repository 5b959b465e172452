//! ChaCha20-Poly1305 (RFC 8439), a message at a time.

use crate::error::{Error, Result};
use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, Tag};

/// Bytes of a tag.
pub const TAG: usize = 16;

/// `out` has plain.len() + [`TAG`] bytes: ciphertext, then tag.
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plain: &[u8], out: &mut [u8]) -> Result<()> {
    let (body, tag) = out.split_at_mut_checked(plain.len()).ok_or(Error::GeneralError)?;
    let data = InOutBuf::new(plain, body).map_err(|_| Error::GeneralError)?;
    let made = ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), aad, data)
        .map_err(|_| Error::DataLenRange)?;
    tag.copy_from_slice(made.get(..tag.len()).ok_or(Error::GeneralError)?);
    Ok(())
}

/// `input` is ciphertext then tag; `out` has [`TAG`] bytes less. On `EncryptedDataInvalid` it holds zeros.
pub fn open(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], input: &[u8], out: &mut [u8]) -> Result<()> {
    let (body, tag) = input.split_at_checked(out.len()).ok_or(Error::EncryptedDataInvalid)?;
    let tag = Tag::try_from(tag).map_err(|_| Error::EncryptedDataInvalid)?;
    let data = InOutBuf::new(body, out).map_err(|_| Error::GeneralError)?;
    let opened = ChaCha20Poly1305::new(key.into()).decrypt_inout_detached(nonce.into(), aad, data, &tag);
    opened.map_err(|_| Error::EncryptedDataInvalid).inspect_err(|_| out.fill(0))
}
