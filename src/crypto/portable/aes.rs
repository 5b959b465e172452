//! AES-128/192/256: unpadded block modes, GCM, CMAC, key wrap; `ccm` beside it.

pub mod ccm;

use crate::crypto::{Direction, Mode, Secret, parts};
use crate::error::{Error, Result};
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aes_kw::{KwAes128, KwAes192, KwAes256, KwpAes128, KwpAes192, KwpAes256};
use cmac::Mac;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

type Block = aes::Block;

/// A key schedule of any length.
#[derive(Clone)]
enum Schedule {
    Short(Box<Aes128>),
    Middle(Box<Aes192>),
    Long(Box<Aes256>),
}

impl Schedule {
    fn new(key: &[u8]) -> Result<Self> {
        let wrong = |_| Error::KeySizeRange;
        Ok(match key.len() {
            16 => Self::Short(Box::new(Aes128::new_from_slice(key).map_err(wrong)?)),
            24 => Self::Middle(Box::new(Aes192::new_from_slice(key).map_err(wrong)?)),
            32 => Self::Long(Box::new(Aes256::new_from_slice(key).map_err(wrong)?)),
            _ => return Err(Error::KeySizeRange),
        })
    }

    fn encrypt(&self, blocks: &mut [Block]) {
        match self {
            Self::Short(key) => key.encrypt_blocks(blocks),
            Self::Middle(key) => key.encrypt_blocks(blocks),
            Self::Long(key) => key.encrypt_blocks(blocks),
        }
    }

    fn decrypt(&self, blocks: &mut [Block]) {
        match self {
            Self::Short(key) => key.decrypt_blocks(blocks),
            Self::Middle(key) => key.decrypt_blocks(blocks),
            Self::Long(key) => key.decrypt_blocks(blocks),
        }
    }
}

/// XORs a counter mode's key stream over data, a batch of blocks at a time.
#[derive(Clone)]
struct CounterStream {
    schedule: Schedule,
    counter: u128,
    /// The bits of the block that count; the rest stays.
    mask: u128,
    batch: Zeroizing<[[u8; 16]; BATCH]>,
    used: usize,
}

const BATCH: usize = 8;

impl CounterStream {
    fn new(schedule: Schedule, block: &[u8; 16], counter_bits: u32) -> Self {
        let mask = if counter_bits >= 128 { u128::MAX } else { (1 << counter_bits) - 1 };
        let counter = u128::from_be_bytes(*block);
        Self { schedule, counter, mask, batch: Zeroizing::new([[0; 16]; BATCH]), used: BATCH * 16 }
    }

    fn refill(&mut self) {
        let mut blocks = [Block::default(); BATCH];
        for block in &mut blocks {
            *block = Array(self.counter.to_be_bytes());
            self.counter = self.counter & !self.mask | self.counter.wrapping_add(1) & self.mask;
        }
        self.schedule.encrypt(&mut blocks);
        self.batch.iter_mut().zip(&blocks).for_each(|(kept, block)| kept.copy_from_slice(block));
        self.used = 0;
    }

    fn apply(&mut self, input: &[u8], out: &mut [u8]) {
        let mut done = 0;
        while done < input.len() {
            if self.used == BATCH * 16 {
                self.refill();
            }
            let count = (BATCH * 16 - self.used).min(input.len() - done);
            let stream = &self.batch.as_flattened()[self.used..self.used + count];
            for ((out, data), key) in out[done..done + count].iter_mut().zip(&input[done..]).zip(stream) {
                *out = data ^ key;
            }
            self.used += count;
            done += count;
        }
    }
}

/// CFB and OFB: what is encrypted next, and the key stream with how much of it is used.
struct Feedback {
    mode: Mode,
    register: Block,
    stream: Zeroizing<[u8; 16]>,
    used: usize,
}

impl Feedback {
    fn apply(&mut self, schedule: &Schedule, direction: Direction, input: &[u8], out: &mut [u8]) {
        for (data, out) in input.iter().zip(out) {
            if self.used == 16 || self.mode == Mode::Cfb8 {
                let mut block = self.register;
                schedule.encrypt(std::slice::from_mut(&mut block));
                self.stream.copy_from_slice(&block);
                self.used = 0;
                if self.mode == Mode::Ofb {
                    self.register = block;
                }
            }
            *out = data ^ self.stream[self.used];
            let sealed = if direction == Direction::Encrypt { *out } else { *data };
            match self.mode {
                Mode::Cfb8 => {
                    self.register.copy_within(1.., 0);
                    self.register[15] = sealed;
                }
                Mode::Cfb128 => self.register[self.used] = sealed,
                _ => {}
            }
            self.used += 1;
        }
    }
}

