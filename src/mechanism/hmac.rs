//! HMAC, whole and cut (PKCS#11 3.2 §6.19 to §6.31): keys are generic secrets or of the hash's own
//! HMAC key type.

use super::operation::MacVerify;
use super::secret::LONGEST;
use super::{Key, Mechanism, Params, Shape, Transform, row};
use crate::crypto::hash::{Hash, Hmac};
use crate::error::{Error, Result};
use cryptoki_sys::*;
use std::sync::Arc;

struct Mac {
    /// Gone once the MAC is made.
    state: Option<Hmac>,
    length: usize,
}

impl Transform for Mac {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.state.as_mut().ok_or(Error::GeneralError)?.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut mac = [0; 64];
        let state = self.state.take().ok_or(Error::GeneralError)?;
        let whole = state.length();
        state.finish(&mut mac[..whole]);
        out[..self.length].copy_from_slice(&mac[..self.length]);
        Ok(self.length)
    }
}

/// `cut`: the length comes as a parameter.
fn start(hash: Hash, cut: bool, key: Arc<Key>, params: Params) -> Result<Box<dyn Transform>> {
    let length = match params {
        Params::MacLength(length) if cut && (1..=hash.length()).contains(&length) => length,
        Params::None if !cut => hash.length(),
        _ => return Err(Error::MechanismParamInvalid),
    };
    Ok(Box::new(Mac { state: Some(key.hmac(hash)), length }))
}

const SIZES: (u64, u64) = (1, LONGEST);

macro_rules! hmac {
    ($whole:ident, $general:ident, $hash:ident, $key_type:ident, $approved:expr) => {
        [
            row!($whole, Shape::None, &[CKK_GENERIC_SECRET, $key_type], SIZES, $approved,
                sign: |key, params| start(Hash::$hash, false, key, params),
                verify: |key, params| Ok(Box::new(MacVerify(start(Hash::$hash, false, key, params)?)))),
            row!($general, Shape::MacLength, &[CKK_GENERIC_SECRET, $key_type], SIZES, $approved,
                sign: |key, params| start(Hash::$hash, true, key, params),
                verify: |key, params| Ok(Box::new(MacVerify(start(Hash::$hash, true, key, params)?)))),
        ]
    };
}

pub const ROWS: &[Mechanism] = const {
    &[
        hmac!(CKM_SHA_1_HMAC, CKM_SHA_1_HMAC_GENERAL, Sha1, CKK_SHA_1_HMAC, true),
        hmac!(CKM_SHA224_HMAC, CKM_SHA224_HMAC_GENERAL, Sha224, CKK_SHA224_HMAC, true),
        hmac!(CKM_SHA256_HMAC, CKM_SHA256_HMAC_GENERAL, Sha256, CKK_SHA256_HMAC, true),
        hmac!(CKM_SHA384_HMAC, CKM_SHA384_HMAC_GENERAL, Sha384, CKK_SHA384_HMAC, true),
        hmac!(CKM_SHA512_HMAC, CKM_SHA512_HMAC_GENERAL, Sha512, CKK_SHA512_HMAC, true),
        hmac!(CKM_SHA512_224_HMAC, CKM_SHA512_224_HMAC_GENERAL, Sha512_224, CKK_SHA512_224_HMAC, true),
        hmac!(CKM_SHA512_256_HMAC, CKM_SHA512_256_HMAC_GENERAL, Sha512_256, CKK_SHA512_256_HMAC, true),
        hmac!(CKM_SHA3_224_HMAC, CKM_SHA3_224_HMAC_GENERAL, Sha3_224, CKK_SHA3_224_HMAC, true),
        hmac!(CKM_SHA3_256_HMAC, CKM_SHA3_256_HMAC_GENERAL, Sha3_256, CKK_SHA3_256_HMAC, true),
        hmac!(CKM_SHA3_384_HMAC, CKM_SHA3_384_HMAC_GENERAL, Sha3_384, CKK_SHA3_384_HMAC, true),
        hmac!(CKM_SHA3_512_HMAC, CKM_SHA3_512_HMAC_GENERAL, Sha3_512, CKK_SHA3_512_HMAC, true),
    ]
}
.as_flattened();
