//! Ed25519, Ed25519ctx and Ed25519ph (RFC 8032).

pub use crate::crypto::portable::ed25519::verify_all;

use super::check;
use crate::crypto::{EdScheme, Secret};
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
    /// Pure.
    pub fn sign(&self, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        self.sign_as(&EdScheme::Pure, message, signature)
    }
    pub fn sign_as(&self, scheme: &EdScheme, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        let (out, data, length, key) =
            (signature.as_mut_ptr(), message.as_ptr(), message.len(), self.0.as_ptr());
        // SAFETY: the key has 64 bytes, the signature 64; lengths are the slices' own.
        let code = unsafe {
            match scheme {
                EdScheme::Pure => aws_lc_sys::ED25519_sign(out, data, length, key),
                EdScheme::Context(context) => {
                    aws_lc_sys::ED25519ctx_sign(out, data, length, key, context.as_ptr(), context.len())
                }
                EdScheme::Prehash(context) => {
                    aws_lc_sys::ED25519ph_sign(out, data, length, key, context.as_ptr(), context.len())
                }
            }
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
    /// Pure; `SignatureInvalid`, or `SignatureLenRange` when not 64 bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        self.verify_as(&EdScheme::Pure, message, signature)
    }
    /// As [`PublicKey::verify`].
    pub fn verify_as(&self, scheme: &EdScheme, message: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != 64 {
            return Err(Error::SignatureLenRange);
        }
        let (data, length, sig, key) = (message.as_ptr(), message.len(), signature.as_ptr(), self.0.as_ptr());
        // SAFETY: 64 and 32 bytes, as documented; lengths are the slices' own.
        let code = unsafe {
            match scheme {
                EdScheme::Pure => aws_lc_sys::ED25519_verify(data, length, sig, key),
                EdScheme::Context(context) => {
                    aws_lc_sys::ED25519ctx_verify(data, length, sig, key, context.as_ptr(), context.len())
                }
                EdScheme::Prehash(context) => {
                    aws_lc_sys::ED25519ph_verify(data, length, sig, key, context.as_ptr(), context.len())
                }
            }
        };
        check(code, Error::SignatureInvalid)
    }
}