enum Chain {
    Ecb,
    Cbc(Block),
    Counter(CounterStream),
    Feedback(Feedback),
}

/// A running unpadded cipher. Padding and part-blocks are the caller's business.
pub struct BlockCipher {
    schedule: Schedule,
    direction: Direction,
    chain: Chain,
    /// Bytes a CTR may still process before its counter would wrap.
    left: u128,
}

impl BlockCipher {
    /// `key` 16, 24 or 32 bytes (`KeySizeRange`); `iv` 16 bytes, none for ECB.
    pub fn new(mode: Mode, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Self> {
        if iv.len() != if mode == Mode::Ecb { 0 } else { 16 } {
            return Err(Error::MechanismParamInvalid);
        }
        let schedule = Schedule::new(key)?;
        let mut block = [0; 16];
        block[..iv.len()].copy_from_slice(iv);
        let chain = match mode {
            Mode::Ecb => Chain::Ecb,
            Mode::Cbc => Chain::Cbc(Array(block)),
            Mode::Ctr { counter_bits } => {
                Chain::Counter(CounterStream::new(schedule.clone(), &block, counter_bits))
            }
            Mode::Cfb128 | Mode::Cfb8 | Mode::Ofb => {
                let (register, stream) = (Array(block), Zeroizing::default());
                Chain::Feedback(Feedback { mode, register, stream, used: 16 })
            }
        };
        Ok(Self { schedule, direction, chain, left: parts::counter_room(mode, iv) })
    }

    /// `input` and `out` have the same length; whole blocks but for CTR. A CTR whose counter
    /// would wrap within counter_bits is `DataLenRange`.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        if input.len() != out.len() {
            return Err(Error::GeneralError);
        }
        self.left = self.left.checked_sub(input.len() as u128).ok_or(Error::DataLenRange)?;
        let encrypt = self.direction == Direction::Encrypt;
        if let Chain::Counter(stream) = &mut self.chain {
            stream.apply(input, out);
            return Ok(());
        }
        if let Chain::Feedback(feedback) = &mut self.chain {
            feedback.apply(&self.schedule, self.direction, input, out);
            return Ok(());
        }
        out.copy_from_slice(input);
        let (blocks, rest) = Block::slice_as_chunks_mut(out);
        if !rest.is_empty() {
            return Err(Error::GeneralError);
        }
        match &mut self.chain {
            Chain::Ecb if encrypt => self.schedule.encrypt(blocks),
            Chain::Ecb => self.schedule.decrypt(blocks),
            Chain::Cbc(chain) if encrypt => {
                for block in blocks {
                    xor(block, chain);
                    self.schedule.encrypt(std::slice::from_mut(block));
                    *chain = *block;
                }
            }
            Chain::Cbc(chain) => {
                self.schedule.decrypt(blocks);
                for (block, sealed) in blocks.iter_mut().zip(input.chunks_exact(16)) {
                    xor(block, chain);
                    chain.copy_from_slice(sealed);
                }
            }
            Chain::Counter(_) | Chain::Feedback(_) => {}
        }
        Ok(())
    }
}

fn xor(block: &mut Block, other: &Block) {
    block.iter_mut().zip(other).for_each(|(b, o)| *b ^= o);
}

/// A prepared AES-GCM key: one-shot calls take `&self` and any number of threads.
pub struct GcmKey {
    schedule: Schedule,
    hash: GHash,
}

impl GcmKey {
    pub fn new(key: &[u8]) -> Result<Self> {
        let schedule = Schedule::new(key)?;
        let mut subkey = [Block::default()];
        schedule.encrypt(&mut subkey);
        Ok(Self { hash: GHash::new(&subkey[0]), schedule })
    }

    /// `iv` at least one byte, `tag_length` 4..=16. `out` has plain.len() + tag_length bytes:
    /// ciphertext, then tag.
    pub fn seal(&self, iv: &[u8], aad: &[u8], tag_length: usize, plain: &[u8], out: &mut [u8]) -> Result<()> {
        let out = out.get_mut(..plain.len() + tag_length).ok_or(Error::GeneralError)?;
        self.start_seal(iv, aad)?.seal(plain, out)
    }

