//! Where lines go, of the log and of the trace: standard error or a file that several processes
//! append to, each line in one write.
//!
//! No lock is in it that a fork could carry away; not even standard error's own is taken.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub enum Sink {
    StandardError,
    /// The file and which one it was when it was opened: a host that becomes a daemon may close every
    /// descriptor it finds, and the number then names a file of its own.
    File {
        path: PathBuf,
        mode: u32,
        file: File,
        is: (u64, u64),
    },
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn open(path: &Path, mode: u32) -> Result<File> {
    OpenOptions::new().append(true).create(true).mode(mode).open(path)
}

impl Sink {
    /// A file's path, made with `mode` if it is not there, or `stderr`.
    pub fn open(path: &Path, mode: u32) -> Result<Sink> {
        if path == Path::new("stderr") {
            return Ok(Sink::StandardError);
        }
        // Hosts change their folder: the path is made absolute now.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = open(&path, mode)?;
        let is = identity(&file.metadata()?);
        Ok(Sink::File { path, mode, file, is })
    }

    /// Whether lines go to the same place.
    pub fn is(&self, other: &Sink) -> bool {
        match (self, other) {
            (Sink::StandardError, Sink::StandardError) => true,
            (Sink::File { path, is, .. }, Sink::File { path: other, is: its, .. }) => {
                (path, is) == (other, its)
            }
            _ => false,
        }
    }

    /// Writes a line. Never fails: a line is not worth a call.
    pub fn write(&self, line: &str) {
        let _ = match self {
            Sink::StandardError => to_standard_error(line.as_bytes()),
            Sink::File { path, mode, file, is } => {
                if file.metadata().is_ok_and(|now| identity(&now) == *is) {
                    (&*file).write_all(line.as_bytes())
                } else {
                    open(path, *mode).and_then(|mut file| file.write_all(line.as_bytes()))
                }
            }
        };
    }
}

fn to_standard_error(mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(std::io::stderr(), bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
