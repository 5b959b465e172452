//! What each (class, key type) demands of key material, wherever it comes from, and the attributes
//! that follow from it.

use super::key::{bits, curve, digits, rsa_parts, rsa_public};
use super::secret::LONGEST;
use super::{Material, ml_dsa, ml_kem, montgomery, seeded, slh_dsa};
use crate::crypto;
use crate::crypto::der::{self, OCTET_STRING, OID, Reader};
use crate::crypto::pkcs8::{self, ED25519_OID, PrivateKey, X25519_OID};
use crate::crypto::{
    Curve, Direction, Hash, Mode, RsaParts, RsaPublic, Secret, aes, ec, ed25519, rsa, triple_des, x25519,
};
use crate::error::{Error, Result};
use crate::object::{Object, Value, rules};
use cryptoki_sys::*;

const PRINTABLE_STRING: u8 = 0x13;

/// Checks key material that the caller brought (C_CreateObject): lengths, curves, that the parts
/// belong together. Answers what follows from it: CKA_MODULUS_BITS, missing CRT values,
/// CKA_VALUE_LEN, CKA_PUBLIC_KEY_INFO, CKA_CHECK_VALUE. Not a key: nothing to add.
pub fn examine(object: &Object) -> Result<Material> {
    let Some(key_type) = object.key_type() else { return Ok(Vec::new()) };
    match (object.class(), key_type) {
        (CKO_SECRET_KEY, _) => secret(key_type, Secret::from(object.bytes(CKA_VALUE))),
        (CKO_PUBLIC_KEY, CKK_RSA) => {
            let public = rsa_public(object);
            rsa::PublicKey::new(&public)?;
            Ok(rsa_public_material(&public))
        }
        (CKO_PRIVATE_KEY, CKK_RSA) => {
            let parts = completed(rsa_parts(object))?;
            rsa::PrivateKey::new(&parts)?;
            Ok(rsa_private_material(parts))
        }
        (CKO_PUBLIC_KEY, CKK_EC) => {
            let curve = curve(object)?;
            let key = ec::PublicKey::new(curve, point_octets(curve, object.bytes(CKA_EC_POINT))?)?;
            Ok(ec_public_material(curve, &key.point()))
        }
        (CKO_PRIVATE_KEY, CKK_EC) => {
            let curve = curve(object)?;
            let material = ec_private_material(curve, object.bytes(CKA_VALUE))?;
            let given = object.bytes(CKA_EC_POINT);
            if !given.is_empty() {
                let public = ec::PublicKey::new(curve, point_octets(curve, given)?)?;
                same_point(&material, &public.point())?;
            }
            Ok(material)
        }
        (CKO_PUBLIC_KEY, CKK_EC_EDWARDS) => {
            edwards_params(object)?;
            let point = edwards_point(object.bytes(CKA_EC_POINT))?;
            ed25519::PublicKey::new(point)?;
            Ok(ed_public_material(point))
        }
        (CKO_PRIVATE_KEY, CKK_EC_EDWARDS) => {
            edwards_params(object)?;
            let material = ed_private_material(Secret::from(object.bytes(CKA_VALUE)))?;
            beside_point(object, material)
        }
        (CKO_PUBLIC_KEY, CKK_EC_MONTGOMERY) => {
            montgomery::params(object)?;
            let point = edwards_point(object.bytes(CKA_EC_POINT))?;
            // With a point of small order everybody agrees on the same secret: none.
            x25519::agree(&[9; 32], point).map_err(|_| Error::AttributeValueInvalid)?;
            Ok(montgomery::public_material(point))
        }
        (CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY) => {
            montgomery::params(object)?;
            let material = montgomery::private_material(Secret::from(object.bytes(CKA_VALUE)))?;
            beside_point(object, material)
        }
        (CKO_PUBLIC_KEY | CKO_PRIVATE_KEY, CKK_ML_DSA) => ml_dsa::examine(object),
        (CKO_PUBLIC_KEY | CKO_PRIVATE_KEY, CKK_SLH_DSA) => slh_dsa::examine(object),
        (CKO_PUBLIC_KEY | CKO_PRIVATE_KEY, CKK_ML_KEM) => ml_kem::examine(object),
        _ => Err(Error::AttributeValueInvalid),
    }
}

