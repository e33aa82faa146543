//! Which process works on a case.

use std::{fmt, fs, process};

use serde::{Deserialize, Serialize};

/// A process that works on a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Runner {
    /// Its number.
    pub process: u32,
    /// Name of its machine, if the system says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl Runner {
    /// This process.
    pub(super) fn this() -> Self {
        Self { process: process::id(), machine: machine() }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.machine {
            Some(machine) => write!(f, "process {} on {machine}", self.process),
            None => write!(f, "process {}", self.process),
        }
    }
}

/// Name of this machine. The standard library does not have it.
fn machine() -> Option<String> {
    let of_kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_shell = || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let name = of_kernel().or_else(of_shell)?;
    Some(sam_files::sanitize(name.trim())).filter(|name| !name.is_empty())
}
