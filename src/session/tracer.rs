//! Where the call trace goes.
//!
//! Off, it is one relaxed load for a C call. Nothing of it is ever freed: a call on another thread may
//! be writing.

use super::sink::Sink;
use crate::config::{self, Config};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);
static SINK: OnceLock<Option<Sink>> = OnceLock::new();

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
        let opened = Sink::open(path, 0o600);
        opened.inspect_err(|error| eprintln!("strongroom: trace {}: {error}", path.display())).ok()
    });
    ON.store(sink.is_some(), Ordering::Relaxed);
}

/// Writes one line. Never fails: a trace is not worth a call.
pub fn write(line: &str) {
    if let Some(Some(sink)) = SINK.get() {
        sink.write(line);
    }
}
