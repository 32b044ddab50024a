//! The progress bar of long work, on standard error, only if that is a terminal.
//!
//! It shows and decides nothing. Invariant: the bar is gone from the terminal before anything else is written.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes read; nothing if nobody would see it, since a note for each of many small files costs.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar without a length; it stays hidden when standard error is no terminal.
    pub(crate) fn new() -> Bar {
        let bar = ProgressBar::no_length();
        if bar.is_hidden() {
            return Bar(None);
        }
        let template = "{msg:12} {wide_bar} {bytes}/{total_bytes} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(Some(bar))
    }

    /// Shows where the work is.
    pub(crate) fn show(&self, phase: &'static str, done: u64, total: u64) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(phase);
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.iter().for_each(ProgressBar::finish_and_clear);
    }
}
