//! Key derivation that is the same in every build: HKDF (RFC 5869), ANSI X9.63 and PBKDF2 (RFC 8018).

use super::hash::{Context, Hmac};
use super::{Hash, Secret};
use crate::error::{Error, Result};

/// HKDF-SHA-256, extract and expand. `length` at most 8160 bytes (more comes back as zeros cut to
/// nothing: the caller's constants are all far below).
pub fn hkdf_sha256(salt: &[u8], key: &[u8], info: &[u8], length: usize) -> Secret {
    let mut out = Secret::zeroed(length);
    let derived = hkdf::Hkdf::<sha2::Sha256>::new(Some(salt), key).expand(info, &mut out);
    debug_assert!(derived.is_ok(), "HKDF of {length} bytes");
    out
}

/// HKDF's first half: a key as long as the hash. Without salt as many zeros stand in its place.
pub fn hkdf_extract(hash: Hash, salt: Option<&[u8]>, input: &[u8]) -> Secret {
    let mut out = Secret::zeroed(hash.length());
    // HMAC fills a short key with zeros by itself.
    let mut state = Hmac::new(hash, salt.unwrap_or_default());
    state.update(input);
    state.finish(&mut out);
    out
}

/// HKDF's second half, under an HMAC that is keyed with what the first gave. More than 255 times the
/// hash's length is `KeySizeRange`.
pub fn hkdf_expand(keyed: &Hmac, info: &[u8], length: usize) -> Result<Secret> {
    let mut out = Secret::zeroed(length);
    let mut block = Secret::default();
    for (counter, part) in (1u16..).zip(out.chunks_mut(keyed.length())) {
        let counter = u8::try_from(counter).map_err(|_| Error::KeySizeRange)?;
        let mut state = keyed.clone();
        for piece in [&block[..], info, &[counter]] {
            state.update(piece);
        }
        block = Secret::zeroed(keyed.length());
        state.finish(&mut block);
        part.copy_from_slice(&block[..part.len()]);
    }
    Ok(out)
}

/// PBKDF2 with HMAC. `MechanismParamInvalid` for a hash that PKCS#11 has no number for (SHA-3).
pub fn pbkdf2(hash: Hash, password: &[u8], salt: &[u8], iterations: u32, length: usize) -> Result<Secret> {
    let mut out = Secret::zeroed(length);
    match hash {
        Hash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password, salt, iterations, &mut out),
        Hash::Sha224 => pbkdf2::pbkdf2_hmac::<sha2::Sha224>(password, salt, iterations, &mut out),
        Hash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, salt, iterations, &mut out),
        Hash::Sha384 => pbkdf2::pbkdf2_hmac::<sha2::Sha384>(password, salt, iterations, &mut out),
        Hash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, salt, iterations, &mut out),
        Hash::Sha512_224 => pbkdf2::pbkdf2_hmac::<sha2::Sha512_224>(password, salt, iterations, &mut out),
        Hash::Sha512_256 => pbkdf2::pbkdf2_hmac::<sha2::Sha512_256>(password, salt, iterations, &mut out),
        _ => return Err(Error::MechanismParamInvalid),
    }
    Ok(out)
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

    /// Both halves by our HMAC against the whole by the crate that keys the store.
    #[test]
    fn the_halves_of_hkdf_are_the_whole() {
        for length in [0, 1, 31, 32, 33, 100, 255 * 32] {
            let prk = hkdf_extract(Hash::Sha256, Some(b"salt"), b"input");
            let halves = hkdf_expand(&Hmac::new(Hash::Sha256, &prk), b"info", length).unwrap();
            assert_eq!(halves, hkdf_sha256(b"salt", b"input", b"info", length));
        }
        let keyed = Hmac::new(Hash::Sha256, b"key");
        assert_eq!(hkdf_expand(&keyed, b"", 255 * 32 + 1).err(), Some(Error::KeySizeRange));
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