/// An imported RSA key with all its CRT values: those left out are worked out from n, e and d, and
/// primes that were given must then be its primes.
fn completed(parts: RsaParts) -> Result<RsaParts> {
    if parts.public.public_exponent.is_empty() {
        return Err(Error::TemplateIncomplete);
    }
    let given = [&parts.prime_1, &parts.prime_2];
    let rest = [&parts.exponent_1, &parts.exponent_2, &parts.coefficient];
    if given.iter().chain(&rest).all(|part| !part.is_empty()) {
        return Ok(parts);
    }
    let whole = rsa::PrivateKey::complete(&parts.public, &parts.private_exponent)?;
    let stray = |prime: &Secret| !prime.is_empty() && *prime != whole.prime_1 && *prime != whole.prime_2;
    if given.into_iter().any(stray) { Err(Error::AttributeValueInvalid) } else { Ok(whole) }
}

/// That a public point given with a private key is the key's own.
fn same_point(material: &Material, point: &[u8]) -> Result<()> {
    let own = (CKA_EC_POINT, Value::Bytes(der::element(OCTET_STRING, &[point])));
    if material.contains(&own) { Ok(()) } else { Err(Error::AttributeValueInvalid) }
}

/// Material of a (class, key type) from unwrapped or derived bytes. `WrappedKeyInvalid` when the
/// bytes are not such a key.
pub fn from_bytes(class: u64, key_type: u64, bytes: &Secret) -> Result<Material> {
    if class == CKO_SECRET_KEY {
        return secret(key_type, bytes.clone());
    }
    if class != CKO_PRIVATE_KEY {
        return Err(Error::TemplateInconsistent);
    }
    let checked = |result: Result<Material>| result.map_err(|_| Error::WrappedKeyInvalid);
    match (pkcs8::decode(bytes)?, key_type) {
        (PrivateKey::Rsa(parts), CKK_RSA) => {
            rsa::PrivateKey::new(&parts).map_err(|_| Error::WrappedKeyInvalid)?;
            Ok(rsa_private_material(parts))
        }
        (PrivateKey::Ec(curve, scalar, point), CKK_EC) => {
            let mut material = checked(ec_private_material(curve, &scalar))?;
            if let Some(point) = point {
                let public = ec::PublicKey::new(curve, &point).map_err(|_| Error::WrappedKeyInvalid)?;
                same_point(&material, &public.point()).map_err(|_| Error::WrappedKeyInvalid)?;
            }
            material.push((CKA_EC_PARAMS, Value::Bytes(curve.oid_der().to_vec())));
            Ok(material)
        }
        (PrivateKey::Ed25519(seed), CKK_EC_EDWARDS) => {
            let mut material = checked(ed_private_material(seed))?;
            material.push((CKA_EC_PARAMS, Value::Bytes(ED25519_OID.to_vec())));
            Ok(material)
        }
        (PrivateKey::X25519(scalar), CKK_EC_MONTGOMERY) => {
            let mut material = checked(montgomery::private_material(scalar))?;
            material.push((CKA_EC_PARAMS, Value::Bytes(X25519_OID.to_vec())));
            Ok(material)
        }
        (PrivateKey::MlDsa(set, parts), CKK_ML_DSA) => {
            checked(seeded::private_key::<crypto::ml_dsa::PrivateKey>(set, parts))
        }
        (PrivateKey::SlhDsa(set, bytes), CKK_SLH_DSA) => {
            checked(crypto::slh_dsa::PrivateKey::new(set, &bytes).map(|key| slh_dsa::private_material(&key)))
        }
        (PrivateKey::MlKem(set, parts), CKK_ML_KEM) => {
            checked(seeded::private_key::<crypto::ml_kem::PrivateKey>(set, parts))
        }
        _ => Err(Error::WrappedKeyInvalid),
    }
}

