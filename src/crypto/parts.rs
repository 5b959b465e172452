//! Plain data that both implementations share.

use super::Secret;

/// Which way a cipher runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Encrypt,
    Decrypt,
}

/// Unpadded AES modes. `Ctr` carries how many low bits of the block count (1..=128, SP 800-38A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Ecb,
    Cbc,
    Ctr { counter_bits: u32 },
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
