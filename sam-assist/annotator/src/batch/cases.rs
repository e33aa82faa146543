//! The table of cases.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use sam_files::{Sha256Id, read_text, sanitize};
use thiserror::Error;

use super::{BatchError, Input};
use crate::{output::Output, session::BoxError};

/// One case of a batch: a scan to annotate, and `W`, which the caller needs for the work.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Case<W> {
    /// Line in the table, counted from 1. The first line has the column names.
    pub line: u64,
    /// The scan: the column `image`.
    pub image: PathBuf,
    /// The mask to write: the column `out`.
    pub mask: PathBuf,
    /// Name in messages and tables: the column `case`; without it, the path of the mask.
    pub name: String,
    /// Id of the case in the folder of records: SHA-256 of the mask's path as the table has it.
    pub id: Sha256Id,
    /// SHA-256 of its fields, apart from its name, and of what all cases share; without [neutral](CommonOptions::with_neutral) options. If it
    /// changes, the case is done again.
    pub options: Sha256Id,
    /// The same with neutral options, if there are any: earlier versions recorded it.
    pub(super) with_neutral: Option<Sha256Id>,
    /// Files and folders whose content decides the result. If it changes, the case is done again. The first is the scan.
    pub inputs: Vec<Input>,
    /// Files and folders that the work writes, the mask and its record among them. They are no part of an input, even if they are in its
    /// folder. The cases of a batch share them.
    pub outputs: Arc<[PathBuf]>,
    /// What the caller needs for the work.
    pub work: W,
}

/// The fields of a line: column names and values. Empty cells are left out.
pub type Fields = [(String, String)];

/// The options that all cases of a table share, as words of a command line such as `--seed`, `3` or `--seed=3`.
#[derive(Debug, Clone, Default)]
pub struct CommonOptions {
    words: Vec<String>,
    /// The names of neutral options, and whether they take a value.
    neutral: BTreeMap<String, bool>,
}

impl CommonOptions {
    /// The words, in their order.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { words: words.into_iter().map(Into::into).collect(), neutral: BTreeMap::new() }
    }

    /// Declares that an option changes no result, such as `overwrite` or `cache`: no case is done again because of it, whether all cases share
    /// it or a column has its name.
    #[must_use]
    pub fn with_neutral(mut self, name: impl Into<String>, takes_value: bool) -> Self {
        self.neutral.insert(name.into(), takes_value);
        self
    }

    /// The words that decide about results.
    fn deciding(&self) -> Vec<&str> {
        let (mut deciding, mut words) = (Vec::new(), self.words.iter());
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').map_or((&**word, None), |(name, value)| (name, Some(value)));
            match name.strip_prefix("--").and_then(|name| self.neutral.get(name)) {
                None => deciding.push(&**word),
                // Its value is the next word.
                Some(true) if value.is_none() => {
                    words.next();
                }
                Some(_) => {}
            }
        }
        deciding
    }

    /// SHA-256 of the options of a case: of the command line that the first version ran for it, so that its records are still found.
    fn id(&self, fields: &Fields) -> Sha256Id {
        let fields = fields.iter().filter(|(column, _)| !self.neutral.contains_key(column));
        id_of(self.deciding(), fields)
    }

    /// The same with neutral options, if there are any.
    fn id_with_neutral(&self, fields: &Fields) -> Option<Sha256Id> {
        let id = id_of(self.words.iter().map(|word| &**word), fields);
        (id != self.id(fields)).then_some(id)
    }
}

/// SHA-256 of a command line.
fn id_of<'a>(
    common: impl IntoIterator<Item = &'a str>,
    fields: impl IntoIterator<Item = &'a (String, String)>,
) -> Sha256Id {
    let common = common.into_iter().map(str::to_owned);
    let fields = fields.into_iter().map(|(column, cell)| format!("--{column}={cell}"));
    let words: Vec<_> = std::iter::once("annotate".to_owned()).chain(common).chain(fields).collect();
    Sha256Id::of(words.join("\0"))
}

impl<W> Case<W> {
    /// Adds inputs to the scan: files and folders whose content decides the result.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = Input>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// Sets the outputs: all files and folders that the work of this case, or of others, writes. By default, the mask and its record.
    #[must_use]
    pub fn with_outputs(self, outputs: Arc<[PathBuf]>) -> Self {
        Self { outputs, ..self }
    }
}