/// The lengths that a secret key of a type can have; none: any.
pub fn lengths(key_type: u64) -> &'static [usize] {
    match key_type {
        CKK_AES => &[16, 24, 32],
        CKK_CHACHA20 => &[32],
        CKK_DES3 => &[triple_des::KEY],
        _ => &[],
    }
}

/// A secret key's value, length and check value; wrong lengths are `AttributeValueInvalid`. The
/// check value is three bytes of an encrypted zero block, or of the value's SHA-1 (PKCS#11 3.2 §4.10.2).
pub(super) fn secret(key_type: u64, value: Secret) -> Result<Material> {
    let check = match key_type {
        CKK_AES if matches!(value.len(), 16 | 24 | 32) => {
            let mut block = [0; 16];
            aes::BlockCipher::new(Mode::Ecb, Direction::Encrypt, &value, &[])?
                .update(&[0; 16], &mut block)?;
            block[..3].to_vec()
        }
        CKK_AES => return Err(Error::AttributeValueInvalid),
        CKK_DES3 if triple_des::is_key(&value) => {
            let mut block = [0; 8];
            triple_des::BlockCipher::new(Mode::Ecb, Direction::Encrypt, &value, &[])?
                .update(&[0; 8], &mut block)?;
            block[..3].to_vec()
        }
        _ if !(1..=LONGEST).contains(&(value.len() as u64)) => return Err(Error::AttributeValueInvalid),
        CKK_CHACHA20 if value.len() != 32 => return Err(Error::AttributeValueInvalid),
        CKK_GENERIC_SECRET | CKK_HKDF | CKK_CHACHA20 => Hash::Sha1.digest(&value)[..3].to_vec(),
        other if rules::HMAC_KEY_TYPES.contains(&other) => Hash::Sha1.digest(&value)[..3].to_vec(),
        _ => return Err(Error::AttributeValueInvalid),
    };
    Ok(vec![
        (CKA_VALUE_LEN, Value::Ulong(value.len() as u64)),
        (CKA_VALUE, Value::Secret(value)),
        (CKA_CHECK_VALUE, Value::Bytes(check)),
    ])
}

fn public_info(info: Vec<u8>) -> (u64, Value) {
    (CKA_PUBLIC_KEY_INFO, Value::Bytes(info))
}

pub(super) fn rsa_public_material(public: &RsaPublic) -> Material {
    vec![
        (CKA_MODULUS_BITS, Value::Ulong(bits(&public.modulus))),
        (CKA_MODULUS, Value::Bytes(public.modulus.clone())),
        (CKA_PUBLIC_EXPONENT, Value::Bytes(public.public_exponent.clone())),
        public_info(pkcs8::rsa_public_info(public)),
    ]
}

pub(super) fn rsa_private_material(parts: RsaParts) -> Material {
    let info = public_info(pkcs8::rsa_public_info(&parts.public));
    vec![
        (CKA_MODULUS, Value::Bytes(parts.public.modulus)),
        (CKA_PUBLIC_EXPONENT, Value::Bytes(parts.public.public_exponent)),
        (CKA_PRIVATE_EXPONENT, Value::Secret(parts.private_exponent)),
        (CKA_PRIME_1, Value::Secret(parts.prime_1)),
        (CKA_PRIME_2, Value::Secret(parts.prime_2)),
        (CKA_EXPONENT_1, Value::Secret(parts.exponent_1)),
        (CKA_EXPONENT_2, Value::Secret(parts.exponent_2)),
        (CKA_COEFFICIENT, Value::Secret(parts.coefficient)),
        info,
    ]
}

pub(super) fn ec_public_material(curve: Curve, point: &[u8]) -> Material {
    vec![
        (CKA_EC_POINT, Value::Bytes(der::element(OCTET_STRING, &[point]))),
        public_info(pkcs8::ec_public_info(curve, point)),
    ]
}

