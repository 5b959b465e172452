//! Whether a key is sound: its parts belong together, its point is on its curve, its exponents are none
//! that give it away. What follows from its public half: key identifier, search terms, a name.

use crate::key::attributes::Assignment;
use crate::key::describe::{curve_name, ml_dsa_name, ml_kem_name, slh_dsa_name};
use crate::output::Failure;
use cryptoki_sys::*;
use strongroom::crypto::der::{OCTET_STRING, element};
use strongroom::crypto::pkcs8::{self, ED25519_OID, PrivateKey, PublicKey, X25519_OID};
use strongroom::crypto::{Hash, ec, ed25519, ml_dsa, ml_kem, slh_dsa};
use strongroom::mechanism::{self, Material, import};
use strongroom::object::Value;

/// A public key, checked.
pub struct Half {
    pub key_type: u64,
    pub parts: Vec<Assignment>,
    /// By which both halves are found.
    pub term: Assignment,
    pub info: Vec<u8>,
    /// SHA-1 of the key's own bytes (RFC 5280 §4.2.1.2).
    pub id: Vec<u8>,
    pub said: String,
}

fn unsound(what: impl Into<String>) -> Failure {
    Failure::new(what).next("only sound keys are imported; ask the one who made it.")
}

/// RSA numbers that are no key, or none to rely on (FIPS 186-5 §A.1.1).
fn weak(bits: u64, exponent: &[u8]) -> Option<String> {
    let large = exponent.len() > 3 || exponent >= &[1, 0, 1][..] && exponent.len() == 3;
    match exponent.last() {
        _ if !(1024..=8192).contains(&bits) => {
            Some(format!("RSA keys have 1024 to 8192 bits, and this one has {bits}."))
        }
        Some(last) if last & 1 == 1 && exponent != [1] && large => None,
        Some(last) if last & 1 == 1 && exponent != [1] => {
            Some("Its public exponent is weak: less than 65537.".into())
        }
        _ => Some("Its public exponent is 1 or even, and so of no RSA key.".into()),
    }
}

fn bits(number: &[u8]) -> u64 {
    number.len() as u64 * 8 - number.first().map_or(0, |first| u64::from(first.leading_zeros()))
}

