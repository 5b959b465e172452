//! PKCS#1 paddings over raw RSA (RFC 8017): v1.5 encryption without an oracle, OAEP and PSS with
//! any pair of hashes. Both implementations share the unpadding that must not leak.

use super::Secret;
use super::hash::{Hash, Hmac, mgf1_xor};
use crate::error::{Error, Result};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};

/// Takes a decrypted block apart in constant time. A bad padding yields a random-looking message
/// derived from `rejection_key` and `ciphertext` instead of an error, so that neither the answer
/// nor the time tells. `rejection_key` is a secret of the key (for RSA: HMAC key from d). `lengths` are those
/// that a message may have, none: any; one of another length is rejected the same way.
pub fn unpad_implicit(
    block: &Secret,
    rejection_key: &[u8; 32],
    ciphertext: &[u8],
    lengths: &[usize],
) -> Secret {
    let length = block.len();
    let (fake, any_length) = rejection(rejection_key, ciphertext, length);
    let possible = lengths.iter().filter(|wanted| **wanted + 11 <= length);
    let lengths: Vec<u32> = possible.map(|wanted| *wanted as u32).collect();
    let fake_length =
        if lengths.is_empty() { any_length } else { lengths[any_length as usize % lengths.len()] };
    // 00 02, at least eight nonzero bytes, 00, message.
    let mut good = block[0].ct_eq(&0) & block[1].ct_eq(&2);
    let (mut found, mut separator) = (Choice::from(0), 0u32);
    for (position, byte) in block.iter().enumerate().skip(2) {
        let here = byte.ct_eq(&0) & !found;
        separator = u32::conditional_select(&separator, &(position as u32), here);
        found |= here;
    }
    good &= found & separator.ct_gt(&9);
    let real_length = length as u32 - 1 - separator;
    if !lengths.is_empty() {
        good &= lengths.iter().fold(Choice::from(0), |fits, wanted| fits | wanted.ct_eq(&real_length));
    }
    let out_length = u32::conditional_select(&fake_length, &real_length, good);
    // The message is the last bytes of either block: pick byte by byte, then cut.
    let mut picked = Secret::zeroed(length);
    for ((out, real), fake) in picked.iter_mut().zip(block.iter()).zip(fake.iter()) {
        *out = u8::conditional_select(fake, real, good);
    }
    Secret::from(&picked[length - out_length as usize..])
}

/// A block and a message length below its capacity, both from the key and the ciphertext alone.
fn rejection(key: &[u8; 32], ciphertext: &[u8], length: usize) -> (Secret, u32) {
    let seed = Hmac::sha256(key, &[ciphertext]);
    let mut block = Secret::zeroed(length);
    for (counter, part) in (0u32..).zip(block.chunks_mut(32)) {
        part.copy_from_slice(&Hmac::sha256(&seed, &[b"message", &counter.to_be_bytes()])[..part.len()]);
    }
    let candidates = Hmac::sha256(&seed, &[b"length"]);
    let most = length as u32 - 11;
    let mask = (most.next_power_of_two() - 1) | most;
    let mut chosen = 0u32;
    for pair in candidates.chunks_exact(2) {
        let candidate = u32::from(u16::from_be_bytes([pair[0], pair[1]])) & mask;
        chosen = u32::conditional_select(&candidate, &chosen, candidate.ct_gt(&most));
    }
    (block, chosen)
}

/// EMSA-PKCS1-v1_5 (§9.2) around data as it is: 00 01 ff… 00 data.
pub fn pad_type_1(data: &[u8], length: usize) -> Result<Vec<u8>> {
    let start = data_start(data, length)?;
    let mut block = vec![0xff; length];
    block[..2].copy_from_slice(&[0, 1]);
    block[start - 1] = 0;
    block[start..].copy_from_slice(data);
    Ok(block)
}

/// The data in a block of [`pad_type_1`], to the letter: at least eight bytes ff, and nothing else, before
/// the 00 that ends them. Nothing here is secret.
pub fn unpad_type_1(block: &[u8]) -> Option<&[u8]> {
    let padded = block.strip_prefix(&[0, 1])?;
    let (padding, data) = padded.split_at(padded.iter().position(|byte| *byte != 0xff)?);
    let data = data.strip_prefix(&[0])?;
    (padding.len() >= 8).then_some(data)
}

/// RSAES-PKCS1-v1_5 (§7.2.1): 00 02, random bytes without zeros, 00, data.
pub fn pad_type_2(data: &[u8], length: usize) -> Result<Secret> {
    let start = data_start(data, length)?;
    let mut block = Secret::random(length)?;
    for byte in &mut block[2..start - 1] {
        while *byte == 0 {
            super::random::fill(std::slice::from_mut(byte))?;
        }
    }
    block[..2].copy_from_slice(&[0, 2]);
    block[start - 1] = 0;
    block[start..].copy_from_slice(data);
    Ok(block)
}

