//! `--config FILE`: options from a file, usually the file saved next to a result.
//!
//! The file is a JSON object of options by their long names, with `_` or `-` between words, or a record with such an object in the field
//! `options`. Nested objects group options and are read as if their options stood one level higher. The command line has priority: an
//! option of the file is left out if the command line has it, or has an option that conflicts with it. Actions such as `--accept` or
//! `--undo` are never read back: they belong to one run. A relative path leads to a file beside the config file if there is one, else from
//! the working folder; if both exist, the file is refused. A file that another command has saved is refused; a file that names no command
//! fits any command.
//!
//! Numbers in a list of slices are indices, counted from 0, as in every JSON file of the program; texts are what is typed, counted from 1.

use std::{
    any::TypeId,
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, Command};
use clap_lex::OsStrExt;
use sam_auto::{GeneratorKind, StrategyKind};
use sam_files::{FileId, LossyPath};
use sam_prompt::SliceNumber;
use serde_json::{Map, Value};

use crate::exit::Failure;

/// Options that act on a session once: they are not part of a configuration.
const ACTIONS: [&str; 6] = ["accept", "reject", "undo", "anew", "replay", "config"];

/// Fields that hold an index, counted from 0, and the options whose value is counted from 1.
const INDICES: [(&str, &str); 1] = [("volume-index", "volume")];
/// Options that list slices. Records of earlier versions hold them as indices.
const SLICES: [&str; 1] = ["empty"];

/// Inserts the options of the config file into the command line; unchanged if there is no config file.
///
/// # Errors
/// If the file cannot be read, is not an object of options, belongs to another command, or has an option that the command does not have.
pub fn expand(program: &Command, words: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some(path) = config_path(&words) else { return Ok(words) };
    let names: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let place = names.iter().skip(1).position(|word| program.find_subcommand(&**word).is_some());
    // Without a command, clap reports the error.
    let Some(place) = place.map(|place| place + 1) else { return Ok(words) };
    let Some(command) = program.find_subcommand(&*names[place]) else { return Ok(words) };
    let options = read(&path, command.get_name())?;
    let more = Expansion { command, given: given(command, &words[place + 1..]), path: &path }.words(&options)?;
    let (before, after) = words.split_at(place + 1);
    Ok([before, &more, after].concat())
}

/// The value of `--config`, before the words of `--`.
fn config_path(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match long_option(word) {
            Some(("config", Some(path))) => return Some(path.into()),
            Some(("config", None)) => return words.next().map(PathBuf::from),
            _ => {}
        }
    }
    None
}

/// The name of a long option, and its value after `=`, which need not be UTF-8.
fn long_option(word: &OsStr) -> Option<(&str, Option<&OsStr>)> {
    let word = OsStrExt::strip_prefix(word, "--")?;
    match OsStrExt::split_once(word, "=") {
        Some((name, value)) => Some((name.to_str()?, Some(value))),
        None => Some((word.to_str()?, None)),
    }
}

/// The long names of the options that are on the command line.
fn given(command: &Command, words: &[OsString]) -> BTreeSet<String> {
    let words = words.iter().take_while(|word| *word != "--");
    let names = words.filter_map(|word| Some(long_option(word)?.0));
    // clap does not accept abbreviations, so any other word is a value or an error.
    names.filter(|name| argument(command, name).is_some()).map(str::to_owned).collect()
}

/// A field as the option of the command line: an index becomes a number that is counted from 1.
fn counted(name: &str, value: &Value) -> (String, Value) {
    let option = INDICES.iter().find(|(index, _)| *index == name);
    match (option, value.as_u64()) {
        (Some((_, option)), Some(index)) => ((*option).to_owned(), index.saturating_add(1).into()),
        (Some((_, option)), None) => ((*option).to_owned(), value.clone()),
        (None, _) => (name.to_owned(), value.clone()),
    }
}

fn argument<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|argument| argument.get_long() == Some(name))
}

