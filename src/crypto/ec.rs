//! Short Weierstrass curves: one type over the implementation that is faster for each curve
//! (secp256k1 is portable in every build; the rest follow the build).

use super::Secret;
use crate::error::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
}

impl Curve {
    pub const ALL: [Curve; 4] = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];

    /// Size of the field in bits: 256, 384, 521.
    pub const fn bits(self) -> u32 {
        todo!()
    }
    /// Length of a field element and of a scalar in bytes: 32, 48, 66.
    pub const fn field_length(self) -> usize {
        todo!()
    }
    /// DER OBJECT IDENTIFIER of the named curve, tag and length included (CKA_EC_PARAMS).
    pub const fn oid_der(self) -> &'static [u8] {
        todo!()
    }
    /// From CKA_EC_PARAMS: the DER OID, or a PrintableString of its name (`secp256r1`, `prime256v1`).
    pub fn from_params(der: &[u8]) -> Option<Curve> {
        let _ = der;
        todo!()
    }
}

/// A parsed private key, ready to use.
pub struct PrivateKey {}

/// A parsed and validated public key, ready to use.
pub struct PublicKey {}

impl PrivateKey {
    /// A new random key: its scalar, [`Curve::field_length`] bytes.
    pub fn generate(curve: Curve) -> Result<Secret> {
        let _ = curve;
        todo!()
    }
    /// `scalar` may be shorter or have leading zeros; out of 1..n is `AttributeValueInvalid`.
    pub fn new(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let _ = (curve, scalar);
        todo!()
    }
    /// The public point, uncompressed (0x04 || x || y).
    pub fn public_point(&self) -> Result<Vec<u8>> {
        todo!()
    }
    /// ECDSA over a prehash of any length (empty included; left-truncated to the order's bits).
    /// `signature` is r || s, 2 * field_length bytes.
    pub fn sign(&self, prehash: &[u8], signature: &mut [u8]) -> Result<()> {
        let _ = (prehash, signature);
        todo!()
    }
    /// ECDH: the x coordinate of the shared point, field_length bytes. `peer` is an uncompressed
    /// or compressed point; anything not on the curve is `PublicKeyInvalid`.
    pub fn agree(&self, peer: &[u8]) -> Result<Secret> {
        let _ = peer;
        todo!()
    }
}

impl PublicKey {
    /// `point` uncompressed or compressed; not on the curve or infinity is `AttributeValueInvalid`.
    pub fn new(curve: Curve, point: &[u8]) -> Result<Self> {
        let _ = (curve, point);
        todo!()
    }
    /// Uncompressed.
    pub fn point(&self) -> Vec<u8> {
        todo!()
    }
    /// `SignatureInvalid`, or `SignatureLenRange` when not 2 * field_length bytes.
    pub fn verify(&self, prehash: &[u8], signature: &[u8]) -> Result<()> {
        let _ = (prehash, signature);
        todo!()
    }
}
