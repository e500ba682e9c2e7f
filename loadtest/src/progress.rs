//! The bar: on standard error, and only when that is a terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar, or nothing at all.
#[derive(Debug)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar that is full at `full`, if one is wanted.
    pub fn new(is_wanted: bool, full: u64) -> Self {
        if !is_wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(full.max(1));
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// Shows `position`, and how many answers came in how long.
    pub fn show(&self, position: u64, answers: u64, elapsed: Duration) {
        if let Some(bar) = &self.0 {
            bar.set_position(position);
            bar.set_message(format!("{answers} answers in {:.1} s", elapsed.as_secs_f64()));
        }
    }

    /// Takes the bar off the screen.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
