//! The TOML file: its tables as they are written, checked into the values of [`super::Config`].

use super::allow::FileAllow;
use super::place::{data_folder, variable};
use super::{
    ClusterConfig, Config, Durability, KdfCost, PassphraseSource, ResetPolicy, SealConfig, SlotConfig,
};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    log: Option<String>,
    trace: Option<PathBuf>,
    log_level: Option<log::LevelFilter>,
    #[serde(default)]
    slot: Vec<FileSlot>,
}

impl Config {
    /// What a file in this folder says.
    pub(super) fn from_file(file: File, folder: &Path) -> Result<Config> {
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
    metrics: Option<SocketAddr>,
    #[serde(default)]
    metrics_from_network: bool,
    background: Option<bool>,
}

impl FileCluster {
    fn checked(self, folder: &Path) -> Result<ClusterConfig> {
        let wrong = |why: &str| Error::ArgumentsBad.because(format_args!("cluster: {why}"));
        if self.endpoints.is_empty() || !self.endpoints.iter().all(|at| at.starts_with("https://")) {
            return Err(wrong("endpoints are addresses that begin with https://"));
        }
        if self.metrics.is_some_and(|at| !at.ip().is_loopback()) && !self.metrics_from_network {
            return Err(wrong("metrics is an address of loopback, or metrics_from_network = true"));
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
            metrics: self.metrics,
            background: self.background.unwrap_or(true),
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
            cluster: self.cluster.map(|cluster| cluster.checked(folder)).transpose()?,
            allow: self.allow.checked()?,
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
