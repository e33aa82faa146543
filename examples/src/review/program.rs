//! The program: lays out the desk, serves its page, and saves at the end.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};

use super::{Desk, Options, ScanDesk, Server, open, told_to_end};

/// Serves a review until it is told to end, and everything is saved.
///
/// # Errors
/// If something cannot be read, the port cannot be opened, or what was decided last cannot be saved.
pub fn run(options: &Options) -> Result<()> {
    let desk = Arc::new(Mutex::new(open(options)?));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().context("cannot start the server")?;
    runtime.block_on(async {
        let server = Server::open(options.port).await?;
        println!("Review {} at {}\nCtrl-C saves and ends.", options.scan.name(), server.address());
        server.serve(desk.clone(), end(desk.clone())).await
    })?;
    // What was decided while the server came to its end.
    save(&desk)
}

/// Waits until the program is told to end and everything is saved. What cannot be saved stays open.
async fn end(desk: Arc<Mutex<ScanDesk>>) {
    loop {
        told_to_end().await;
        let desk = Arc::clone(&desk);
        let saved = tokio::task::spawn_blocking(move || save(&desk)).await;
        let Err(error) = saved.map_err(Into::into).flatten() else { return };
        // The terminal may be closed by now.
        let _ =
            writeln!(io::stderr(), "error: {error:#}\nThe review stays open. Put that right and press Ctrl-C again.");
    }
}

/// Saves what is not saved yet.
fn save(desk: &Mutex<ScanDesk>) -> Result<()> {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    if desk.overview().unsaved > 0 {
        desk.save()?;
    }
    Ok(())
}
