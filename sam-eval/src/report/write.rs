//! Writing the files of a report.

use std::path::Path;

use sam_files::{OutputError, Outputs};

use super::Report;
use crate::{EvalError, error::Cause};

impl Report {
    /// The files of a report.
    pub const FILES: [&'static str; 4] = ["report.html", "report.md", "report.csv", "report.json"];

    /// Stages [`Report::FILES`] in a folder. They get their names when the outputs are published.
    ///
    /// The JSON is the whole report: `serde_json` reads it back as a [`Report`].
    ///
    /// # Errors
    /// [`EvalError::Render`] if a plot cannot be drawn (nothing is staged then), [`EvalError::Write`] if a file cannot be written, or is
    /// not in the plan of outputs.
    pub fn write(&self, outputs: &Outputs, folder: impl AsRef<Path>) -> Result<(), EvalError> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| EvalError::Render { what: "the JSON".to_owned(), cause: Cause::new(error) })?;
        let texts = [self.to_html()?, self.to_markdown(), self.to_csv(), json];
        let failed = |error: OutputError| EvalError::Write(Cause::new(error));
        Self::FILES.iter().zip(&texts).try_for_each(|(name, text)| {
            let path = folder.as_ref().join(name);
            outputs.write(path, |file| file.write_all(text.as_bytes())).map_err(failed)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use sam_files::OutputPlan;

    use super::*;
    use crate::report::{
        Bar, BarPlot, BoxGroup, BoxPlot, BoxSeries, Curve, CurvePlot, CurvePoint, Gallery, GalleryItem, GallerySlice,
        Plot, Section, Source,
    };

    #[test]
    fn json_keeps_everything_that_is_defined() {
        let point = CurvePoint { band: Some((0.25, f64::NAN)), ..CurvePoint::new(1.0, f64::NAN) };
        let curve = Curve { source: Source::Paper, points: vec![point, CurvePoint::new(2.0, 0.5)], ..Curve::default() };
        let curves = CurvePlot { y_range: Some((0.0, 1.0)), curves: vec![curve], ..CurvePlot::default() };
        let series = BoxSeries { name: "2".to_owned(), scores: vec![0.5, f64::NAN] };
        let groups = vec![BoxGroup { label: "liver".to_owned(), series: vec![series] }];
        let slice = GallerySlice { label: "1".to_owned(), png: vec![0, 255, 7] };
        let item = GalleryItem { title: "case".to_owned(), score: f64::NAN, slices: vec![slice] };
        let section = Section {
            plots: vec![
                Plot::Curves(curves),
                Plot::Boxes(BoxPlot { groups, ..BoxPlot::default() }),
                Plot::Bars(BarPlot { bars: vec![Bar { value: f64::NAN, ..Bar::default() }], ..BarPlot::default() }),
            ],
            galleries: vec![Gallery { items: vec![item], ..Gallery::default() }],
            ..Section::default()
        };
        let report = Report { sections: vec![section], ..Report::default() };
        let json = serde_json::to_string(&report).expect("JSON");
        let read: Report = serde_json::from_str(&json).expect("the same report");
        // NaN is not equal to itself, so the texts are compared. A band with one undefined end is read as `None`.
        assert_eq!(format!("{read:?}"), format!("{report:?}").replace("Some((0.25, NaN))", "None"));
        assert_eq!(serde_json::from_str::<Report>("{}").expect("nothing"), Report::default());
        assert_eq!(read.to_html().expect("a page"), report.to_html().expect("a page"));
    }

    #[test]
    fn writes_four_whole_files_and_replaces_none_of_a_person() -> Result<(), Box<dyn Error>> {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("new").join("results");
        let record = folder.join("record.json");
        let plan = || {
            let files = Report::FILES.iter().map(|name| folder.join(name));
            files.fold(OutputPlan::new().folder(&folder).record("the record", &record), |plan, path| {
                plan.output("a file of the report", path)
            })
        };
        let report = Report { title: "Results".to_owned(), ..Report::default() };
        for _ in 0..2 {
            let outputs = plan().open()?;
            report.write(&outputs, &folder)?;
            assert_eq!(outputs.publish_with_record(&record, serde_json::Map::new())?.len(), Report::FILES.len());
        }
        assert_eq!(serde_json::from_slice::<Report>(&fs::read(folder.join("report.json"))?)?, report);

        fs::write(folder.join("report.md"), "written by a person")?;
        assert!(matches!(plan().check(), Err(OutputError::Changed { .. })));
        let error = report.write(&plan().with_overwrite(true).open()?, root.path()).expect_err("another folder");
        assert!(matches!(&error, EvalError::Write(_)) && error.to_string().contains("not in the plan"), "{error}");
        Ok(())
    }
}
