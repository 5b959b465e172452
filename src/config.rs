//! Configuration file and environment, read once into one plain [`Config`].
//!
//! Every option is documented at its field; the README's table is checked against this file.
//! Order of search: the string given to C_Initialize, `STRONGROOM_CONFIG`,
//! `$XDG_CONFIG_HOME/strongroom/config.toml` (default `~/.config`), `/etc/strongroom/config.toml`,
//! else the defaults below: one slot, number 0, under `$XDG_DATA_HOME/strongroom/`.

mod allow;
#[cfg(test)]
mod tests;

pub use allow::{Allowed, Switch};

use crate::error::{Error, Result};
use allow::FileAllow;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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

    fn from_file(file: File, folder: &Path) -> Result<Config> {
        let mut slots = Vec::new();
        let given = if file.slot.is_empty() { vec![FileSlot::default()] } else { file.slot };
        for (position, slot) in given.into_iter().enumerate() {
            slots.push(slot.checked(position, folder)?);
        }
        slots.sort_by_key(|slot: &SlotConfig| slot.id);
        if slots.windows(2).any(|pair| pair[0].id == pair[1].id || pair[0].path == pair[1].path) {
            return Err(Error::ArgumentsBad.because("two slots have the same id or path"));
        }
        Ok(Config {
            log: file.log,
            // Relative to the file, like every path; not so the word for standard error.
            trace: file.trace.map(|path| if path == Path::new("stderr") { path } else { folder.join(path) }),
            log_level: file.log_level.unwrap_or(log::LevelFilter::Warn),
            slots,
        })
    }
}

impl Config {
    /// The file that is read when nobody names one.
    pub fn place() -> Option<PathBuf> {
        find(None)
    }
}

/// The configuration file to read, if there is one.
fn find(argument: Option<&str>) -> Option<PathBuf> {
    if let Some(text) = argument {
        let path = Path::new(text.strip_prefix("config=").unwrap_or(text));
        if text.starts_with("config=") || path.is_file() {
            return Some(path.to_owned());
        }
    }
    if let Some(path) = variable("STRONGROOM_CONFIG") {
        return Some(path.into());
    }
    let home = base("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("strongroom/config.toml"));
    [home, Some("/etc/strongroom/config.toml".into())].into_iter().flatten().find(|path| path.is_file())
}

static DISTRUSTED: AtomicBool = AtomicBool::new(false);

/// Ignores the environment from now on: for a program with more rights than whoever started it
/// (set-user-ID, file capabilities), who could name files with it.
pub fn distrust_environment() {
    DISTRUSTED.store(true, Ordering::Relaxed);
}

/// A variable of the environment that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    if DISTRUSTED.load(Ordering::Relaxed) {
        return None;
    }
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A base folder: the variable, or a folder under HOME.
fn base(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = |name: &str| self::variable(name).map(PathBuf::from);
    set(variable).or_else(|| set("HOME").map(|home| home.join(under_home)))
}

