//! What comes with each message of message-based encryption (PKCS#11 3.2 §5.9): a nonce, which the token
//! makes unless the caller gives one, and a tag beside the ciphertext.

use super::Params;
use crate::crypto::random;
use crate::error::{Error, Result};

/// What the parameter of a message looks like in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageShape {
    /// CK_GCM_MESSAGE_PARAMS.
    Gcm,
    /// CK_CCM_MESSAGE_PARAMS.
    Ccm,
    /// CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS.
    ChaCha20Poly1305,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub shape: MessageShape,
    pub nonce: Vec<u8>,
    /// The token makes the nonce, all but its first so many bits.
    pub fixed_bits: Option<usize>,
    /// As long as it is to be: made, or given to compare.
    pub tag: Vec<u8>,
    /// CCM's: how many bytes come.
    pub data_length: usize,
}

/// Random nonces have at least so many bits (SP 800-38D §8.2.2).
const RANDOM_BITS: usize = 96;

impl Message {
    /// Fills in the part of the nonce that the token makes. It is random, each time anew: that holds
    /// between threads, processes and peers, over restarts, forks and restored backups, where no counter
    /// of a file's would. Fewer random bits than [`RANDOM_BITS`] are `MechanismParamInvalid`. `count`: the key's limit.
    pub fn make_nonce(&mut self, count: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(fixed) = self.fixed_bits else { return Ok(()) };
        let made = (8 * self.nonce.len()).checked_sub(fixed).filter(|bits| *bits >= RANDOM_BITS);
        made.ok_or(Error::MechanismParamInvalid)?;
        count()?;
        let mut fresh = vec![0; self.nonce.len()];
        random::fill(&mut fresh)?;
        for (place, (byte, fresh)) in self.nonce.iter_mut().zip(fresh).enumerate() {
            let kept = match fixed.saturating_sub(8 * place).min(8) {
                0 => 0,
                bits => 0xff_u8 << (8 - bits),
            };
            *byte = *byte & kept | fresh & !kept;
        }
        Ok(())
    }

    /// As the mechanism's cipher takes it.
    pub fn params(&self, aad: Vec<u8>) -> Result<Params> {
        let (nonce, tag_length) = (&self.nonce, self.tag.len());
        Ok(match self.shape {
            MessageShape::Gcm => Params::Gcm { iv: nonce[..].into(), aad, tag_bits: 8 * tag_length },
            MessageShape::Ccm => {
                Params::Ccm { data_length: self.data_length, nonce: nonce.clone(), aad, tag_length }
            }
            MessageShape::ChaCha20Poly1305 => Params::ChaCha20Poly1305 {
                nonce: nonce[..].try_into().map_err(|_| Error::MechanismParamInvalid)?,
                aad,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(length: usize, fixed: usize) -> Result<Vec<u8>> {
        let shape = MessageShape::Gcm;
        let mut message = Message {
            shape,
            nonce: vec![0xa5; length],
            fixed_bits: Some(fixed),
            tag: vec![],
            data_length: 0,
        };
        message.make_nonce(|| Ok(())).map(|()| message.nonce)
    }

    #[test]
    fn the_fixed_part_stays_and_the_rest_is_random() {
        for (length, fixed) in [(12, 0), (16, 32), (16, 29), (20, 3), (256, 0)] {
            let (one, two) = (made(length, fixed).unwrap(), made(length, fixed).unwrap());
            assert_ne!(one, two);
            let bit = |nonce: &[u8], place: usize| nonce[place / 8] >> (7 - place % 8) & 1;
            for place in 0..fixed {
                assert_eq!(bit(&one, place), bit(&[0xa5; 256], place), "{length} {fixed} {place}");
            }
            let tries: Vec<_> = (0..64).map(|_| made(length, fixed).unwrap()).collect();
            for place in fixed..8 * length {
                assert!(tries.iter().any(|nonce| bit(nonce, place) == 0), "{length} {fixed} {place}");
                assert!(tries.iter().any(|nonce| bit(nonce, place) == 1), "{length} {fixed} {place}");
            }
        }
        for (length, fixed) in [(12, 1), (11, 0), (16, 33), (0, 0), (12, 97), (12, usize::MAX)] {
            assert_eq!(made(length, fixed), Err(Error::MechanismParamInvalid), "{length} {fixed}");
        }
    }
}
