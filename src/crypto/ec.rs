//! Short Weierstrass curves: one type over the implementation that is faster for each curve
//! (secp256k1 is portable in every build; the rest follow the build).

use super::{Secret, portable};
use crate::error::Result;

#[cfg(feature = "aws-lc")]
use super::aws_lc::ec as nist;
#[cfg(not(feature = "aws-lc"))]
use super::portable::ec as nist;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    P224,
    P256,
    P384,
    P521,
    Secp256k1,
}

impl Curve {
    pub const ALL: [Curve; 5] = [Curve::P224, Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];

    /// Size of the field in bits: 224, 256, 384, 521.
    pub const fn bits(self) -> u32 {
        match self {
            Curve::P224 => 224,
            Curve::P256 | Curve::Secp256k1 => 256,
            Curve::P384 => 384,
            Curve::P521 => 521,
        }
    }

    /// Length of a field element and of a scalar in bytes: 28, 32, 48, 66.
    pub const fn field_length(self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// DER OBJECT IDENTIFIER of the named curve, tag and length included (CKA_EC_PARAMS).
    pub const fn oid_der(self) -> &'static [u8] {
        match self {
            Curve::P224 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x21],
            Curve::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Curve::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
            Curve::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
            Curve::Secp256k1 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }

    const fn names(self) -> &'static [&'static [u8]] {
        match self {
            Curve::P224 => &[b"secp224r1", b"P-224"],
            Curve::P256 => &[b"secp256r1", b"prime256v1", b"P-256"],
            Curve::P384 => &[b"secp384r1", b"P-384"],
            Curve::P521 => &[b"secp521r1", b"P-521"],
            Curve::Secp256k1 => &[b"secp256k1"],
        }
    }

    /// From CKA_EC_PARAMS: the DER OID, or a PrintableString of its name (`secp256r1`, `prime256v1`).
    pub fn from_params(der: &[u8]) -> Option<Curve> {
        let named = |name: &&[u8]| {
            der.len() == name.len() + 2 && der.starts_with(&[0x13, name.len() as u8]) && der.ends_with(name)
        };
        Curve::ALL.into_iter().find(|curve| der == curve.oid_der() || curve.names().iter().any(named))
    }
}

/// A parsed private key, ready to use.
#[allow(clippy::large_enum_variant)] // One for each key in use; a pointer more on the way to each signature costs more.
pub enum PrivateKey {
    Nist(nist::PrivateKey),
    Portable(portable::ec::PrivateKey),
}

/// A parsed and validated public key, ready to use.
#[allow(clippy::large_enum_variant)] // As above.
pub enum PublicKey {
    Nist(nist::PublicKey),
    Portable(portable::ec::PublicKey),
}

impl PrivateKey {
    /// A new random key: its scalar, [`Curve::field_length`] bytes.
    pub fn generate(curve: Curve) -> Result<Secret> {
        match curve {
            Curve::Secp256k1 => portable::ec::PrivateKey::generate(curve),
            _ => nist::PrivateKey::generate(curve),
        }
    }

    /// `scalar` may be shorter or have leading zeros; out of 1..n is `AttributeValueInvalid`.
    pub fn new(curve: Curve, scalar: &[u8]) -> Result<Self> {
        Ok(match curve {
            Curve::Secp256k1 => Self::Portable(portable::ec::PrivateKey::new(curve, scalar)?),
            _ => Self::Nist(nist::PrivateKey::new(curve, scalar)?),
        })
    }

    /// The public point, uncompressed (0x04 || x || y).
    pub fn public_point(&self) -> Result<Vec<u8>> {
        match self {
            Self::Nist(key) => key.public_point(),
            Self::Portable(key) => key.public_point(),
        }
    }

    /// ECDSA over a prehash of any length (empty included; left-truncated to the order's bits).
    /// `signature` is r || s, 2 * field_length bytes.
    pub fn sign(&self, prehash: &[u8], signature: &mut [u8]) -> Result<()> {
        match self {
            Self::Nist(key) => key.sign(prehash, signature),
            Self::Portable(key) => key.sign(prehash, signature),
        }
    }

    /// ECDH: the x coordinate of the shared point, field_length bytes. `peer` is an uncompressed
    /// or compressed point; anything not on the curve is `PublicKeyInvalid`.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret> {
        match self {
            Self::Nist(key) => key.agree(peer),
            Self::Portable(key) => key.agree(peer),
        }
    }
}

impl PublicKey {
    /// `point` uncompressed or compressed; not on the curve or infinity is `AttributeValueInvalid`.
    pub fn new(curve: Curve, point: &[u8]) -> Result<Self> {
        Ok(match curve {
            Curve::Secp256k1 => Self::Portable(portable::ec::PublicKey::new(curve, point)?),
            _ => Self::Nist(nist::PublicKey::new(curve, point)?),
        })
    }

    /// Uncompressed.
    pub fn point(&self) -> Vec<u8> {
        match self {
            Self::Nist(key) => key.point(),
            Self::Portable(key) => key.point(),
        }
    }

    /// `SignatureInvalid`, or `SignatureLenRange` when not 2 * field_length bytes.
    pub fn verify(&self, prehash: &[u8], signature: &[u8]) -> Result<()> {
        match self {
            Self::Nist(key) => key.verify(prehash, signature),
            Self::Portable(key) => key.verify(prehash, signature),
        }
    }
}
