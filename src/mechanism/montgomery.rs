//! X25519 (PKCS#11 3.2 §6.3, RFC 7748): keys that agree. The agreement is ECDH's row in `ec`.

use super::import::{edwards_point, pair, short_params};
use super::{Key, Material, Mechanism, Params, Shape, row};
use crate::crypto::der::{self, OCTET_STRING};
use crate::crypto::pkcs8::{self, X25519_OID};
use crate::crypto::{Secret, x25519};
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use cryptoki_sys::*;

const KEYS: &[u64] = &[CKK_EC_MONTGOMERY];

/// CKA_EC_PARAMS: RFC 8410's OID, or a curve's name.
pub(super) fn params(object: &Object) -> Result<()> {
    short_params(object, X25519_OID, &[b"curve25519", b"X25519"])
}

fn scalar(bytes: &[u8]) -> Result<&[u8; 32]> {
    bytes.try_into().map_err(|_| Error::AttributeValueInvalid)
}

pub(super) fn public_material(point: &[u8; 32]) -> Material {
    vec![
        (CKA_EC_POINT, Value::Bytes(der::element(OCTET_STRING, &[point]))),
        (CKA_PUBLIC_KEY_INFO, Value::Bytes(pkcs8::x25519_public_info(point))),
    ]
}

pub(super) fn private_material(value: Secret) -> Result<Material> {
    let mut material = public_material(&x25519::public(scalar(&value)?));
    material.push((CKA_VALUE, Value::Secret(value)));
    Ok(material)
}

fn generate_pair(_: Params, public: &Object, _: &Object) -> Result<(Material, Material)> {
    params(public)?;
    Ok(pair(public, private_material(Secret::random(32)?)?))
}

/// The shared secret with a peer's 32 bytes, as they are or in an OCTET STRING.
pub(super) fn agree(key: &Key, peer: &[u8]) -> Result<Secret> {
    let peer = edwards_point(peer).map_err(|_| Error::MechanismParamInvalid)?;
    x25519::agree(scalar(key.value())?, peer)
}

pub const ROWS: &[Mechanism] = &[row!(
    CKM_EC_MONTGOMERY_KEY_PAIR_GEN, Shape::None, KEYS, (255, 255), false,
    generate_pair: generate_pair
)];
