//! Help texts fit on a screen and show how a command is used.

use anyhow::Result;

use crate::program;

/// Lines of a screen.
const SCREEN: usize = 60;
const COMMANDS: [&str; 15] = [
    "annotate",
    "review",
    "batch",
    "predict",
    "automatic",
    "evaluate",
    "coarse",
    "convert",
    "embed",
    "cards",
    "parity",
    "resample",
    "quickstart",
    "completions",
    "man",
];

#[test]
fn the_help_of_every_command_fits_a_screen_and_has_an_example() -> Result<()> {
    for command in COMMANDS {
        let help = program::run([command, "--help"])?.done()?;
        assert!(help.stderr.is_empty());
        let lines = help.stdout.lines().count();
        assert!(lines <= SCREEN, "{command}: {lines} lines\n{}", help.stdout);
        let (_, examples) = help.stdout.split_once("Examples:\n").expect("examples");
        assert!(examples.trim_start().starts_with(&format!("sam-med {command}")), "{command}: {examples}");
        assert_eq!(program::run([command, "-h"])?.done()?.stdout, help.stdout, "{command}: -h says the same");
    }
    Ok(())
}

#[test]
fn the_help_of_the_program_names_every_command_and_every_exit_code() -> Result<()> {
    let help = program::run(["--help"])?.done()?.stdout;
    assert!(help.lines().count() <= SCREEN, "{help}");
    for part in COMMANDS.into_iter().chain(["130", "--json", "--quiet", "--verbose", "--config"]) {
        assert!(help.contains(part), "{part}: {help}");
    }
    Ok(())
}
