//! Where the log goes: standard error or a file, `time level message` on a line. Never fails.

use crate::config::Config;
use once_cell::sync::Lazy;
use parking_lot::RwLock;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

enum Sink {
    Nowhere,
    StandardError,
    File(File),
}

struct Logger {
    sink: RwLock<Sink>,
}

static LOGGER: Lazy<Logger> = Lazy::new(|| Logger { sink: RwLock::new(Sink::Nowhere) });

/// Makes the log as configured; a file that cannot be opened is said once on standard error.
pub fn install(config: &Config) {
    let sink = match config.log.as_deref() {
        None => Sink::Nowhere,
        Some("stderr") => Sink::StandardError,
        Some(path) => match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Sink::File(file),
            Err(error) => {
                eprintln!("strongroom: log {path}: {error}");
                Sink::Nowhere
            }
        },
    };
    let level = if matches!(sink, Sink::Nowhere) { log::LevelFilter::Off } else { config.log_level };
    *LOGGER.sink.write() = sink;
    // The second C_Initialize finds it installed already.
    let _ = log::set_logger(&*LOGGER);
    log::set_max_level(level);
}

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format!(
            "{}.{:03} {} {}\n",
            since.as_secs(),
            since.subsec_millis(),
            record.level(),
            record.args()
        );
        // One write for a line: several processes may share the file.
        let _ = match &*self.sink.read() {
            Sink::Nowhere => Ok(()),
            Sink::StandardError => std::io::stderr().write_all(line.as_bytes()),
            Sink::File(file) => (&*file).write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}
