//! AES (PKCS#11 3.2 §6.13, §6.14): block modes, GCM, CMAC, key wrap.

use super::blocks::{BlockMode, Blocks};
use super::operation::{MacVerify, Whole, run};
use super::params::Iv;
use super::{Key, Mechanism, MessageShape, Params, Shape, Transform, row, secret};
use crate::config::Switch;
use crate::crypto::aes::{self, BlockCipher, Cmac, GcmStream};
use crate::crypto::{Direction, Mode};
use crate::error::{Error, Result};
use cryptoki_sys::*;
use std::sync::Arc;

const KEYS: &[u64] = &[CKK_AES];
const SIZES: (u64, u64) = (16, 32);
const BLOCK: usize = 16;

impl BlockMode<BLOCK> for BlockCipher {
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        BlockCipher::update(self, input, out)
    }
}

/// CTR and the like: bytes in, bytes out.
pub(super) struct Stream(pub BlockCipher);

impl Transform for Stream {
    fn update_length(&self, input: usize) -> usize {
        input
    }
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.0.update(input, &mut out[..input.len()])?;
        Ok(input.len())
    }
    fn finish_length(&self) -> usize {
        0
    }
    fn finish(&mut self, _: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
    fn one_shot_length(&self, input: usize) -> usize {
        input
    }
}

fn ecb(key: Arc<Key>, _: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    Ok(Blocks::start(BlockCipher::new(Mode::Ecb, direction, key.value(), &[])?, direction, false))
}

fn cbc(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Iv(iv) = params else { return Err(Error::MechanismParamInvalid) };
    Ok(Blocks::start(BlockCipher::new(Mode::Cbc, direction, key.value(), &iv)?, direction, false))
}

fn cbc_pad(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Iv(iv) = params else { return Err(Error::MechanismParamInvalid) };
    Ok(Blocks::start(BlockCipher::new(Mode::Cbc, direction, key.value(), &iv)?, direction, true))
}

fn ctr(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Ctr { counter_bits, block } = params else { return Err(Error::MechanismParamInvalid) };
    let mode = Mode::Ctr { counter_bits };
    Ok(Box::new(Stream(BlockCipher::new(mode, direction, key.value(), &block)?)))
}

/// A GCM encryption: at once by the prepared key, or in parts, or again and again by a stream of its own.
struct GcmSeal {
    key: Arc<Key>,
    iv: Iv,
    aad: Vec<u8>,
    tag_length: usize,
    /// Kept from one message to the next.
    stream: Option<GcmStream>,
    /// The stream is at work on this message.
    begun: bool,
    /// This is not the first message.
    again: bool,
}

impl GcmSeal {
    fn stream(&mut self) -> Result<&mut GcmStream> {
        let key = self.key.gcm()?;
        match &mut self.stream {
            Some(_) if self.begun => {}
            Some(stream) => key.restart_seal(stream, &self.iv, &self.aad)?,
            none => *none = Some(key.start_seal(&self.iv, &self.aad)?),
        }
        self.begun = true;
        self.stream.as_mut().ok_or(Error::GeneralError)
    }
}

impl Transform for GcmSeal {
    fn update_length(&self, input: usize) -> usize {
        input
    }
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        self.stream()?.update(input, &mut out[..input.len()])?;
        Ok(input.len())
    }
    fn finish_length(&self) -> usize {
        self.tag_length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let tag = self.stream()?.tag()?;
        out[..self.tag_length].copy_from_slice(&tag[..self.tag_length]);
        Ok(self.tag_length)
    }
    fn one_shot_length(&self, input: usize) -> usize {
        input + self.tag_length
    }
    fn one_shot(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let length = input.len() + self.tag_length;
        let out = &mut out[..length];
        if self.again {
            self.stream()?.seal(input, out)?;
        } else {
            self.key.gcm()?.seal(&self.iv, &self.aad, self.tag_length, input, out)?;
        }
        Ok(length)
    }
    fn rest(&mut self) -> bool {
        (self.begun, self.aad) = (false, Vec::new());
        true
    }
    fn restart(&mut self, params: &mut Params) -> bool {
        let Params::Gcm { iv, aad, tag_bits } = params else { return false };
        if check_gcm(iv, *tag_bits).is_err() {
            return false;
        }
        self.iv.set(iv);
        self.aad = std::mem::take(aad);
        self.tag_length = *tag_bits / 8;
        self.again = true;
        true
    }
}

pub(super) fn check_gcm(iv: &Iv, tag_bits: usize) -> Result<()> {
    if iv.is_empty() || !matches!(tag_bits, 32 | 64 | 96 | 104 | 112 | 120 | 128) {
        return Err(Error::MechanismParamInvalid);
    }
    Ok(())
}

/// GCM. A decryption in parts gives nothing before the tag is verified.
fn gcm(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    let Params::Gcm { iv, aad, tag_bits } = params else { return Err(Error::MechanismParamInvalid) };
    check_gcm(&iv, tag_bits)?;
    let tag_length = tag_bits / 8;
    Ok(match direction {
        Direction::Encrypt => {
            Box::new(GcmSeal { key, iv, aad, tag_length, stream: None, begun: false, again: false })
        }
        Direction::Decrypt => Box::new(Whole::new(
            move |input| input.saturating_sub(tag_length),
            move |input, out| {
                let length = input.len().checked_sub(tag_length).ok_or(Error::EncryptedDataLenRange)?;
                key.gcm()?.open(&iv, &aad, tag_length, input, &mut out[..length])?;
                Ok(length)
            },
        )),
    })
}

