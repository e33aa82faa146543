//! Handling of Ctrl-C: the first stops gracefully, the second ends the program at once.

use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use crate::exit::Status;

/// Whether the user asked the program to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Watches for Ctrl-C and SIGTERM. The first one is recorded for the running work to read; the second one ends the program.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        watch(&stop.asked)?;
        Ok(stop)
    }

    /// Ends the program with the exit code of a stopped one at the first signal. For commands that cannot stop half-way: they write their
    /// result completely or not at all.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn at_once() -> io::Result<Self> {
        watch(&Arc::new(AtomicBool::new(true)))?;
        Ok(Self::default())
    }

    /// Also records when the terminal is closed (SIGHUP). That alone never ends the program at once: a terminal may send it twice.
    ///
    /// # Errors
    /// If the system refuses the signal handler.
    #[cfg(unix)]
    pub fn watch_hangup(&self) -> io::Result<()> {
        flag::register(signal_hook::consts::SIGHUP, Arc::clone(&self.asked)).map(drop)
    }

    /// Whether the user asked to stop.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// `Break` once the user asked to stop.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Registers two handlers for each signal: the first ends the program if the flag is set, the second sets the flag.
fn watch(asked: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order matters: at the first signal the flag is not yet set.
        flag::register_conditional_shutdown(signal, i32::from(Status::Stopped as u8), Arc::clone(asked))?;
        flag::register(signal, Arc::clone(asked))?;
    }
    Ok(())
}
