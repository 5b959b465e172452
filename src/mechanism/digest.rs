//! Digests: SHA-1, SHA-2, SHA-3 (PKCS#11 3.2 §6.19 to §6.31).

use super::{Mechanism, Shape, Transform, row};
use crate::crypto::hash::{Context, Hash};
use crate::error::Result;

struct Digest(Context);

impl Transform for Digest {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.0.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.0.length()
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let length = self.0.length();
        self.0.finish(&mut out[..length]);
        Ok(length)
    }
    fn context(&mut self) -> Option<&mut Context> {
        Some(&mut self.0)
    }
}

macro_rules! digest {
    ($id:ident, $hash:ident, $approved:expr) => {
        row!($id, Shape::None, &[], (0, 0), $approved, digest: |_| Ok(Box::new(Digest(Context::new(Hash::$hash)))))
    };
}

pub const ROWS: &[Mechanism] = &[
    digest!(CKM_SHA_1, Sha1, false),
    digest!(CKM_SHA224, Sha224, true),
    digest!(CKM_SHA256, Sha256, true),
    digest!(CKM_SHA384, Sha384, true),
    digest!(CKM_SHA512, Sha512, true),
    digest!(CKM_SHA512_224, Sha512_224, true),
    digest!(CKM_SHA512_256, Sha512_256, true),
    digest!(CKM_SHA3_224, Sha3_224, true),
    digest!(CKM_SHA3_256, Sha3_256, true),
    digest!(CKM_SHA3_384, Sha3_384, true),
    digest!(CKM_SHA3_512, Sha3_512, true),
];
