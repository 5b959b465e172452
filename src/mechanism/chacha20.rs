//! ChaCha20-Poly1305 (PKCS#11 3.2 §6.58, §6.61; RFC 8439): keys of 32 bytes, nonces of 12.

use super::operation::Whole;
use super::{Key, Mechanism, MessageShape, Params, Shape, Transform, row, secret};
use crate::crypto::chacha20_poly1305::{TAG, open, seal};
use crate::crypto::{Direction, Secret};
use crate::error::{Error, Result};
use crate::mechanism::import;
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_CHACHA20];
const LENGTH: usize = 32;
const SIZES: (u64, u64) = (LENGTH as u64, LENGTH as u64);

fn value(key: &Key) -> Result<&[u8; LENGTH]> {
    key.value().try_into().map_err(|_| Error::KeySizeRange)
}

/// Decryption gives nothing before the tag is verified.
fn aead(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::ChaCha20Poly1305 { nonce, aad } = params else { return Err(Error::MechanismParamInvalid) };
    Ok(match direction {
        Direction::Encrypt => Box::new(Whole::new(
            |input| input + TAG,
            move |input, out| {
                seal(value(&key)?, &nonce, &aad, input, &mut out[..input.len() + TAG])?;
                Ok(input.len() + TAG)
            },
        )),
        Direction::Decrypt => Box::new(Whole::new(
            |input| input.saturating_sub(TAG),
            move |input, out| {
                let length = input.len().checked_sub(TAG).ok_or(Error::EncryptedDataLenRange)?;
                open(value(&key)?, &nonce, &aad, input, &mut out[..length])?;
                Ok(length)
            },
        )),
    })
}

pub const ROWS: &[Mechanism] = &[
    // The length is fixed and may be left out.
    row!(CKM_CHACHA20_KEY_GEN, Shape::None, KEYS, SIZES, false, generate: |_, template| {
        match template.number(CKA_VALUE_LEN) {
            None => import::secret(CKK_CHACHA20, Secret::random(LENGTH)?),
            Some(_) => secret::generate(template, CKK_CHACHA20, |length| length == LENGTH as u64),
        }
    }),
    row!(CKM_CHACHA20_POLY1305, Shape::ChaCha20Poly1305, KEYS, SIZES, false,
        message: MessageShape::ChaCha20Poly1305,
        cipher: aead),
];
