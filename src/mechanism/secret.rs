//! Generic secrets (PKCS#11 3.2 §6.15): random bytes of the length that CKA_VALUE_LEN asks for.

use super::{Material, Mechanism, Shape, import, row};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::object::Object;
use cryptoki_sys::*;

/// The longest generated secret in bytes.
const LONGEST: u64 = 4096;

/// A random key of the template's length; `TemplateIncomplete` without CKA_VALUE_LEN,
/// `KeySizeRange` outside `lengths`.
pub(super) fn generate(template: &Object, key_type: u64, allowed: fn(u64) -> bool) -> Result<Material> {
    let length = template.number(CKA_VALUE_LEN).ok_or(Error::TemplateIncomplete)?;
    if !allowed(length) {
        return Err(Error::KeySizeRange);
    }
    import::secret(key_type, Secret::random(length as usize)?)
}

pub const ROWS: &[Mechanism] = &[row!(
    CKM_GENERIC_SECRET_KEY_GEN, Shape::None, &[CKK_GENERIC_SECRET], (1, LONGEST), true,
    generate: |_, template| generate(template, CKK_GENERIC_SECRET, |length| (1..=LONGEST).contains(&length)),
)];
