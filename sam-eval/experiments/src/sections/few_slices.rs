//! Masks from a few outlined slices, against filling between slices. Not in the paper.

use burn::tensor::backend::Backend;
use sam_auto::StrategyKind;
use sam_eval::{
    BootstrapConfig, ConfidenceInterval, Summary, bootstrap_mean,
    report::{Curve, CurvePlot, CurvePoint, Finding, Plot, ReportTable, Section},
};
use sam_prompt::counted;

use super::tables;
use crate::{ExperimentError, FewSlicesTrial, Plan, Setup, error::Result};

/// How the numbers of a page are to be read.
const DEFINITIONS: &str = "Inner Dice is the mean over the slices with the structure between the outermost outlines. Volume Dice is that of all \
     slices together. Outlined slices do not count in either. False slices are those without the structure that got a mask. Seconds are those of \
     learning, fitting and segmenting; embedding, once a scan, is not in them.";
/// What a page without other programs lacks.
const NO_PEERS: &str = "Other programs were not measured in this run: morphological contour interpolation (ITK), linear signed distances (SciPy) and \
     a random walker (scikit-image). Run the example few_slices, then examples/few_slices_peers.py on its folder of results, then few_slices \
     again with --peers.";

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    match plan.few_slices(setup) {
        Ok(trials) => page(&trials, plan),
        Err(error @ (ExperimentError::NothingToTest { .. } | ExperimentError::SameSubject { .. })) => {
            Ok(Section { notes: vec![format!("Not measured: {error}.")], ..Section::default() })
        }
        Err(error) => Err(error),
    }
}

/// The page of some results. The first table has one row for each method and number of outlines; the one plot is of inner Dice.
pub(crate) fn page(trials: &[FewSlicesTrial], plan: &Plan) -> Result<Section> {
    let few = plan.of_few_slices();
    let all = Results { trials, subjects: distinct(trials.iter().map(|trial| (&*trial.dataset, &*trial.subject))) };
    let chosen = few.outlines.place();
    let methods = all.methods();
    let findings = methods.iter().filter(|method| **method != StrategyKind::Fusion.to_string());
    Ok(Section {
        paragraphs: vec![
            format!(
                "The outlines are the truth's, {chosen}; all other slices are segmented as by `annotate`. Fusion is its default, shape works \
                 without a model, and propagation is SAM alone."
            ),
            DEFINITIONS.to_owned(),
        ],
        notes: if few.peers.is_none() { vec![NO_PEERS.to_owned()] } else { Vec::new() },
        findings: findings.map(|method| all.finding(method)).collect(),
        tables: vec![all.means()?, all.by_structure()],
        plots: vec![all.plot()?],
        footnotes: vec![
            "Bands are the 95 % bootstrap intervals over structures, each the mean of its repeats. One structure alone has none, and those of \
             few structures are too narrow."
                .to_owned(),
        ],
        ..Section::default()
    })
}

/// Distinct values, in order of first appearance.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut known = Vec::new();
    for value in values {
        if !known.contains(&value) {
            known.push(value);
        }
    }
    known
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

/// Results with their data sets and structures.
struct Results<'a> {
    trials: &'a [FewSlicesTrial],
    subjects: Vec<(&'a str, &'a str)>,
}

