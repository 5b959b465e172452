//! Ed25519 and Ed25519ph (RFC 8032). The crate has no Ed25519ctx: `MechanismParamInvalid`.

use crate::crypto::{EdScheme, Secret};
use crate::error::{Error, Result};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha512};
use std::collections::BTreeMap;

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

/// A public key, a message, and the signature that it is to have.
pub type Signed<'a> = ([u8; 32], &'a [u8], [u8; 64]);

/// Whether all of them are good (pure), at a third of the price of one after the other. `false` says nothing of
/// any one of them. Of signatures that their signer made odd on purpose (with points of small order) it may take
/// one that [`PublicKey::verify`] does not.
pub fn verify_all(signed: &[Signed<'_>]) -> bool {
    let mut known: BTreeMap<[u8; 32], VerifyingKey> = BTreeMap::new();
    let mut keys = Vec::with_capacity(signed.len());
    for (public, ..) in signed {
        let key = match known.get(public) {
            Some(key) => *key,
            None => match VerifyingKey::from_bytes(public) {
                Ok(key) if !key.is_weak() => *known.entry(*public).or_insert(key),
                _ => return false,
            },
        };
        keys.push(key);
    }
    let messages: Vec<&[u8]> = signed.iter().map(|(_, message, _)| *message).collect();
    let signatures: Vec<Signature> =
        signed.iter().map(|(.., signature)| Signature::from_bytes(signature)).collect();
    ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_good_or_it_says_no() {
        let seeds: Vec<Secret> = (0..3).map(|_| PrivateKey::generate().unwrap()).collect();
        let keys: Vec<PrivateKey> = seeds.iter().map(|seed| PrivateKey::new(seed).unwrap()).collect();
        let messages: Vec<Vec<u8>> = (0..9u8).map(|number| vec![number; usize::from(number)]).collect();
        let signed = |number: usize| {
            let (key, mut signature) = (&keys[number % 3], [0; 64]);
            key.sign(&messages[number], &mut signature).unwrap();
            (key.public(), &messages[number][..], signature)
        };
        let good: Vec<Signed<'_>> = (0..9).map(signed).collect();
        assert!(verify_all(&[]) && verify_all(&good[..1]) && verify_all(&good));
        for number in 0..9 {
            let mut other_key = good.clone();
            other_key[number].0 = keys[(number + 1) % 3].public();
            let mut other_message = good.clone();
            other_message[number].1 = b"another";
            let (mut first, mut second) = (good.clone(), good.clone());
            first[number].2[0] ^= 1;
            second[number].2[32] ^= 1;
            for wrong in [other_key, other_message, first, second] {
                assert!(!verify_all(&wrong), "{number}");
            }
        }
        let mut weak = good.clone();
        weak[4].0 = [0; 32];
        assert!(!verify_all(&weak), "a point of small order");
    }
}
