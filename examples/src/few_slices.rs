//! The command line of the comparison on a few outlined slices.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use burn::tensor::backend::Backend;
use clap::Parser;
use sam_data::SliceAxis;
use sam_eval::report::{Report, ReportTable, Section};
use sam_experiments::{
    Environment, Experiment, FewSlicesPlan, OutlineSelection, Plan, Setup, few_slices_csv, page, write_page,
};
use sam_files::{LossyPath, Outputs};
use sam_med::exit;

use crate::experiments::{PageOptions, Work, run_page};

/// What is written beside the files of a page: all trials, and the curves.
const FILES: [&str; 2] = ["trials.csv", "inner_dice.svg"];

/// Compare the masks that a few outlined slices give: by the strategies of annotate, and by other programs.
#[derive(Debug, Parser)]
struct Options {
    /// What every page has.
    #[command(flatten)]
    page: PageOptions,
    /// Numbers of outlined slices.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "2,3,5,8")]
    slices: Vec<usize>,
    /// Which slices are outlined: spread, evenly from 5 % to 95 % of the structure's slices; or random, as in the paper.
    #[arg(long, value_name = "HOW", default_value_t = OutlineSelection::Spread)]
    outlines: OutlineSelection,
    /// Axis of the slices: auto, axial, coronal, sagittal, i, j or k.
    #[arg(long, default_value = "auto", hide_default_value = true)]
    axis: SliceAxis,
    /// Results of other programs on the same outlines, from `examples/few_slices_peers.py`.
    #[arg(long, value_name = "FILE")]
    peers: Option<LossyPath>,
}

impl Options {
    fn plan(&self, out: &Path) -> Result<Plan> {
        let few_slices = FewSlicesPlan {
            slices: self.slices.clone(),
            outlines: self.outlines,
            axis: self.axis,
            peers: self.peers.clone(),
            exchange: Some(out.join("trials")),
        };
        Ok(self.page.plan(usize::MAX)?.with_few_slices(few_slices))
    }
}

/// Compares masks from a few outlined slices with the options of the command line, prints the means, and writes the page.
pub fn few_slices() -> ExitCode {
    exit::run(|| run(&Options::parse())).into()
}

fn run(options: &Options) -> Result<()> {
    let experiment = Experiment::FewSlices;
    let out = options.page.out(experiment.id());
    let inputs = options.peers.iter().map(|peers| ("--peers", &**peers)).collect::<Vec<_>>();
    let page = run_page(&options.page, &out, &inputs, &FILES, FewSlicesWork { plan: options.plan(&out)?, out: &out })?;
    if let [Section { tables, notes, .. }] = &page.sections[..] {
        for note in notes {
            eprintln!("note: {note}");
        }
        print!("{}", tables.first().map(text).unwrap_or_default());
    }
    Ok(())
}

/// A table with aligned columns.
fn text(table: &ReportTable) -> String {
    let heads: Vec<String> = table.columns.iter().map(|column| column.title.clone()).collect();
    let rows: Vec<&Vec<String>> = std::iter::once(&heads).chain(&table.rows).collect();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let line = |row: &&Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at).unwrap_or(0)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    format!("{}:\n{}", table.caption, rows.iter().map(line).collect::<String>())
}

/// The comparison on one backend.
struct FewSlicesWork<'a> {
    plan: Plan,
    out: &'a Path,
}

impl Work for FewSlicesWork<'_> {
    fn run<B: Backend>(self, setup: &Setup<B>, environment: &Environment, outputs: &Outputs) -> Result<Report> {
        let (section, trials) = sam_experiments::few_slices(setup, &self.plan)?;
        let rows = few_slices_csv(&trials)?;
        outputs.write(self.out.join(FILES[0]), |file| file.write_all(&rows))?;
        if let [curves, ..] = &section.plots[..] {
            let svg = curves.to_svg()?;
            outputs.write(self.out.join(FILES[1]), |file| file.write_all(svg.as_bytes()))?;
        }
        let page = page(Experiment::FewSlices.title(), &self.plan, environment, vec![section]);
        write_page(outputs, self.out, &page, &self.plan, environment)?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_a_plan_and_a_table_is_aligned() -> Result<()> {
        let options =
            Options::try_parse_from(["few_slices", "--slices", "2,3", "--outlines", "random", "--repeats", "2"])?;
        let plan = options.plan(Path::new("out"))?;
        assert_eq!((plan.seeds, plan.tested), (vec![0, 1], usize::MAX));
        let few = plan.few_slices.expect("its own plan");
        assert_eq!((few.slices, few.outlines), (vec![2, 3], OutlineSelection::Random));
        assert_eq!(few.exchange.as_deref(), Some(Path::new("out/trials")));
        assert!(Options::try_parse_from(["few_slices", "--outlines", "even"]).is_err());
        let rows = vec![vec!["fusion".to_owned(), "0.9".to_owned()]];
        let table = ReportTable { caption: "Means".to_owned(), columns: Vec::new(), rows };
        assert_eq!(text(&table), "Means:\n\nfusion  0.9\n");
        Ok(())
    }
}