struct Mac {
    state: Cmac,
    length: usize,
}

impl Transform for Mac {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.state.update(input).map(|()| 0)
    }
    fn finish_length(&self) -> usize {
        self.length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        out[..self.length].copy_from_slice(&self.state.finish()?[..self.length]);
        Ok(self.length)
    }
}

/// `cut`: the length comes as a parameter.
fn cmac(key: Arc<Key>, params: Params, cut: bool) -> Result<Box<dyn Transform>> {
    let length = match params {
        Params::None if !cut => BLOCK,
        Params::MacLength(length) if cut && (1..=BLOCK).contains(&length) => length,
        _ => return Err(Error::MechanismParamInvalid),
    };
    Ok(Box::new(Mac { state: Cmac::new(key.value())?, length }))
}

/// RFC 3394 (`padded` false) or RFC 5649, with the standard's initial value only.
fn key_wrap(
    key: Arc<Key>,
    params: &Params,
    padded: bool,
    direction: Direction,
) -> Result<Box<dyn Transform>> {
    let standard: &[u8] = if padded { &[0xa6, 0x59, 0x59, 0xa6] } else { &[0xa6; 8] };
    match params {
        Params::None => {}
        Params::Iv(iv) if iv == standard => {}
        _ => return Err(Error::MechanismParamInvalid),
    }
    let copy = |made: &[u8], out: &mut [u8]| {
        out.get_mut(..made.len()).ok_or(Error::GeneralError)?.copy_from_slice(made);
        Ok(made.len())
    };
    Ok(match direction {
        Direction::Encrypt => Box::new(Whole::new(
            |input| input.next_multiple_of(8) + 8,
            move |input, out| copy(&aes::wrap(key.value(), padded, input)?, out),
        )),
        Direction::Decrypt => Box::new(Whole::new(
            |input| input.saturating_sub(8),
            move |input, out| copy(&aes::unwrap(key.value(), padded, input)?, out),
        )),
    })
}

pub(super) fn wrap_plain(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    key_wrap(key, &params, false, direction)
}

pub(super) fn wrap_padded(key: Arc<Key>, params: Params, direction: Direction) -> Result<Box<dyn Transform>> {
    key_wrap(key, &params, true, direction)
}

/// A row of a cipher that may also wrap keys.
macro_rules! wrapping {
    ($id:ident, $shape:expr, $approved:expr, $cipher:ident $(, $field:ident: $value:expr)*) => {
        row!($id, $shape, KEYS, SIZES, $approved,
            $($field: $value,)*
            cipher: $cipher,
            wrap: |key, params, plain| run($cipher(Arc::clone(key), params, Direction::Encrypt)?, plain),
            unwrap: |key, params, wrapped| run($cipher(Arc::clone(key), params, Direction::Decrypt)?, wrapped))
    };
}

pub const ROWS: &[Mechanism] = &[
    row!(CKM_AES_KEY_GEN, Shape::None, KEYS, SIZES, true, generate: |_, template| {
        secret::generate(template, CKK_AES, |length| matches!(length, 16 | 24 | 32))
    }),
    row!(CKM_AES_ECB, Shape::None, KEYS, SIZES, true, cipher: ecb),
    wrapping!(CKM_AES_CBC, Shape::Iv(BLOCK), true, cbc,
        wrap_needs: Switch::UnauthenticatedWrap, unwrap_needs: Switch::UnauthenticatedWrap),
    wrapping!(CKM_AES_CBC_PAD, Shape::Iv(BLOCK), true, cbc_pad,
        wrap_needs: Switch::UnauthenticatedWrap, unwrap_needs: Switch::UnauthenticatedWrap),
    row!(CKM_AES_CTR, Shape::Ctr, KEYS, SIZES, true, cipher: ctr),
    wrapping!(CKM_AES_GCM, Shape::Gcm, true, gcm,
        message: MessageShape::Gcm, wrap_needs: Switch::CallerNonceWrap),
    row!(CKM_AES_CMAC, Shape::None, KEYS, SIZES, true,
        sign: |key, params| cmac(key, params, false),
        verify: |key, params| Ok(Box::new(MacVerify(cmac(key, params, false)?)))),
    row!(CKM_AES_CMAC_GENERAL, Shape::MacLength, KEYS, SIZES, true,
        sign: |key, params| cmac(key, params, true),
        verify: |key, params| Ok(Box::new(MacVerify(cmac(key, params, true)?)))),
    wrapping!(CKM_AES_KEY_WRAP, Shape::OptionalIv(8), true, wrap_plain),
    wrapping!(CKM_AES_KEY_WRAP_KWP, Shape::OptionalIv(4), true, wrap_padded),
    wrapping!(CKM_AES_KEY_WRAP_PAD, Shape::OptionalIv(4), true, wrap_padded),
];
