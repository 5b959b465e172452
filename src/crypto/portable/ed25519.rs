//! Ed25519 and Ed25519ph (RFC 8032). The crate has no Ed25519ctx: `MechanismParamInvalid`.

use crate::crypto::{EdScheme, Secret};
use crate::error::{Error, Result};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha512};

pub struct PrivateKey(SigningKey);
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// A new random seed, 32 bytes.
    pub fn generate() -> Result<Secret> {
        let mut seed = Secret::zeroed(32);
        super::random::fill(&mut seed)?;
        Ok(seed)
    }
    /// From the 32-byte seed; another length is `AttributeValueInvalid`.
    pub fn new(seed: &[u8]) -> Result<Self> {
        let seed: &[u8; 32] = seed.try_into().map_err(|_| Error::AttributeValueInvalid)?;
        Ok(Self(SigningKey::from_bytes(seed)))
    }
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    /// Pure.
    pub fn sign(&self, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        self.sign_as(&EdScheme::Pure, message, signature)
    }
    pub fn sign_as(&self, scheme: &EdScheme, message: &[u8], signature: &mut [u8; 64]) -> Result<()> {
        let made = match scheme {
            EdScheme::Pure => self.0.sign(message),
            EdScheme::Prehash(context) => self
                .0
                .sign_prehashed(Sha512::new_with_prefix(message), Some(context))
                .map_err(|_| Error::MechanismParamInvalid)?,
            EdScheme::Context(_) => return Err(Error::MechanismParamInvalid),
        };
        *signature = made.to_bytes();
        Ok(())
    }
}

impl PublicKey {
    /// 32 bytes, a point of the curve that is not of small order (anybody makes signatures that such a key
    /// verifies), else `AttributeValueInvalid`.
    pub fn new(public: &[u8]) -> Result<Self> {
        let public: &[u8; 32] = public.try_into().map_err(|_| Error::AttributeValueInvalid)?;
        let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or(Error::AttributeValueInvalid)
    }
    /// Pure; `SignatureInvalid`, or `SignatureLenRange` when not 64 bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        self.verify_as(&EdScheme::Pure, message, signature)
    }
    /// As [`PublicKey::verify`].
    pub fn verify_as(&self, scheme: &EdScheme, message: &[u8], signature: &[u8]) -> Result<()> {
        let signature = Signature::from_slice(signature).map_err(|_| Error::SignatureLenRange)?;
        match scheme {
            EdScheme::Pure => ed25519_dalek::Verifier::verify(&self.0, message, &signature),
            EdScheme::Prehash(context) => {
                self.0.verify_prehashed(Sha512::new_with_prefix(message), Some(context), &signature)
            }
            EdScheme::Context(_) => return Err(Error::MechanismParamInvalid),
        }
        .map_err(|_| Error::SignatureInvalid)
    }
}
