//! HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use super::Secret;
use crate::error::Result;

/// A new key pair: (private key, public key of 32 bytes).
pub fn key_pair() -> Result<(Secret, [u8; 32])> {
    todo!()
}

/// Encapsulated key (32 bytes) followed by the ciphertext of `plain`.
pub fn seal(public: &[u8; 32], info: &[u8], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let _ = (public, info, aad, plain);
    todo!()
}

/// The plaintext, or `Error::EncryptedDataInvalid`.
pub fn open(private: &Secret, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Secret> {
    let _ = (private, info, aad, sealed);
    todo!()
}
