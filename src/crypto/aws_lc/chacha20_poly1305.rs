//! ChaCha20-Poly1305 (RFC 8439), a message at a time.

use super::aes::AeadContext;
use super::{check, not_null};
use crate::error::{Error, Result};
use aws_lc_sys as aws;

/// Bytes of a tag.
pub const TAG: usize = 16;

fn context(key: &[u8; 32]) -> Result<AeadContext> {
    // SAFETY: a constant table; the key has the length that the AEAD expects.
    let made = unsafe { aws::EVP_AEAD_CTX_new(aws::EVP_aead_chacha20_poly1305(), key.as_ptr(), 32, TAG) };
    not_null(made, Error::HostMemory).map(AeadContext)
}

/// `out` has plain.len() + [`TAG`] bytes: ciphertext, then tag.
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plain: &[u8], out: &mut [u8]) -> Result<()> {
    let (context, mut written) = (context(key)?, 0);
    // SAFETY: all lengths are the slices' own; the output's room is checked by AWS-LC.
    let code = unsafe {
        let (target, room, nonce) = (out.as_mut_ptr(), out.len(), nonce.as_ptr());
        let (data, length, extra, extra_length) = (plain.as_ptr(), plain.len(), aad.as_ptr(), aad.len());
        let raw = context.get();
        aws::EVP_AEAD_CTX_seal(raw, target, &mut written, room, nonce, 12, data, length, extra, extra_length)
    };
    check(code, Error::FunctionFailed)
}

/// `input` is ciphertext then tag; `out` has [`TAG`] bytes less. On `EncryptedDataInvalid` it holds zeros.
pub fn open(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], input: &[u8], out: &mut [u8]) -> Result<()> {
    let (context, mut written) = (context(key)?, 0);
    // SAFETY: as in `seal`.
    let code = unsafe {
        let (target, room, nonce) = (out.as_mut_ptr(), out.len(), nonce.as_ptr());
        let (data, length, extra, extra_length) = (input.as_ptr(), input.len(), aad.as_ptr(), aad.len());
        let raw = context.get();
        aws::EVP_AEAD_CTX_open(raw, target, &mut written, room, nonce, 12, data, length, extra, extra_length)
    };
    check(code, Error::EncryptedDataInvalid).inspect_err(|_| out.fill(0))
}
