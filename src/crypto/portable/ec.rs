//! P-256, P-384, P-521 and secp256k1 by RustCrypto.

use crate::crypto::{Curve, Secret};
use crate::error::Result;

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
    /// Uncompressed (0x04 || x || y).
    pub fn point(&self) -> Vec<u8> {
        todo!()
    }
    /// `SignatureInvalid`, or `SignatureLenRange` when not 2 * field_length bytes.
    pub fn verify(&self, prehash: &[u8], signature: &[u8]) -> Result<()> {
        let _ = (prehash, signature);
        todo!()
    }
}
