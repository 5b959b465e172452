//! The families through their rows, as `session` uses them: known answers, bad input, and a matrix
//! that every row goes through. To add a family's tests: a file here; the matrix finds its rows.

mod aes;
mod ec;
mod import;
mod macs;
mod matrix;
mod ml_dsa;
mod ml_kem;
mod rsa;
mod slh_dsa;
mod wycheproof;

use super::import::examine;
use super::*;
use crate::object::{Shape as AttributeShape, attribute};
use std::sync::LazyLock;

/// Bytes from hexadecimal digits; white space is skipped.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// Bytes that look random and are the same each time.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// `data` cut at places that depend on the seed; some pieces are empty.
fn pieces(data: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut rest = data;
    let mut out = vec![];
    for length in noise(64, seed).into_iter().map(|byte| usize::from(byte % 37)) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        out.push(piece);
        rest = after;
    }
    out.push(rest);
    out
}

/// An object of attributes given as bytes, secret where they are secret.
fn object(class: u64, key_type: u64, parts: &[(u64, &[u8])]) -> Object {
    let mut object =
        Object::new(vec![(CKA_CLASS, Value::Ulong(class)), (CKA_KEY_TYPE, Value::Ulong(key_type))]);
    for (kind, bytes) in parts {
        let value = match attribute::shape(*kind) {
            Some(AttributeShape::Secret) => Value::Secret(Secret::from(*bytes)),
            _ => Value::Bytes(bytes.to_vec()),
        };
        object.set(*kind, value);
    }
    object
}

fn with(mut object: Object, material: Material) -> Arc<Key> {
    material.into_iter().for_each(|(kind, value)| object.set(kind, value));
    Arc::new(Key::new(object))
}

/// A key as C_CreateObject makes it.
fn import_key(class: u64, key_type: u64, parts: &[(u64, &[u8])]) -> Result<Arc<Key>> {
    let object = object(class, key_type, parts);
    let material = examine(&object)?;
    Ok(with(object, material))
}

fn secret_key(key_type: u64, value: &[u8]) -> Arc<Key> {
    import_key(CKO_SECRET_KEY, key_type, &[(CKA_VALUE, value)]).unwrap()
}

fn aes_key(value: &[u8]) -> Arc<Key> {
    secret_key(CKK_AES, value)
}

/// (public, private), made by the row.
fn generate_pair(id: u64, template: Object) -> Result<(Arc<Key>, Arc<Key>)> {
    let row = find(id)?;
    let nothing = object(CKO_PRIVATE_KEY, row.keys[0], &[]);
    let (public, private) = row.generate_pair.unwrap()(Params::None, &template, &nothing)?;
    Ok((with(template, public), with(nothing, private)))
}

fn ec_pair(curve: crate::crypto::Curve) -> (Arc<Key>, Arc<Key>) {
    let template = object(CKO_PUBLIC_KEY, CKK_EC, &[(CKA_EC_PARAMS, curve.oid_der())]);
    generate_pair(CKM_EC_KEY_PAIR_GEN, template).unwrap()
}

fn rsa_template(bits: u64, exponent: &[u8]) -> Object {
    let mut template = object(CKO_PUBLIC_KEY, CKK_RSA, &[(CKA_PUBLIC_EXPONENT, exponent)]);
    template.set(CKA_MODULUS_BITS, Value::Ulong(bits));
    template
}

/// One RSA pair of 2048 bits for all tests: making one is slow.
static RSA: LazyLock<(Arc<Key>, Arc<Key>)> =
    LazyLock::new(|| generate_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, rsa_template(2048, &[])).unwrap());

/// A whole transform at once, into exactly the room it asks for.
fn at_once(started: Result<Box<dyn Transform>>, input: &[u8]) -> Result<Vec<u8>> {
    let mut transform = started?;
    let mut out = vec![0; transform.one_shot_length(input.len())];
    let written = transform.one_shot(input, &mut out)?;
    out.truncate(written);
    Ok(out)
}

/// The same in pieces, each into exactly the room it asks for.
fn in_parts(started: Result<Box<dyn Transform>>, input: &[u8], seed: u64) -> Result<Vec<u8>> {
    let mut transform = started?;
    let mut whole = vec![];
    for piece in pieces(input, seed) {
        let mut out = vec![0; transform.update_length(piece.len())];
        let written = transform.update(piece, &mut out)?;
        whole.extend_from_slice(&out[..written]);
    }
    let mut out = vec![0; transform.finish_length()];
    let written = transform.finish(&mut out)?;
    whole.extend_from_slice(&out[..written]);
    Ok(whole)
}

fn encrypt(id: u64, key: &Arc<Key>, params: Params, data: &[u8]) -> Result<Vec<u8>> {
    at_once(find(id)?.cipher.unwrap()(Arc::clone(key), params, Direction::Encrypt), data)
}

fn decrypt(id: u64, key: &Arc<Key>, params: Params, data: &[u8]) -> Result<Vec<u8>> {
    at_once(find(id)?.cipher.unwrap()(Arc::clone(key), params, Direction::Decrypt), data)
}

fn sign(id: u64, key: &Arc<Key>, params: Params, data: &[u8]) -> Result<Vec<u8>> {
    at_once(find(id)?.sign.unwrap()(Arc::clone(key), params), data)
}

fn verify(id: u64, key: &Arc<Key>, params: Params, data: &[u8], signature: &[u8]) -> Result<()> {
    find(id)?.verify.unwrap()(Arc::clone(key), params)?.one_shot(data, signature)
}

fn digest(id: u64, data: &[u8]) -> Vec<u8> {
    at_once(find(id).unwrap().digest.unwrap()(Params::None), data).unwrap()
}

fn gcm(iv: &[u8], aad: &[u8], tag_bits: usize) -> Params {
    Params::Gcm { iv: iv.into(), aad: aad.to_vec(), tag_bits }
}

#[test]
fn rows_are_found_and_unique() {
    let mut ids: Vec<u64> = all().map(|row| row.id).collect();
    for row in all() {
        assert!(std::ptr::eq(find(row.id).unwrap(), row), "{}", row.name);
        assert_ne!(row.flags() & (0xf_ffff | CKF_ENCAPSULATE), 0, "{} can do nothing", row.name);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all().count());
    assert_eq!(find(0xdead_beef).err(), Some(Error::MechanismInvalid));
}
