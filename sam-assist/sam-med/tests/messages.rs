//! Advice that can be followed: each `--option` in a message exists in the command that prints the message.
//!
//! Messages are the string literals of the sources, and the help texts. Comments and tests are no messages. A text such as
//! `sam-med review --session DIR` names an option of `review`, wherever it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::CommandFactory;
use sam_med::program::Program;

/// All commands that compute masks or scores with a model.
const MODEL: &[&str] = &["annotate", "batch", "review", "predict", "automatic", "evaluate", "coarse", "quickstart"];
/// The source folders of the libraries, and the commands that reach them. An option in a message of a library is one of all of them.
const LIBRARIES: &[(&str, &[&[&str]])] = &[
    ("sam-assist/annotator/src", &[&["annotate", "batch", "review", "predict", "evaluate", "coarse", "quickstart"]]),
    ("sam-assist/review/src", &[&["review"]]),
    ("sam-assist/src", &[&["annotate", "batch", "review", "predict", "evaluate", "coarse", "cards", "quickstart"]]),
    ("sam-auto/src", &[&["annotate", "batch", "evaluate", "coarse", "quickstart"]]),
    ("sam-core/flex/src", &[MODEL]),
    ("sam-core/src", &[MODEL, &["convert", "embed"]]),
    ("sam-core/testing/src", &[]),
    ("sam-core/threads/src", &[MODEL]),
    ("sam-data/files/src", &[MODEL, &["convert", "resample", "man"]]),
    ("sam-data/src", &[MODEL, &["resample"]]),
    ("sam-eval/experiments/src", &[&["evaluate", "coarse", "quickstart"]]),
    ("sam-eval/src", &[&["evaluate", "coarse", "quickstart"]]),
    ("sam-prompt/src", &[MODEL]),
    ("sapnet/src", &[&["annotate", "batch", "evaluate", "coarse"]]),
];

/// Source files of libraries whose messages fewer commands print.
const REACHED: &[(&str, &[&str])] = &[
    ("sam-assist/annotator/src/cards.rs", &["annotate", "batch"]),
    ("sam-assist/annotator/src/output.rs", &["annotate", "batch", "review", "predict"]),
    ("sam-data/src/outlined_axis.rs", &["annotate", "batch", "review"]),
    ("sam-data/src/error/segmentation.rs", &["annotate", "batch", "review", "predict"]),
];

/// Source files of the program that hold options or messages of some commands alone: each option they name exists in all of these. Messages
/// of the program's other files name an option of any command.
const SHARED: &[(&str, &[&str])] = &[
    ("options/annotate.rs", &["annotate"]),
    ("options/compute.rs", &["annotate", "review", "predict", "evaluate", "coarse"]),
    ("options/data.rs", &["evaluate", "coarse"]),
    ("options/model.rs", &["annotate", "review", "predict", "automatic", "evaluate", "coarse", "quickstart"]),
    ("options/scan.rs", &["annotate", "batch", "review", "predict", "resample"]),
    ("options/structures.rs", &["annotate", "review"]),
    ("options/voxels.rs", &["annotate", "batch", "review", "predict", "resample", "quickstart"]),
    ("commands/annotate/next.rs", &["review"]),
    ("commands/shell.rs", &["completions", "man"]),
    ("parity/", &["parity"]),
];

/// Options of other programs, by the file that calls or names them.
const FOREIGN: &[(&str, &[&str])] = &[
    (
        "weights/fetch/package.rs",
        &["quiet", "no-deps", "only-binary", "python-version", "dest", "silent", "ignore-scripts"],
    ),
    ("weights/known.rs", &["no-deps"]),
    // Of the example `few_slices`, which alone prints these messages.
    ("experiments/src/error.rs", PEERS),
    ("few_slices/exchange.rs", PEERS),
    ("experiments/src/plan.rs", PEERS),
    ("sections/few_slices.rs", PEERS),
];

/// Names the results of other programs to the example `few_slices`.
const PEERS: &[&str] = &["peers"];

