//! Configuration file and environment, read once into one plain [`Config`].
//!
//! Every option is documented at its field; the README's example is checked against this file.
//! Order of search: the string given to C_Initialize, `STRONGROOM_CONFIG`,
//! `$XDG_CONFIG_HOME/strongroom/config.toml` (default `~/.config`), `/etc/strongroom/config.toml`,
//! else the defaults below: one slot, number 0, under `$XDG_DATA_HOME/strongroom/`.

mod allow;
mod file;
mod place;
#[cfg(test)]
mod tests;

pub use allow::{Allowed, Switch};
pub use place::{distrust_environment, variable};

use crate::error::{Error, Result};
use file::File;
use place::find;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `log`: where messages go: `stderr`, or a file's path. Absent: warnings to nowhere.
    pub log: Option<String>,
    /// `trace`, or the variable `STRONGROOM_TRACE`: a file that gets a line for each C call, without
    /// secrets; `stderr` for standard error. Absent: none.
    pub trace: Option<PathBuf>,
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
    /// `reset_policy`: `keeps` (default), `quorum` or `destroys`: what an officer's new password for a
    /// user does to the user's objects, of a token that is made. What a token was made with stays.
    /// With `reset_threshold`: how many officers a `quorum` is, 2..=8. Default 2.
    pub reset_policy: ResetPolicy,
    /// `audit_syslog`: the system logger's socket (`/dev/log`), which gets a copy of each entry of the
    /// audit log. Absent: none.
    pub audit_syslog: Option<PathBuf>,
    /// `[slot.allow]`: the rules against known attacks that are loosened here, by name. Absent: none.
    pub allow: Allowed,
    /// `[slot.cluster]`: the engine that this token shares with its peers. Absent: none.
    pub cluster: Option<ClusterConfig>,
}

/// `[slot.cluster]`: how to reach etcd, and when a change is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `endpoints`: addresses of etcd members, `https://host:port`, tried in turn.
    pub endpoints: Vec<String>,
    /// `ca`: who signs the certificates of etcd's members (PEM).
    pub ca: PathBuf,
    /// `certificate`, `key`: what this host shows to them (PEM).
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// `user`, `password_file`: who this host is to etcd's user authentication. Absent: not used.
    pub user: Option<(String, PathBuf)>,
    /// `prefix`: what the keys in etcd begin with. Default `strongroom/`.
    pub prefix: String,
    /// `durability`: `quorum` (default): a change is done when etcd's majority has it; `local`: when this
    /// host's disk has it.
    pub durability: Durability,
    /// `quorum_timeout_ms`: how long a call waits for that majority, 100..=600000. Default 5000.
    pub quorum_timeout_ms: u64,
    /// `metrics`: the address on which `strongroom agent` shows its numbers (OpenMetrics), of loopback unless
    /// `metrics_from_network` is true. Absent: none.
    pub metrics: Option<SocketAddr>,
    /// `background`: whether a thread of the program that loads the module keeps the token in step while no
    /// agent does. Default true; never where the program forbids threads.
    pub background: bool,
}

/// When a change is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    Local,
    Quorum,
}

/// What stands behind a new password by an officer (design: three policies).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPolicy {
    /// Any officer: the user's objects stay.
    Keeps,
    /// So many officers together: the user's objects stay.
    Quorum { threshold: u32 },
    /// Any officer, and the user's private objects are gone.
    Destroys,
}

impl ResetPolicy {
    /// How many officers a `quorum` may be.
    pub const THRESHOLDS: std::ops::RangeInclusive<u32> = 2..=8;
}

#[cfg(test)]
impl SlotConfig {
    /// Slot 0 with its files in a folder and a cheap password.
    pub fn for_test(folder: &Path) -> SlotConfig {
        SlotConfig {
            id: 0,
            path: folder.join("token.db"),
            seal: SealConfig::KeyFile(folder.join("token.seal")),
            default_user: "user".into(),
            default_officer: "so".into(),
            max_failures: 5,
            min_pin_length: 4,
            kdf: KdfCost { memory_kib: 8192, passes: 1 },
            reset_policy: ResetPolicy::Keeps,
            audit_syslog: None,
            allow: Allowed::default(),
            cluster: None,
        }
    }
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
    /// `credential`: the same text, handed to the service by systemd under this name
    /// (`LoadCredentialEncrypted=`): the file of that name in `$CREDENTIALS_DIRECTORY`.
    Credential {
        name: String,
        /// The variable's value; `None`: it is not set.
        folder: Option<PathBuf>,
    },
    /// `passphrase_file`, or the variable `STRONGROOM_SEAL_PASSPHRASE`: Argon2id of a passphrase.
    Passphrase(PassphraseSource),
}

impl SealConfig {
    /// A credential by its name. `ArgumentsBad` for a name that systemd would refuse.
    pub fn credential(name: &str) -> Result<SealConfig> {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(Error::ArgumentsBad.because(format_args!("{name:?} is no name of a credential")));
        }
        let folder = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Ok(SealConfig::Credential { name: name.to_owned(), folder })
    }
}

/// Where a seal passphrase is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    File(PathBuf),
    Environment,
}

impl Config {
    /// Finds and reads the configuration. `argument` is C_Initialize's reserved string: a path, or
    /// `config=PATH`; anything else (NSS hands its own parameters to every module) is ignored.
    /// Errors: `ArgumentsBad`, the reason in the log and on standard error.
    pub fn load(argument: Option<&str>) -> Result<Config> {
        match find(argument) {
            Some(path) => Config::read(&path),
            None => Config::from_file(File::default(), Path::new(".")),
        }
    }

    /// Reads one file. Relative paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Config> {
        let wrong = |reason: &dyn std::fmt::Display| {
            let text = format!("configuration {}: {reason}", path.display());
            // Where no log is open yet, nobody would ever learn why without this line.
            if log::max_level() == log::LevelFilter::Off {
                eprintln!("strongroom: {text}");
            }
            Error::ArgumentsBad.because(text)
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
        let file: File = toml::from_str(&text).map_err(|e| wrong(&e))?;
        Config::from_file(file, path.parent().unwrap_or(Path::new("."))).map_err(|e| wrong(&e))
    }

    /// The file that is read when nobody names one.
    pub fn place() -> Option<PathBuf> {
        find(None)
    }
}
