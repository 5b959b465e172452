//! Ed25519 (RFC 8032), pure.

use crate::crypto::Secret;
use crate::error::Result;

pub struct PrivateKey {}
pub struct PublicKey {}

impl PrivateKey {
    /// A new random seed, 32 bytes.
    pub fn generate() -> Result<Secret> {
        todo!()
    }
    /// From the 32-byte seed; another length is `AttributeValueInvalid`.
    pub fn new(seed: &[u8]) -> Result<Self> {
        let _ = seed;
        todo!()
    }
    pub fn public(&self) -> [u8; 32] {
        todo!()
    }
    pub fn sign(&self, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        let _ = (message, signature);
        todo!()
    }
}

impl PublicKey {
    /// 32 bytes, a point of the curve, else `AttributeValueInvalid`.
    pub fn new(public: &[u8]) -> Result<Self> {
        let _ = public;
        todo!()
    }
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        let _ = (message, signature);
        todo!()
    }
}