/// The long names of the options of each command, the common ones among them. The options of `batch` are followed by those of `annotate`.
fn options() -> BTreeMap<String, BTreeSet<String>> {
    let mut program = Program::command();
    program.build();
    let names = |command: &clap::Command| -> BTreeSet<String> {
        command.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
    };
    let mut options: BTreeMap<_, _> =
        program.get_subcommands().map(|command| (command.get_name().to_owned(), names(command))).collect();
    let of_annotate = options["annotate"].clone();
    options.entry("batch".to_owned()).or_default().extend(of_annotate);
    options
}

/// Who may name which options.
struct Speaker<'a> {
    /// The commands that print the message.
    commands: &'a [&'a str],
    /// Whether each of these commands needs the option, or only one of them.
    all: bool,
    /// Other options that may be named.
    more: BTreeSet<String>,
}

/// The options in a text that do not exist.
fn missing(text: &str, speaker: &Speaker<'_>, options: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut missing = Vec::new();
    // A command line ends with its line, and in a sentence with its backtick or at a semicolon.
    for part in text.split(['\n', '`', ';']) {
        let mut named: Option<&str> = None;
        let mut words = part.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let next = words.peek().map(|next| next.trim_end_matches(|sign: char| !sign.is_alphanumeric()));
            if let Some(next) = next.filter(|next| word.ends_with("sam-med") && options.contains_key(*next)) {
                named = options.keys().map(String::as_str).find(|command| command == &next);
            }
            for option in options_of(word) {
                let has = |command: &str| options.get(command).is_some_and(|options| options.contains(option));
                let exists = match named {
                    Some(command) => has(command),
                    None if speaker.all => speaker.commands.iter().all(|command| has(command)),
                    None => speaker.commands.iter().any(|command| has(command)),
                };
                let is_common = options.values().all(|options| options.contains(option));
                if !exists && !is_common && !speaker.more.contains(option) {
                    missing.push(format!("--{option} in {text:?}"));
                }
            }
        }
    }
    missing
}

/// The names of the options in a word, such as `--seed=7` or `(--mask`.
fn options_of(word: &str) -> impl Iterator<Item = &str> {
    let places = word.match_indices("--").map(|(place, _)| place);
    places.filter_map(move |place| {
        let is_inside = word[..place].ends_with(|sign: char| sign.is_alphanumeric() || sign == '-');
        let name = &word[place + 2..];
        let end = name.find(|sign: char| !sign.is_ascii_lowercase() && !sign.is_ascii_digit() && sign != '-');
        let name = name[..end.unwrap_or(name.len())].trim_end_matches('-');
        (!is_inside && name.starts_with(|sign: char| sign.is_ascii_lowercase())).then_some(name)
    })
}

/// The string literals of a source file, with their escapes resolved, without those of comments and of its tests.
fn literals(source: &str) -> Vec<String> {
    // A module of tests is the last part of its file.
    let end = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let signs: Vec<char> = source[..end].chars().collect();
    let mut literals = Vec::new();
    let mut place = 0;
    while place < signs.len() {
        let is = |text: &str| text.chars().enumerate().all(|(at, sign)| signs.get(place + at) == Some(&sign));
        if is("//") {
            place = find(&signs, place, "\n");
        } else if is("/*") {
            place = find(&signs, place, "*/");
        } else if is("'\\") {
            // An escaped character: its closing quote is after the sign that is escaped.
            place = find(&signs, place + 3, "'");
        } else if signs[place] == '\'' && signs.get(place + 2) == Some(&'\'') {
            place += 3;
        } else if let Some(hashes) = raw_string(&signs, place) {
            let begin = place + hashes + 2;
            let closing = format!("\"{}", "#".repeat(hashes));
            place = find(&signs, begin, &closing);
            literals.push(signs[begin..place.saturating_sub(closing.len())].iter().collect());
        } else if signs[place] == '"' {
            let (text, after) = quoted(&signs, place + 1);
            literals.push(text);
            place = after;
        } else {
            place += 1;
        }
    }
    literals
}

/// The place after the next occurrence of a text, or the end.
fn find(signs: &[char], from: usize, text: &str) -> usize {
    let text: Vec<char> = text.chars().collect();
    let found = (from..signs.len()).find(|&place| signs[place..].starts_with(&text));
    found.map_or(signs.len(), |place| place + text.len())
}

