//! Progress bars for long work.

use std::{ops::ControlFlow, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use sam_assist::Progress;

/// A bar that counts steps of a named work.
pub fn bar(name: impl Into<String>, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:<28} {wide_bar:.cyan/blue} {pos:>4}/{len:<4} {elapsed:>4}, {eta:>4} left {msg}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
    .progress_chars("━╸ ");
    let bar = ProgressBar::new(length as u64).with_style(style).with_prefix(name.into());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows learning on a bar.
pub fn learning(bar: &ProgressBar) -> impl FnMut(Progress) -> ControlFlow<()> + '_ {
    |progress| {
        bar.inc(1);
        bar.set_message(format!("loss {:.3}", progress.loss));
        ControlFlow::Continue(())
    }
}
