//! Triple DES with three keys (SP 800-67), for what old systems still hold: ECB, CBC and CMAC, by RustCrypto in
//! every build.

use super::{Direction, Mode, Secret};
use crate::error::{Error, Result};
use cmac::Mac;
use des::TdesEde3;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

pub const BLOCK: usize = 8;
pub const KEY: usize = 24;

fn cipher(key: &[u8]) -> Result<TdesEde3> {
    TdesEde3::new_from_slice(key).map_err(|_| Error::KeySizeRange)
}

/// Whether 24 bytes are a key: two of its thirds alike, which parity does not tell, make it single DES.
pub fn is_key(value: &[u8]) -> bool {
    let (thirds, rest) = value.as_chunks::<8>();
    let same =
        |one: &[u8; 8], other: &[u8; 8]| one.iter().zip(other).all(|(one, other)| (one ^ other) & 0xfe == 0);
    matches!(thirds, [first, second, third] if rest.is_empty() && !same(first, second) && !same(second, third))
}

/// A new key, with odd parity.
pub fn generate() -> Result<Secret> {
    loop {
        let mut key = Secret::random(KEY)?;
        key.iter_mut().for_each(|byte| *byte ^= u8::from((*byte).count_ones().is_multiple_of(2)));
        if is_key(&key) {
            return Ok(key);
        }
    }
}

/// A running unpadded cipher.
pub struct BlockCipher {
    cipher: TdesEde3,
    direction: Direction,
    /// CBC's last block.
    chain: Option<[u8; BLOCK]>,
}

impl BlockCipher {
    /// `iv` 8 bytes for CBC, none for ECB; there are no other modes (`MechanismParamInvalid`).
    pub fn new(mode: Mode, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Self> {
        let chain = match mode {
            Mode::Ecb if iv.is_empty() => None,
            Mode::Cbc => Some(iv.try_into().map_err(|_| Error::MechanismParamInvalid)?),
            _ => return Err(Error::MechanismParamInvalid),
        };
        Ok(Self { cipher: cipher(key)?, direction, chain })
    }

    /// Whole blocks; `input` and `out` have the same length.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        let (blocks, rest) = input.as_chunks::<BLOCK>();
        let (outs, other) = out.as_chunks_mut::<BLOCK>();
        if !rest.is_empty() || !other.is_empty() || blocks.len() != outs.len() {
            return Err(Error::GeneralError);
        }
        for (block, out) in blocks.iter().zip(outs) {
            let mut work = *block;
            if self.direction == Direction::Encrypt {
                self.chain.iter().for_each(|chain| xor(&mut work, chain));
                self.cipher.encrypt_block((&mut work).into());
                self.chain.iter_mut().for_each(|chain| *chain = work);
            } else {
                self.cipher.decrypt_block((&mut work).into());
                self.chain.iter().for_each(|chain| xor(&mut work, chain));
                self.chain.iter_mut().for_each(|chain| *chain = *block);
            }
            *out = work;
        }
        Ok(())
    }
}

fn xor(block: &mut [u8; BLOCK], other: &[u8; BLOCK]) {
    block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// A running CMAC (SP 800-38B).
pub struct Cmac(cmac::Cmac<TdesEde3>);

impl Cmac {
    pub fn new(key: &[u8]) -> Result<Self> {
        cmac::Cmac::<TdesEde3>::new_from_slice(key).map(Self).map_err(|_| Error::KeySizeRange)
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The tag; it starts anew.
    pub fn finish(&mut self) -> [u8; BLOCK] {
        self.0.finalize_reset().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
    }

    /// SP 800-67, appendix B.1.
    #[test]
    fn the_example_of_sp_800_67() {
        let key = bytes("0123456789abcdef23456789abcdef01456789abcdef0123");
        let plain = b"The qufck brown fox jump";
        let sealed = bytes("a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900");
        let run = |mode, direction, iv: &[u8], input: &[u8]| {
            let mut out = vec![0; input.len()];
            BlockCipher::new(mode, direction, &key, iv).unwrap().update(input, &mut out).unwrap();
            out
        };
        assert_eq!(run(Mode::Ecb, Direction::Encrypt, b"", plain), sealed);
        assert_eq!(run(Mode::Ecb, Direction::Decrypt, b"", &sealed), plain);
        let chained = run(Mode::Cbc, Direction::Encrypt, &[3; 8], plain);
        assert_ne!(chained, sealed);
        assert_eq!(run(Mode::Cbc, Direction::Decrypt, &[3; 8], &chained), plain);
        assert!(
            is_key(&key) && !is_key(&key[..16]) && !is_key(&[&key[..8], &key[..8], &key[8..16]].concat())
        );
    }

    /// SP 800-38B, appendix D.4 (examples of three-key TDEA).
    #[test]
    fn the_examples_of_sp_800_38b() {
        let mut mac = Cmac::new(&bytes("8aa83bf8cbda10620bc1bf19fbb6cd58bc313d4a371ca8b5")).unwrap();
        assert_eq!(mac.finish()[..], bytes("b7a688e122ffaf95"));
        mac.update(&bytes("6bc1bee22e409f96"));
        assert_eq!(mac.finish()[..], bytes("8e8f293136283797"));
    }

    #[test]
    fn keys_have_odd_parity() {
        let key = generate().unwrap();
        assert!(key.len() == KEY && key.iter().all(|byte| byte.count_ones() % 2 == 1));
    }
}