/// The scalar is kept as long as a field element, whatever length it came in.
pub(super) fn ec_private_material(curve: Curve, scalar: &[u8]) -> Result<Material> {
    let point = ec::PrivateKey::new(curve, scalar)?.public_point()?;
    let (digits, mut value) = (digits(scalar), Secret::zeroed(curve.field_length()));
    let start = value.len().checked_sub(digits.len()).ok_or(Error::AttributeValueInvalid)?;
    value[start..].copy_from_slice(digits);
    let mut material = ec_public_material(curve, &point);
    material.push((CKA_VALUE, Value::Secret(value)));
    Ok(material)
}

pub(super) fn ed_public_material(point: &[u8; 32]) -> Material {
    vec![
        (CKA_EC_POINT, Value::Bytes(der::element(OCTET_STRING, &[point]))),
        public_info(pkcs8::ed25519_public_info(point)),
    ]
}

pub(super) fn ed_private_material(seed: Secret) -> Result<Material> {
    let mut material = ed_public_material(&ed25519::PrivateKey::new(&seed)?.public());
    material.push((CKA_VALUE, Value::Secret(seed)));
    Ok(material)
}

/// A private key's material, whose public half is the point that its template gives, if any.
fn beside_point(object: &Object, material: Material) -> Result<Material> {
    let given = object.bytes(CKA_EC_POINT);
    if !given.is_empty() {
        same_point(&material, edwards_point(given)?)?;
    }
    Ok(material)
}

/// Both halves of a new pair (public, private) on the curve that the public template names.
pub(super) fn pair(public: &Object, mut private: Material) -> (Material, Material) {
    let tells = |kind| matches!(kind, CKA_EC_POINT | CKA_PUBLIC_KEY_INFO);
    let half = private.iter().filter(|(kind, _)| tells(*kind)).cloned().collect();
    private.push((CKA_EC_PARAMS, Value::Bytes(public.bytes(CKA_EC_PARAMS).to_vec())));
    (half, private)
}

/// Why a CKA_EC_PARAMS names no curve of ours: another one, or none at all.
pub(super) fn unknown_curve(params: &[u8]) -> Error {
    let named = [OID, PRINTABLE_STRING].iter().any(|tag| {
        let mut reader = Reader::new(params);
        reader.take(*tag).is_some() && reader.is_empty()
    });
    if named { Error::CurveNotSupported } else { Error::DomainParamsInvalid }
}

/// CKA_EC_PARAMS of an Edwards key: the OID, or the curve's name as a PrintableString.
pub(super) fn edwards_params(object: &Object) -> Result<()> {
    short_params(object, ED25519_OID, &[b"edwards25519", b"Ed25519"])
}

/// That CKA_EC_PARAMS says the one curve of its kind that there is.
pub(super) fn short_params(object: &Object, oid: &[u8], names: &[&[u8]]) -> Result<()> {
    let params = object.bytes(CKA_EC_PARAMS);
    let mut reader = Reader::new(params);
    let name = reader.take(PRINTABLE_STRING).filter(|_| reader.is_empty());
    let named = name.is_some_and(|name| names.contains(&name));
    if params == oid || named { Ok(()) } else { Err(unknown_curve(params)) }
}

/// The 32 bytes of an Ed25519 or X25519 point: in a DER OCTET STRING (the standard's form) or as they are.
pub(super) fn edwards_point(bytes: &[u8]) -> Result<&[u8; 32]> {
    let point = bytes.strip_prefix(&[OCTET_STRING, 32]).filter(|rest| rest.len() == 32).unwrap_or(bytes);
    point.try_into().map_err(|_| Error::AttributeValueInvalid)
}

/// The octets of a point: out of a DER OCTET STRING (the standard's form) or as they are.
pub(super) fn point_octets(curve: Curve, bytes: &[u8]) -> Result<&[u8]> {
    let length = curve.field_length();
    let plausible = |point: &&[u8]| point.len() == 1 + 2 * length || point.len() == 1 + length;
    let mut reader = Reader::new(bytes);
    let inner = reader.take(OCTET_STRING).filter(|_| reader.is_empty());
    inner.filter(plausible).or(Some(bytes).filter(plausible)).ok_or(Error::AttributeValueInvalid)
}