impl<'a> Results<'a> {
    fn methods(&self) -> Vec<&'a str> {
        distinct(self.trials.iter().map(|trial| &*trial.method))
    }

    /// Numbers of outlines, ascending.
    fn counts(&self) -> Vec<usize> {
        let mut counts = distinct(self.trials.iter().map(|trial| trial.outlines));
        counts.sort_unstable();
        counts
    }

    fn of(&self, method: &str, outlines: usize) -> impl Iterator<Item = &'a FewSlicesTrial> {
        self.trials.iter().filter(move |trial| trial.method == method && trial.outlines == outlines)
    }

    /// A value of one structure: the mean over its repeats.
    fn of_subject(
        &self,
        (dataset, subject): (&str, &str),
        method: &str,
        outlines: usize,
        value: fn(&FewSlicesTrial) -> Option<f64>,
    ) -> Option<f64> {
        let own = self.of(method, outlines).filter(|trial| trial.dataset == dataset && trial.subject == subject);
        Summary::of(own.filter_map(value)).mean
    }

    /// The mean over structures, with its interval.
    fn mean(
        &self,
        method: &str,
        outlines: usize,
        value: fn(&FewSlicesTrial) -> Option<f64>,
    ) -> Result<ConfidenceInterval> {
        let of = |subject: &(&str, &str)| self.of_subject(*subject, method, outlines, value);
        Ok(bootstrap_mean(self.subjects.iter().filter_map(of), &BootstrapConfig::default())?)
    }

    fn means(&self) -> Result<ReportTable> {
        let mut rows = Vec::new();
        for outlines in self.counts() {
            for method in self.methods() {
                let inner = self.mean(method, outlines, |trial| trial.score.inner)?;
                let volume = self.mean(method, outlines, |trial| Some(trial.score.volume))?;
                let seconds = self.mean(method, outlines, |trial| Some(trial.seconds))?.estimate;
                let sum = |value: fn(&FewSlicesTrial) -> usize| self.of(method, outlines).map(value).sum::<usize>();
                let (wrong, empty) = (sum(|trial| trial.score.false_slices), sum(|trial| trial.score.empty_slices));
                let interval = inner.low.zip(inner.high).map(|(low, high)| format!("{low:.3} to {high:.3}"));
                rows.push(vec![
                    method.to_owned(),
                    outlines.to_string(),
                    number(inner.estimate),
                    interval.unwrap_or_default(),
                    number(volume.estimate),
                    format!("{wrong} of {empty}"),
                    seconds.map_or(String::new(), |seconds| format!("{seconds:.1}")),
                ]);
            }
        }
        let heads = ["outlines", "inner Dice", "95 % interval", "volume Dice", "false slices", "seconds"];
        Ok(ReportTable {
            caption: format!("Means over {}", counted(self.subjects.len(), "structure")),
            columns: tables::columns("method", heads),
            rows,
        })
    }

    fn by_structure(&self) -> ReportTable {
        let columns: Vec<_> = self
            .counts()
            .into_iter()
            .flat_map(|count| self.methods().into_iter().map(move |one| (one, count)))
            .collect();
        let row = |subject: &(&str, &str)| {
            let inner = |(method, count): &(&str, usize)| {
                number(self.of_subject(*subject, method, *count, |trial| trial.score.inner))
            };
            std::iter::once(format!("{}, {}", subject.0, subject.1)).chain(columns.iter().map(inner)).collect()
        };
        ReportTable {
            caption: "Inner Dice of each structure, mean of its repeats".to_owned(),
            columns: tables::columns(
                "Data set, case and structure",
                columns.iter().map(|(method, count)| format!("{}, {method}", counted(*count, "outline"))),
            ),
            rows: self.subjects.iter().map(row).collect(),
        }
    }

    fn plot(&self) -> Result<Plot> {
        let mut curves = Vec::new();
        for method in self.methods() {
            let mut points = Vec::new();
            for outlines in self.counts() {
                let inner = self.mean(method, outlines, |trial| trial.score.inner)?;
                let (x, y) = (outlines as f64, inner.estimate.unwrap_or(f64::NAN));
                points.push(CurvePoint { x, y, band: inner.low.zip(inner.high) });
            }
            curves.push(Curve { name: method.to_owned(), points, ..Curve::default() });
        }
        Ok(Plot::Curves(CurvePlot {
            title: "Inner Dice by number of outlines".to_owned(),
            x_label: "Outlined slices".to_owned(),
            y_label: "Inner Dice, mean over structures".to_owned(),
            y_range: None,
            curves,
        }))
    }

    /// Whether fusion is at least as good as another method with every number of outlines.
    fn finding(&self, method: &str) -> Finding {
        let fusion = StrategyKind::Fusion.to_string();
        let inner = |method: &str, count| {
            let of = |subject: &(&str, &str)| self.of_subject(*subject, method, count, |trial| trial.score.inner);
            Summary::of(self.subjects.iter().filter_map(of)).mean
        };
        let counts = self.counts();
        let pairs: Vec<_> = counts.iter().map(|&count| (count, inner(&fusion, count), inner(method, count))).collect();
        let holds = pairs.iter().map(|(_, ours, theirs)| ours.zip(*theirs).map(|(ours, theirs)| ours >= theirs));
        let evidence = pairs.iter().map(|(count, ours, theirs)| {
            format!("{} against {} with {}", number(*ours), number(*theirs), counted(*count, "outline"))
        });
        Finding {
            claim: format!("Between outlines, fusion is at least as good as {method}, whatever the number of outlines"),
            holds: holds.collect::<Option<Vec<_>>>().map(|all| all.into_iter().all(|holds| holds)),
            evidence: format!("inner Dice {}", evidence.collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FewSlicesPlan, FewSlicesScore};

    fn trial(subject: &str, method: &str, seed: u64, inner: f64) -> FewSlicesTrial {
        let (false_slices, empty_slices) = (1, 4);
        FewSlicesTrial {
            dataset: "ct".to_owned(),
            subject: subject.to_owned(),
            method: method.to_owned(),
            outlines: 2,
            seed,
            outlined: vec![3, 9],
            score: FewSlicesScore { volume: 0.5, slices: None, inner: Some(inner), false_slices, empty_slices },
            seconds: 2.0,
        }
    }

    #[test]
    fn structures_count_once_and_other_programs_are_told() -> Result<()> {
        let fusion = [("1: liver", 0, 0.5), ("1: liver", 1, 0.75), ("1: aorta", 0, 0.875)];
        let mut trials = fusion.map(|(subject, seed, inner)| trial(subject, "fusion", seed, inner)).to_vec();
        let plan = Plan::new(Vec::new(), vec![0], usize::MAX)?;
        let alone = page(&trials, &plan)?;
        assert_eq!((alone.notes.len(), alone.findings.len(), alone.plots.len()), (1, 0, 1));
        assert_eq!(alone.tables[0].rows[0], ["fusion", "2", "0.750", "0.625 to 0.875", "0.500", "3 of 12", "2.0"]);
        assert_eq!(alone.tables[1].rows[0], ["ct, 1: liver", "0.625"]);
        let itk = fusion.map(|(subject, seed, _)| trial(subject, "itk", seed, 0.75));
        trials.extend(itk);
        let peers = Some("peers.json".into());
        let plan = plan.with_few_slices(FewSlicesPlan { peers, ..FewSlicesPlan::default() });
        let compared = page(&trials, &plan)?;
        assert_eq!((compared.notes.len(), compared.tables[0].rows.len()), (0, 2));
        assert_eq!(compared.findings[0].holds, Some(true));
        Ok(())
    }
}
