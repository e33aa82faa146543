//! A report to look at, made of invented numbers and drawn discs: it shows the page, no results.
//!
//! ```sh
//! cargo run --release -p sam-eval --example report -- FOLDER
//! ```
//!
//! FOLDER, which is made if need be, will hold `report.html`, `report.md`, `report.csv` and `report.json`, and their `record.json`.

use std::{error::Error, path::Path};

use ndarray::{Array2, Array3};
use sam_eval::{
    EmptyPolicy, EvalError, Summary, dice,
    report::{
        Bar, BarPlot, BoxGroup, BoxPlot, BoxSeries, Curve, CurvePlot, CurvePoint, Finding, Gallery, GalleryItem,
        GallerySlice, Plot, Report, ReportColumn, ReportTable, Section, Source, overlay_png,
    },
};
use sam_files::OutputPlan;
use sam_prompt::counted;

const ORGANS: [&str; 5] = ["spleen", "right kidney", "gallbladder", "oesophagus", "right adrenal gland"];
const AMOUNTS: [usize; 4] = [1, 2, 5, 10];
/// Pixels along each side of a drawn slice.
const SIZE: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("expected a folder")?;
    let folder = Path::new(&folder);
    // By its record, the next run knows the files that it may replace.
    let record = folder.join("record.json");
    let plan = OutputPlan::new().folder(folder).record("the record", &record);
    let outputs = Report::FILES.iter().fold(plan, |plan, name| plan.output(name, folder.join(name))).open()?;
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let report = Report {
        title: "A report's parts, with invented numbers".to_owned(),
        facts: vec![
            fact("Data", "discs drawn by this program"),
            fact("Seed", "none: the numbers are a formula's"),
            fact("Hardware", "irrelevant"),
            fact("Weights", "no model was run"),
            fact("Prompts", "none, neither simulated nor given"),
        ],
        notes: vec!["Everything here is invented: numbers, plots, pictures, and the paper's columns too.".to_owned()],
        sections: vec![table(), plots(), pictures()?],
    };
    report.write(&outputs, folder)?;
    outputs.publish_with_record(record, serde_json::Map::new())?;
    println!("written to {}", folder.display());
    Ok(())
}

fn slices(amount: usize) -> String {
    counted(amount, "slice")
}

/// Invented scores of an organ, more of them good ones the more slices are annotated.
fn scores(organ: usize, amount: usize) -> Vec<f64> {
    let best = 0.97 - 0.05 * organ as f64 - 0.3 / (amount + 1) as f64;
    (0..24).map(|case| best - 0.2 * (f64::from(case * 37 % 24) / 24.0).powi(3)).collect()
}

fn mean(organ: usize, amount: usize) -> f64 {
    Summary::of(scores(organ, amount)).mean.unwrap_or(f64::NAN)
}

fn table() -> Section {
    let mut columns = vec![ReportColumn::label("Organ")];
    for amount in AMOUNTS {
        columns.push(ReportColumn::measured(slices(amount)));
        columns.push(ReportColumn::paper(slices(amount)));
    }
    let row = |(organ, name): (usize, &&str)| {
        let cells = AMOUNTS.iter().flat_map(|&amount| {
            let found = Summary::of(scores(organ, amount));
            let cell = format!("{:.2} ± {:.2}", found.mean.unwrap_or(f64::NAN), found.std.unwrap_or(f64::NAN));
            [cell, if organ == 3 { String::new() } else { "0.90 ± 0.05".to_owned() }]
        });
        [(*name).to_owned()].into_iter().chain(cells).collect()
    };
    let finding =
        |claim: &str, holds, evidence: &str| Finding { claim: claim.to_owned(), holds, evidence: evidence.to_owned() };
    Section {
        id: "table".to_owned(),
        title: "A table beside the paper's".to_owned(),
        paragraphs: vec!["Invented Dice by organ and number of annotated slices.".to_owned()],
        findings: vec![
            finding("More slices help.", Some(true), "0.67 with one slice, 0.80 with ten."),
            finding("All organs are equally easy.", Some(false), "The spleen leads by 0.2."),
            finding("It works on other scanners.", None, "There is one scanner only."),
        ],
        tables: vec![ReportTable {
            caption: "Dice, mean ± standard deviation over 24 invented cases.".to_owned(),
            columns,
            rows: ORGANS.iter().enumerate().map(row).collect(),
        }],
        footnotes: vec!["A dash stands where there is no number.".to_owned()],
        ..Section::default()
    }
}

