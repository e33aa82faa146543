//! Which process works on a case.

use std::{fmt, fs, process};

use sam_files::ProcessId;
use serde::{Deserialize, Serialize};

/// A process that works on a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Runner {
    /// Its ID.
    pub process: ProcessId,
    /// Name of its machine, if the system says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl Runner {
    /// This process.
    pub(super) fn this() -> Self {
        Self { process: ProcessId(process::id()), machine: machine() }
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, machine } = self;
        match machine {
            Some(machine) => write!(f, "{process} on {machine}"),
            None => process.fmt(f),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_as_in_every_message_and_claims_of_earlier_versions_are_read() -> serde_json::Result<()> {
        for (claim, shown) in
            [(r#"{"process":7}"#, "process 7"), (r#"{"process":7,"machine":"node-3"}"#, "process 7 on node-3")]
        {
            let runner: Runner = serde_json::from_str(claim)?;
            assert_eq!((runner.to_string().as_str(), serde_json::to_string(&runner)?.as_str()), (shown, claim));
        }
        Ok(())
    }
}
