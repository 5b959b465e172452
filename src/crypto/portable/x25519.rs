//! X25519 (RFC 7748).

use crate::crypto::Secret;
use crate::error::{Error, Result};
use subtle::ConstantTimeEq;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// The public key of any 32 bytes.
pub fn public(private: &[u8; 32]) -> [u8; 32] {
    x25519(*private, X25519_BASEPOINT_BYTES)
}

/// 32 bytes. Zeros, which every private key agrees on with a point of small order, are
/// `PublicKeyInvalid` (RFC 7748 §6.1).
pub fn agree(private: &[u8; 32], peer: &[u8; 32]) -> Result<Secret> {
    let shared = Zeroizing::new(x25519(*private, *peer));
    if bool::from(shared.ct_eq(&[0; 32])) {
        Err(Error::PublicKeyInvalid)
    } else {
        Ok(Secret::from(&shared[..]))
    }
}
