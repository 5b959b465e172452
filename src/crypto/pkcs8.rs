//! DER of private and public keys: PKCS#8 PrivateKeyInfo (RFC 5958) for wrapping, and
//! SubjectPublicKeyInfo (RFC 5280) for CKA_PUBLIC_KEY_INFO.

use super::{Curve, RsaParts, RsaPublic, Secret};
use crate::error::Result;

/// A private key inside a PrivateKeyInfo.
#[derive(Debug)]
pub enum PrivateKey {
    Rsa(RsaParts),
    /// Curve, private scalar (fixed field length), uncompressed point if it was present.
    Ec(Curve, Secret, Option<Vec<u8>>),
    Ed25519(Secret),
}

/// PrivateKeyInfo, DER.
pub fn encode(key: &PrivateKey) -> Result<Secret> {
    let _ = key;
    todo!()
}

/// Errors: `WrappedKeyInvalid` when it is not a key known here. Trailing bytes are refused.
pub fn decode(der: &[u8]) -> Result<PrivateKey> {
    let _ = der;
    todo!()
}

/// SubjectPublicKeyInfo of an RSA key.
pub fn rsa_public_info(key: &RsaPublic) -> Vec<u8> {
    let _ = key;
    todo!()
}

/// SubjectPublicKeyInfo of an EC key; `point` is uncompressed, without an OCTET STRING.
pub fn ec_public_info(curve: Curve, point: &[u8]) -> Vec<u8> {
    let _ = (curve, point);
    todo!()
}

/// SubjectPublicKeyInfo of an Ed25519 key.
pub fn ed25519_public_info(public: &[u8; 32]) -> Vec<u8> {
    let _ = public;
    todo!()
}
