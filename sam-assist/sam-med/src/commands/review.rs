//! `sam-med review`: review of a mask in the browser: its slices are corrected, accepted or rejected.

mod open;
mod outputs;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use sam_files::LossyPath;
use sam_prompt::error_chain;
use sam_review::{Desk, DeskError, ScanDesk, Server};
use serde::Serialize;

use crate::{
    console::Console,
    options::{ComputeOptions, ScanOptions, StructureOptions},
};

/// Review and correct a mask in the browser, on this machine alone.
#[derive(Debug, Clone, Args, Serialize)]
#[command(
    override_usage = "sam-med review --image PATH (--mask FILE | --session DIR) --out FILE [OPTIONS]",
    after_help = "\
Prints the page's address, with a secret token in it. Ctrl-C saves and ends, a second one ends at
once. Rejected slices are left blank in the mask; in a session, the next round segments them again.
No other program may write the mask meanwhile; if one did, the review is saved beside it.

Examples:
  sam-med review --session work --image scan.nii.gz --out mask.nii.gz
  sam-med review --image scan.nii.gz --mask mask.nii.gz --out reviewed.nii.gz"
)]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    scan: ScanOptions,
    /// The mask to review: a label map on the scan's grid
    #[arg(long, value_name = "FILE", required_unless_present = "session", help_heading = "Review")]
    mask: Option<LossyPath>,
    /// Session of `sam-med annotate` to review; it keeps each decision at once
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["mask", "labels", "card", "ranking", "window", "axis"],
        help_heading = "Review"
    )]
    session: Option<LossyPath>,
    /// Slices to look at first: a JSON file such as [{"index": 3, "trust": 0.2}]
    #[arg(long, value_name = "FILE", help_heading = "Review")]
    ranking: Option<LossyPath>,
    /// Port of this machine; 0 takes any free one
    #[arg(long, default_value_t = 0, help_heading = "Review")]
    port: u16,
    #[command(flatten)]
    #[serde(flatten)]
    structures: StructureOptions,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeOptions,
}

/// How often the server looks whether the user asked to end.
const POLL: Duration = Duration::from_millis(50);
/// How long the program waits before it tries again to save at the end.
const RETRY: Duration = Duration::from_secs(5);

/// Serves the page until Ctrl-C, and saves the mask. A second Ctrl-C ends the program at once, with all files whole.
///
/// # Errors
/// If an input cannot be read, another program holds the mask, or the port cannot be opened. [`Failure::Stopped`](crate::exit::Failure) if
/// the user stopped it before the page was served.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let desk = Arc::new(Mutex::new(open::open(options, console)?));
    console.check_stop("nothing was changed")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the server")?;
    let served: Result<()> = runtime.block_on(async {
        let server = Server::bind(options.port).await.context("choose another port with --port")?;
        #[cfg(unix)]
        {
            console.stop().watch_hangup().context("cannot watch for the end of the terminal")?;
        }
        console.result(&Address { scan: options.scan.input.image.clone(), address: server.address() })?;
        Ok(server.serve(desk.clone(), ended(desk.clone(), console.clone())).await?)
    });
    // A model that still computes an answer for a connection that was dropped does not keep the program alive.
    runtime.shutdown_background();
    // Saves the decisions that came in while the server shut down, or before its port failed.
    save_at_end(&desk, console);
    served?;
    let written = locked(&desk).written().map(Into::into);
    console.result(&Reviewed { written })
}

/// Waits until the user asks to end and everything is saved.
async fn ended(desk: Arc<Mutex<ScanDesk>>, console: Console) {
    while !console.stop().is_asked() {
        tokio::time::sleep(POLL).await;
    }
    console.note("Ending. Press Ctrl-C again to end at once, without what is not saved yet.");
    // If saving panics, `run` tries it again, where a panic is reported.
    let _ = tokio::task::spawn_blocking(move || save_at_end(&desk, &console)).await;
}

/// Saves the decisions that are not saved yet. If that fails, it is tried again, and the page stays open meanwhile: a second Ctrl-C is the
/// only way to end without saving.
fn save_at_end(desk: &Mutex<ScanDesk>, console: &Console) {
    let mut told = String::new();
    while let Err(error) = save(desk, console) {
        let error = error_chain(&error);
        if error != told {
            console.warn(format_args!(
                "error: {error}\nThe program tries again every {} s. Press Ctrl-C again to end without saving.",
                RETRY.as_secs()
            ));
            told = error;
        }
        thread::sleep(RETRY);
    }
}

fn save(desk: &Mutex<ScanDesk>, console: &Console) -> Result<(), DeskError> {
    let mut desk = locked(desk);
    if desk.overview().unsaved > 0
        && let Some(note) = desk.save()?.note
    {
        console.warn(note);
    }
    Ok(())
}

/// The desk, also after a request has panicked: the decisions before it are still there.
fn locked(desk: &Mutex<ScanDesk>) -> MutexGuard<'_, ScanDesk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address of the page.
#[derive(Debug, Serialize)]
struct Address {
    scan: LossyPath,
    address: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.scan.file_name().map_or_else(|| "the scan".into(), |name| name.to_string_lossy());
        write!(f, "Review {name} at {}\nCtrl-C saves and ends.", self.address)
    }
}

/// The result of a review.
#[derive(Debug, Serialize)]
struct Reviewed {
    /// The mask; `None` if nothing was decided.
    written: Option<LossyPath>,
}

impl fmt::Display for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(mask) => write!(f, "All decisions are saved; the mask is {}", mask.display()),
            None => f.write_str("Nothing was decided, so no mask was written"),
        }
    }
}
