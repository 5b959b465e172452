//! Big integers of AWS-LC as owned handles.

use super::{check, not_null, owned};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use aws_lc_sys as aws;

owned!(
    /// A BIGNUM, wiped when freed.
    Big,
    aws::BIGNUM,
    aws::BN_clear_free
);

impl Big {
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        // SAFETY: the length is the slice's own; a NULL target allocates.
        not_null(
            unsafe { aws::BN_bin2bn(bytes.as_ptr(), bytes.len(), std::ptr::null_mut()) },
            Error::HostMemory,
        )
        .map(Self)
    }

    /// Gives the handle away to an owner that frees it.
    pub fn release(self) -> *mut aws::BIGNUM {
        let handle = self.get();
        std::mem::forget(self);
        handle
    }
}

/// The value, big-endian without leading zeros.
pub fn bytes(number: *const aws::BIGNUM) -> Secret {
    if number.is_null() {
        return Secret::default();
    }
    // SAFETY: a live BIGNUM, and exactly as many bytes as it says it needs.
    unsafe {
        let mut out = Secret::zeroed(aws::BN_num_bytes(number) as usize);
        aws::BN_bn2bin(number, out.as_mut_ptr());
        out
    }
}

/// The value into exactly `out`, padded with zeros on the left.
pub fn write_padded(number: *const aws::BIGNUM, out: &mut [u8]) -> Result<()> {
    // SAFETY: a live BIGNUM; the length is the slice's own.
    check(unsafe { aws::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), number) }, Error::GeneralError)
}
