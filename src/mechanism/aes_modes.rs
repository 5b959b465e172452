//! AES beside the common modes (PKCS#11 3.2 §6.10, §6.13): CFB, OFB, CCM, GMAC.

use super::aes::{Stream, check_gcm};
use super::operation::{MacVerify, Whole, run};
use super::{Key, Mechanism, MessageShape, Params, Shape, Transform, row};
use crate::config::Switch;
use crate::crypto::aes::{BlockCipher, ccm};
use crate::crypto::{Direction, Mode};
use crate::error::{Error, Result};
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_AES];
const SIZES: (u64, u64) = (16, 32);

fn stream(key: &Key, params: Params, mode: Mode, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Iv(iv) = params else { return Err(Error::MechanismParamInvalid) };
    Ok(Box::new(Stream(BlockCipher::new(mode, direction, key.value(), &iv)?)))
}

/// CCM, whose first step needs to know how much data comes: parts are collected, and must be as much as
/// the parameter said. `wraps`: for a key to wrap the parameter does not say it (§6.13.4).
fn aes_ccm(key: Arc<Key>, params: Params, direction: Direction, wraps: bool) -> Result<Box<dyn Transform>> {
    let Params::Ccm { data_length, nonce, aad, tag_length } = params else {
        return Err(Error::MechanismParamInvalid);
    };
    if !(7..=13).contains(&nonce.len()) || !matches!(tag_length, 4 | 6 | 8 | 10 | 12 | 14 | 16) {
        return Err(Error::MechanismParamInvalid);
    }
    let as_said = move |length: usize| wraps || length == data_length;
    Ok(match direction {
        Direction::Encrypt => Box::new(Whole::new(
            move |input| input + tag_length,
            move |input, out| {
                if !as_said(input.len()) {
                    return Err(Error::DataLenRange);
                }
                let out = &mut out[..input.len() + tag_length];
                ccm::seal(key.value(), &nonce, &aad, tag_length, input, out)?;
                Ok(out.len())
            },
        )),
        Direction::Decrypt => Box::new(Whole::new(
            move |input| input.saturating_sub(tag_length),
            move |input, out| {
                if !input.len().checked_sub(tag_length).is_some_and(as_said) {
                    return Err(Error::EncryptedDataLenRange);
                }
                let plain = ccm::open(key.value(), &nonce, &aad, tag_length, input)?;
                out[..plain.len()].copy_from_slice(&plain);
                Ok(plain.len())
            },
        )),
    })
}

/// GCM's tag over additional data alone, which is the data here; the parameter has none.
fn gmac(key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let Params::Gcm { iv, aad, tag_bits } = params else { return Err(Error::MechanismParamInvalid) };
    check_gcm(&iv, tag_bits)?;
    if !aad.is_empty() {
        return Err(Error::MechanismParamInvalid);
    }
    let length = tag_bits / 8;
    Ok(Box::new(Whole::new(
        move |_| length,
        move |data, out| {
            key.gcm()?.seal(&iv, data, length, &[], &mut out[..length])?;
            Ok(length)
        },
    )))
}

macro_rules! stream {
    ($id:ident, $mode:ident) => {
        row!($id, Shape::Iv(16), KEYS, SIZES, true,
            cipher: |key, params, direction| stream(&key, params, Mode::$mode, direction))
    };
}

pub const ROWS: &[Mechanism] = &[
    stream!(CKM_AES_CFB128, Cfb128),
    stream!(CKM_AES_CFB8, Cfb8),
    stream!(CKM_AES_OFB, Ofb),
    row!(CKM_AES_CCM, Shape::Ccm, KEYS, SIZES, true,
        message: MessageShape::Ccm,
        wrap_needs: Switch::CallerNonceWrap,
    cipher: |key, params, direction| aes_ccm(key, params, direction, false),
    wrap: |key, params, plain| run(aes_ccm(Arc::clone(key), params, Direction::Encrypt, true)?, plain),
    unwrap: |key, params, wrapped| {
        run(aes_ccm(Arc::clone(key), params, Direction::Decrypt, true)?, wrapped)
    }),
    row!(CKM_AES_GMAC, Shape::Gcm, KEYS, SIZES, true,
        sign: gmac,
        verify: |key, params| Ok(Box::new(MacVerify(gmac(key, params)?)))),
];
