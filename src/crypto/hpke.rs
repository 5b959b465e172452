//! HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use super::Secret;
use crate::error::{Error, Result};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};

type Scheme = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::AesGcm256;
type Public = <Scheme as Kem>::PublicKey;
type Private = <Scheme as Kem>::PrivateKey;
type Encapsulated = <Scheme as Kem>::EncappedKey;

const ENCAPSULATED_LENGTH: usize = 32;

/// A new key pair: (private key, public key of 32 bytes).
pub fn key_pair() -> Result<(Secret, [u8; 32])> {
    Ok(key_pair_of(&Secret::random(32)?))
}

/// The key pair that follows from 32 random bytes.
pub fn key_pair_of(seed: &Secret) -> (Secret, [u8; 32]) {
    let (private, public) = Scheme::derive_keypair(seed);
    (Secret::from(&private.to_bytes()[..]), public.to_bytes().into())
}

/// Encapsulated key (32 bytes) followed by the ciphertext of `plain`.
pub fn seal(public: &[u8; 32], info: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let failed = |e| Error::GeneralError.because(e);
    let public = Public::from_bytes(public).map_err(failed)?;
    let (encapsulated, sealed) =
        hpke::single_shot_seal::<Aead, Kdf, Scheme>(&OpModeS::Base, &public, info, plain, aad)
            .map_err(failed)?;
    Ok([&encapsulated.to_bytes()[..], &sealed].concat())
}

/// The plaintext, or `Error::EncryptedDataInvalid`.
pub fn open(private: &Secret, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Secret> {
    let failed = |_| Error::EncryptedDataInvalid;
    let private = Private::from_bytes(private).map_err(failed)?;
    let (encapsulated, body) =
        sealed.split_at_checked(ENCAPSULATED_LENGTH).ok_or(Error::EncryptedDataInvalid)?;
    let encapsulated = Encapsulated::from_bytes(encapsulated).map_err(failed)?;
    hpke::single_shot_open::<Aead, Kdf, Scheme>(&OpModeR::Base, &private, &encapsulated, info, body, aad)
        .map(Secret::from)
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_the_right_key_and_context_only() {
        let (private, public) = key_pair().unwrap();
        let sealed = seal(&public, b"info", b"aad", b"secret").unwrap();
        assert_eq!(open(&private, b"info", b"aad", &sealed).unwrap()[..], b"secret"[..]);
        let (other, _) = key_pair().unwrap();
        assert!(open(&other, b"info", b"aad", &sealed).is_err());
        assert!(open(&private, b"else", b"aad", &sealed).is_err());
        assert!(open(&private, b"info", b"else", &sealed).is_err());
        for position in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[position] ^= 1;
            assert!(open(&private, b"info", b"aad", &altered).is_err(), "byte {position}");
        }
        assert!(open(&private, b"info", b"aad", &sealed[..31]).is_err());
    }
}
