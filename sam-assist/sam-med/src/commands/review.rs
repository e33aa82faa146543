//! `sam-med review`: review of a mask in the browser: its slices are corrected, accepted or rejected.

mod open;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use clap::Args;
use sam_review::{Desk, ScanDesk, Server};
use serde::Serialize;

use crate::{
    console::Console,
    exit::Failure,
    options::{ComputeOptions, ScanOptions, StructureOptions},
};

/// Review and correct a mask in the browser, on this machine alone.
#[derive(Debug, Clone, Args, Serialize)]
#[command(
    override_usage = "sam-med review --image PATH (--mask FILE | --session DIR) --out FILE [OPTIONS]",
    after_help = "\
Prints the page's address, with a secret token in it. Ctrl-C saves and ends. Rejected slices are
left blank in the mask; in a session, the next round segments them again.

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
    mask: Option<PathBuf>,
    /// Session of `sam-med annotate` to review; it keeps each decision at once
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["mask", "labels", "card", "ranking", "window", "axis"],
        help_heading = "Review"
    )]
    session: Option<PathBuf>,
    /// Slices to look at first: a JSON file such as [{"index": 3, "trust": 0.2}]
    #[arg(long, value_name = "FILE", help_heading = "Review")]
    ranking: Option<PathBuf>,
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

/// Serves the page until Ctrl-C, and saves the mask.
///
/// # Errors
/// If an input cannot be read, the port cannot be opened, or the last decisions cannot be saved. [`Failure::Stopped`] if the user stopped
/// it before the page was served.
pub fn run(options: &Options, console: &Console) -> Result<()> {
    let desk = Arc::new(Mutex::new(open::open(options, console)?));
    console.check_stop("nothing was changed")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("cannot start the server")?;
    runtime.block_on(async {
        let server = Server::bind(options.port).await.context("choose another port with --port")?;
        console.result(&Address { scan: options.scan.image.clone(), address: server.address() })?;
        // From here on the server handles Ctrl-C: it saves, and ends.
        console.stop().release();
        console.check_stop("nothing was changed")?;
        tokio::select! {
            result = server.serve(desk.clone(), saved(desk.clone(), console.clone())) => Ok(result?),
            error = ended(desk.clone()) => Err(error),
        }
    })?;
    // Saves the decisions that came in while the server shut down.
    save(&desk)?;
    console.result(&Reviewed { written: options.scan.out.clone() })
}

/// Waits until the user asks to end and everything is saved. Decisions that cannot be saved keep the page open.
async fn saved(desk: Arc<Mutex<ScanDesk>>, console: Console) {
    loop {
        asked_to_end().await;
        let desk = Arc::clone(&desk);
        let saved = tokio::task::spawn_blocking(move || save(&desk)).await;
        let Err(error) = saved.map_err(Into::into).flatten() else { return };
        console.warn(format_args!(
            "error: {error:#}\nThe review stays open. Correct that and press Ctrl-C again, or twice to end without saving."
        ));
    }
}

/// Completes when the user asks to end again although a browser still holds its connection or the mask cannot be saved.
async fn ended(desk: Arc<Mutex<ScanDesk>>) -> anyhow::Error {
    let mut times = 0;
    loop {
        asked_to_end().await;
        times += 1;
        let unsaved = match desk.try_lock() {
            Ok(desk) => desk.overview().unsaved,
            Err(_) => 1,
        };
        // The first request saves. If saving failed, the second request tries again, and the third one ends the program.
        if times > 2 || times > 1 && unsaved == 0 {
            return Failure::Stopped("what was saved is whole").into();
        }
    }
}

/// Waits for Ctrl-C, for the terminal to close, or for a termination signal of the system. Without support for signals, it waits forever.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let received = async |kind| match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        };
        tokio::select! {
            () = received(SignalKind::interrupt()) => (),
            () = received(SignalKind::terminate()) => (),
            () = received(SignalKind::hangup()) => (),
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Saves the decisions that are not saved yet.
fn save(desk: &Mutex<ScanDesk>) -> Result<()> {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    if desk.overview().unsaved > 0 {
        desk.save()?;
    }
    Ok(())
}

/// The address of the page.
#[derive(Debug, Serialize)]
struct Address {
    scan: PathBuf,
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
    written: PathBuf,
}

impl fmt::Display for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "All decisions are saved; the mask is {}", self.written.display())
    }
}
