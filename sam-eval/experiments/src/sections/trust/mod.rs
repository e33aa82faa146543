//! Trust: how soon the wrong slices are found in a review, and whether the expected Dice is that of the slices. Not in the paper, which
//! has no measure of trust.

mod reviewed;
mod tables;

use burn::tensor::backend::Backend;
use sam_eval::report::{Curve, CurvePlot, CurvePoint, Finding, Plot, Section};
use sam_prompt::counted;

use crate::{MeasuredVolume, OutlineSelection, Plan, ReviewOrder, Setup, error::Result};
use reviewed::{Review, ReviewedVolume, Weights, mean, mean_of_order};

/// The target of a review: a mean Dice.
const WANTED: f64 = 0.97;
/// Reviewed shares of the slices.
const SHARES: [f64; 2] = [0.1, 0.2];
/// Number of points of a curve, which ends at the share `SHOWN` of the slices.
const STEPS: usize = 20;
const SHOWN: f64 = 0.5;
/// The expected calibration error that is aimed at.
const CALIBRATED: f64 = 0.05;
/// Looks with trust, as a fraction of those with weights set by hand, that are aimed at.
const FEWER_LOOKS: f64 = 0.6;

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    page(&plan.trust(setup)?, plan.of_few_slices().outlines)
}

fn page(volumes: &[MeasuredVolume], outlines: OutlineSelection) -> Result<Section> {
    let [default, by_hand] = [Review::of(volumes, Weights::Default)?, Review::of(volumes, Weights::ByHand)?];
    // Weights can be fitted to other data sets only if there are some.
    let is_one_set = volumes.iter().all(|volume| volume.dataset == volumes[0].dataset);
    let held_out = if is_one_set { None } else { Some(Review::of(volumes, Weights::OfOthers)?) };
    let judged = held_out.as_ref().unwrap_or(&default);
    let reviews: Vec<_> = held_out.iter().chain([&by_hand, &default]).collect();
    let mut shown = vec![tables::calibration(&reviews)?];
    let mut plots = vec![reliability(&[judged, &by_hand])?];
    let mut findings = vec![calibrated(held_out.as_ref())?];
    for outlines in counts(volumes) {
        let name = counted(outlines, "outline");
        let (own, hand) = (judged.with_outlines(outlines), by_hand.with_outlines(outlines));
        findings.extend(compared(&name, &own, &hand));
        shown.push(tables::by_order(&name, &own, &hand));
        shown.push(tables::by_structure(&name, &own, &hand));
        plots.push(curves(&name, &own, &hand));
    }
    shown.push(tables::weights(volumes));
    Ok(Section {
        paragraphs: vec![
            format!(
                "Some slices of the structure are outlined, {}, with the truth as their outlines; all other slices of the volume are \
                 segmented as `annotate` does, and a person looks at some of them. A slice that was looked at is right. Means are over the \
                 slices where the structure is or was found; a slice where rightly nothing was found costs a look and gains nothing.",
                outlines.place()
            ),
            if is_one_set {
                "Trust has its default weights, which are fitted to the data sets on which they were developed. If this data set is one of \
                 them, the figures flatter: give a second data set, and weights are fitted to one and judged on the other."
            } else {
                "Trust is judged with weights that are fitted to the other data sets, never to the volume's own, and compared with weights \
                 that were set by hand. The default weights are fitted to the data sets on which they were developed."
            }
            .to_owned(),
        ],
        findings,
        tables: shown,
        plots,
        footnotes: vec![
            "Seconds of work are assumed: 3 to accept a slice, 12 to correct a mask, 30 to outline a structure where the mask is poor (Dice \
             below 0.5) or missing."
                .to_owned(),
            "Random orders are expected values. Slices to reach a Dice: the first number whose (expected) mean reaches it.".to_owned(),
            "Calibration: of a slice without a mask, trust is the probability that it is rightly empty. The expected calibration error is \
             the difference of mean trust and mean Dice in ten bins of equal width, weighted by their slices."
                .to_owned(),
        ],
        ..Section::default()
    })
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.3}"))
}

