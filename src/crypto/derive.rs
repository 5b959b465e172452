//! Key derivation that is the same in every build: HKDF (RFC 5869) and ANSI X9.63.

use super::hash::Context;
use super::{Hash, Secret};

/// HKDF-SHA-256, extract and expand. `length` at most 8160 bytes (more comes back as zeros cut to
/// nothing: the caller's constants are all far below).
pub fn hkdf_sha256(salt: &[u8], key: &[u8], info: &[u8], length: usize) -> Secret {
    let mut out = Secret::zeroed(length);
    let derived = hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), key).expand(info, &mut out);
    debug_assert!(derived.is_ok(), "HKDF of {length} bytes");
    out
}

/// ANSI X9.63 KDF (SEC 1 §3.6.1): counter from 1, 32 bit, big-endian.
pub fn x963(hash: Hash, shared: &[u8], info: &[u8], length: usize) -> Secret {
    let mut out = Secret::zeroed(length);
    let mut block = Secret::zeroed(hash.length());
    let mut context = Context::new(hash);
    for (counter, part) in (1u32..).zip(out.chunks_mut(hash.length())) {
        context.update(shared);
        context.update(&counter.to_be_bytes());
        context.update(info);
        context.finish(&mut block);
        part.copy_from_slice(&block[..part.len()]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_rfc5869_case_1() {
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        let okm = hkdf_sha256(&salt, &[0x0b; 22], &info, 42);
        assert_eq!(okm[..8], [0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a]);
        assert_eq!(okm[38..], [0x87, 0x18, 0x58, 0x65]);
    }

    #[test]
    fn x963_is_hash_of_shared_counter_info() {
        let out = x963(Hash::Sha256, b"shared", b"info", 40);
        assert_eq!(out[..32], Hash::Sha256.digest(b"shared\0\0\0\x01info"));
        assert_eq!(out[32..], Hash::Sha256.digest(b"shared\0\0\0\x02info")[..8]);
    }
}
