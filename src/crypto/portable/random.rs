//! Random bytes from the operating system.

use crate::error::{Error, Result};

/// Fills `out`; `RandomNoRng` when the system has no randomness.
pub fn fill(out: &mut [u8]) -> Result<()> {
    getrandom::fill(out).map_err(|e| Error::RandomNoRng.because(e))
}
