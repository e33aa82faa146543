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
    SigId,
    consts::{SIGINT, SIGTERM},
    flag,
    low_level::unregister,
};

use crate::exit::Status;

/// Whether the user asked the program to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    /// What happens at a signal.
    watches: Arc<[SigId]>,
}

impl Stop {
    /// Watches for Ctrl-C and SIGTERM. The first one is noted, and whoever works reads it from here; the second one ends the program.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn on_signals() -> io::Result<Self> {
        let asked = Arc::default();
        let watches = watch(&asked)?;
        Ok(Self { asked, watches })
    }

    /// Ends the program with the code of a stopped one at the first signal, for commands that cannot stop half way: they write their
    /// result whole or not at all.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn at_once() -> io::Result<Self> {
        let watches = watch(&Arc::new(AtomicBool::new(true)))?;
        Ok(Self { watches, ..Self::default() })
    }

    /// Leaves signals to whoever watches for them from now on. A wish that was noted before stays.
    pub fn release(&self) {
        for &watch in &*self.watches {
            unregister(watch);
        }
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

/// At each signal: ends the program if the flag is set, and sets it.
fn watch(asked: &Arc<AtomicBool>) -> io::Result<Arc<[SigId]>> {
    let mut watches = Vec::new();
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, and sets it.
        watches.push(flag::register_conditional_shutdown(signal, i32::from(Status::Stopped as u8), Arc::clone(asked))?);
        watches.push(flag::register(signal, Arc::clone(asked))?);
    }
    Ok(watches.into())
}
