//! Block ciphers in ECB and CBC, in parts, with padding or without; the ciphers themselves are `aes`'s and
//! `triple_des`'s.

use super::Transform;
use crate::crypto::Direction;
use crate::error::{Error, Result};
use subtle::{ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater, ConstantTimeLess};
use zeroize::Zeroizing;

/// A running cipher of whole blocks; both slices have the same length.
pub trait BlockMode<const BLOCK: usize> {
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()>;
}

/// ECB and CBC in parts: whole blocks go through, the rest waits.
pub struct Blocks<C, const BLOCK: usize> {
    cipher: C,
    direction: Direction,
    padding: bool,
    waiting: Zeroizing<[u8; BLOCK]>,
    /// How many bytes wait.
    held: usize,
    /// What waits is the last block of a padded decryption so far, decrypted: so the length of the
    /// end is known before it is asked for, and a caller who knows it too needs no more room.
    opened: bool,
}

impl<C: BlockMode<BLOCK> + Send + 'static, const BLOCK: usize> Blocks<C, BLOCK> {
    pub fn start(cipher: C, direction: Direction, padding: bool) -> Box<dyn Transform> {
        let waiting = Zeroizing::new([0; BLOCK]);
        Box::new(Self { cipher, direction, padding, waiting, held: 0, opened: false })
    }

    /// Keeps what does not go through now: at most a block (`through` sees to it).
    fn wait(&mut self, bytes: &[u8]) {
        self.waiting[self.held..self.held + bytes.len()].copy_from_slice(bytes);
        self.held += bytes.len();
    }

    /// Lets the block that waits through.
    fn release(&mut self, out: &mut [u8]) -> Result<()> {
        if self.opened {
            out.copy_from_slice(&self.waiting[..]);
        } else {
            self.cipher.update(&self.waiting[..], out)?;
        }
        (self.held, self.opened) = (0, false);
        Ok(())
    }

    /// Decrypts a whole block that padding keeps back.
    fn open(&mut self) -> Result<()> {
        if self.padding && self.direction == Direction::Decrypt && self.held == BLOCK && !self.opened {
            let sealed = self.waiting.clone();
            self.cipher.update(&sealed[..], &mut self.waiting[..])?;
            self.opened = true;
        }
        Ok(())
    }

    /// Bytes that go through now: a padded decryption keeps the last block back.
    fn through(&self, input: usize) -> usize {
        let all = self.held + input;
        let kept = usize::from(self.padding && self.direction == Direction::Decrypt && all > 0);
        (all - kept) / BLOCK * BLOCK
    }

    fn length_error(&self) -> Error {
        match self.direction {
            Direction::Encrypt => Error::DataLenRange,
            Direction::Decrypt => Error::EncryptedDataLenRange,
        }
    }
}

impl<C: BlockMode<BLOCK> + Send + 'static, const BLOCK: usize> Transform for Blocks<C, BLOCK> {
    fn update_length(&self, input: usize) -> usize {
        self.through(input)
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let through = self.through(input.len());
        if through == 0 {
            self.wait(input);
            self.open()?;
            return Ok(0);
        }
        let (mut done, mut rest) = (0, input);
        if self.held > 0 {
            let (first, after) = input.split_at(BLOCK - self.held);
            self.wait(first);
            self.release(&mut out[..BLOCK])?;
            (done, rest) = (BLOCK, after);
        }
        let (whole, after) = rest.split_at(through - done);
        self.cipher.update(whole, &mut out[done..through])?;
        self.wait(after);
        self.open()?;
        Ok(through)
    }

    fn finish_length(&self) -> usize {
        match (self.padding, self.direction) {
            (true, Direction::Encrypt) => BLOCK,
            // What is not whole or not padded needs no room to be refused.
            (true, Direction::Decrypt) if self.opened => unpadded(&self.waiting).unwrap_or(0),
            _ => 0,
        }
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        match (self.padding, self.direction) {
            (false, _) if self.held == 0 => Ok(0),
            (false, _) => Err(self.length_error()),
            (true, Direction::Encrypt) => {
                let fill = BLOCK - self.held;
                self.waiting[self.held..].fill(fill as u8);
                self.cipher.update(&self.waiting[..], &mut out[..BLOCK])?;
                Ok(BLOCK)
            }
            (true, Direction::Decrypt) => {
                if !self.opened {
                    return Err(self.length_error());
                }
                let kept = unpadded(&self.waiting)?;
                out[..kept].copy_from_slice(&self.waiting[..kept]);
                Ok(kept)
            }
        }
    }

    fn one_shot_length(&self, input: usize) -> usize {
        match (self.padding, self.direction) {
            (true, Direction::Encrypt) => (input / BLOCK + 1) * BLOCK,
            _ => input,
        }
    }
}

/// How much of the last block is data (PKCS#7 padding), found in constant time.
fn unpadded<const BLOCK: usize>(block: &[u8; BLOCK]) -> Result<usize> {
    let fill = block[BLOCK - 1];
    let mut good = fill.ct_gt(&0) & !fill.ct_gt(&(BLOCK as u8));
    for (position, byte) in block.iter().rev().enumerate() {
        let inside = (position as u8).ct_lt(&fill);
        good &= !inside | byte.ct_eq(&fill);
    }
    let kept = u8::conditional_select(&0, &(BLOCK as u8).wrapping_sub(fill), good);
    if bool::from(good) { Ok(usize::from(kept)) } else { Err(Error::EncryptedDataInvalid) }
}