fn plots() -> Section {
    let boxed = |amount| move |organ| BoxSeries { name: slices(amount), scores: scores(organ, amount) };
    let groups = ORGANS.iter().enumerate().map(|(organ, name)| BoxGroup {
        label: (*name).to_owned(),
        series: [1, 5].into_iter().map(|amount| boxed(amount)(organ)).collect(),
    });
    let point = |organ| {
        move |&amount: &usize| {
            let found = mean(organ, amount);
            CurvePoint::with_band(amount as f64, found, found - 0.06, found + 0.04)
        }
    };
    let curve = |organ: usize| Curve {
        name: ORGANS[organ].to_owned(),
        source: Source::Measured,
        points: AMOUNTS.iter().map(point(organ)).collect(),
    };
    let quoted = Curve {
        name: ORGANS[0].to_owned(),
        source: Source::Paper,
        points: AMOUNTS.iter().map(|&amount| CurvePoint::new(amount as f64, mean(0, amount) + 0.03)).collect(),
    };
    let bar = |organ: usize, source| {
        let value = mean(organ, 5);
        let (low, high) = (Some(value - 0.05), Some(value + 0.04));
        Bar { label: ORGANS[organ].to_owned(), series: slices(5), source, value, low, high }
    };
    let dice = || "Dice".to_owned();
    Section {
        id: "plots".to_owned(),
        title: "Plots".to_owned(),
        notes: vec!["A section may have a note of its own.".to_owned()],
        plots: vec![
            Plot::Boxes(BoxPlot {
                title: "Spread over cases".to_owned(),
                x_label: "Organ".to_owned(),
                y_label: dice(),
                y_range: None,
                groups: groups.collect(),
            }),
            Plot::Curves(CurvePlot {
                title: "More annotated slices".to_owned(),
                x_label: "Annotated slices".to_owned(),
                y_label: dice(),
                y_range: Some((0.4, 1.0)),
                curves: vec![curve(0), quoted, curve(2)],
            }),
            Plot::Bars(BarPlot {
                title: "Five annotated slices".to_owned(),
                x_label: "Organ".to_owned(),
                y_label: dice(),
                y_range: None,
                bars: (0..5).flat_map(|organ| [bar(organ, Source::Measured), bar(organ, Source::Paper)]).collect(),
            }),
        ],
        ..Section::default()
    }
}

fn pictures() -> Result<Section, EvalError> {
    let items =
        [("nearly right", 2.0), ("shifted", 14.0), ("too far away", 30.0)].map(|(name, shift)| item(name, shift));
    Ok(Section {
        id: "pictures".to_owned(),
        title: "Pictures".to_owned(),
        galleries: vec![Gallery {
            caption: "Discs, and discs beside them".to_owned(),
            items: items.into_iter().collect::<Result<_, _>>()?,
        }],
        ..Section::default()
    })
}

fn item(name: &str, shift: f64) -> Result<GalleryItem, EvalError> {
    let slice = |at: usize| -> Result<(f64, GallerySlice), EvalError> {
        let radius = 18.0 + 6.0 * at as f64;
        let (truth, found) = (disc(64.0, radius), disc(64.0 + shift, radius * 0.95));
        let image = Array3::from_shape_fn((SIZE, SIZE, 1), |(row, column, _)| {
            let grain = ((row * 31 + column * 17) % 13) as f32;
            if truth[(row, column)] { 150.0 + grain } else { 50.0 + grain }
        });
        let score = dice(&found, &truth, EmptyPolicy::Nan)?;
        let png = overlay_png(image.view(), Some(truth.view()), Some(found.view()))?;
        Ok((score, GallerySlice { label: format!("slice {}, Dice {score:.2}", at + 1), png }))
    };
    let (scores, slices): (Vec<f64>, Vec<GallerySlice>) =
        (0..5).map(slice).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok(GalleryItem { title: name.to_owned(), score: Summary::of(scores).mean.unwrap_or(f64::NAN), slices })
}

fn disc(x: f64, radius: f64) -> Array2<bool> {
    Array2::from_shape_fn((SIZE, SIZE), |(row, column)| (row as f64 - 64.0).hypot(column as f64 - x) < radius)
}
