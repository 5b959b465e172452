//! Digests and HMAC: RustCrypto in every build, because its states can be cloned
//! (C_GetOperationState) and it is as fast as AWS-LC here.

use super::Secret;

/// A hash function by its name in FIPS 180-4 and FIPS 202.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512_224,
    Sha512_256,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Hash {
    pub const ALL: [Hash; 11] = [
        Hash::Sha1,
        Hash::Sha224,
        Hash::Sha256,
        Hash::Sha384,
        Hash::Sha512,
        Hash::Sha512_224,
        Hash::Sha512_256,
        Hash::Sha3_224,
        Hash::Sha3_256,
        Hash::Sha3_384,
        Hash::Sha3_512,
    ];

    /// Length of the digest in bytes.
    pub const fn length(self) -> usize {
        todo!()
    }

    /// The digest of `data`.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        let _ = data;
        todo!()
    }

    /// The DER prefix of a PKCS#1 DigestInfo for this hash (RFC 8017 §9.2), digest excluded.
    pub const fn digest_info_prefix(self) -> &'static [u8] {
        todo!()
    }
}

/// A running digest.
#[derive(Clone)]
pub struct Context {}

impl Context {
    pub fn new(hash: Hash) -> Self {
        let _ = hash;
        todo!()
    }
    pub fn update(&mut self, data: &[u8]) {
        let _ = data;
        todo!()
    }
    pub fn length(&self) -> usize {
        todo!()
    }
    /// Writes the digest into `out`, exactly [`Context::length`] bytes, and starts anew.
    pub fn finish(&mut self, out: &mut [u8]) {
        let _ = out;
        todo!()
    }
}

/// A running HMAC (FIPS 198-1). Clone a keyed one to skip the key set-up.
#[derive(Clone)]
pub struct Hmac {}

impl Hmac {
    pub fn new(hash: Hash, key: &[u8]) -> Self {
        let _ = (hash, key);
        todo!()
    }
    pub fn update(&mut self, data: &[u8]) {
        let _ = data;
        todo!()
    }
    pub fn length(&self) -> usize {
        todo!()
    }
    /// Writes the whole MAC into `out`, exactly [`Hmac::length`] bytes.
    pub fn finish(self, out: &mut [u8]) {
        let _ = out;
        todo!()
    }
    /// One call for short inputs: HMAC-SHA-256 over the concatenation of `parts`.
    pub fn sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let _ = (key, parts);
        todo!()
    }
}

#[allow(dead_code)]
type Unused = Secret;
