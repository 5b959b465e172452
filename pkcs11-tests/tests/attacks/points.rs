//! Keys that are not what they seem: points off the curve, pairs that do not match, RSA keys made to be broken.

use crate::{At, fails_unless};
use cryptoki_sys::*;
use pkcs11_tests::derivation::ecdh;
use pkcs11_tests::keys::{Attribute, ED25519, P256, X25519, bytes, no, number, yes};

fn public(key_type: CK_KEY_TYPE, params: &[u8], point: &[u8]) -> Vec<Attribute> {
    let class = [number(CKA_CLASS, CKO_PUBLIC_KEY), number(CKA_KEY_TYPE, key_type)];
    let length = if point.len() < 0x80 { vec![point.len() as u8] } else { vec![0x81, point.len() as u8] };
    let octets = [&[4][..], &length, point].concat();
    [&class[..], &[bytes(CKA_EC_PARAMS, params), bytes(CKA_EC_POINT, &octets)]].concat()
}

/// Biehl, Meyer, Müller 2000; Jager, Schwenk, Somorovsky 2015: an invalid point tells the private key piece by piece.
#[test]
fn points_off_the_curve() {
    let at = At::strict();
    let pair = at.module.ec(at.session, P256);
    let good = at.attribute(pair.public, CKA_EC_POINT).expect("point")[2..].to_vec();
    let mut off = good.clone();
    off[64] ^= 1;
    // The identity; zeros; a point of P-384's length; a coordinate that is no element of the field.
    let wrong = [off, vec![0], [&[4][..], &[0; 64]].concat(), vec![4; 97], [&[4][..], &[0xff; 64]].concat()];
    for point in &wrong {
        let taken = at.module.create(at.session, &public(CKK_EC, P256, point));
        assert_eq!(taken, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{} bytes", point.len());
        let with = ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", point);
        let derived = at.module.derived_value(at.session, with, pair.private, 32);
        assert_eq!(derived, Err(CKR_MECHANISM_PARAM_INVALID), "{} bytes", point.len());
    }
    at.module.create(at.session, &public(CKK_EC, P256, &good)).expect("a right one");
    let with = ecdh(CKM_ECDH1_DERIVE, CKD_NULL, b"", &good);
    at.module.derived_value(at.session, with, pair.private, 32).expect("a right one");
}

/// RFC 7748 §6.1, Chalkias and others 2020: points of small order, with which everybody agrees and signs.
#[test]
fn points_of_small_order() {
    let at = At::strict();
    let one: [u8; 32] = std::array::from_fn(|place| u8::from(place == 0));
    for (key_type, params, small) in [
        (CKK_EC_MONTGOMERY, X25519, [0; 32]),
        (CKK_EC_MONTGOMERY, X25519, one),
        (CKK_EC_EDWARDS, ED25519, one),
    ] {
        let taken = at.module.create(at.session, &public(key_type, params, &small));
        assert_eq!(taken, Err(CKR_ATTRIBUTE_VALUE_INVALID), "{key_type}");
    }
    let pair = at.module.x25519(at.session);
    let own = at.attribute(pair.public, CKA_EC_POINT).expect("point")[2..].to_vec();
    at.module.create(at.session, &public(CKK_EC_MONTGOMERY, X25519, &own)).expect("a right one");
}

const PARTS: [CK_ATTRIBUTE_TYPE; 8] = [
    CKA_MODULUS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_PRIME_1,
    CKA_PRIME_2,
    CKA_EXPONENT_1,
    CKA_EXPONENT_2,
    CKA_COEFFICIENT,
];

/// All parts of a pair that may be read.
fn parts(at: &At) -> Vec<Attribute> {
    let open = [no(CKA_SENSITIVE), yes(CKA_EXTRACTABLE)];
    let pair = at.rsa(2048, &[], &open).expect("a pair");
    PARTS.iter().map(|kind| bytes(*kind, &at.attribute(pair.private, *kind).expect("a part"))).collect()
}

/// Clulow 2003, and Boneh, DeMillo, Lipton 1997: one wrong part of a private key, and a signature tells the primes.
#[test]
fn private_keys_whose_parts_do_not_match() {
    let at = At::strict();
    let (own, other) = (parts(&at), parts(&at));
    let class = [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_KEY_TYPE, CKK_RSA)];
    let create = |parts: &[Attribute]| at.module.create(at.session, &[&class[..], parts].concat());
    create(&own).expect("a right one");
    for (place, kind) in PARTS.iter().enumerate().filter(|(_, kind)| **kind != CKA_PUBLIC_EXPONENT) {
        let mut mixed = own.clone();
        mixed[place] = other[place].clone();
        assert_eq!(create(&mixed), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{kind:#x}");
        let mut altered = own.clone();
        *altered[place].bytes.last_mut().expect("a byte") ^= 1;
        assert_eq!(create(&altered), Err(CKR_ATTRIBUTE_VALUE_INVALID), "{kind:#x}");
    }
    // A curve's private key beside another's point.
    let (one, two) = (at.module.ec(at.session, P256), at.module.ec(at.session, P256));
    let point = at.attribute(two.public, CKA_EC_POINT).expect("point");
    let secret =
        [number(CKA_CLASS, CKO_PRIVATE_KEY), number(CKA_KEY_TYPE, CKK_EC), bytes(CKA_EC_PARAMS, P256)];
    let taken = at.module.create(
        at.session,
        &[&secret[..], &[bytes(CKA_VALUE, &[7; 32]), bytes(CKA_EC_POINT, &point)]].concat(),
    );
    assert_eq!(taken, Err(CKR_ATTRIBUTE_VALUE_INVALID));
    assert_eq!(at.attribute(one.private, CKA_VALUE), Err(CKR_ATTRIBUTE_SENSITIVE));
}

fn rsa_public(modulus: &[u8], exponent: &[u8], wraps: bool) -> Vec<Attribute> {
    let class = [number(CKA_CLASS, CKO_PUBLIC_KEY), number(CKA_KEY_TYPE, CKK_RSA)];
    let numbers = [bytes(CKA_MODULUS, modulus), bytes(CKA_PUBLIC_EXPONENT, exponent)];
    let wraps = if wraps { vec![yes(CKA_WRAP)] } else { vec![] };
    [&class[..], &numbers, &wraps].concat()
}

/// Clulow 2003, small exponents; ROCA (Nemec and others 2017). What is no RSA key is refused with any switch.
#[test]
fn rsa_keys_made_to_be_broken() {
    fails_unless("weak_rsa_keys", CKR_ATTRIBUTE_VALUE_INVALID, |at| {
        at.rsa(2048, &[bytes(CKA_PUBLIC_EXPONENT, &[3])], &[]).map(drop)
    });
    let modulus = {
        let at = At::strict();
        let pair = at.rsa(2048, &[], &[]).expect("a pair");
        at.attribute(pair.public, CKA_MODULUS).expect("modulus")
    };
    fails_unless("weak_rsa_keys", CKR_ATTRIBUTE_VALUE_INVALID, |at| {
        at.module.create(at.session, &rsa_public(&modulus, &[3], true)).map(drop)
    });
    // 65537^k modulo the product of the primes that the pattern is about, and a multiple of that product.
    let product =
        [11u128, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].iter().product();
    let pattern = roca(product);
    fails_unless("weak_rsa_keys", CKR_ATTRIBUTE_VALUE_INVALID, |at| {
        at.module.create(at.session, &rsa_public(&pattern, &[1, 0, 1], true)).map(drop)
    });
    let mut even = modulus.clone();
    even[255] &= 0xfe;
    for at in [At::strict(), At::with("weak_rsa_keys")] {
        for (modulus, exponent) in
            [(&even, &[1, 0, 1][..]), (&modulus, &[1]), (&modulus, &[4]), (&modulus, &[0])]
        {
            let taken = at.module.create(at.session, &rsa_public(modulus, exponent, true));
            assert_eq!(taken, Err(CKR_ATTRIBUTE_VALUE_INVALID), "exponent {exponent:?}");
        }
        // Old signatures verify.
        at.module.create(at.session, &rsa_public(&modulus, &[3], false)).expect("one that only verifies");
    }
}

/// An odd number of 2048 bits that is 1 modulo `product`: long multiplication of it with 2^1930 or so, plus one.
fn roca(product: u128) -> Vec<u8> {
    let mut number = vec![0; 256];
    let shift = 2048 - (128 - product.leading_zeros()) as usize;
    let (bytes, bits) = (shift / 8, shift % 8);
    let mut carry = 0u32;
    for place in 0..17 {
        let byte = if place < 16 { product.to_le_bytes()[place] } else { 0 };
        let shifted = u32::from(byte) << bits | carry;
        if let Some(at) = 255usize.checked_sub(bytes + place) {
            number[at] = shifted as u8;
        }
        carry = shifted >> 8;
    }
    number[255] |= 1;
    number
}
