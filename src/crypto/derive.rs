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

    /// NIST's vectors of ANS X9.63-2001.
    #[test]
    fn x963_nist() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pkcs11-tests/vectors/nist/KDF/ansx963_2001.txt");
        let (mut hash, mut z, mut info, mut walked) = (Hash::Sha256, vec![], vec![], 0);
        for line in std::fs::read_to_string(path).unwrap().lines() {
            if let Some(name) = line.strip_prefix("[SHA-").and_then(|rest| rest.strip_suffix(']')) {
                hash = match name {
                    "1" => Hash::Sha1,
                    "224" => Hash::Sha224,
                    "256" => Hash::Sha256,
                    "384" => Hash::Sha384,
                    "512" => Hash::Sha512,
                    other => panic!("{other}"),
                };
            }
            match line.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("Z", value)) => z = bytes(value),
                Some(("SharedInfo", value)) => info = bytes(value),
                Some(("key_data", value)) => {
                    let expected = bytes(value);
                    assert_eq!(x963(hash, &z, &info, expected.len())[..], expected[..], "{hash:?} {walked}");
                    walked += 1;
                }
                _ => {}
            }
        }
        assert!(walked >= 20, "{walked}");
    }
}
