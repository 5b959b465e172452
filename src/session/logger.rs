//! Where the log goes: standard error or a file, `time level message` on a line. Never fails.
//!
//! There is no lock: a child forked while another thread of its parent logs must not wait for it. So
//! each C_Initialize that asks for a log adds a sink, the last one is used, and none is freed.

use super::sink::Sink;
use crate::config::Config;
use crate::error::printable;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

struct Logger {
    sink: Option<Sink>,
    next: OnceLock<Box<Logger>>,
}

static LOGGER: Logger = Logger { sink: None, next: OnceLock::new() };

impl Logger {
    fn last(&self) -> &Logger {
        let mut last = self;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }
}

/// Makes the log as configured; a file that cannot be opened is said once on standard error. Not from
/// two threads at once.
pub fn install(config: &Config) {
    let sink = config.log.as_deref().and_then(|path| {
        let opened = Sink::open(Path::new(path), 0o666);
        opened.inspect_err(|error| eprintln!("strongroom: log {path}: {error}")).ok()
    });
    let level = if sink.is_some() { config.log_level } else { log::LevelFilter::Off };
    let last = LOGGER.last();
    if !last.sink.as_ref().zip(sink.as_ref()).is_some_and(|(last, new)| last.is(new)) {
        let _ = last.next.set(Box::new(Logger { sink, next: OnceLock::new() }));
    }
    // The second C_Initialize finds it installed already.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(level);
}

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(sink) = &self.last().sink else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        sink.write(&format!(
            "{}.{:03} {} {}\n",
            since.as_secs(),
            since.subsec_millis(),
            record.level(),
            printable(&record.args().to_string())
        ));
    }

    fn flush(&self) {}
}
