//! AES-128/192/256: unpadded block modes, GCM, CMAC, key wrap.

use crate::crypto::{Direction, Mode, Secret};
use crate::error::Result;

/// A running unpadded ECB, CBC or CTR. Padding and part-blocks are the caller's business.
pub struct BlockCipher {}

impl BlockCipher {
    /// `key` 16, 24 or 32 bytes (`KeySizeRange`); `iv` 16 bytes, none for ECB.
    pub fn new(mode: Mode, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Self> {
        let _ = (mode, direction, key, iv);
        todo!()
    }
    /// `input` and `out` have the same length; whole blocks but for CTR. A CTR whose counter
    /// would wrap within counter_bits is `DataLenRange`.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (input, out);
        todo!()
    }
}

/// A prepared AES-GCM key: one-shot calls take `&self` and any number of threads.
pub struct GcmKey {}

impl GcmKey {
    pub fn new(key: &[u8]) -> Result<Self> {
        let _ = key;
        todo!()
    }
    /// `iv` 1..=256 bytes, `tag_length` 4..=16 (12..16 or 4, 8). `out` has
    /// plain.len() + tag_length bytes: ciphertext, then tag.
    pub fn seal(&self, iv: &[u8], aad: &[u8], tag_length: usize, plain: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (iv, aad, tag_length, plain, out);
        todo!()
    }
    /// `input` is ciphertext then tag; `out` has input.len() - tag_length bytes. On
    /// `EncryptedDataInvalid` `out` holds zeros only.
    pub fn open(&self, iv: &[u8], aad: &[u8], tag_length: usize, input: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (iv, aad, tag_length, input, out);
        todo!()
    }
    /// A running encryption; the parts' concatenation equals `seal`'s ciphertext.
    pub fn start_seal(&self, iv: &[u8], aad: &[u8]) -> Result<GcmStream> {
        let _ = (iv, aad);
        todo!()
    }
}

/// A running GCM encryption (decryption in parts is buffered above and opened in one go).
pub struct GcmStream {}

impl GcmStream {
    /// `out` has input.len() bytes.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let _ = (input, out);
        todo!()
    }
    pub fn tag(&mut self) -> Result<[u8; 16]> {
        todo!()
    }
}

/// A running CMAC (SP 800-38B).
pub struct Cmac {}

impl Cmac {
    pub fn new(key: &[u8]) -> Result<Self> {
        let _ = key;
        todo!()
    }
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        let _ = data;
        todo!()
    }
    pub fn finish(&mut self) -> Result<[u8; 16]> {
        todo!()
    }
}

/// AES key wrap: RFC 3394 (`padded` false: `plain` a multiple of 8, at least 16: `DataLenRange`)
/// or RFC 5649 (`padded` true: 1 byte and more).
pub fn wrap(key: &[u8], padded: bool, plain: &[u8]) -> Result<Vec<u8>> {
    let _ = (key, padded, plain);
    todo!()
}

/// `EncryptedDataInvalid` for a failed check, `EncryptedDataLenRange` for an impossible length.
pub fn unwrap(key: &[u8], padded: bool, wrapped: &[u8]) -> Result<Secret> {
    let _ = (key, padded, wrapped);
    todo!()
}
