//! Key derivation that is the same in every build: HKDF (RFC 5869) and ANSI X9.63.

use super::{Hash, Secret};

/// HKDF-SHA-256, extract and expand. `length` at most 8160 bytes.
pub fn hkdf_sha256(salt: &[u8], key: &[u8], info: &[u8], length: usize) -> Secret {
    let _ = (salt, key, info, length);
    todo!()
}

/// ANSI X9.63 KDF (SEC 1 §3.6.1): counter from 1, 32 bit, big-endian.
pub fn x963(hash: Hash, shared: &[u8], info: &[u8], length: usize) -> Secret {
    let _ = (hash, shared, info, length);
    todo!()
}
