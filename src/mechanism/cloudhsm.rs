//! AWS CloudHSM's own numbers for what its clients use (`include/strongroom.h`). To a standard mechanism
//! they add a number; AES-GCM has the form of its own that puts the IV, which the token makes, in front.
//! Its AES key wrap with PKCS#5 padding, which is nobody else's, is not here.

use super::aes::{wrap_padded, wrap_plain};
use super::operation::{Whole, run};
use super::{Key, Mechanism, Params, Shape, Transform, UNUSED};
use crate::crypto::{Direction, random};
use crate::error::{Error, Result};
use cryptoki_sys::*;
use std::sync::Arc;

const IV: usize = 12;

/// IV || ciphertext || tag. The parameter has no IV: it is random, and new for each encryption.
fn gcm(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Gcm { iv, aad, tag_bits } = params else { return Err(Error::MechanismParamInvalid) };
    if !iv.is_empty() || !matches!(tag_bits, 96 | 104 | 112 | 120 | 128) {
        return Err(Error::MechanismParamInvalid);
    }
    let tag = tag_bits / 8;
    Ok(match direction {
        Direction::Encrypt => Box::new(Whole::new(
            move |input| IV + input + tag,
            move |input, out| {
                let length = IV + input.len() + tag;
                let (iv, sealed) = out[..length].split_at_mut(IV);
                key.count_nonce()?;
                random::fill(iv)?;
                key.gcm()?.seal(iv, &aad, tag, input, sealed)?;
                Ok(length)
            },
        )),
        Direction::Decrypt => Box::new(Whole::new(
            move |input| input.saturating_sub(IV + tag),
            move |input, out| {
                let length = input.len().checked_sub(IV + tag).ok_or(Error::EncryptedDataLenRange)?;
                let (iv, sealed) = input.split_at(IV);
                key.gcm()?.open(iv, &aad, tag, sealed, &mut out[..length])?;
                Ok(length)
            },
        )),
    })
}

macro_rules! wrapping {
    ($id:expr, $name:literal, $params:expr, $cipher:ident) => {
        Mechanism {
            id: CKM_VENDOR_DEFINED as u64 | $id,
            name: $name,
            params: $params,
            keys: &[CKK_AES],
            sizes: (16, 32),
            approved: true,
            cipher: Some($cipher),
            wrap: Some(|key, params, plain| {
                run($cipher(Arc::clone(key), params, Direction::Encrypt)?, plain)
            }),
            unwrap: Some(|key, params, wrapped| {
                run($cipher(Arc::clone(key), params, Direction::Decrypt)?, wrapped)
            }),
            ..UNUSED
        }
    };
}

pub const ROWS: &[Mechanism] = &[
    wrapping!(0x1087, "CKM_CLOUDHSM_AES_GCM", Shape::Gcm, gcm),
    wrapping!(0x2109, "CKM_CLOUDHSM_AES_KEY_WRAP_NO_PAD", Shape::OptionalIv(8), wrap_plain),
    wrapping!(0x216f, "CKM_CLOUDHSM_AES_KEY_WRAP_ZERO_PAD", Shape::OptionalIv(4), wrap_padded),
];
