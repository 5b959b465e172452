//! Bytes that must not leave memory: zeroised on drop, locked and kept out of core dumps where
//! the kernel allows.

use super::guarded::Block;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// A secret byte string. Debug prints only its length; equality takes constant time.
pub struct Secret {
    block: Block,
    length: usize,
}

impl Secret {
    /// `length` zero bytes.
    pub fn zeroed(length: usize) -> Self {
        Self { block: Block::new(length), length }
    }

    /// `length` random bytes.
    pub fn random(length: usize) -> crate::error::Result<Self> {
        let mut secret = Self::zeroed(length);
        super::random::fill(&mut secret)?;
        Ok(secret)
    }

    /// The first `length` bytes; the rest is wiped. No-op when already shorter.
    pub fn truncate(&mut self, length: usize) {
        if let Some(rest) = self.get_mut(length..) {
            rest.zeroize();
            self.length = length;
        }
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::zeroed(0)
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        let mut secret = Self::zeroed(bytes.len());
        secret.copy_from_slice(bytes);
        secret
    }
}

/// Takes the bytes over and wipes the vector they came in.
impl From<Vec<u8>> for Secret {
    fn from(mut bytes: Vec<u8>) -> Self {
        let secret = Self::from(&bytes[..]);
        bytes.zeroize();
        secret
    }
}

impl Deref for Secret {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.block.bytes(self.length)
    }
}

impl DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.block.bytes_mut(self.length)
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self[..].ct_eq(&other[..]).into()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.length)
    }
}