/// Where tokens lie when nobody says.
fn data_folder() -> PathBuf {
    base("XDG_DATA_HOME", ".local/share")
        .map_or_else(|| "/var/lib/strongroom".into(), |folder| folder.join("strongroom"))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    log: Option<String>,
    trace: Option<PathBuf>,
    log_level: Option<log::LevelFilter>,
    #[serde(default)]
    slot: Vec<FileSlot>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSlot {
    id: Option<u64>,
    path: Option<PathBuf>,
    default_user: Option<String>,
    default_officer: Option<String>,
    max_failures: Option<u32>,
    min_pin_length: Option<usize>,
    reset_policy: Option<PolicyName>,
    reset_threshold: Option<u32>,
    audit_syslog: Option<PathBuf>,
    #[serde(default)]
    allow: FileAllow,
    #[serde(default)]
    seal: FileSeal,
    #[serde(default)]
    kdf: FileKdf,
    cluster: Option<FileCluster>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCluster {
    endpoints: Vec<String>,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    user: Option<String>,
    password_file: Option<PathBuf>,
    prefix: Option<String>,
    durability: Option<Durability>,
    quorum_timeout_ms: Option<u64>,
}

impl FileCluster {
    fn checked(self, folder: &Path) -> Result<ClusterConfig> {
        let wrong = |why: &str| Error::ArgumentsBad.because(format_args!("cluster: {why}"));
        if self.endpoints.is_empty() || !self.endpoints.iter().all(|at| at.starts_with("https://")) {
            return Err(wrong("endpoints are addresses that begin with https://"));
        }
        let user = match (self.user, self.password_file) {
            (Some(user), Some(file)) => Some((user, folder.join(file))),
            (None, None) => None,
            _ => return Err(wrong("user and password_file go together")),
        };
        Ok(ClusterConfig {
            endpoints: self.endpoints,
            ca: folder.join(self.ca),
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
            user,
            prefix: self.prefix.unwrap_or_else(|| "strongroom/".into()),
            durability: self.durability.unwrap_or(Durability::Quorum),
            quorum_timeout_ms: within("quorum_timeout_ms", self.quorum_timeout_ms, 5000, 100, 600_000)?,
        })
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PolicyName {
    Keeps,
    Quorum,
    Destroys,
}

fn reset_policy(name: Option<PolicyName>, threshold: Option<u32>) -> Result<ResetPolicy> {
    match (name, threshold) {
        (Some(PolicyName::Quorum), threshold) => {
            let (least, most) = (*ResetPolicy::THRESHOLDS.start(), *ResetPolicy::THRESHOLDS.end());
            Ok(ResetPolicy::Quorum { threshold: within("reset_threshold", threshold, least, least, most)? })
        }
        (_, Some(_)) => Err(Error::ArgumentsBad.because("reset_threshold needs reset_policy = \"quorum\"")),
        (Some(PolicyName::Destroys), None) => Ok(ResetPolicy::Destroys),
        (Some(PolicyName::Keeps) | None, None) => Ok(ResetPolicy::Keeps),
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSeal {
    key_file: Option<PathBuf>,
    credential: Option<String>,
    passphrase_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKdf {
    memory_kib: Option<u32>,
    passes: Option<u32>,
}

/// A value within its bounds, or the default.
fn within<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: Option<T>,
    default: T,
    least: T,
    most: T,
) -> Result<T> {
    let value = value.unwrap_or(default);
    if value < least || value > most {
        return Err(
            Error::ArgumentsBad.because(format_args!("{name} is {value}, it must be {least} to {most}"))
        );
    }
    Ok(value)
}

impl FileSeal {
    fn checked(self, token: &Path, folder: &Path) -> Result<SealConfig> {
        match (self.key_file, self.credential, self.passphrase_file) {
            (Some(key), None, None) => Ok(SealConfig::KeyFile(folder.join(key))),
            (None, Some(name), None) => SealConfig::credential(&name),
            (None, None, Some(file)) => Ok(SealConfig::Passphrase(PassphraseSource::File(folder.join(file)))),
            (None, None, None) if variable("STRONGROOM_SEAL_PASSPHRASE").is_some() => {
                Ok(SealConfig::Passphrase(PassphraseSource::Environment))
            }
            (None, None, None) => Ok(SealConfig::KeyFile(token.with_extension("seal"))),
            _ => Err(Error::ArgumentsBad
                .because("a slot is opened by one of key_file, credential and passphrase_file")),
        }
    }
}

impl FileSlot {
    fn checked(self, position: usize, folder: &Path) -> Result<SlotConfig> {
        let id = within("slot id", self.id, position as u64, 0, i32::MAX as u64)?;
        let path = match self.path {
            Some(path) => folder.join(path),
            None => data_folder().join(format!("token-{id}.db")),
        };
        let seal = self.seal.checked(&path, folder)?;
        Ok(SlotConfig {
            id,
            path,
            seal,
            default_user: self.default_user.unwrap_or_else(|| "user".into()),
            default_officer: self.default_officer.unwrap_or_else(|| "so".into()),
            max_failures: within("max_failures", self.max_failures, 5, 1, 100)?,
            allow: self.allow.checked()?,
            cluster: self.cluster.map(|cluster| cluster.checked(folder)).transpose()?,
            audit_syslog: self.audit_syslog.map(|socket| folder.join(socket)),
            min_pin_length: within("min_pin_length", self.min_pin_length, 4, 4, 255)?,
            kdf: KdfCost {
                memory_kib: within("kdf.memory_kib", self.kdf.memory_kib, 65536, 8192, 4 << 20)?,
                passes: within("kdf.passes", self.kdf.passes, 3, 1, 64)?,
            },
            reset_policy: reset_policy(self.reset_policy, self.reset_threshold)?,
        })
    }
}
