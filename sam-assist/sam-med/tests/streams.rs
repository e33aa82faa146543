//! The stream of each output: colours, bars, `--quiet` and `-v`.

use anyhow::Result;

use crate::{desk::Desk, program};

/// Forces colours, even if the output is not a terminal.
const FORCED: (&str, &str) = ("CLICOLOR_FORCE", "1");
const NO_COLOR: (&str, &str) = ("NO_COLOR", "1");

/// First character of a terminal control sequence.
const ESCAPE: char = '\u{1b}';

/// A desk with two outlined slices.
fn desk() -> Result<Desk> {
    let desk = Desk::new();
    desk.outline(&desk.shown[..2])?;
    Ok(desk)
}

/// The command line of a run that learns and segments.
fn annotate(desk: &Desk, more: &[&str]) -> Vec<String> {
    let files = ["--annotations", "partial.nii.gz", "--out", "mask.nii.gz"];
    desk.words_of("annotate", &[&files[..], more].concat())
}

/// Both streams of a run in this environment.
fn streams(words: &[String], environment: &[(&str, &str)]) -> Result<(String, String)> {
    let output = program::command(words).envs(environment.iter().copied()).output()?;
    Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

#[test]
fn no_color_wins_over_forced_colours_on_both_streams() -> Result<()> {
    let desk = desk()?;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (help, wrong) = (words("annotate --help"), words("anotate"));
    // Without this check, the test below could not fail.
    assert!(streams(&help, &[FORCED])?.0.contains(ESCAPE), "colours cannot be forced");
    assert!(streams(&wrong, &[FORCED])?.1.contains(ESCAPE), "colours cannot be forced");
    for words in [help, wrong, words("cards no/such/folder"), annotate(&desk, &["-vv"])] {
        let (stdout, stderr) = streams(&words, &[FORCED, NO_COLOR])?;
        assert!(!stdout.is_empty() || !stderr.is_empty());
        assert!(!stdout.contains(ESCAPE) && !stderr.contains(ESCAPE), "{words:?}: {stdout:?} {stderr:?}");
    }
    Ok(())
}

#[test]
fn without_a_terminal_stages_are_lines_and_not_bars() -> Result<()> {
    let desk = desk()?;
    for environment in [&[][..], &[FORCED, ("TERM", "xterm-256color")]] {
        let (stdout, stderr) = streams(&annotate(&desk, &[]), environment)?;
        assert!(stdout.contains("Wrote") && !stdout.contains("Learning"), "{stdout}");
        for stage in ["Learning", "Segmenting", "Ranking"] {
            assert!(stderr.lines().any(|line| line.starts_with(stage)), "{stage}: {stderr}");
        }
        assert!(!stdout.contains([ESCAPE, '\r']) && !stderr.contains([ESCAPE, '\r']), "{stdout:?} {stderr:?}");
    }
    Ok(())
}

#[test]
fn a_quiet_run_prints_its_result_or_its_error_and_nothing_else() -> Result<()> {
    let desk = desk()?;
    let (stdout, stderr) = streams(&annotate(&desk, &["--quiet"]), &[])?;
    assert!(stdout.contains("Wrote") && stderr.is_empty(), "{stdout}{stderr}");
    let (stdout, stderr) = streams(&["cards".to_owned(), "no/such/folder".to_owned(), "--quiet".to_owned()], &[])?;
    assert!(stdout.is_empty() && stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stdout}{stderr}");
    Ok(())
}

#[test]
fn a_verbose_run_says_what_is_done_on_the_error_stream() -> Result<()> {
    let desk = desk()?;
    let [silent, verbose, more] = [&[][..], &["-v"], &["-vv"]].map(|more| streams(&annotate(&desk, more), &[]));
    let ((_, silent), (stdout, verbose), (_, more)) = (silent?, verbose?, more?);
    for (event, fields) in [
        ("read the scan", &["path=", "shape=[40, 36, 8]", "spacing_mm=", "seconds="][..]),
        ("loaded the model", &["path=", "precision=", "backend=", "seconds="]),
        ("cut the scan into slices", &["axis=", "slices=8", "window="]),
        ("embedded the annotated slices", &["structure{name=", "slices=2", "seconds="]),
        ("learned", &["structure{name=", "iterations=", "seconds=", "loss="]),
        ("segmented", &["structure{name=", "slices=8", "annotated=2", "seconds="]),
        ("ranked", &["structure{name=", "slices=6", "least_trust=", "seconds="]),
        ("annotated the scan", &["structures=1", "seconds="]),
        ("wrote a file", &["mask.nii.gz", "bytes="]),
    ] {
        let says = |line: &&str| line.contains(" INFO ") && line.contains(event);
        let line = verbose.lines().find(says);
        assert!(line.is_some_and(|line| fields.iter().all(|field| line.contains(field))), "{event}: {verbose}");
    }
    assert!(!stdout.contains("INFO") && !silent.contains("INFO") && !verbose.contains("DEBUG"), "{stdout}{silent}");
    assert!(more.contains("DEBUG") && more.contains("INFO"), "{more}");
    Ok(())
}
