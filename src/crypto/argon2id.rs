//! Argon2id (RFC 9106) version 0x13, one lane.

use super::Secret;
use crate::error::Result;

/// 32 bytes from a password. `memory_kib` 8..=4194304, `passes` 1..=64; wipes its memory.
pub fn derive(password: &[u8], salt: &[u8; 16], memory_kib: u32, passes: u32) -> Result<Secret> {
    let _ = (password, salt, memory_kib, passes);
    todo!()
}
