//! Secret keys without a cipher of their own: generic secrets (PKCS#11 3.2 §6.15) and HMAC keys
//! bound to one hash. Random bytes, as many as CKA_VALUE_LEN asks for.

use super::{Material, Mechanism, Shape, import, row};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;

/// The longest generic secret or HMAC key in bytes, made or imported.
pub(super) const LONGEST: u64 = 1 << 20;

/// A random key of the template's length; `TemplateIncomplete` without CKA_VALUE_LEN,
/// `KeySizeRange` for one that is not `allowed`.
pub(super) fn generate(template: &Object, key_type: u64, allowed: fn(u64) -> bool) -> Result<Material> {
    let length = template.number(CKA_VALUE_LEN).ok_or(Error::TemplateIncomplete)?;
    if !allowed(length) {
        return Err(Error::KeySizeRange);
    }
    import::secret(key_type, Secret::random(length as usize)?)
}

fn any_length(length: u64) -> bool {
    (1..=LONGEST).contains(&length)
}

/// The standard counts generic secrets in bits here, and keys of one hash in bytes.
macro_rules! secret {
    ($id:ident, $key_type:ident, $unit:expr) => {
        row!($id, Shape::None, &[$key_type], ($unit, LONGEST * $unit), true,
            generate: |_, template| generate(template, $key_type, any_length))
    };
}

pub const ROWS: &[Mechanism] = &[
    secret!(CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 8),
    secret!(CKM_SHA_1_KEY_GEN, CKK_SHA_1_HMAC, 1),
    secret!(CKM_SHA224_KEY_GEN, CKK_SHA224_HMAC, 1),
    secret!(CKM_SHA256_KEY_GEN, CKK_SHA256_HMAC, 1),
    secret!(CKM_SHA384_KEY_GEN, CKK_SHA384_HMAC, 1),
    secret!(CKM_SHA512_KEY_GEN, CKK_SHA512_HMAC, 1),
    secret!(CKM_SHA512_224_KEY_GEN, CKK_SHA512_224_HMAC, 1),
    secret!(CKM_SHA512_256_KEY_GEN, CKK_SHA512_256_HMAC, 1),
    secret!(CKM_SHA3_224_KEY_GEN, CKK_SHA3_224_HMAC, 1),
    secret!(CKM_SHA3_256_KEY_GEN, CKK_SHA3_256_HMAC, 1),
    secret!(CKM_SHA3_384_KEY_GEN, CKK_SHA3_384_HMAC, 1),
    secret!(CKM_SHA3_512_KEY_GEN, CKK_SHA3_512_HMAC, 1),
];