/// Where data of this length starts in a block, `DataLenRange` when less than 11 bytes are left.
fn data_start(data: &[u8], length: usize) -> Result<usize> {
    length.checked_sub(data.len()).filter(|start| *start >= 11).ok_or(Error::DataLenRange)
}

/// EME-OAEP encoding (§7.1.1): fills `block`, as long as the modulus, with `data` and a random seed.
pub fn pad_oaep(hash: Hash, mgf: Hash, label: &[u8], data: &[u8], block: &mut [u8]) -> Result<()> {
    let size = hash.length();
    if block.len() < 2 * size + 2 || data.len() > block.len() - 2 * size - 2 {
        return Err(Error::DataLenRange);
    }
    block.fill(0);
    let (seed, rest) = block[1..].split_at_mut(size);
    super::random::fill(seed)?;
    rest[..size].copy_from_slice(&hash.digest(label));
    let start = rest.len() - data.len();
    rest[start - 1] = 1;
    rest[start..].copy_from_slice(data);
    mgf1_xor(mgf, seed, rest);
    mgf1_xor(mgf, rest, seed);
    Ok(())
}

/// EME-OAEP decoding (§7.1.2) in constant time; every fault is the same `EncryptedDataInvalid`.
pub fn unpad_oaep(hash: Hash, mgf: Hash, label: &[u8], mut block: Secret) -> Result<Secret> {
    let size = hash.length();
    if block.len() < 2 * size + 2 {
        return Err(Error::EncryptedDataInvalid);
    }
    let mut good = block[0].ct_eq(&0);
    let (seed, rest) = block[1..].split_at_mut(size);
    mgf1_xor(mgf, rest, seed);
    mgf1_xor(mgf, seed, rest);
    good &= rest[..size].ct_eq(&hash.digest(label));
    let (mut found, mut separator) = (Choice::from(0), 0u32);
    for (position, byte) in rest.iter().enumerate().skip(size) {
        let one = byte.ct_eq(&1) & !found;
        good &= byte.ct_eq(&0) | found | one;
        separator = u32::conditional_select(&separator, &(position as u32), one);
        found |= one;
    }
    if bool::from(good & found) {
        Ok(Secret::from(&rest[separator as usize + 1..]))
    } else {
        Err(Error::EncryptedDataInvalid)
    }
}

/// EMSA-PSS encoding (§9.1.1) of a digest into `block`, as long as the modulus of `bits` bits.
pub fn pad_pss(
    hash: Hash,
    mgf: Hash,
    salt_length: usize,
    digest: &[u8],
    bits: usize,
    block: &mut [u8],
) -> Result<()> {
    let size = hash.length();
    if digest.len() != size {
        return Err(Error::DataLenRange);
    }
    let encoded = encoded_part(bits, block)?;
    if encoded.len() < size + salt_length + 2 {
        return Err(Error::KeySizeRange);
    }
    encoded.fill(0);
    let split = encoded.len() - size - 1;
    let (masked, tail) = encoded.split_at_mut(split);
    masked[split - salt_length - 1] = 1;
    super::random::fill(&mut masked[split - salt_length..])?;
    tail[..size].copy_from_slice(&salted(hash, digest, &masked[split - salt_length..]));
    tail[size] = 0xbc;
    mgf1_xor(mgf, &tail[..size], masked);
    masked[0] &= top_mask(bits);
    Ok(())
}

/// EMSA-PSS verification (§9.1.2) of a block that the public operation gave.
pub fn verify_pss(
    hash: Hash,
    mgf: Hash,
    salt_length: usize,
    digest: &[u8],
    bits: usize,
    block: &mut [u8],
) -> Result<()> {
    let size = hash.length();
    if digest.len() != size {
        return Err(Error::DataLenRange);
    }
    let leading = block.len() - (bits - 1).div_ceil(8);
    if block[..leading].iter().any(|b| *b != 0) {
        return Err(Error::SignatureInvalid);
    }
    let encoded = encoded_part(bits, block)?;
    if encoded.len() < size + salt_length + 2 || encoded.last() != Some(&0xbc) {
        return Err(Error::SignatureInvalid);
    }
    let split = encoded.len() - size - 1;
    let (masked, tail) = encoded.split_at_mut(split);
    if masked[0] & !top_mask(bits) != 0 {
        return Err(Error::SignatureInvalid);
    }
    mgf1_xor(mgf, &tail[..size], masked);
    masked[0] &= top_mask(bits);
    let (padding, salt) = masked.split_at(split - salt_length);
    let padded = padding.split_last().is_some_and(|(one, zeros)| *one == 1 && zeros.iter().all(|b| *b == 0));
    if padded && salted(hash, digest, salt) == tail[..size] { Ok(()) } else { Err(Error::SignatureInvalid) }
}