    /// `input` is ciphertext then tag; `out` has input.len() - tag_length bytes. On
    /// `EncryptedDataInvalid` `out` holds zeros only.
    pub fn open(&self, iv: &[u8], aad: &[u8], tag_length: usize, input: &[u8], out: &mut [u8]) -> Result<()> {
        out.fill(0);
        let (body, tag) = input.split_at_checked(out.len()).ok_or(Error::EncryptedDataInvalid)?;
        let mut stream = self.start_seal(iv, aad)?;
        stream.absorb(body);
        let expected = stream.tag()?;
        if tag.len() != tag_length || !bool::from(tag.ct_eq(&expected[..tag_length])) {
            return Err(Error::EncryptedDataInvalid);
        }
        stream.stream.apply(body, out);
        Ok(())
    }

    /// A running encryption; the parts' concatenation equals `seal`'s ciphertext.
    pub fn start_seal(&self, iv: &[u8], aad: &[u8]) -> Result<GcmStream> {
        if iv.is_empty() {
            return Err(Error::MechanismParamInvalid);
        }
        let mut first = [0; 16];
        if iv.len() == 12 {
            first[..12].copy_from_slice(iv);
            first[15] = 1;
        } else {
            let mut hash = self.hash.clone();
            hash.update_padded(iv);
            hash.update(&[Array((8 * iv.len() as u128).to_be_bytes())]);
            first.copy_from_slice(&hash.finalize());
        }
        let mut mask = [Array(first)];
        self.schedule.encrypt(&mut mask);
        let mut stream = CounterStream::new(self.schedule.clone(), &first, 32);
        stream.counter = stream.counter & !stream.mask | stream.counter.wrapping_add(1) & stream.mask;
        let mut hash = self.hash.clone();
        hash.update_padded(aad);
        Ok(GcmStream {
            stream,
            hash,
            mask: mask[0].into(),
            aad: aad.len() as u64,
            length: 0,
            partial: Vec::new(),
        })
    }

    /// As [`GcmKey::start_seal`], in a stream that this key started before.
    pub fn restart_seal(&self, stream: &mut GcmStream, iv: &[u8], aad: &[u8]) -> Result<()> {
        *stream = self.start_seal(iv, aad)?;
        Ok(())
    }
}

/// A running GCM encryption (decryption in parts is buffered above and opened in one go).
pub struct GcmStream {
    stream: CounterStream,
    hash: GHash,
    mask: [u8; 16],
    aad: u64,
    length: u64,
    /// Ciphertext not yet hashed: less than a block.
    partial: Vec<u8>,
}

impl GcmStream {
    /// All of a message: `out` gets the ciphertext, then as much of the tag as it has room for.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<()> {
        let (body, tag) = out.split_at_mut_checked(plain.len()).ok_or(Error::GeneralError)?;
        self.update(plain, body)?;
        tag.copy_from_slice(self.tag()?.get(..tag.len()).ok_or(Error::MechanismParamInvalid)?);
        Ok(())
    }

    /// `out` has input.len() bytes.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<()> {
        if input.len() != out.len() {
            return Err(Error::GeneralError);
        }
        self.stream.apply(input, out);
        self.absorb(out);
        Ok(())
    }

    fn absorb(&mut self, sealed: &[u8]) {
        self.length += sealed.len() as u64;
        let mut rest = sealed;
        if !self.partial.is_empty() {
            let taken = rest.len().min(16 - self.partial.len());
            self.partial.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if self.partial.len() < 16 {
                return;
            }
            self.hash.update_padded(&self.partial);
            self.partial.clear();
        }
        let whole = rest.len() / 16 * 16;
        self.hash.update_padded(&rest[..whole]);
        self.partial.extend_from_slice(&rest[whole..]);
    }

    pub fn tag(&mut self) -> Result<[u8; 16]> {
        let mut hash = self.hash.clone();
        hash.update_padded(&self.partial);
        let lengths = (u128::from(8 * self.aad) << 64) | u128::from(8 * self.length);
        hash.update(&[Array(lengths.to_be_bytes())]);
        let mut tag: [u8; 16] = hash.finalize().into();
        tag.iter_mut().zip(&self.mask).for_each(|(t, m)| *t ^= m);
        Ok(tag)
    }
}

