//! Table 3: seconds of learning.

use burn::tensor::backend::Backend;
use sam_eval::{
    Record, Summary,
    report::{Finding, ReportColumn, ReportTable, Section},
};
use sam_prompt::SamplingScheme;

use super::{
    paper::{TABLE3, TABLE3_SECONDS, TABLE3_SETS},
    tables::{records, structure, structures},
};
use crate::{
    Plan, Setup,
    error::Result,
    plan::{BOX, points},
};

/// Number of points in the test; its records hold the seconds of learning with points. The learning itself draws 1 to 10.
const POINTS: usize = 5;
/// The paper's seconds for 2 and 5 slices, rounded as in its text.
const PAPER_SECONDS: [(usize, f64); 2] = [(2, 10.0), (5, 25.0)];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let records = records(&plan.prompting(setup, &[2, 5], &[points(POINTS), BOX], SamplingScheme::Uniform)?);
    let finding = |(slices, limit): (usize, f64)| {
        let seconds = seconds(&records, |record| record.annotated_slices == slices).mean;
        Finding {
            claim: format!(
                "Prompts are learned from {slices} slices in about {limit:.0} seconds, as on the paper's V100"
            ),
            holds: seconds.map(|seconds| seconds <= 1.2 * limit),
            evidence: seconds.map_or("not measured".to_owned(), |seconds| format!("{seconds:.1} s on the mean")),
        }
    };
    Ok(Section {
        paragraphs: vec![
            "Seconds of learning alone: slices are embedded before. The paper's are of one V100, those here of the backend named above, \
             with whatever else the machine was doing."
                .to_owned(),
        ],
        findings: PAPER_SECONDS.map(finding).to_vec(),
        tables: vec![measured(&records), paper()],
        footnotes: vec![
            "The caption of the paper's table speaks of four tasks; it lists eight.".to_owned(),
            "Seconds differ from run to run; they are those of the run that is kept in the journal.".to_owned(),
        ],
        ..Section::default()
    })
}

fn seconds(records: &[Record], holds: impl Fn(&Record) -> bool) -> Summary {
    Summary::of(
        records.iter().filter(|record| record.annotated_slices > 0 && holds(record)).map(|record| record.train_seconds),
    )
}

fn measured(records: &[Record]) -> ReportTable {
    let names = structures(records);
    let columns = [ReportColumn::label("Prompt"), ReportColumn::label("Slices")]
        .into_iter()
        .chain(names.iter().map(ReportColumn::measured))
        .chain([ReportColumn::measured("mean"), ReportColumn::paper("mean of its 8 sets")]);
    let row = |&(prompt, slices, mean): &(&str, usize, f64)| {
        let is_row =
            |record: &Record| record.annotated_slices == slices && (record.prompt == "box") == (prompt == "box");
        let said = |summary: Summary| match (summary.mean, summary.std) {
            (Some(mean), Some(std)) if summary.n > 1 => format!("{mean:.1} ± {std:.1}"),
            (Some(mean), _) => format!("{mean:.1}"),
            _ => String::new(),
        };
        let of = |name: &String| said(seconds(records, |record| is_row(record) && structure(record) == *name));
        [prompt.to_owned(), slices.to_string()]
            .into_iter()
            .chain(names.iter().map(of))
            .chain([said(seconds(records, is_row)), format!("{mean:.1}")])
            .collect()
    };
    ReportTable {
        caption: "Seconds of learning: mean ± standard deviation over cases and seeds".to_owned(),
        columns: columns.collect(),
        rows: TABLE3.iter().map(row).collect(),
    }
}

fn paper() -> ReportTable {
    let columns = [ReportColumn::label("Prompt"), ReportColumn::label("Slices")]
        .into_iter()
        .chain(TABLE3_SETS.map(ReportColumn::paper));
    let row = |((prompt, slices, _), cells): ((&str, usize, f64), [&str; 8])| {
        [prompt.to_owned(), slices.to_string()].into_iter().chain(cells.map(str::to_owned)).collect()
    };
    ReportTable {
        caption: "What the paper prints for each of its data sets: seconds on one V100".to_owned(),
        columns: columns.collect(),
        rows: TABLE3.into_iter().zip(TABLE3_SECONDS).map(row).collect(),
    }
}
