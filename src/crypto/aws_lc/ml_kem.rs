//! ML-KEM (FIPS 203). Seeds are expanded by RustCrypto: AWS-LC's call for that is experimental, and not
//! bound on each platform.

use super::ml_dsa::{Call, Handle};
use super::{check, not_null};
use crate::crypto::ml_kem::{SECRET, Set};
use crate::crypto::{Secret, portable};
use crate::error::{Error, Result};
use aws_lc_sys as aws;

fn number(set: Set) -> i32 {
    match set {
        Set::MlKem512 => aws::NID_MLKEM512,
        Set::MlKem768 => aws::NID_MLKEM768,
        Set::MlKem1024 => aws::NID_MLKEM1024,
    }
}

pub struct PrivateKey {
    set: Set,
    key: Handle,
    expanded: Secret,
}

impl PrivateKey {
    /// 64 bytes, else `AttributeValueInvalid`.
    pub fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        Self::from_expanded(set, &portable::ml_kem::PrivateKey::from_seed(set, seed)?.expanded()?)
    }

    /// Parts that do not belong together are `AttributeValueInvalid`.
    pub fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        if expanded.len() != set.private_length() {
            return Err(Error::AttributeValueInvalid);
        }
        let public = set.public_of(expanded);
        // SAFETY: lengths are the slices' own; the key is live when it is checked: its encodings, its
        // hash, and that what the public half encapsulates comes back.
        unsafe {
            let (start, length) = (public.as_ptr(), public.len());
            let key =
                aws::EVP_PKEY_kem_new_raw_key(number(set), start, length, expanded.as_ptr(), expanded.len());
            let key = Handle::new(not_null(key, Error::AttributeValueInvalid)?);
            check(aws::EVP_PKEY_kem_check_key(key.get()), Error::AttributeValueInvalid)?;
            Ok(Self { set, key, expanded: Secret::from(expanded) })
        }
    }

    pub fn set(&self) -> Set {
        self.set
    }

    pub fn expanded(&self) -> Result<Secret> {
        Ok(self.expanded.clone())
    }

    pub fn public(&self) -> Result<Vec<u8>> {
        Ok(self.set.public_of(&self.expanded).to_vec())
    }

    /// The shared secret; another one for a ciphertext that was altered, `EncryptedDataLenRange` for one
    /// of another length.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret> {
        if ciphertext.len() != self.set.ciphertext_length() {
            return Err(Error::EncryptedDataLenRange);
        }
        let (call, mut secret, mut length) = (self.key.call()?, Secret::zeroed(SECRET), SECRET);
        // SAFETY: a context of a live key; lengths are the buffers' own.
        let code = unsafe {
            let (given, size) = (ciphertext.as_ptr(), ciphertext.len());
            aws::EVP_PKEY_decapsulate(call.get(), secret.as_mut_ptr(), &mut length, given, size)
        };
        check(code, Error::FunctionFailed)?;
        Ok(secret)
    }
}

pub struct PublicKey {
    set: Set,
    key: Handle,
}

impl PublicKey {
    /// Another length than the set's, or numbers that are not reduced, are `AttributeValueInvalid`.
    pub fn new(set: Set, public: &[u8]) -> Result<Self> {
        // SAFETY: the length is the slice's own; the key is live when it is checked.
        unsafe {
            let key = aws::EVP_PKEY_kem_new_raw_public_key(number(set), public.as_ptr(), public.len());
            let key = Handle::new(not_null(key, Error::AttributeValueInvalid)?);
            check(aws::EVP_PKEY_public_check(key.call()?.get()), Error::AttributeValueInvalid)?;
            Ok(Self { set, key })
        }
    }

    pub fn set(&self) -> Set {
        self.set
    }

    /// A new shared secret, and the ciphertext it comes out of.
    pub fn encapsulate(&self) -> Result<(Vec<u8>, Secret)> {
        let (mut ciphertext, mut secret) = (vec![0; self.set.ciphertext_length()], Secret::zeroed(SECRET));
        let (mut length, mut size) = (ciphertext.len(), SECRET);
        let call: Call = self.key.call()?;
        // SAFETY: a context of a live key; lengths are the buffers' own.
        let code = unsafe {
            let (out, shared) = (ciphertext.as_mut_ptr(), secret.as_mut_ptr());
            aws::EVP_PKEY_encapsulate(call.get(), out, &mut length, shared, &mut size)
        };
        check(code, Error::FunctionFailed)?;
        Ok((ciphertext, secret))
    }
}
