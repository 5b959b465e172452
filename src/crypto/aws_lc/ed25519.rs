//! Ed25519 (RFC 8032), pure.

use super::check;
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// Seed and public key side by side, as AWS-LC wants them.
pub struct PrivateKey(Secret);
pub struct PublicKey([u8; 32]);

impl PrivateKey {
    /// A new random seed, 32 bytes.
    pub fn generate() -> Result<Secret> {
        Secret::random(32)
    }
    /// From the 32-byte seed; another length is `AttributeValueInvalid`.
    pub fn new(seed: &[u8]) -> Result<Self> {
        if seed.len() != 32 {
            return Err(Error::AttributeValueInvalid);
        }
        let (mut public, mut private) = ([0; 32], Secret::zeroed(64));
        // SAFETY: 32, 64 and 32 bytes, as documented.
        unsafe {
            aws_lc_sys::ED25519_keypair_from_seed(public.as_mut_ptr(), private.as_mut_ptr(), seed.as_ptr());
        }
        Ok(Self(private))
    }
    pub fn public(&self) -> [u8; 32] {
        let mut public = [0; 32];
        public.copy_from_slice(&self.0[32..]);
        public
    }
    pub fn sign(&self, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        // SAFETY: the key has 64 bytes, the signature 64.
        let code = unsafe {
            aws_lc_sys::ED25519_sign(signature.as_mut_ptr(), message.as_ptr(), message.len(), self.0.as_ptr())
        };
        check(code, Error::FunctionFailed)
    }
}

impl PublicKey {
    /// 32 bytes, a point of the curve, else `AttributeValueInvalid`.
    pub fn new(public: &[u8]) -> Result<Self> {
        // AWS-LC looks at the point only when it verifies; the portable parser looks now.
        crate::crypto::portable::ed25519::PublicKey::new(public)?;
        public.try_into().map(Self).map_err(|_| Error::AttributeValueInvalid)
    }
    /// `SignatureInvalid`, or `SignatureLenRange` when not 64 bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != 64 {
            return Err(Error::SignatureLenRange);
        }
        // SAFETY: 64 and 32 bytes, as documented.
        let code = unsafe {
            aws_lc_sys::ED25519_verify(message.as_ptr(), message.len(), signature.as_ptr(), self.0.as_ptr())
        };
        check(code, Error::SignatureInvalid)
    }
}
