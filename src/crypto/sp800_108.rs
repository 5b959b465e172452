//! Key derivation by a pseudo-random function: counter, feedback and double-pipeline mode (NIST
//! SP 800-108r1 §4). What goes into each call of the function, and in which order, is the caller's.

use super::hash::Hmac;
use super::{Secret, aes::Cmac};
use crate::error::{Error, Result};

/// A pseudo-random function with its key.
pub enum Prf<'a> {
    Hmac(Hmac),
    /// AES-CMAC under this key of 16, 24 or 32 bytes.
    Cmac(&'a [u8]),
}

impl Prf<'_> {
    /// Bytes of one result: a segment.
    pub fn length(&self) -> usize {
        match self {
            Prf::Hmac(keyed) => keyed.length(),
            Prf::Cmac(_) => 16,
        }
    }

    fn run(&self, data: &[u8]) -> Result<Secret> {
        let mut out = Secret::zeroed(self.length());
        match self {
            Prf::Hmac(keyed) => {
                let mut state = keyed.clone();
                state.update(data);
                state.finish(&mut out);
            }
            Prf::Cmac(key) => {
                let mut state = Cmac::new(key)?;
                state.update(data)?;
                out.copy_from_slice(&state.finish()?);
            }
        }
        Ok(out)
    }
}

/// A number as bits: 1 to 8 bytes, big-endian unless `little`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub little: bool,
    pub bytes: usize,
}

impl Number {
    /// `None`: it needs more bytes.
    fn encode(self, number: u64) -> Option<Vec<u8>> {
        let bytes = number.to_be_bytes();
        let (zeros, rest) = bytes.split_at_checked(8usize.checked_sub(self.bytes)?)?;
        let mut encoded = rest.to_vec();
        if self.little {
            encoded.reverse();
        }
        zeros.iter().all(|byte| *byte == 0).then_some(encoded)
    }
}

/// One piece of the function's input.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    /// The number of the call, from 1.
    Counter(Number),
    /// What the mode hands on from call to call; counter mode has none.
    Chain,
    /// How many bits are derived: of all keys, or of all segments.
    Length {
        format: Number,
        segments: bool,
    },
    Data(&'a [u8]),
}

pub enum Mode<'a> {
    Counter,
    /// From this initial value, which may be empty.
    Feedback(&'a [u8]),
    DoublePipeline,
}

/// The input of one call. `chain` is `None` where the fields that change are left out: what the double
/// pipeline starts from.
fn input(fields: &[Field], counter: u64, chain: Option<&[u8]>, bits: [u64; 2]) -> Result<Secret> {
    let mut whole = Vec::new();
    for field in fields {
        match (field, chain) {
            (Field::Counter(_) | Field::Chain, None) => {}
            // More calls than the counter can number.
            (Field::Counter(format), _) => whole.extend(format.encode(counter).ok_or(Error::KeySizeRange)?),
            (Field::Chain, Some(chain)) => whole.extend_from_slice(chain),
            (Field::Length { format, segments }, _) => {
                let length = format.encode(bits[usize::from(*segments)]);
                whole.extend(length.ok_or(Error::KeySizeRange)?);
            }
            (Field::Data(data), _) => whole.extend_from_slice(data),
        }
    }
    Ok(Secret::from(whole))
}

/// Keys of these lengths in bytes, one after the other; each begins with a segment of its own
/// (PKCS#11 3.2 §6.42). `KeySizeRange` when a counter or a length does not fit its field.
pub fn derive(prf: &Prf, mode: &Mode, fields: &[Field], lengths: &[usize]) -> Result<Secret> {
    let segments: usize = lengths.iter().map(|length| length.div_ceil(prf.length())).sum();
    let bits = [lengths.iter().sum(), segments * prf.length()].map(|bytes: usize| 8 * bytes as u64);
    let mut out = Secret::zeroed(lengths.iter().sum());
    let mut chain = match mode {
        Mode::Counter => Secret::default(),
        Mode::Feedback(initial) => Secret::from(*initial),
        Mode::DoublePipeline => input(fields, 0, None, bits)?,
    };
    let (mut rest, mut counter) = (&mut out[..], 0);
    for length in lengths {
        let (key, after) = rest.split_at_mut(*length);
        for part in key.chunks_mut(prf.length()) {
            counter += 1;
            if matches!(mode, Mode::DoublePipeline) {
                chain = prf.run(&chain)?;
            }
            let segment = prf.run(&input(fields, counter, Some(&chain), bits)?)?;
            part.copy_from_slice(&segment[..part.len()]);
            if matches!(mode, Mode::Feedback(_)) {
                chain = segment;
            }
        }
        rest = after;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Hash;

    const COUNTER: Number = Number { little: false, bytes: 2 };

    #[test]
    fn numbers_fit_or_do_not() {
        assert_eq!(COUNTER.encode(0x1234), Some(vec![0x12, 0x34]));
        assert_eq!(Number { little: true, ..COUNTER }.encode(0x1234), Some(vec![0x34, 0x12]));
        assert_eq!(COUNTER.encode(0x1_0000), None);
        assert_eq!(Number { bytes: 8, ..COUNTER }.encode(u64::MAX), Some(vec![0xff; 8]));
        assert_eq!(Number { bytes: 9, ..COUNTER }.encode(1), None);
    }

    /// The standard's example: 48 and 16 bytes by SHA-256 are three segments, 512 or 768 bits.
    #[test]
    fn each_key_begins_with_a_segment() {
        let prf = Prf::Hmac(Hmac::new(Hash::Sha256, b"key"));
        for (segments, bits) in [(false, [2, 0]), (true, [3, 0])] {
            let fields = [Field::Counter(COUNTER), Field::Length { format: COUNTER, segments }];
            let derived = derive(&prf, &Mode::Counter, &fields, &[48, 16]).unwrap();
            let block = |counter| prf.run(&[&[0, counter], &bits[..]].concat()).unwrap();
            assert_eq!(derived[..48], [&block(1)[..], &block(2)[..16]].concat());
            assert_eq!(derived[48..], block(3)[..16]);
        }
    }

    #[test]
    fn a_counter_ends() {
        let prf = Prf::Cmac(&[1; 16]);
        let fields = [Field::Counter(Number { little: false, bytes: 1 })];
        assert!(derive(&prf, &Mode::Counter, &fields, &[255 * 16]).is_ok());
        assert_eq!(derive(&prf, &Mode::Counter, &fields, &[255 * 16 + 1]).err(), Some(Error::KeySizeRange));
    }
}
