//! Where the configuration and tokens lie when nobody says; the environment's variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The configuration file to read, if there is one.
pub(super) fn find(argument: Option<&str>) -> Option<PathBuf> {
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
pub(super) fn data_folder() -> PathBuf {
    base("XDG_DATA_HOME", ".local/share")
        .map_or_else(|| "/var/lib/strongroom".into(), |folder| folder.join("strongroom"))
}
