//! AES-CCM (SP 800-38C), a message at a time.

use super::{CipherContext, by_length};
use crate::crypto::aws_lc::check;
use crate::crypto::parts::check_ccm;
use crate::crypto::{Direction, Secret};
use crate::error::{Error, Result};
use aws_lc_sys as aws;
use std::ptr::{null, null_mut};

/// A context that knows key, nonce, tag, how much data comes, and the additional data. `tag` is that of a
/// message to open, or NULL.
fn start(
    direction: Direction,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    (tag, tag_length): (*const u8, usize),
    length: usize,
) -> Result<CipherContext> {
    check_ccm(nonce, tag_length, length)?;
    let (context, failed) = (CipherContext::new()?, Error::FunctionFailed);
    let encrypt = i32::from(direction == Direction::Encrypt);
    let aad_length = i32::try_from(aad.len()).map_err(|_| Error::MechanismParamInvalid)?;
    // SAFETY: constant tables; lengths are the slices' own and fit (checked above); the tag is copied.
    unsafe {
        let raw = context.get();
        let ciphers = [aws::EVP_aes_128_ccm(), aws::EVP_aes_192_ccm(), aws::EVP_aes_256_ccm()];
        let cipher = by_length(key, ciphers)?;
        check(aws::EVP_CipherInit_ex(raw, cipher, null_mut(), null(), null(), encrypt), failed)?;
        let (nonce_length, tag_length) = (nonce.len() as i32, tag_length as i32);
        check(aws::EVP_CIPHER_CTX_ctrl(raw, aws::EVP_CTRL_AEAD_SET_IVLEN, nonce_length, null_mut()), failed)?;
        let tag = tag.cast_mut().cast();
        check(aws::EVP_CIPHER_CTX_ctrl(raw, aws::EVP_CTRL_AEAD_SET_TAG, tag_length, tag), failed)?;
        let (key, nonce) = (key.as_ptr(), nonce.as_ptr());
        check(aws::EVP_CipherInit_ex(raw, null(), null_mut(), key, nonce, encrypt), failed)?;
        let mut written = 0;
        check(aws::EVP_CipherUpdate(raw, null_mut(), &mut written, null(), length as i32), failed)?;
        if aad_length > 0 {
            let data = aad.as_ptr();
            check(aws::EVP_CipherUpdate(raw, null_mut(), &mut written, data, aad_length), failed)?;
        }
    }
    Ok(context)
}

/// `out` has plain.len() + tag_length bytes: ciphertext, then tag. `MechanismParamInvalid` for lengths
/// that CCM has not, `DataLenRange` for more data than such a nonce allows.
pub fn seal(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    tag_length: usize,
    plain: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let context = start(Direction::Encrypt, key, nonce, aad, (null(), tag_length), plain.len())?;
    let (body, tag) = out.split_at_mut_checked(plain.len()).ok_or(Error::GeneralError)?;
    if tag.len() != tag_length {
        return Err(Error::GeneralError);
    }
    let mut written = 0;
    // SAFETY: the output is as long as the input, the tag as long as was said.
    unsafe {
        let (raw, data, length) = (context.get(), plain.as_ptr(), plain.len() as i32);
        let code = aws::EVP_CipherUpdate(raw, body.as_mut_ptr(), &mut written, data, length);
        check(code, Error::FunctionFailed)?;
        let (tag, length) = (tag.as_mut_ptr().cast(), tag_length as i32);
        check(aws::EVP_CIPHER_CTX_ctrl(raw, aws::EVP_CTRL_AEAD_GET_TAG, length, tag), Error::FunctionFailed)
    }
}

/// `input` is ciphertext then tag. `EncryptedDataInvalid` for what does not verify.
pub fn open(key: &[u8], nonce: &[u8], aad: &[u8], tag_length: usize, input: &[u8]) -> Result<Secret> {
    let length = input.len().checked_sub(tag_length).ok_or(Error::EncryptedDataLenRange)?;
    let (body, tag) = input.split_at(length);
    let context = start(Direction::Decrypt, key, nonce, aad, (tag.as_ptr(), tag_length), length)?;
    let (mut out, mut written) = (Secret::zeroed(length), 0);
    // SAFETY: the output is as long as the input.
    let code = unsafe {
        let (data, length) = (body.as_ptr(), body.len() as i32);
        aws::EVP_CipherUpdate(context.get(), out.as_mut_ptr(), &mut written, data, length)
    };
    check(code, Error::EncryptedDataInvalid)?;
    Ok(out)
}
