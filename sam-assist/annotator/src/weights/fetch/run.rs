//! Runs a program that downloads, and ends it if the observer says so.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use sam_prompt::progress::{Observer, Progress, Stage};

use super::FetchError;

/// Name of the file with the program's error output, in the download folder.
const ERRORS_NAME: &str = "errors.txt";
/// How often the observer is called while the program downloads.
const POLL: Duration = Duration::from_millis(50);

/// Runs a program to its end, or until the observer stops it.
pub(super) fn run(mut command: Command, folder: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let cannot_run = |error| FetchError::Run(program.clone(), error);
    // Errors go to a file, because a pipe that nobody reads would block the program once it is full.
    let path = folder.join(ERRORS_NAME);
    let errors = File::create(&path).map_err(|error| FetchError::Folder(folder.to_path_buf(), error))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    tracing::debug!(?command, "running");
    let mut child = command.spawn().map_err(cannot_run)?;
    let status = wait(&mut child, observer).map_err(cannot_run)?;
    match status {
        Some(status) if status.success() => Ok(()),
        // Ctrl-C in a terminal also ends the program, perhaps before the observer was called.
        Some(_) if observer(&Progress::new(Stage::Fetch, 0, 1)).is_continue() => {
            let said = fs::read(&path).unwrap_or_default();
            Err(FetchError::Failed(program, String::from_utf8_lossy(&said).trim().to_owned()))
        }
        _ => Err(FetchError::Stopped),
    }
}

/// Waits until a program has ended. If the observer stops it, ends the program and returns `None`.
fn wait(child: &mut Child, observer: &mut Observer<'_>) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if observer(&Progress::new(Stage::Fetch, 0, 1)).is_break() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{ops::ControlFlow, time::Instant};

    use sam_prompt::progress::ignore_progress;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_sleeps_is_ended_when_the_observer_stops_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (begun, mut asked) = (Instant::now(), 0);
        let mut stop = |progress: &Progress| {
            asked += 1;
            assert_eq!((progress.stage, progress.done), (Stage::Fetch, 0));
            if asked == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = run(shell("exec sleep 60"), folder.path(), &mut stop);
        assert!(matches!(ended, Err(FetchError::Stopped)), "{ended:?}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_a_program_reports_is_in_the_error_whatever_its_length() {
        let folder = tempfile::tempdir().expect("a folder");
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo no network >&2; exit 1";
        let ended = run(shell(script), folder.path(), &mut ignore_progress());
        let Err(FetchError::Failed(program, said)) = ended else { panic!("{ended:?}") };
        assert!(program == "sh" && said.ends_with("no network"), "{program}");
        assert!(run(shell("exit 0"), folder.path(), &mut ignore_progress()).is_ok());
    }

    #[test]
    fn a_program_that_ended_because_of_ctrl_c_was_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stop = |_: &Progress| ControlFlow::Break(());
        let ended = run(shell("exit 1"), folder.path(), &mut stop);
        assert!(matches!(ended, Err(FetchError::Stopped)), "{ended:?}");
    }
}