/// The number of hashes if a raw string begins here.
fn raw_string(signs: &[char], place: usize) -> Option<usize> {
    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
    let follows_name = place > 0 && is_name(signs[place - 1]) && signs[place - 1] != 'b';
    if signs[place] != 'r' || follows_name {
        return None;
    }
    let hashes = signs[place + 1..].iter().take_while(|&&sign| sign == '#').count();
    (signs.get(place + 1 + hashes) == Some(&'"')).then_some(hashes)
}

/// A string literal that begins after its quote, and the place after it.
fn quoted(signs: &[char], mut place: usize) -> (String, usize) {
    let mut text = String::new();
    while let Some(&sign) = signs.get(place) {
        match (sign, signs.get(place + 1)) {
            ('"', _) => return (text, place + 1),
            ('\\', Some('\n')) => {
                place += signs[place + 1..].iter().take_while(|sign| sign.is_whitespace()).count() + 1;
            }
            ('\\', Some(&escaped)) => {
                text.push(if escaped == 'n' { '\n' } else { escaped });
                place += 2;
            }
            _ => {
                text.push(sign);
                place += 1;
            }
        }
    }
    (text, place)
}

/// The repository.
fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.map(Path::to_path_buf).context("the crate is two folders deep")
}

/// The sources below a folder that are no tests, by their paths from there.
fn sources(folder: &Path) -> Result<Vec<(String, String)>> {
    let (mut sources, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
                let inside = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
                sources.push((inside, fs::read_to_string(&path)?));
            }
        }
    }
    sources.sort();
    Ok(sources)
}

/// The commands that print the messages of a file of the program, and whether all of them have its options.
fn speakers(path: &str) -> (Vec<String>, bool) {
    if let Some((_, commands)) = SHARED.iter().find(|(part, _)| path.starts_with(part)) {
        return (commands.iter().map(|&command| command.to_owned()).collect(), true);
    }
    let own = path.strip_prefix("commands/").and_then(|path| path.split(['/', '.']).next());
    match own.filter(|own| *own != "mod") {
        Some(own) => (vec![own.to_owned()], true),
        None => (options().into_keys().collect(), false),
    }
}

/// Options that a program of the folder `examples` declares, beside those of the structs that it shares with `sam-med`.
fn declared(source: &str) -> BTreeSet<String> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_option = |line: &str| line.starts_with("#[arg(") && line.contains("long");
    let places = (0..lines.len()).filter(|&place| is_option(lines[place]));
    let field = |place: usize| {
        lines[place + 1..].iter().find_map(|line| line.strip_prefix("pub ").unwrap_or(line).split_once(':'))
    };
    places.filter_map(|place| Some(field(place)?.0.replace('_', "-"))).collect()
}

fn foreign(path: &str) -> BTreeSet<String> {
    let of_file = FOREIGN.iter().filter(|(part, _)| path.ends_with(part));
    of_file.flat_map(|(_, names)| names.iter().map(|&name| name.to_owned())).collect()
}

