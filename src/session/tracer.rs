//! Where the call trace goes: a file that several processes append to, each line in one write.
//!
//! Off, it is one relaxed load for a C call. There is no lock in it that a fork could carry away,
//! and nothing of it is ever freed: a call on another thread may be writing.

use crate::config::{self, Config};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static SINK: OnceLock<Option<Sink>> = OnceLock::new();

enum Sink {
    StandardError,
    /// The file and which one it was when it was opened: a host that becomes a daemon may close every
    /// descriptor it finds, and the number then names a file of its own.
    File {
        path: PathBuf,
        file: File,
        is: (u64, u64),
    },
}

/// Whether calls are traced.
#[inline(always)]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Starts the trace that `STRONGROOM_TRACE` asks for; for the functions that come before C_Initialize.
pub fn from_environment() {
    if let Some(path) = config::variable("STRONGROOM_TRACE") {
        start(Path::new(&path));
    }
}

/// Starts the trace that the configuration asks for, unless there is one already.
pub fn install(config: &Config) {
    if let Some(path) = &config.trace {
        start(path);
    }
}

/// The first trace stays for the life of the process. A file that cannot be opened is said once on
/// standard error.
fn start(path: &Path) {
    let sink = SINK.get_or_init(|| {
        if path == Path::new("stderr") {
            return Some(Sink::StandardError);
        }
        // Hosts change their folder: the path is made absolute now.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match open(&path).and_then(|file| Ok((identity(&file)?, file))) {
            Ok((is, file)) => Some(Sink::File { path, file, is }),
            Err(error) => {
                eprintln!("strongroom: trace {}: {error}", path.display());
                None
            }
        }
    });
    ON.store(sink.is_some(), Ordering::Relaxed);
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn identity(file: &File) -> std::io::Result<(u64, u64)> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}

/// Writes one line. Never fails: a trace is not worth a call.
pub fn write(line: &str) {
    let _ = match SINK.get() {
        None | Some(None) => Ok(()),
        Some(Some(Sink::StandardError)) => std::io::stderr().write_all(line.as_bytes()),
        Some(Some(Sink::File { path, file, is })) => {
            if identity(file).is_ok_and(|now| now == *is) {
                (&*file).write_all(line.as_bytes())
            } else {
                open(path).and_then(|mut file| file.write_all(line.as_bytes()))
            }
        }
    };
}
