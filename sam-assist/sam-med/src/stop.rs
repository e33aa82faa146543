//! Ctrl-C: the first stops politely, the second ends the program at once.

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
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Watches for Ctrl-C and SIGTERM. The first one is noted, and whoever works reads it from here; the second one ends the program.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        stop.watch()?;
        Ok(stop)
    }

    /// Ends the program with the code of a stopped one at the first signal, for commands that cannot stop half way: they write their
    /// result whole or not at all.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn at_once() -> io::Result<Self> {
        let asked = Self(Arc::new(AtomicBool::new(true)));
        asked.watch()?;
        Ok(Self::default())
    }

    fn watch(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, i32::from(Status::Stopped as u8), Arc::clone(&self.0))?;
            flag::register(signal, Arc::clone(&self.0))?;
        }
        Ok(())
    }

    /// Whether the user asked to stop.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// `Break` once the user asked to stop.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
