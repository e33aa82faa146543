//! Writing the files of a report.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sam_files::write_atomic;

use super::Report;
use crate::{EvalError, error::Cause};

impl Report {
    /// Writes `report.html`, `report.md`, `report.csv` and `report.json` into a folder, which is created if it does not exist.
    ///
    /// Each file is written under a temporary name and renamed when it is complete. The JSON is the whole report: `serde_json`
    /// reads it back as a [`Report`].
    ///
    /// # Errors
    /// [`EvalError::Render`] if a plot cannot be drawn (nothing is written then), [`EvalError::Write`] if a file cannot
    /// be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), EvalError> {
        let folder = folder.as_ref();
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| EvalError::Render { what: "the JSON".to_owned(), cause: Cause::new(error) })?;
        let texts = [
            ("report.html", self.to_html()?),
            ("report.md", self.to_markdown()),
            ("report.csv", self.to_csv()),
            ("report.json", json),
        ];
        let failed = |path: PathBuf| |error: io::Error| EvalError::Write { path, cause: Cause::new(error) };
        fs::create_dir_all(folder).map_err(failed(folder.to_path_buf()))?;
        texts.iter().try_for_each(|(name, text)| {
            let path = folder.join(name);
            write_atomic(&path, |file| file.write_all(text.as_bytes()))
                .map_err(|error| failed(error.path)(error.source))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

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
    fn writes_four_whole_files_and_says_which_it_could_not() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("new").join("results");
        let report = Report { title: "Results".to_owned(), ..Report::default() };
        report.write(&folder).expect("a writable folder");
        report.write(&folder).expect("again, over the first");
        let mut names: Vec<_> =
            fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["report.csv", "report.html", "report.json", "report.md"]);

        fs::write(root.path().join("file"), "").expect("a writable folder");
        let blocked = root.path().join("file").join("within");
        let error = report.write(&blocked).expect_err("a file is no folder");
        assert!(matches!(&error, EvalError::Write { path, .. } if *path == blocked));
        let cause = error.source().expect("the system's error").to_string();
        assert!(!error.to_string().contains(&cause), "{error} repeats {cause}");
    }
}
