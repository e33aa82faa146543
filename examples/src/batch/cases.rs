//! The table of cases.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::{annotate, session::ObjectId};

/// A scan to be annotated.
#[derive(Debug)]
pub struct Case {
    /// Its line in the table, counted from 1; the first is the columns' names.
    pub line: u64,
    /// All that annotate is told.
    pub options: annotate::Options,
    /// What names it: SHA-256 of its words.
    pub id: ObjectId,
}

impl Case {
    /// As people know it: by its mask.
    pub fn name(&self) -> String {
        self.options.scan.out.display().to_string()
    }

    /// The scan's path.
    pub fn image(&self) -> String {
        self.options.scan.image.display().to_string()
    }
}

/// Reads a table; `common` is said for all cases.
///
/// # Errors
/// If it cannot be read, a line makes no sense to annotate, or two cases would write the same mask; the line is named.
pub fn read_cases(path: &Path, common: &[String]) -> Result<Vec<Case>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read the cases of {}", path.display()))?;
    let columns = reader.headers()?.clone();
    let (mut cases, mut outs) = (Vec::new(), BTreeMap::new());
    for row in reader.records() {
        let row = row.with_context(|| format!("cannot read the cases of {}", path.display()))?;
        let line = row.position().map_or(0, csv::Position::line);
        let read = || {
            let mut words = vec!["annotate".to_owned()];
            words.extend(common.iter().cloned());
            for (column, cell) in columns.iter().zip(&row).filter(|(_, cell)| !cell.trim().is_empty()) {
                words.push(format!("--{}={}", column.trim(), cell.trim()));
            }
            let options = annotate::Options::try_parse_from(&words)?;
            let id = ObjectId::of(words.join("\0").as_bytes());
            Ok(Case { line, options, id })
        };
        let case: Result<Case> = read();
        let case = case.with_context(|| format!("line {line} of {}", path.display()))?;
        if let Some(other) = outs.insert(case.options.scan.out.clone(), line) {
            let (table, mask) = (path.display(), case.name());
            bail!("lines {other} and {line} of {table} write the same mask, {mask}: give each its own");
        }
        cases.push(case);
    }
    ensure!(!cases.is_empty(), "{} holds no case", path.display());
    Ok(cases)
}

/// A part of all cases: every `of`th, from the `part`th on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    of: usize,
}

impl Shard {
    /// The cases of this part.
    pub fn of(self, cases: &[Case]) -> impl Iterator<Item = &Case> {
        cases.iter().skip(self.part - 1).step_by(self.of)
    }
}

impl Default for Shard {
    /// All.
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
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = || {
            let (part, of) = text.split_once('/')?;
            Some(Self { part: part.parse().ok()?, of: of.parse().ok()? })
        };
        let shard = numbers().filter(|shard| (1..=shard.of).contains(&shard.part));
        shard.with_context(|| format!("expected a part such as 2/4, the first is 1/4; found \"{text}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Case>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("cases.csv");
        std::fs::write(&path, text)?;
        read_cases(&path, &["--seed=7".to_owned()])
    }

    #[test]
    fn columns_are_options_and_empty_cells_are_none() -> Result<()> {
        let cases = read("image,annotations,out,empty\na.nii,b.nii,c.nii,\"0,60\"\nd.nii,e.nii,f.nii,\n")?;
        assert_eq!((cases[0].line, cases[1].line), (2, 3));
        assert_eq!(cases[0].options.empty.iter().collect::<Vec<_>>(), [0, 60]);
        assert_eq!((cases[1].options.empty.iter().count(), cases[1].options.seed), (0, 7));
        assert_ne!(cases[0].id, cases[1].id);
        Ok(())
    }

    #[test]
    fn what_makes_no_sense_is_named_before_any_work() {
        for (text, part) in [
            ("image,annotations,out\n", "no case"),
            ("image,out\na.nii,c.nii\n", "line 2"),
            ("image,annotations,out,colour\na.nii,b.nii,c.nii,red\n", "--colour"),
            ("image,annotations,out\na.nii,b.nii,c.nii\nd.nii,e.nii,c.nii\n", "lines 2 and 3"),
            ("image,annotations,out\na.nii,b.nii\n", "cannot read"),
        ] {
            let error = format!("{:#}", read(text).expect_err("it makes no sense"));
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn shards_share_all_cases_among_them() -> Result<()> {
        let rows: Vec<_> = (0..7).map(|number| format!("a.nii,b.nii,{number}.nii")).collect();
        let cases = read(&format!("image,annotations,out\n{}\n", rows.join("\n")))?;
        let mut lines: Vec<_> = (1..=3)
            .flat_map(|part| Shard { part, of: 3 }.of(&cases).map(|case| case.line).collect::<Vec<_>>())
            .collect();
        assert_eq!(lines.len(), 7);
        lines.sort_unstable();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!("2/4".parse::<Shard>()?, Shard { part: 2, of: 4 });
        for text in ["0/4", "5/4", "1", "1/0", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        Ok(())
    }
}