/// Numbers of outlines, ascending.
fn counts(volumes: &[MeasuredVolume]) -> Vec<usize> {
    let mut counts: Vec<_> = volumes.iter().map(|volume| volume.outlines).collect();
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn calibrated(held_out: Option<&Review<'_>>) -> Result<Finding> {
    let claim = format!("The expected calibration error on data that trust was not fitted to is at most {CALIBRATED}");
    let Some(held_out) = held_out else {
        return Ok(Finding { claim, holds: None, evidence: "needs a second data set".to_owned() });
    };
    let [all, found] = [false, true].map(|with_mask_only| held_out.calibration(with_mask_only));
    let errors = [all?, found?].map(|calibration| calibration.expected_calibration_error);
    Ok(Finding {
        claim,
        holds: errors[0].map(|error| error <= CALIBRATED),
        evidence: format!("{}; slices with a mask alone: {}", number(errors[0]), number(errors[1])),
    })
}

fn compared(name: &str, own: &[&ReviewedVolume<'_>], by_hand: &[&ReviewedVolume<'_>]) -> Vec<Finding> {
    let error_found = |of, order| mean_of_order(of, order, |curve| curve.error_found(SHARES[0]));
    let ours = error_found(own, ReviewOrder::Trust);
    let against = |rival: &str, theirs: Option<f64>| Finding {
        claim: format!("{name}: trust finds more of the error in the first 10 % of slices than {rival}"),
        holds: ours.zip(theirs).map(|(ours, theirs)| ours > theirs),
        evidence: format!("{} against {}", number(ours), number(theirs)),
    };
    let is_rival =
        |order: &ReviewOrder| !matches!(order, ReviewOrder::Trust | ReviewOrder::GainPerSecond | ReviewOrder::TrueDice);
    let others = ReviewOrder::ALL.into_iter().filter(is_rival);
    let mut findings: Vec<_> = others.map(|order| against(order.name(), error_found(own, order))).collect();
    findings.push(against("with weights set by hand", error_found(by_hand, ReviewOrder::Trust)));
    let looks = |of| mean_of_order(of, ReviewOrder::Trust, |curve| curve.needed(WANTED) as f64);
    let (ours, theirs) = (looks(own), looks(by_hand));
    let bound = mean_of_order(own, ReviewOrder::TrueDice, |curve| curve.needed(WANTED) as f64);
    findings.push(Finding {
        claim: format!(
            "{name}: trust needs at most {FEWER_LOOKS} times the looks of weights set by hand to reach {WANTED}"
        ),
        holds: ours.zip(theirs).map(|(ours, theirs)| ours <= FEWER_LOOKS * theirs),
        evidence: format!("{} against {}; by true Dice {}", number(ours), number(theirs), number(bound)),
    });
    let [trust, predicted] = [0, 1].map(|at| mean(own, &|one| one.correlations[at]));
    findings.push(Finding {
        claim: format!("{name}: trust follows Dice better than predicted IoU does"),
        holds: trust.zip(predicted).map(|(trust, predicted)| trust > predicted),
        evidence: format!("Spearman {} against {}", number(trust), number(predicted)),
    });
    findings
}

/// Reliability of trust: mean Dice by mean trust.
fn reliability(reviews: &[&Review<'_>]) -> Result<Plot> {
    let mut curves = vec![Curve {
        name: "calibrated".to_owned(),
        points: [0.0, 1.0].map(|at| CurvePoint::new(at, at)).to_vec(),
        ..Curve::default()
    }];
    for review in reviews {
        let bins = review.calibration(false)?.bins;
        let point = |bin: &sam_eval::CalibrationBin| Some(CurvePoint::new(bin.mean_predicted?, bin.mean_true?));
        let points = bins.iter().filter_map(point).collect();
        curves.push(Curve { name: review.weights.name().to_owned(), points, ..Curve::default() });
    }
    Ok(Plot::Curves(CurvePlot {
        title: "Reliability: Dice by trust, slices in ten bins of trust".to_owned(),
        x_label: "Trust: expected Dice".to_owned(),
        y_label: "Dice, mean over the slices of a bin".to_owned(),
        y_range: Some((0.0, 1.0)),
        curves,
    }))
}

fn curves(name: &str, own: &[&ReviewedVolume<'_>], by_hand: &[&ReviewedVolume<'_>]) -> Plot {
    let curve = |name: String, of: &[&ReviewedVolume<'_>], order: ReviewOrder| {
        let point = |step: usize| {
            let share = SHOWN * step as f64 / STEPS as f64;
            CurvePoint::new(share, mean_of_order(of, order, |curve| curve.after(share)).unwrap_or(f64::NAN))
        };
        Curve { name, points: (0..=STEPS).map(point).collect(), ..Curve::default() }
    };
    let mut curves: Vec<_> =
        ReviewOrder::ALL.into_iter().map(|order| curve(order.name().to_owned(), own, order)).collect();
    curves.push(curve(Weights::ByHand.name().to_owned(), by_hand, ReviewOrder::Trust));
    Plot::Curves(CurvePlot {
        title: format!("{name}: Dice by the share of slices that were looked at"),
        x_label: "Share of the slices that nobody outlined".to_owned(),
        y_label: "Dice, mean over structures".to_owned(),
        y_range: None,
        curves,
    })
}

#[cfg(test)]
mod tests {
    use sam_auto::{Signal, TrustSignals};

    use super::*;
    use crate::MeasuredSlice;

    /// Dice rises with the overlap with the neighbours; predicted IoU falls.
    fn volume(dataset: &str, outlines: usize) -> MeasuredVolume {
        let slice = |slice: usize| {
            let dice = 0.5 + 0.025 * slice as f32;
            let signals = TrustSignals::new(true).with(Signal::Neighbours, dice).with(Signal::PredictedIou, 1.5 - dice);
            MeasuredSlice { slice, signals, dice: Some(f64::from(dice)), wrong_pixels: 10 }
        };
        MeasuredVolume {
            dataset: dataset.to_owned(),
            subject: "1: liver".to_owned(),
            outlines,
            seed: 0,
            slices: (0..20).map(slice).collect(),
        }
    }

    #[test]
    fn signals_that_follow_dice_rank_better_and_fitting_calibrates() -> Result<()> {
        let volumes = ["ct", "mr"].map(|dataset| [3, 5].map(|outlines| volume(dataset, outlines)));
        let section = page(volumes.as_flattened(), OutlineSelection::Spread)?;
        assert_eq!((section.tables.len(), section.plots.len(), section.findings.len()), (6, 3, 15));
        let holds = |claim: &str| {
            let own: Vec<_> = section.findings.iter().filter(|finding| finding.claim.contains(claim)).collect();
            assert!(!own.is_empty(), "{claim}");
            own.iter().all(|finding| finding.holds == Some(true))
        };
        assert!(holds("than random") && holds("follows Dice"), "{:?}", section.findings);
        let error = |row: usize| section.tables[0].rows[row][2].parse::<f64>().expect("a number");
        assert!(error(0) < error(2), "fitted {}, by hand {}", error(0), error(2));
        // Two of 20 slices are reviewed: they correct 0.5 and 0.475 of a total error of 5.25.
        assert_eq!(section.tables[1].rows[0][2], "0.186");
        assert_eq!(section.tables[2].rows[0][1], "20");
        assert_eq!(section.tables[2].rows[0][3], "0.786");
        Ok(())
    }

    #[test]
    fn with_one_data_set_nothing_is_said_of_others() -> Result<()> {
        let section = page(&[volume("ct", 5)], OutlineSelection::Random)?;
        assert_eq!(section.findings[0].holds, None, "{:?}", section.findings[0]);
        assert!(section.paragraphs[0].contains("at random") && section.paragraphs[1].contains("flatter"));
        assert!(
            section.tables[0].rows.iter().all(|row| !row[0].contains("other data sets")),
            "{:?}",
            section.tables[0]
        );
        Ok(())
    }
}
