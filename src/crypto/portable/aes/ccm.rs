//! AES-CCM (SP 800-38C), a message at a time: the crate `ccm` takes nonce and tag lengths as types, 49
//! pairs for each key length.

use super::{Block, CounterStream, Schedule, xor};
use crate::crypto::Secret;
use crate::crypto::parts::check_ccm;
use crate::error::{Error, Result};
use aes::cipher::Array;
use subtle::ConstantTimeEq;

/// CBC-MAC: each block XORed in and encrypted, a short last one filled with zeros.
fn absorb(schedule: &Schedule, mac: &mut Block, data: &[u8]) {
    for chunk in data.chunks(16) {
        let mut block = Block::default();
        block[..chunk.len()].copy_from_slice(chunk);
        xor(mac, &block);
        schedule.encrypt(std::slice::from_mut(mac));
    }
}

/// The whole tag over the data (SP 800-38C appendix A), still to be masked.
fn authenticate(schedule: &Schedule, nonce: &[u8], aad: &[u8], tag_length: usize, plain: &[u8]) -> Block {
    let size = 15 - nonce.len();
    let mut first = Block::default();
    first[0] = u8::from(!aad.is_empty()) << 6 | ((tag_length as u8 - 2) / 2) << 3 | (size as u8 - 1);
    first[1..=nonce.len()].copy_from_slice(nonce);
    first[nonce.len() + 1..].copy_from_slice(&(plain.len() as u64).to_be_bytes()[8 - size..]);
    let mut mac = Block::default();
    absorb(schedule, &mut mac, &first);
    if !aad.is_empty() {
        let length = aad.len() as u64;
        let mut encoded = match length {
            0..0xff00 => (length as u16).to_be_bytes().to_vec(),
            0xff00..=0xffff_ffff => [&[0xff, 0xfe][..], &(length as u32).to_be_bytes()].concat(),
            _ => [&[0xff, 0xff][..], &length.to_be_bytes()].concat(),
        };
        encoded.extend_from_slice(aad);
        absorb(schedule, &mut mac, &encoded);
    }
    absorb(schedule, &mut mac, plain);
    mac
}

/// The key stream from its first block on: that one masks the tag.
fn stream(schedule: Schedule, nonce: &[u8]) -> CounterStream {
    let mut block = [0; 16];
    block[0] = 14 - nonce.len() as u8;
    block[1..=nonce.len()].copy_from_slice(nonce);
    CounterStream::new(schedule, &block, 8 * (15 - nonce.len()) as u32)
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
    check_ccm(nonce, tag_length, plain.len())?;
    let schedule = Schedule::new(key)?;
    let (body, tag) = out.split_at_mut_checked(plain.len()).ok_or(Error::GeneralError)?;
    let mac = authenticate(&schedule, nonce, aad, tag_length, plain);
    let (mut stream, mut masked) = (stream(schedule, nonce), [0; 16]);
    stream.apply(&mac, &mut masked);
    stream.apply(plain, body);
    tag.copy_from_slice(masked.get(..tag.len()).ok_or(Error::GeneralError)?);
    Ok(())
}

/// `input` is ciphertext then tag. `EncryptedDataInvalid` for what does not verify.
pub fn open(key: &[u8], nonce: &[u8], aad: &[u8], tag_length: usize, input: &[u8]) -> Result<Secret> {
    let length = input.len().checked_sub(tag_length).ok_or(Error::EncryptedDataLenRange)?;
    check_ccm(nonce, tag_length, length)?;
    let schedule = Schedule::new(key)?;
    let (body, tag) = input.split_at(length);
    let (mut stream, mut mask, mut plain) =
        (stream(schedule.clone(), nonce), [0; 16], Secret::zeroed(length));
    stream.apply(&[0; 16], &mut mask);
    stream.apply(body, &mut plain);
    let mut mac = authenticate(&schedule, nonce, aad, tag_length, &plain);
    xor(&mut mac, &Array(mask));
    if bool::from(mac[..tag_length].ct_eq(tag)) { Ok(plain) } else { Err(Error::EncryptedDataInvalid) }
}
