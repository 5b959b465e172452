//! What makes a key breakable although its parts belong together: RSA keys from bad generators, or made by
//! somebody who wants them broken.

use super::key::{bits, digits, rsa_public};
use crate::object::Object;
use cryptoki_sys::*;

/// Primes modulo which the moduli of Infineon's RSALib are powers of 65537 (CVE-2017-15361): all of them are
/// for one random modulus in 2^27.
const ROCA_PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];

/// What is wrong with an RSA key; `None` for a sound one and for any other object.
pub fn of(object: &Object) -> Option<&'static str> {
    if object.key_type() != Some(CKK_RSA) {
        return None;
    }
    let public = rsa_public(object);
    if bits(&public.public_exponent) < 17 {
        return Some("its public exponent is below 65537");
    }
    if is_roca(&public.modulus) {
        return Some("its modulus has the pattern of ROCA (CVE-2017-15361)");
    }
    if object.class() != CKO_PRIVATE_KEY {
        return None;
    }
    let half = bits(&public.modulus) / 2;
    if bits(object.bytes(CKA_PRIVATE_EXPONENT)) <= half {
        return Some("its private exponent is small (Wiener)");
    }
    // FIPS 186-5 A.1.3.
    let apart = bits(&difference(object.bytes(CKA_PRIME_1), object.bytes(CKA_PRIME_2)));
    (apart + 100 <= half).then_some("its primes are close together (Fermat)")
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % divisor)
}

fn is_roca(modulus: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|prime| {
        let (wanted, mut power) = (remainder(modulus, *prime), 1);
        (0..*prime).any(|_| {
            power = power * 65537 % prime;
            power == wanted
        })
    })
}

/// |a - b|, big-endian.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let (a, b) = (digits(a), digits(b));
    let (large, small) = if (a.len(), a) >= (b.len(), b) { (a, b) } else { (b, a) };
    let mut result = large.to_vec();
    let mut borrow = 0;
    for (place, byte) in result.iter_mut().rev().enumerate() {
        let taken = small.len().checked_sub(place + 1).map_or(0, |at| i16::from(small[at])) + borrow;
        let left = i16::from(*byte) - taken;
        borrow = i16::from(left < 0);
        *byte = left as u8;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rsa::PrivateKey;
    use crate::mechanism::import::rsa_private_material;
    use crate::object::Value;

    #[test]
    fn differences() {
        assert_eq!(difference(&[1, 0, 0], &[0xff]), [0, 0xff, 1]);
        assert_eq!(difference(&[0, 0xff], &[1, 0, 0]), [0, 0xff, 1]);
        assert_eq!(bits(&difference(&[7, 7], &[7, 7])), 0);
    }

    fn key(exponent: &[u8], change: impl FnOnce(&mut Object)) -> Option<&'static str> {
        let parts = PrivateKey::generate(2048, exponent).unwrap();
        let mut object = Object::new(rsa_private_material(parts));
        object.set(CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY));
        object.set(CKA_KEY_TYPE, Value::Ulong(CKK_RSA));
        change(&mut object);
        of(&object)
    }

    #[test]
    fn a_fresh_key_is_sound_and_what_is_broken_is_named() {
        assert_eq!(key(&[1, 0, 1], |_| {}), None);
        assert!(key(&[3], |_| {}).unwrap().contains("65537"));
        let small = |object: &mut Object| object.set(CKA_PRIVATE_EXPONENT, Value::Bytes(vec![0xff; 128]));
        assert!(key(&[1, 0, 1], small).unwrap().contains("Wiener"));
        let close = |object: &mut Object| {
            let mut prime = object.bytes(CKA_PRIME_1).to_vec();
            prime[100] ^= 1;
            object.set(CKA_PRIME_2, Value::Bytes(prime));
        };
        assert!(key(&[1, 0, 1], close).unwrap().contains("Fermat"));
        // Congruent to a power of 65537 (here the 0th) modulo each of the primes.
        let pattern = |object: &mut Object| {
            let product = ROCA_PRIMES.iter().fold(1u128, |product, prime| product * u128::from(*prime));
            let mut modulus = (product + 1).to_be_bytes().to_vec();
            modulus.resize(256, 0);
            // Times 256^n keeps no pattern: the number itself stands at the end.
            modulus.rotate_right(240);
            object.set(CKA_MODULUS, Value::Bytes(modulus));
        };
        assert!(key(&[1, 0, 1], pattern).unwrap().contains("ROCA"));
    }
}