/// The last emLen = ceil((bits - 1) / 8) bytes; one less than the block when bits = 1 mod 8.
fn encoded_part(bits: usize, block: &mut [u8]) -> Result<&mut [u8]> {
    let length = (bits - 1).div_ceil(8);
    let leading = block.len().checked_sub(length).ok_or(Error::GeneralError)?;
    block[..leading].fill(0);
    Ok(&mut block[leading..])
}

/// Which bits of the first encoded byte may be set.
fn top_mask(bits: usize) -> u8 {
    0xff >> (8 * (bits - 1).div_ceil(8) - (bits - 1))
}

/// Hash of M' = eight zeros || digest || salt.
fn salted(hash: Hash, digest: &[u8], salt: &[u8]) -> Vec<u8> {
    hash.digest(&[&[0; 8], digest, salt].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(message: &[u8], length: usize) -> Secret {
        let mut block = vec![0xaa; length];
        block[0] = 0;
        block[1] = 2;
        block[length - message.len() - 1] = 0;
        block[length - message.len()..].copy_from_slice(message);
        Secret::from(block)
    }

    #[test]
    fn good_padding_gives_the_message() {
        for size in [0, 1, 100, 245] {
            let message = vec![7; size];
            assert_eq!(unpad_implicit(&block(&message, 256), &[1; 32], b"c", &[])[..], message);
        }
    }

    #[test]
    fn bad_padding_gives_the_same_noise_each_time() {
        let mut bad = block(b"message", 256);
        bad[1] = 1;
        let first = unpad_implicit(&bad, &[1; 32], b"c", &[]);
        assert_eq!(first, unpad_implicit(&bad, &[1; 32], b"c", &[]));
        assert_ne!(first, unpad_implicit(&bad, &[1; 32], b"d", &[]));
        assert!(first.len() <= 245);
        let mut short = block(&[7; 246], 256);
        short[0] = 0;
        assert_ne!(unpad_implicit(&short, &[1; 32], b"c", &[])[..], [7; 246]);
    }

    #[test]
    fn noise_has_one_of_the_lengths_that_a_message_may_have() {
        let (good, mut bad) = (block(&[7; 24], 256), block(&[7; 24], 256));
        bad[1] = 1;
        assert_eq!(unpad_implicit(&good, &[1; 32], b"c", &[16, 24, 32])[..], [7; 24]);
        let seen: std::collections::BTreeSet<usize> = (0..99)
            .flat_map(|n: u8| {
                // A right padding around another length is one more that is wrong.
                let other = unpad_implicit(&good, &[1; 32], &[n], &[16, 32]);
                assert_ne!(other[..], [7; 24]);
                [unpad_implicit(&bad, &[1; 32], &[n], &[16, 32]).len(), other.len()]
            })
            .collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [16, 32]);
    }

    #[test]
    fn type_1_padding_is_taken_to_the_letter() {
        for size in [0, 1, 100, 245] {
            let message = vec![0xff; size];
            assert_eq!(unpad_type_1(&pad_type_1(&message, 256).unwrap()), Some(&message[..]));
        }
        let good = pad_type_1(&[7; 245], 256).unwrap();
        for (place, byte) in
            [(0, 1), (1, 2), (1, 0), (2, 0), (2, 0xfe), (9, 0), (9, 0xfe), (10, 0xff), (10, 1)]
        {
            let mut bad = good.clone();
            bad[place] = byte;
            assert_eq!(unpad_type_1(&bad), None, "{byte:#x} at {place}");
        }
        assert_eq!(unpad_type_1(&good[..10]), None, "no end");
        assert_eq!(unpad_type_1(&[0, 1]), None);
        assert_eq!(unpad_type_1(&[]), None);
    }

    #[test]
    fn oaep_and_pss_come_back() {
        for (hash, mgf) in
            [(Hash::Sha256, Hash::Sha1), (Hash::Sha1, Hash::Sha512), (Hash::Sha3_256, Hash::Sha3_256)]
        {
            let mut padded = vec![0; 256];
            pad_oaep(hash, mgf, b"label", b"data", &mut padded).unwrap();
            let plain = unpad_oaep(hash, mgf, b"label", Secret::from(padded.clone())).unwrap();
            assert_eq!(plain[..], b"data"[..]);
            assert!(unpad_oaep(hash, mgf, b"other", Secret::from(padded)).is_err());
            let digest = hash.digest(b"message");
            for bits in [2048, 2047, 2041] {
                let mut block = vec![0; 256];
                pad_pss(hash, mgf, 20, &digest, bits, &mut block).unwrap();
                assert_eq!(verify_pss(hash, mgf, 20, &digest, bits, &mut block.clone()), Ok(()));
                assert!(verify_pss(hash, mgf, 21, &digest, bits, &mut block.clone()).is_err());
                block[200] ^= 1;
                assert!(verify_pss(hash, mgf, 20, &digest, bits, &mut block).is_err());
            }
        }
    }
}
