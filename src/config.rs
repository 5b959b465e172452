//! Configuration file and environment, read once into one plain [`Config`].
//!
//! Every option is documented at its field; the README's table is checked against this file.
//! Order of search: the string given to C_Initialize, `STRONGROOM_CONFIG`,
//! `$XDG_CONFIG_HOME/strongroom/config.toml` (default `~/.config`), `/etc/strongroom/config.toml`,
//! else the defaults below: one slot, number 0, under `$XDG_DATA_HOME/strongroom/`.

use crate::error::Result;
use std::path::PathBuf;

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `log`: where messages go: `stderr`, or a file's path. Absent: warnings to nowhere.
    pub log: Option<String>,
    /// `log_level`: `error`, `warn`, `info`, `debug` or `trace`. Default `warn`.
    pub log_level: log::LevelFilter,
    /// `[[slot]]`: the slots, at least one.
    pub slots: Vec<SlotConfig>,
}

/// One `[[slot]]`: a token file and how it is opened.
#[derive(Clone, Debug)]
pub struct SlotConfig {
    /// `id`: the slot number C sees, 0..=2^31-1; never changes by itself.
    pub id: u64,
    /// `path`: the token's SQLite file.
    pub path: PathBuf,
    /// `seal`: where the seal key comes from.
    pub seal: SealConfig,
    /// `default_user`: who a PIN without a `name:` belongs to as CKU_USER. Default `user`.
    pub default_user: String,
    /// `default_officer`: the same for CKU_SO. Default `so`.
    pub default_officer: String,
    /// `max_failures`: wrong PINs before a user is locked, 1..=100. Default 5.
    pub max_failures: u32,
    /// `min_pin_length`: characters, 4..=255. Default 4.
    pub min_pin_length: usize,
    /// `kdf`: what a new password costs.
    pub kdf: KdfCost,
}

/// `[slot.kdf]`: Argon2id cost of new passwords (old ones keep the cost they were made with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    /// `memory_kib`: 8192..=4194304. Default 65536 (64 MiB).
    pub memory_kib: u32,
    /// `passes`: 1..=64. Default 3.
    pub passes: u32,
}

/// `[slot.seal]`: the provider of the outermost key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealConfig {
    /// `key_file`: 32 random bytes in a file of mode 0600, made on C_InitToken if absent.
    KeyFile(PathBuf),
    /// `passphrase_file`, or the variable `STRONGROOM_SEAL_PASSPHRASE`: Argon2id of a passphrase.
    Passphrase(PassphraseSource),
}

/// Where a seal passphrase is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    File(PathBuf),
    Environment,
}

impl Config {
    /// Finds and reads the configuration. `argument` is C_Initialize's reserved string.
    pub fn load(argument: Option<&str>) -> Result<Config> {
        let _ = argument;
        todo!("config")
    }
}
