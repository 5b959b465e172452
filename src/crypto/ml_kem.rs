//! ML-KEM (FIPS 203): the parameter sets, and keys of the build's implementation.

#[cfg(feature = "aws-lc")]
pub use super::aws_lc::ml_kem::{PrivateKey, PublicKey};
#[cfg(not(feature = "aws-lc"))]
pub use super::portable::ml_kem::{PrivateKey, PublicKey};

/// A parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    MlKem512,
    MlKem768,
    MlKem1024,
}

impl Set {
    pub const ALL: [Set; 3] = [Set::MlKem512, Set::MlKem768, Set::MlKem1024];

    /// Polynomials of a vector (k).
    const fn rank(self) -> usize {
        match self {
            Set::MlKem512 => 2,
            Set::MlKem768 => 3,
            Set::MlKem1024 => 4,
        }
    }

    /// Length of an encapsulation key in bytes: 800, 1184, 1568.
    pub const fn public_length(self) -> usize {
        384 * self.rank() + 32
    }

    /// Length of a decapsulation key in bytes: 1632, 2400, 3168.
    pub const fn private_length(self) -> usize {
        768 * self.rank() + 96
    }

    /// Length of a ciphertext in bytes.
    pub const fn ciphertext_length(self) -> usize {
        match self {
            Set::MlKem512 => 768,
            Set::MlKem768 => 1088,
            Set::MlKem1024 => 1568,
        }
    }

    /// The encapsulation key that stands in a decapsulation key of the right length.
    pub fn public_of(self, expanded: &[u8]) -> &[u8] {
        &expanded[384 * self.rank()..][..self.public_length()]
    }

    /// DER OBJECT IDENTIFIER, tag and length included (RFC 9935).
    pub const fn oid_der(self) -> &'static [u8] {
        match self {
            Set::MlKem512 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 1],
            Set::MlKem768 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 2],
            Set::MlKem1024 => &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 3],
        }
    }
}

/// Length of a seed (d and z) in bytes.
pub const SEED: usize = 64;

/// Length of a shared secret in bytes.
pub const SECRET: usize = 32;
