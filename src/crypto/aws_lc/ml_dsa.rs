//! ML-DSA (FIPS 204) over the message representative. AWS-LC signs hedged only: a deterministic
//! signature is RustCrypto's, with the same key.

use super::{check, not_null, owned};
use crate::crypto::Secret;
use crate::crypto::ml_dsa::{Representative, Set};
use crate::crypto::portable;
use crate::error::{Error, Result};
use aws_lc_sys as aws;
use once_cell::sync::OnceCell;
use std::ptr::null_mut;

owned!(
    /// An EVP_PKEY; immutable after it is made, so any thread may use it.
    Handle,
    aws::EVP_PKEY,
    aws::EVP_PKEY_free
);
owned!(
    /// An EVP_PKEY_CTX, for one call.
    Call,
    aws::EVP_PKEY_CTX,
    aws::EVP_PKEY_CTX_free
);

// SAFETY: AWS-LC reads an EVP_PKEY without changing it when signing and verifying; its count of
// references is atomic.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

fn number(set: Set) -> i32 {
    match set {
        Set::MlDsa44 => aws::NID_MLDSA44,
        Set::MlDsa65 => aws::NID_MLDSA65,
        Set::MlDsa87 => aws::NID_MLDSA87,
    }
}

impl Handle {
    /// Takes it over.
    pub(super) fn new(key: std::ptr::NonNull<aws::EVP_PKEY>) -> Self {
        Self(key)
    }

    /// A seed or an expanded key, told apart by their lengths. Of an expanded key AWS-LC checks ranges,
    /// t0 and the hash of the public key.
    fn private(set: Set, bytes: &[u8]) -> Result<Self> {
        // SAFETY: the length is the slice's own.
        let key =
            unsafe { aws::EVP_PKEY_pqdsa_new_raw_private_key(number(set), bytes.as_ptr(), bytes.len()) };
        not_null(key, Error::AttributeValueInvalid).map(Self)
    }

    pub(super) fn call(&self) -> Result<Call> {
        // SAFETY: a live key, which the context holds on to.
        not_null(unsafe { aws::EVP_PKEY_CTX_new(self.get(), null_mut()) }, Error::HostMemory).map(Call)
    }
}

pub struct PrivateKey {
    set: Set,
    key: Handle,
    deterministic: OnceCell<portable::ml_dsa::PrivateKey>,
}

impl PrivateKey {
    /// 32 bytes, else `AttributeValueInvalid`.
    pub fn from_seed(set: Set, seed: &[u8]) -> Result<Self> {
        if seed.len() != crate::crypto::ml_dsa::SEED {
            return Err(Error::AttributeValueInvalid);
        }
        Ok(Self { set, key: Handle::private(set, seed)?, deterministic: OnceCell::new() })
    }

    /// Parts that do not belong together are `AttributeValueInvalid`.
    pub fn from_expanded(set: Set, expanded: &[u8]) -> Result<Self> {
        if expanded.len() != set.private_length() {
            return Err(Error::AttributeValueInvalid);
        }
        Ok(Self { set, key: Handle::private(set, expanded)?, deterministic: OnceCell::new() })
    }

    pub fn expanded(&self) -> Result<Secret> {
        let (mut out, mut length) = (Secret::zeroed(self.set.private_length()), self.set.private_length());
        // SAFETY: a live key; the buffer is as long as it is said to be.
        let code =
            unsafe { aws::EVP_PKEY_get_raw_private_key(self.key.get(), out.as_mut_ptr(), &mut length) };
        check(code, Error::FunctionFailed)?;
        Ok(out)
    }

    pub fn public(&self) -> Result<Vec<u8>> {
        let (mut out, mut length) = (vec![0; self.set.public_length()], self.set.public_length());
        // SAFETY: as above.
        let code = unsafe { aws::EVP_PKEY_get_raw_public_key(self.key.get(), out.as_mut_ptr(), &mut length) };
        check(code, Error::FunctionFailed)?;
        Ok(out)
    }

    /// `signature` has the length of the set's.
    pub fn sign(&self, what: &Representative, deterministic: bool, signature: &mut [u8]) -> Result<()> {
        if deterministic {
            let again = || portable::ml_dsa::PrivateKey::from_checked(self.set, &self.expanded()?);
            return self.deterministic.get_or_try_init(again)?.sign(what, true, signature);
        }
        let (call, mut length) = (self.key.call()?, signature.len());
        // SAFETY: a context of a live key; lengths are the slices' own.
        unsafe {
            check(aws::EVP_PKEY_sign_init(call.get()), Error::FunctionFailed)?;
            let (out, digest) = (signature.as_mut_ptr(), what.as_ptr());
            check(aws::EVP_PKEY_sign(call.get(), out, &mut length, digest, what.len()), Error::FunctionFailed)
        }
    }
}

pub struct PublicKey(Handle);

impl PublicKey {
    /// `AttributeValueInvalid` for another length than the set's.
    pub fn new(set: Set, public: &[u8]) -> Result<Self> {
        // SAFETY: the length is the slice's own.
        let key =
            unsafe { aws::EVP_PKEY_pqdsa_new_raw_public_key(number(set), public.as_ptr(), public.len()) };
        not_null(key, Error::AttributeValueInvalid).map(|key| Self(Handle(key)))
    }

    /// `SignatureInvalid`.
    pub fn verify(&self, what: &Representative, signature: &[u8]) -> Result<()> {
        let call = self.0.call()?;
        // SAFETY: a context of a live key; lengths are the slices' own.
        unsafe {
            check(aws::EVP_PKEY_verify_init(call.get()), Error::FunctionFailed)?;
            let (given, length) = (signature.as_ptr(), signature.len());
            let code = aws::EVP_PKEY_verify(call.get(), given, length, what.as_ptr(), what.len());
            check(code, Error::SignatureInvalid)
        }
    }
}
