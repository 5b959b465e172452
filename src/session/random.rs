//! Random numbers.

use super::Library;
use crate::crypto::random;
use crate::error::Result;

impl Library {
    /// Accepted and not needed: the generator is seeded by the system and takes nothing from callers.
    pub fn seed_random(&self, session: u64, _seed: &[u8]) -> Result<()> {
        self.session(session).map(drop)
    }

    pub fn generate_random(&self, session: u64, out: &mut [u8]) -> Result<()> {
        self.session(session)?;
        random::fill(out)
    }
}