/// A public key out of its SubjectPublicKeyInfo.
pub fn half(info: &[u8]) -> Result<Half, Failure> {
    let unknown = || unsound("Its public key is damaged, or of a kind that is not here.");
    let bytes = |kind, bytes: &[u8]| (kind, Value::Bytes(bytes.to_vec()));
    let off = |_| unsound("The point of its public key is not on the curve.");
    let (key_type, parts, term, info, said) = match pkcs8::decode_public(info).ok_or_else(unknown)? {
        PublicKey::Rsa(rsa) => {
            let size = bits(&rsa.modulus);
            if let Some(reason) = weak(size, &rsa.public_exponent) {
                return Err(unsound(reason));
            }
            let term = bytes(CKA_MODULUS, &rsa.modulus);
            let parts = vec![term.clone(), bytes(CKA_PUBLIC_EXPONENT, &rsa.public_exponent)];
            (CKK_RSA, parts, term, pkcs8::rsa_public_info(&rsa), format!("RSA-{size}"))
        }
        PublicKey::Ec(curve, point) => {
            let point = ec::PublicKey::new(curve, &point).map_err(off)?.point();
            let term = bytes(CKA_EC_POINT, &element(OCTET_STRING, &[&point]));
            let parts = vec![bytes(CKA_EC_PARAMS, curve.oid_der()), term.clone()];
            (CKK_EC, parts, term, pkcs8::ec_public_info(curve, &point), curve_name(curve).into())
        }
        PublicKey::Ed25519(point) => {
            ed25519::PublicKey::new(&point).map_err(off)?;
            let term = bytes(CKA_EC_POINT, &element(OCTET_STRING, &[&point]));
            let parts = vec![bytes(CKA_EC_PARAMS, ED25519_OID), term.clone()];
            (CKK_EC_EDWARDS, parts, term, pkcs8::ed25519_public_info(&point), "Ed25519".into())
        }
        PublicKey::X25519(point) => {
            let term = bytes(CKA_EC_POINT, &element(OCTET_STRING, &[&point]));
            let parts = vec![bytes(CKA_EC_PARAMS, X25519_OID), term.clone()];
            (CKK_EC_MONTGOMERY, parts, term, pkcs8::x25519_public_info(&point), "X25519".into())
        }
        PublicKey::MlDsa(set, public) => {
            ml_dsa::PublicKey::new(set, &public).map_err(|_| unknown())?;
            let info = pkcs8::public_info(&[set.oid_der()], &public);
            let parts = vec![
                (CKA_PARAMETER_SET, Value::Ulong(mechanism::ml_dsa::number(set))),
                bytes(CKA_VALUE, &public),
            ];
            (CKK_ML_DSA, parts, bytes(CKA_PUBLIC_KEY_INFO, &info), info, ml_dsa_name(set).into())
        }
        PublicKey::SlhDsa(set, public) => {
            slh_dsa::PublicKey::new(set, &public).map_err(|_| unknown())?;
            let info = pkcs8::public_info(&[&set.oid_der()], &public);
            let parts = vec![
                (CKA_PARAMETER_SET, Value::Ulong(mechanism::slh_dsa::number(set))),
                bytes(CKA_VALUE, &public),
            ];
            let said = format!("SLH-DSA-{}", slh_dsa_name(set).to_uppercase());
            (CKK_SLH_DSA, parts, bytes(CKA_PUBLIC_KEY_INFO, &info), info, said)
        }
        PublicKey::MlKem(set, public) => {
            ml_kem::PublicKey::new(set, &public).map_err(|_| unknown())?;
            let info = pkcs8::public_info(&[set.oid_der()], &public);
            let parts = vec![
                (CKA_PARAMETER_SET, Value::Ulong(mechanism::ml_kem::number(set))),
                bytes(CKA_VALUE, &public),
            ];
            (CKK_ML_KEM, parts, bytes(CKA_PUBLIC_KEY_INFO, &info), info, ml_kem_name(set).into())
        }
    };
    let id = Hash::Sha1.digest(pkcs8::public_bits(&info).unwrap_or_default()).to_vec();
    Ok(Half { key_type, parts, term, info, id, said })
}

fn key_type(key: &PrivateKey) -> u64 {
    match key {
        PrivateKey::Rsa(_) => CKK_RSA,
        PrivateKey::Ec(..) => CKK_EC,
        PrivateKey::Ed25519(_) => CKK_EC_EDWARDS,
        PrivateKey::X25519(_) => CKK_EC_MONTGOMERY,
        PrivateKey::MlDsa(..) => CKK_ML_DSA,
        PrivateKey::SlhDsa(..) => CKK_SLH_DSA,
        PrivateKey::MlKem(..) => CKK_ML_KEM,
    }
}

/// A private key's attributes, its parts checked against each other.
pub fn material(key: &PrivateKey) -> Result<Material, Failure> {
    if let PrivateKey::Rsa(parts) = key {
        let size = bits(&parts.public.modulus);
        if let Some(reason) = weak(size, &parts.public.public_exponent) {
            return Err(unsound(reason));
        }
        if bits(&parts.private_exponent) <= size / 2 {
            return Err(unsound("Its private exponent is weak: less than half as long as the modulus."));
        }
    }
    import::from_bytes(CKO_PRIVATE_KEY, key_type(key), &pkcs8::encode(key)?).map_err(|_| {
        unsound("Its parts do not belong together: a public key, prime or exponent is another key's.")
    })
}

/// SubjectPublicKeyInfo in a private key's attributes.
pub fn public_info(material: &Material) -> Vec<u8> {
    let info = material.iter().find(|(kind, _)| *kind == CKA_PUBLIC_KEY_INFO);
    info.and_then(|(_, value)| value.bytes()).unwrap_or_default().to_vec()
}
