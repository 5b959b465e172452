//! Long work shows how far it is, on a terminal's standard error only.

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `what` is counted, such as records.
    pub fn new(what: &'static str) -> Progress {
        let bar = ProgressBar::no_length().with_message(what);
        let template = "{wide_bar} {pos} of {len} {msg}, {eta} left";
        // The template is right: a wrong one would show indicatif's own.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Progress { bar }
    }

    /// So many of all are done.
    pub fn at(&mut self, done: u64, all: u64) {
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    /// Takes it from the screen.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}