/// Reads a CSV table with the columns `image` and `out`, perhaps `case`, and any others.
///
/// `common` holds what all cases share. If it changes, the cases are done again, unless only neutral options do. `parse` makes `W` from the
/// fields of a case, without `case`.
///
/// # Errors
/// [`BatchError`] if the table cannot be read, `parse` refuses a line, or two cases have the same name or would write the same mask; it
/// names the lines.
pub fn read_cases<W, E: Into<BoxError>>(
    path: impl AsRef<Path>,
    common: &CommonOptions,
    mut parse: impl FnMut(&Fields) -> Result<W, E>,
) -> Result<Vec<Case<W>>, BatchError> {
    let path = path.as_ref();
    let unreadable = |source| BatchError::Table { path: path.to_path_buf(), source };
    let text = read_text(path).map_err(|error| unreadable(error.source.into()))?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().map_err(unreadable)?.clone();
    for column in ["image", "out"] {
        if !columns.iter().any(|found| found.trim() == column) {
            return Err(BatchError::MissingColumn { path: path.to_path_buf(), column });
        }
    }
    let (mut cases, mut masks, mut names) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for row in reader.records() {
        let row = row.map_err(unreadable)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cells = columns.iter().zip(&row).map(|(column, cell)| (column.trim().to_owned(), cell.trim().to_owned()));
        let (own, fields): (Vec<_>, Vec<_>) =
            cells.filter(|(_, cell)| !cell.is_empty()).partition(|(column, _)| column == "case");
        let cell = |column: &'static str| match fields.iter().find(|(found, _)| found == column) {
            Some((_, cell)) => Ok(PathBuf::from(cell)),
            None => Err(BatchError::MissingCell { path: path.to_path_buf(), line, column }),
        };
        let (image, mask) = (cell("image")?, cell("out")?);
        let refused = |error: E| BatchError::Line { path: path.to_path_buf(), line, source: error.into() };
        let work = parse(&fields).map_err(refused)?;
        if let Some(first) = masks.insert(mask.clone(), line) {
            return Err(BatchError::SameMask { table: path.to_path_buf(), mask, first, second: line });
        }
        let name = own.first().map_or_else(|| mask.display().to_string(), |(_, name)| sanitize(name));
        if let Some(first) = names.insert(name.clone(), line) {
            return Err(BatchError::SameName { table: path.to_path_buf(), name, first, second: line });
        }
        let id = Sha256Id::of(mask.as_os_str().as_encoded_bytes());
        let (options, with_neutral) = (common.id(&fields), common.id_with_neutral(&fields));
        let (inputs, outputs) = (vec![Input::new("image", &image)], [mask.clone(), Output::new(&mask).record()].into());
        cases.push(Case { line, image, mask, name, id, options, with_neutral, inputs, outputs, work });
    }
    if cases.is_empty() { Err(BatchError::NoCases { path: path.to_path_buf() }) } else { Ok(cases) }
}

/// A shard of the cases: every `of`-th case, starting with the `part`-th. As text: `2/4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    of: usize,
}

/// A text that is not a shard.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a part such as 2/4, where the first is 1/4, found {found:?}")]
pub struct ParseShardError {
    /// The text.
    pub found: String,
}

impl Shard {
    /// The cases of this shard.
    pub fn select<W>(self, cases: &[Case<W>]) -> impl Iterator<Item = &Case<W>> {
        cases.iter().skip(self.part - 1).step_by(self.of)
    }
}

