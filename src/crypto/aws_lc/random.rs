//! Random bytes from AWS-LC's CTR-DRBG, per thread, reseeded across fork.

use super::check;
use crate::error::{Error, Result};

/// Fills `out`; `RandomNoRng` when there is no randomness.
pub fn fill(out: &mut [u8]) -> Result<()> {
    // SAFETY: the length is the slice's own.
    check(unsafe { aws_lc_sys::RAND_bytes(out.as_mut_ptr(), out.len()) }, Error::RandomNoRng)
}
