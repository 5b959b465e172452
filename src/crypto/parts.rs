//! Plain data that both implementations share.

use super::Secret;

/// Which way a cipher runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Encrypt,
    Decrypt,
}

/// Unpadded AES modes. `Ctr` carries how many low bits of the block count (1..=128, SP 800-38A). The last
/// three feed a register: whole blocks or bytes of ciphertext, or the key stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Ecb,
    Cbc,
    Ctr { counter_bits: u32 },
    Cfb128,
    Cfb8,
    Ofb,
}

/// The three forms of Ed25519 (RFC 8032 §5.1), with their contexts of at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdScheme {
    Pure,
    /// Ed25519ctx: not in a build without AWS-LC.
    Context(Vec<u8>),
    /// Ed25519ph: the message is hashed first.
    Prehash(Vec<u8>),
}

/// The public half of an RSA key: big-endian, no leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    pub modulus: Vec<u8>,
    pub public_exponent: Vec<u8>,
}

/// A whole RSA private key (PKCS#11 3.2 §6.1.3): big-endian, no leading zeros.
#[derive(Clone, Debug)]
pub struct RsaParts {
    pub public: RsaPublic,
    pub private_exponent: Secret,
    pub prime_1: Secret,
    pub prime_2: Secret,
    pub exponent_1: Secret,
    pub exponent_2: Secret,
    pub coefficient: Secret,
}

impl RsaParts {
    /// The key of PKCS#1 v1.5's implicit rejection: from d, so that it stays the same for the key.
    pub(super) fn rejection_key(&self) -> [u8; 32] {
        super::hash::Hmac::sha256(&self.private_exponent, &[b"implicit rejection"])
    }
}

/// What CCM takes (SP 800-38C): nonces of 7 to 13 bytes, tags of 4 to 16, data whose length fits in the
/// rest of a block.
pub(super) fn check_ccm(nonce: &[u8], tag_length: usize, length: usize) -> crate::error::Result<()> {
    use crate::error::Error;
    if !(7..=13).contains(&nonce.len()) || !matches!(tag_length, 4 | 6 | 8 | 10 | 12 | 14 | 16) {
        return Err(Error::MechanismParamInvalid);
    }
    // More than a C int has is not asked of AWS-LC either.
    let bits = (8 * (15 - nonce.len())).min(31);
    if length >> bits == 0 { Ok(()) } else { Err(Error::DataLenRange) }
}

/// Bytes that a cipher may process: for CTR until its counter of so many bits would wrap, for the
/// rest without end.
pub(super) fn counter_room(mode: Mode, iv: &[u8]) -> u128 {
    let Mode::Ctr { counter_bits } = mode else { return u128::MAX };
    let mut block = [0; 16];
    block.copy_from_slice(iv);
    let mask = if counter_bits >= 128 { u128::MAX } else { (1 << counter_bits) - 1 };
    (mask - (u128::from_be_bytes(block) & mask)).saturating_add(1).saturating_mul(16)
}