impl Default for Shard {
    /// All cases.
    fn default() -> Self {
        Self { part: 1, of: 1 }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, ParseShardError> {
        let parse = || {
            let (part, of) = text.split_once('/')?;
            Some(Self { part: part.parse().ok()?, of: of.parse().ok()? })
        };
        let shard = parse().filter(|shard| (1..=shard.of).contains(&shard.part));
        shard.ok_or_else(|| ParseShardError { found: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sam_prompt::error_chain;

    use super::*;

    type Words = Vec<(String, String)>;

    fn common(words: &[&str]) -> CommonOptions {
        CommonOptions::new(words.iter().copied()).with_neutral("overwrite", false).with_neutral("cache", true)
    }

    fn read(text: &str) -> Result<Vec<Case<Words>>, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("cases.csv");
        std::fs::write(&path, text)?;
        let parse = |fields: &Fields| match fields.iter().find(|(column, _)| column == "colour") {
            Some((_, colour)) => Err(format!("no colour {colour}")),
            None => Ok(fields.to_vec()),
        };
        Ok(read_cases(&path, &common(&["--seed=7"]), parse)?)
    }

    #[test]
    fn columns_are_fields_and_empty_cells_are_left_out() -> Result<(), Box<dyn Error>> {
        let cases = read("image,annotations,out,empty\na.nii,b.nii,c.nii,\"0,60\"\nd.nii,e.nii,f.nii,\n")?;
        assert_eq!((cases[0].line, cases[1].line), (2, 3));
        assert_eq!((cases[0].work.len(), cases[1].work.len()), (4, 3));
        assert_eq!(cases[0].work[3], ("empty".to_owned(), "0,60".to_owned()));
        assert_eq!((cases[1].image.as_path(), cases[1].mask.as_path()), (Path::new("d.nii"), Path::new("f.nii")));
        assert_ne!(cases[0].id, cases[1].id);
        let marked = read("\u{feff}image,out\na.nii,c.nii\n")?;
        assert_eq!(marked[0].image, Path::new("a.nii"), "a byte order mark is no part of the first column");
        Ok(())
    }

    #[test]
    fn a_case_has_the_options_that_the_first_version_named_it_by() -> Result<(), Box<dyn Error>> {
        for (table, name) in
            [("image,out\na.nii,c.nii\n", "c.nii"), ("case,image,out\nPatient 7,a.nii,c.nii\n", "Patient 7")]
        {
            let cases = read(table)?;
            assert_eq!(cases[0].options, Sha256Id::of("annotate\0--seed=7\0--image=a.nii\0--out=c.nii"));
            assert_eq!((cases[0].name.as_str(), cases[0].id), (name, Sha256Id::of("c.nii")));
            assert_eq!((cases[0].work.len(), &cases[0].inputs[..]), (2, &[Input::new("image", "a.nii")][..]));
        }
        Ok(())
    }

    #[test]
    fn neutral_options_are_no_part_of_the_options() {
        let fields = |text: &[(&str, &str)]| -> Vec<_> {
            text.iter().map(|&(column, cell)| (column.to_owned(), cell.to_owned())).collect()
        };
        let own = fields(&[("image", "a.nii")]);
        let expected = Sha256Id::of("annotate\0--seed\09\0--empty\09\0--image=a.nii");
        for words in [
            &["--seed", "9", "--empty", "9"][..],
            &["--overwrite", "--seed", "9", "--empty", "9"],
            &["--seed", "9", "--cache", "embeddings", "--empty", "9", "--overwrite"],
            &["--seed", "9", "--cache=embeddings", "--empty", "9", "--cache"],
        ] {
            let common = common(words);
            assert_eq!(common.id(&own), expected, "{words:?}");
            let before = Sha256Id::of(format!("annotate\0{}\0--image=a.nii", words.join("\0")));
            assert_eq!(common.id_with_neutral(&own), (before != expected).then_some(before), "{words:?}");
        }
        let column = fields(&[("image", "a.nii"), ("cache", "embeddings")]);
        let common = common(&["--seed", "9", "--empty", "9"]);
        assert_eq!(common.id(&column), expected);
        let before = Sha256Id::of("annotate\0--seed\09\0--empty\09\0--image=a.nii\0--cache=embeddings");
        assert_eq!(common.id_with_neutral(&column), Some(before));
    }

    #[test]
    fn a_table_that_makes_no_sense_is_refused_before_any_work() {
        for (text, part) in [
            ("image,annotations,out\n", "has no case"),
            ("image,annotations\na.nii,c.nii\n", "no column \"out\""),
            ("image,out\na.nii,\n", "line 2"),
            ("image,annotations,out,colour\na.nii,b.nii,c.nii,red\n", "no colour red"),
            ("image,annotations,out\na.nii,b.nii,c.nii\nd.nii,e.nii,c.nii\n", "lines 2 and 3"),
            ("image,annotations,out\na.nii,b.nii\n", "cannot read"),
            ("case,image,out\nA,a.nii,b.nii\nA,c.nii,d.nii\n", "have the same name, A"),
        ] {
            let error = error_chain(&*read(text).expect_err("it makes no sense"));
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn every_case_is_in_one_shard() -> Result<(), Box<dyn Error>> {
        let rows: Vec<_> = (0..7).map(|number| format!("a.nii,{number}.nii")).collect();
        let cases = read(&format!("image,out\n{}\n", rows.join("\n")))?;
        let shards = (1..=3).map(|part| Shard { part, of: 3 });
        let mut lines: Vec<_> = shards.flat_map(|shard| shard.select(&cases).map(|case| case.line)).collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!("2/4".parse(), Ok(Shard { part: 2, of: 4 }));
        for text in ["0/4", "5/4", "1", "1/0", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        Ok(())
    }
}
