//! This very program, started again to do something else than tests.

use std::{
    env,
    process::{Child, Command, Stdio},
};

use anyhow::Result;

/// Tells the started program its words, one a line.
const WORDS: &str = "SAM_MED_TEST_WORDS";

/// Starts the ignored test of this name, which takes its [`words`]. Files may grow to so many blocks, if there is a limit.
pub(crate) fn start(test: &str, words: &[&str], limit: Option<u32>) -> Result<Child> {
    let script = r#"if [ -n "$1" ]; then trap '' XFSZ; ulimit -f "$1"; fi; shift; exec "$@""#;
    let limit = limit.map_or_else(String::new, |blocks| blocks.to_string());
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &limit]).arg(env::current_exe()?);
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(WORDS, words.join("\n"));
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

/// The words of a program that was started so; `None` where the tests run as such.
pub(crate) fn words() -> Option<Vec<String>> {
    let words = env::var(WORDS).ok()?;
    // The harness may have begun a line.
    println!();
    Some(words.lines().map(str::to_owned).collect())
}
