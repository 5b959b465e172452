//! A key ready to use: the object, and its material parsed once at first use.
//!
//! Also what each (class, key type) demands of material that comes from outside.

use super::Material;
use crate::crypto::Secret;
use crate::error::Result;
use crate::object::Object;

/// An unsealed object and, when it is a key, its parsed form. Shared by `Arc`, never changed: a
/// changed object is a new `Key`.
pub struct Key {
    object: Object,
}

impl Key {
    pub fn new(object: Object) -> Key {
        Key { object }
    }
    pub fn object(&self) -> &Object {
        &self.object
    }
}

/// Checks key material that the caller brought (C_CreateObject): lengths, curves, that the parts
/// belong together. Answers what follows from it: CKA_MODULUS_BITS, missing CRT values,
/// CKA_VALUE_LEN, CKA_PUBLIC_KEY_INFO, CKA_CHECK_VALUE. Not a key: nothing to add.
pub fn examine(object: &Object) -> Result<Material> {
    let _ = object;
    todo!()
}

/// The bytes that C_WrapKey wraps: CKA_VALUE of a secret key, PKCS#8 of a private one.
/// `KeyNotWrappable` for anything else. (Permissions were checked above.)
pub fn to_wrap(key: &Key) -> Result<Secret> {
    let _ = key;
    todo!()
}

/// The reverse: material of the (class, key type) from unwrapped or derived bytes; `length` is
/// CKA_VALUE_LEN of the template. `WrappedKeyInvalid` when the bytes are not such a key.
pub fn from_bytes(class: u64, key_type: u64, bytes: &Secret) -> Result<Material> {
    let _ = (class, key_type, bytes);
    todo!()
}

/// How many bytes a secret key of this type has when only one length is possible.
pub fn fixed_length(key_type: u64) -> Option<usize> {
    let _ = key_type;
    todo!()
}
