//! X25519 (RFC 7748).

use super::check;
use crate::crypto::Secret;
use crate::error::{Error, Result};

/// The public key of any 32 bytes.
pub fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut public = [0; 32];
    // SAFETY: 32 and 32 bytes.
    unsafe { aws_lc_sys::X25519_public_from_private(public.as_mut_ptr(), private.as_ptr()) };
    public
}

/// 32 bytes. Zeros, which every private key agrees on with a point of small order, are
/// `PublicKeyInvalid` (RFC 7748 §6.1).
pub fn agree(private: &[u8; 32], peer: &[u8; 32]) -> Result<Secret> {
    let mut shared = Secret::zeroed(32);
    // SAFETY: three times 32 bytes.
    let code = unsafe { aws_lc_sys::X25519(shared.as_mut_ptr(), private.as_ptr(), peer.as_ptr()) };
    check(code, Error::PublicKeyInvalid)?;
    Ok(shared)
}