/// Reads the options of the file.
fn read(path: &Path, command: &str) -> Result<Map<String, Value>> {
    let shown = path.display();
    let read = sam_files::read_text(path).map_err(|error| error.source);
    let text = read.with_context(|| format!("cannot read the config file {shown}"))?;
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("the config file {shown} is not JSON; expected an object such as {{\"seed\": 3}}"))?;
    let Value::Object(mut record) = value else { bail!("the config file {shown} is not a JSON object of options") };
    match record.remove("command") {
        Some(Value::String(own)) if own == command => {}
        Some(Value::String(other)) => bail!(
            "the config file {shown} was saved by `sam-med {other}`, expected one of `sam-med {command}`; use it with `sam-med {other}`"
        ),
        Some(_) => bail!("the field `command` of the config file {shown} is not a text"),
        None => {}
    }
    record.remove("version");
    match record.remove("options") {
        Some(Value::Object(options)) => Ok(options),
        Some(_) => bail!("the field `options` of the config file {shown} is not a JSON object"),
        None => Ok(record),
    }
}

/// The conversion of a config file to command-line words.
struct Expansion<'a> {
    command: &'a Command,
    /// Options on the command line.
    given: BTreeSet<String>,
    path: &'a Path,
}

impl Expansion<'_> {
    fn words(&self, options: &Map<String, Value>) -> Result<Vec<OsString>> {
        let mut words = Vec::new();
        for (name, value) in options {
            let (name, value) = counted(&name.replace('_', "-"), value);
            let (name, value) = &self.renamed(name, value);
            match (argument(self.command, name), value) {
                // A group of options, which may have the same name as an option.
                (_, Value::Object(group)) => words.extend(self.words(group)?),
                _ if ACTIONS.contains(&name.as_str()) => {}
                (Some(argument), value) if !self.is_overridden(argument) => {
                    words.extend(self.option(argument, name, value)?);
                }
                (None, value) if !value.is_null() => {
                    let (path, command) = (self.path.display(), self.command.get_name());
                    return Err(Failure::usage(format_args!(
                        "the config file {path} has the option {name:?}, which `sam-med {command}` does not have; remove it from the file"
                    )));
                }
                _ => {}
            }
        }
        Ok(words)
    }

    /// An option of an earlier version by its present name: `auto` named a generator, and masks were propagated without it.
    fn renamed(&self, name: String, value: Value) -> (String, Value) {
        if name != "auto" || argument(self.command, "auto").is_some() || argument(self.command, "strategy").is_none() {
            return (name, value);
        }
        let strategy = match value.as_str() {
            None if value.is_null() => StrategyKind::MaskPropagation.to_string().into(),
            Some("propagation") => StrategyKind::Generators(GeneratorKind::Propagation).to_string().into(),
            _ => value,
        };
        ("strategy".to_owned(), strategy)
    }

    /// Whether the command line has this option, or one that it conflicts with.
    fn is_overridden(&self, argument: &Arg) -> bool {
        let is_given = |argument: &Arg| argument.get_long().is_some_and(|long| self.given.contains(long));
        let conflicts = |one: &Arg, other: &Arg| self.command.get_arg_conflicts_with(one).contains(&other);
        let others = || self.command.get_arguments().filter(|other| is_given(other));
        // A card is used as it is; only who also types where it is saved wants it improved.
        let is_saved_unasked = argument.get_long() == Some("save-card") && self.given.contains("card");
        is_given(argument)
            || is_saved_unasked
            || others().any(|other| conflicts(argument, other) || conflicts(other, argument))
    }

    /// An option as command-line words; empty for `null`, `false` and defaults.
    fn option(&self, argument: &Arg, name: &str, value: &Value) -> Result<Vec<OsString>> {
        let is_flag = !argument.get_action().takes_values();
        let word = |value: &str| OsString::from(format!("--{name}={value}"));
        let is_default =
            |value: &str| argument.get_default_values().iter().any(|default| default.to_str() == Some(value));
        let value = match value {
            Value::String(text) if is_default(text) => value.clone(),
            _ => self.placed(argument, name, value)?,
        };
        Ok(match &value {
            Value::Null | Value::Bool(false) => Vec::new(),
            Value::Bool(true) if is_flag => vec![OsString::from(format!("--{name}"))],
            // A default is left out: if given, it would conflict with other options or require others.
            Value::String(text) if is_default(text) => Vec::new(),
            Value::String(text) if !is_flag => vec![word(text)],
            Value::Number(number) if !is_flag && is_default(&number.to_string()) => Vec::new(),
            Value::Number(_) if !is_flag => vec![word(&self.text(name, &value)?)],
            Value::Array(values) if !is_flag => {
                let texts = values.iter().map(|value| self.text(name, value)).collect::<Result<Vec<_>>>()?;
                let is_repeated =
                    matches!(argument.get_action(), ArgAction::Append) && argument.get_value_delimiter().is_none();
                match texts.is_empty() || is_default(&texts.join(",")) {
                    true => Vec::new(),
                    false if is_repeated => texts.iter().map(|text| word(text)).collect(),
                    false => vec![word(&texts.join(","))],
                }
            }
            _ => return Err(self.wrong(name, &value)),
        })
    }

    /// The value of an option, with paths that lead to a file beside the config file: a record has names in place of absolute paths.
    fn placed(&self, argument: &Arg, name: &str, value: &Value) -> Result<Value> {
        let is_path = argument.get_value_parser().type_id() == TypeId::of::<LossyPath>();
        match value {
            Value::String(path) if is_path => {
                let beside = self.path.with_file_name(path);
                let (is_here, is_beside) = (Path::new(path).exists(), beside.exists());
                if is_here && is_beside && FileId::of(path)? != FileId::of(&beside)? {
                    return Err(Failure::usage(format_args!(
                        "the config file {} gives --{name} {path}, which is both in this folder and beside the config file: give --{name}",
                        self.path.display()
                    )));
                }
                let path = if is_beside { beside.to_string_lossy().into_owned() } else { path.clone() };
                Ok(path.into())
            }
            Value::Array(values) if is_path => values
                .iter()
                .map(|value| self.placed(argument, name, value))
                .collect::<Result<Vec<_>>>()
                .map(Value::Array),
            _ => Ok(value.clone()),
        }
    }

    fn text(&self, name: &str, value: &Value) -> Result<String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) if SLICES.contains(&name) => {
                let index = number.as_u64().and_then(|index| usize::try_from(index).ok());
                Ok(SliceNumber::of_index(index.ok_or_else(|| self.wrong(name, value))?).to_string())
            }
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.wrong(name, value)),
        }
    }

    fn wrong(&self, name: &str, value: &Value) -> anyhow::Error {
        Failure::usage(format_args!(
            "the config file {} gives the option {name:?} the value {value}, which it cannot have",
            self.path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::program::Program;

    /// The words after `sam-med annotate`.
    fn expanded(file: &str, more: &[&str]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mask.json");
        std::fs::write(&path, file)?;
        let path = path.to_string_lossy().into_owned();
        let words = ["sam-med", "annotate", "--config", &path].iter().chain(more).map(OsString::from).collect();
        let mut program = Program::command();
        program.build();
        let words = expand(&program, words)?;
        Program::try_parse_from(&words)?;
        let own = words.len() - 2 - more.len();
        Ok(words[2..own].iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn options_of_a_record_are_read_and_the_command_line_wins() -> Result<()> {
        let record = r#"{"environment": {}, "options": {
            "image": "scan.nii.gz", "annotations": "partial.nii.gz", "out": "mask.nii.gz", "seed": 3, "members": 1,
            "cache": {"cache": "embeddings"}, "empty": [3, 60], "auto": null, "generators": "{}", "card": [], "warm": false,
            "accept": [4], "undo": true, "window": "lung"}}"#;
        let words = expanded(record, &["--window", "bone"])?;
        let expected = [
            "--annotations=partial.nii.gz",
            // Without `auto`, an earlier version propagated masks.
            "--strategy=propagation",
            "--cache=embeddings",
            "--empty=4",
            "--empty=61",
            "--image=scan.nii.gz",
            "--out=mask.nii.gz",
            "--seed=3",
        ];
        assert_eq!(words, expected);
        Ok(())
    }

    #[test]
    fn a_file_names_its_command_or_none() -> Result<()> {
        let options = r#""image": "a.nii", "out": "b.nii", "annotations": "c.nii""#;
        let of_annotate = r#""command": "annotate", "version": "0.1.0""#;
        for file in [
            format!("{{{options}}}"),
            format!("{{{of_annotate}, {options}}}"),
            format!(r#"{{"environment": {{}}, "options": {{{options}}}}}"#),
            format!(r#"{{{of_annotate}, "options": {{{options}}}}}"#),
        ] {
            assert_eq!(expanded(&file, &[])?, ["--annotations=c.nii", "--image=a.nii", "--out=b.nii"], "{file}");
        }
        Ok(())
    }

    /// Other systems do not have such names.
    #[cfg(target_os = "linux")]
    #[test]
    fn paths_that_are_not_utf_8_lead_to_the_file_and_have_priority() -> Result<()> {
        use std::os::unix::ffi::OsStringExt;

        let folder = tempfile::tempdir()?;
        let strange = |text: &str| OsString::from_vec([text.as_bytes(), b"\xff"].concat());
        let path = folder.path().join(strange("mask.json"));
        std::fs::write(&path, r#"{"image": "a.nii", "out": "b.nii", "annotations": "c.nii"}"#)?;
        let joined = [OsString::from("--config="), path.clone().into()].into_iter().collect::<OsString>();
        let mut program = Program::command();
        program.build();
        for config in [vec![joined], vec!["--config".into(), path.into()]] {
            let words = ["sam-med".into(), "annotate".into()].into_iter().chain(config).chain([strange("--image=")]);
            let words = expand(&program, words.collect())?;
            assert_eq!(words[2..4], ["--annotations=c.nii", "--out=b.nii"]);
            Program::try_parse_from(words)?;
        }
        Ok(())
    }

    #[test]
    fn an_index_becomes_a_number_that_is_counted_from_1() -> Result<()> {
        let record = r#"{"options": {"image": "a.nii", "out": "b.nii", "annotations": "c.nii", "volume_index": 0, "nan": -7.5}}"#;
        let expected = ["--annotations=c.nii", "--image=a.nii", "--nan=-7.5", "--out=b.nii", "--volume=1"];
        assert_eq!(expanded(record, &[])?, expected);
        let without = r#"{"image": "a.nii", "out": "b.nii", "annotations": "c.nii", "volume_index": null}"#;
        assert_eq!(expanded(without, &[])?, ["--annotations=c.nii", "--image=a.nii", "--out=b.nii"]);
        Ok(())
    }

    #[test]
    fn an_option_that_conflicts_with_the_command_line_is_left_out() -> Result<()> {
        let record = r#"{"image": "a.nii", "out": "b.nii", "annotations": "c.nii", "session": "work", "save_card": "liver.safetensors"}"#;
        let words = expanded(record, &["--card", "liver.safetensors"])?;
        assert_eq!(words, ["--annotations=c.nii", "--image=a.nii", "--out=b.nii"]);
        Ok(())
    }

    #[test]
    fn files_that_are_no_options_are_refused() {
        for (file, part) in [
            ("[]", "not a JSON object"),
            ("{", "is not JSON"),
            (r#"{"options": 3}"#, "field `options`"),
            (r#"{"command": "evaluate", "options": {}}"#, "`sam-med evaluate`"),
            (r#"{"command": "predict", "image": "a.nii"}"#, "`sam-med predict`"),
            (r#"{"command": 3, "options": {}}"#, "field `command`"),
            (r#"{"colour": "red"}"#, "does not have"),
            (r#"{"seed": true}"#, "cannot have"),
        ] {
            let error = format!("{:#}", expanded(file, &[]).expect_err("it is refused"));
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}
