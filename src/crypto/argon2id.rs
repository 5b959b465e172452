//! Argon2id (RFC 9106) version 0x13, one lane.

use super::Secret;
use crate::error::{Error, Result};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

/// 32 bytes from a password. `memory_kib` 8..=4194304, `passes` 1..=64; wipes its memory.
pub fn derive(password: &[u8], salt: &[u8; 16], memory_kib: u32, passes: u32) -> Result<Secret> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|e| Error::GeneralError.because(e))?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|e| Error::HostMemory.because(e))?;
    memory.resize(params.block_count(), Block::default());
    let mut out = Secret::zeroed(32);
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password,
        salt,
        &mut out,
        &mut memory,
    );
    memory.iter_mut().for_each(Zeroize::zeroize);
    done.map_err(|e| Error::GeneralError.because(e))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_everything() {
        let base = derive(b"password", &[1; 16], 64, 2).unwrap();
        assert_eq!(base, derive(b"password", &[1; 16], 64, 2).unwrap());
        assert_ne!(base, derive(b"passwore", &[1; 16], 64, 2).unwrap());
        assert_ne!(base, derive(b"password", &[2; 16], 64, 2).unwrap());
        assert_ne!(base, derive(b"password", &[1; 16], 65, 2).unwrap());
        assert_ne!(base, derive(b"password", &[1; 16], 64, 3).unwrap());
        assert!(derive(b"password", &[1; 16], 1, 1).is_err());
    }
}