/// A running CMAC (SP 800-38B).
pub enum Cmac {
    Short(Box<cmac::Cmac<Aes128>>),
    Middle(Box<cmac::Cmac<Aes192>>),
    Long(Box<cmac::Cmac<Aes256>>),
}

impl Cmac {
    pub fn new(key: &[u8]) -> Result<Self> {
        let wrong = |_| Error::KeySizeRange;
        Ok(match key.len() {
            16 => Self::Short(Box::new(KeyInit::new_from_slice(key).map_err(wrong)?)),
            24 => Self::Middle(Box::new(KeyInit::new_from_slice(key).map_err(wrong)?)),
            32 => Self::Long(Box::new(KeyInit::new_from_slice(key).map_err(wrong)?)),
            _ => return Err(Error::KeySizeRange),
        })
    }
    pub fn update(&mut self, data: &[u8]) -> Result<()> {
        match self {
            Self::Short(mac) => Mac::update(&mut **mac, data),
            Self::Middle(mac) => Mac::update(&mut **mac, data),
            Self::Long(mac) => Mac::update(&mut **mac, data),
        }
        Ok(())
    }
    pub fn finish(&mut self) -> Result<[u8; 16]> {
        Ok(match self {
            Self::Short(mac) => mac.finalize_reset().into_bytes().into(),
            Self::Middle(mac) => mac.finalize_reset().into_bytes().into(),
            Self::Long(mac) => mac.finalize_reset().into_bytes().into(),
        })
    }
}

/// Runs a key-wrap of the type that fits the key's length.
macro_rules! by_length {
    ($key:expr, $short:ident, $middle:ident, $long:ident, |$cipher:ident| $work:expr) => {{
        let wrong = |_| Error::KeySizeRange;
        match $key.len() {
            16 => {
                let $cipher = $short::new_from_slice($key).map_err(wrong)?;
                $work
            }
            24 => {
                let $cipher = $middle::new_from_slice($key).map_err(wrong)?;
                $work
            }
            32 => {
                let $cipher = $long::new_from_slice($key).map_err(wrong)?;
                $work
            }
            _ => return Err(Error::KeySizeRange),
        }
    }};
}

/// AES key wrap: RFC 3394 (`padded` false: `plain` a multiple of 8, at least 16: `DataLenRange`)
/// or RFC 5649 (`padded` true: 1 byte and more).
pub fn wrap(key: &[u8], padded: bool, plain: &[u8]) -> Result<Vec<u8>> {
    if plain.is_empty() || !padded && (plain.len() < 16 || !plain.len().is_multiple_of(8)) {
        return Err(Error::DataLenRange);
    }
    let mut out = vec![0; plain.len().next_multiple_of(8) + 8];
    let done = if padded {
        by_length!(key, KwpAes128, KwpAes192, KwpAes256, |cipher| cipher
            .wrap_key(plain, &mut out)
            .map(<[u8]>::len))
    } else {
        by_length!(key, KwAes128, KwAes192, KwAes256, |cipher| cipher
            .wrap_key(plain, &mut out)
            .map(<[u8]>::len))
    };
    let length = done.map_err(|e| Error::FunctionFailed.because(e))?;
    out.truncate(length);
    Ok(out)
}

/// `EncryptedDataInvalid` for a failed check, `EncryptedDataLenRange` for an impossible length.
pub fn unwrap(key: &[u8], padded: bool, wrapped: &[u8]) -> Result<Secret> {
    if !wrapped.len().is_multiple_of(8) || wrapped.len() < if padded { 16 } else { 24 } {
        return Err(Error::EncryptedDataLenRange);
    }
    let mut out = Secret::zeroed(wrapped.len() - 8);
    let done = if padded {
        by_length!(key, KwpAes128, KwpAes192, KwpAes256, |cipher| cipher
            .unwrap_key(wrapped, &mut out)
            .map(<[u8]>::len))
    } else {
        by_length!(key, KwAes128, KwAes192, KwAes256, |cipher| cipher
            .unwrap_key(wrapped, &mut out)
            .map(<[u8]>::len))
    };
    let length = done.map_err(|_| Error::EncryptedDataInvalid)?;
    out.truncate(length);
    Ok(out)
}
