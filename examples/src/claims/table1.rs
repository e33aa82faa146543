//! Table 1: the paper's data sets, beside what is here.

use anyhow::Result;
use sam_eval::report::{ReportColumn, ReportTable, Section};

use super::Plan;
use crate::{
    data_options::tell_left_out,
    table1::{PAPER, PaperSet, lines, survey},
};

pub(super) fn section(plan: &Plan) -> Result<Section> {
    let mut found = Vec::new();
    for data in &plan.sources {
        let dataset = data.open()?;
        let paper = data.set.and_then(PaperSet::of);
        found.extend(survey(dataset.as_ref(), &data.structures(), paper)?);
    }
    if plan.is_synthetic() {
        for line in &PAPER {
            if let Some((kind, structures)) = line.phantom() {
                let dataset = kind.dataset(1, 0);
                tell_left_out(&dataset);
                found.extend(survey(&dataset, structures, Some(line))?);
            }
        }
    }
    let mut lines = lines(&found).into_iter();
    let column = |title: String| match title.split_once(": ") {
        Some(("paper", name)) => ReportColumn::paper(name),
        Some((_, name)) => ReportColumn::measured(name),
        None => ReportColumn::label(title),
    };
    let columns = lines.next().unwrap_or_default().into_iter().map(column).collect();
    Ok(Section {
        paragraphs: vec![
            "The paper's data sets, and for each structure that is here how many cases and slices show it.".to_owned(),
        ],
        tables: vec![ReportTable { caption: "Data sets".to_owned(), columns, rows: lines.collect() }],
        footnotes: vec![
            "The paper's text speaks of eight data sets, its table lists nine: BTCV is used in Table 2 alone."
                .to_owned(),
        ],
        ..Section::default()
    })
}