#[test]
fn each_option_in_a_message_of_the_program_is_one_of_its_command() -> Result<()> {
    let (options, mut wrong, mut named) = (options(), Vec::new(), 0);
    for (path, source) in sources(&root()?.join("sam-assist/sam-med/src"))? {
        let (commands, all) = speakers(&path);
        let commands: Vec<_> = commands.iter().map(String::as_str).collect();
        let speaker = Speaker { commands: &commands, all, more: BTreeSet::new() };
        for text in literals(&source) {
            named += text.split_whitespace().flat_map(options_of).count();
            wrong.extend(missing(&text, &speaker, &options).into_iter().map(|found| format!("{path}: {found}")));
        }
    }
    assert!(named > 40, "only {named} options were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn each_option_in_a_message_of_a_library_is_one_of_each_command_that_prints_it() -> Result<()> {
    let (options, root, mut wrong) = (options(), root()?, Vec::new());
    for (folder, groups) in LIBRARIES {
        let commands = groups.concat();
        for (path, source) in sources(&root.join(folder))? {
            let reached = REACHED.iter().find(|(file, _)| *file == format!("{folder}/{path}"));
            let commands = reached.map_or(&commands[..], |(_, fewer)| fewer);
            let speaker = Speaker { commands, all: true, more: foreign(&format!("{folder}/{path}")) };
            let found = literals(&source).into_iter().flat_map(|text| missing(&text, &speaker, &options));
            wrong.extend(found.map(|found| format!("{folder}/{path}: {found}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn each_option_in_a_message_of_an_example_is_one_of_an_example() -> Result<()> {
    let (options, mut wrong) = (options(), Vec::new());
    let sources = sources(&root()?.join("examples"))?;
    let more: BTreeSet<_> = sources.iter().flat_map(|(_, source)| declared(source)).collect();
    let mut used = ["set", "data"].iter().chain(PEERS);
    assert!(used.all(|name| more.contains(*name)), "{more:?}");
    let speaker = Speaker { commands: &["quickstart", "evaluate"], all: false, more };
    for (path, source) in &sources {
        let found = literals(source).into_iter().flat_map(|text| missing(&text, &speaker, &options));
        wrong.extend(found.map(|found| format!("examples/{path}: {found}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn each_option_in_a_help_text_is_one_of_its_command() {
    let (options, mut program) = (options(), Program::command());
    program.build();
    for command in program.get_subcommands_mut() {
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        let speaker = Speaker { commands: &[name.as_str()], all: true, more: BTreeSet::new() };
        assert_eq!(missing(&help, &speaker, &options), [""; 0], "{name}");
    }
}

#[test]
fn each_option_of_a_command_line_in_a_readme_exists() -> Result<()> {
    let (options, root) = (options(), root()?);
    // Without a command before it, an option may be one of any command or of cargo.
    let speaker = Speaker { commands: &[], all: true, more: BTreeSet::new() };
    let folders = LIBRARIES.iter().map(|(folder, _)| folder.trim_end_matches("/src"));
    for folder in folders.chain(["", "sam-assist/sam-med"]) {
        let path = root.join(folder).join("README.md");
        if path.exists() {
            let text = fs::read_to_string(&path)?.replace("\\\n", " ");
            assert_eq!(missing(&text, &speaker, &options), [""; 0], "{}", path.display());
        }
    }
    Ok(())
}

#[test]
fn every_library_of_the_workspace_is_in_the_table() -> Result<()> {
    let root = root()?;
    let known: BTreeSet<_> = LIBRARIES.iter().map(|(folder, _)| *folder).collect();
    let members = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = members.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).context("members")?.0;
    let members: Vec<_> =
        members.split(',').map(|member| member.trim().trim_matches('"')).filter(|member| !member.is_empty()).collect();
    assert!(members.len() > 10, "{members:?}");
    for member in members.into_iter().filter(|member| !["examples", "sam-assist/sam-med"].contains(member)) {
        assert!(known.contains(&*format!("{member}/src")), "{member}");
    }
    Ok(())
}

#[test]
fn the_search_finds_options_in_messages_alone() {
    let source = r##"
        //! --comment
        /* "--comment" */
        let quote = '"'; let escaped = '\''; let life: &'static str = "a --one=3 (--two) x--no ---no";
        let raw = r#"--three "quoted" --four-words"#;
        let long = "--five \
            --six\n--seven";
        #[cfg(test)]
        mod other;
        let last = "{}--eight"; // "--comment"
#[cfg(test)]
mod tests {
    const TEXT: &str = "--test";
}"##;
    let literals = literals(source);
    let found: Vec<_> = literals.iter().flat_map(|text| text.split_whitespace()).flat_map(options_of).collect();
    assert_eq!(found, ["one", "two", "three", "four-words", "five", "six", "seven", "eight"]);
}

#[test]
fn an_option_of_another_command_is_found() {
    let options = options();
    let speaker = |all| Speaker { commands: &["annotate", "review"], all, more: BTreeSet::new() };
    let missing = |text: &str, all| missing(text, &speaker(all), &options).len();
    assert_eq!(missing("give --session DIR, or --json", true), 0);
    assert_eq!((missing("give --mask FILE", true), missing("give --mask FILE", false)), (1, 0));
    assert_eq!(missing("give --no-such-option, or --points", false), 2);
    assert_eq!(missing("run `sam-med predict --points 3` or give --session", true), 0);
    assert_eq!(missing("run `sam-med predict --session work`", true), 1);
    assert_eq!(missing("run `sam-med batch --cases a.csv -- --seed 3`", true), 0);
}
