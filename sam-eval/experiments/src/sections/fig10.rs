//! Figure 10: boxes with jitter, before and after learning.

use burn::tensor::backend::Backend;
use sam_eval::report::Section;
use sam_prompt::SamplingScheme;

use super::{
    fig7::pictured,
    gallery::gallery,
    tables::{Series, boxes, dice, failed, mean, no_less, records, structures},
};
use crate::{Plan, Setup, error::Result, plan::BOX};

const SERIES: [(&str, Series<'static>); 3] = [
    ("original", Series("original", 0, "box")),
    ("assist, 2 slices", Series("assist", 2, "box")),
    ("assist, 5 slices", Series("assist", 5, "box")),
];

pub(crate) fn section<B: Backend>(setup: &Setup<B>, plan: &Plan) -> Result<Section> {
    let runs = plan.prompting(setup, &[2, 5], &[BOX], SamplingScheme::Uniform)?;
    let records = records(&runs);
    let [original, two, five] = SERIES.map(|(_, series)| mean(&records, series));
    let groups: Vec<_> = structures(&records)
        .into_iter()
        .map(|name| (name, SERIES.map(|(name, series)| (name.to_owned(), series)).to_vec()))
        .collect();
    let plots = groups.iter().map(|(label, series)| {
        let own: Vec<_> = records.iter().filter(|record| super::tables::structure(record) == *label).cloned().collect();
        (own, (label.clone(), series.clone()))
    });
    let plots = plots.map(|(own, group)| boxes(&group.0.clone(), "", &own, &[group])).collect();
    Ok(Section {
        paragraphs: vec![
            "A box around each component, each of its edges off by up to a tenth of the side, in learning and in testing.".to_owned(),
        ],
        findings: vec![
            no_less("Learning from 2 slices does not harm boxes", ["2 slices", "original"], [two, original], 0.0),
            no_less("Learning from 5 slices is no worse than from 2", ["5 slices", "2 slices"], [five, two], 0.005),
        ],
        tables: [dice("Dice, mean ± standard deviation over slices", &records)?]
            .into_iter()
            .chain(failed(&records, SERIES[1].1))
            .collect(),
        plots,
        galleries: vec![gallery(
            "Learned from 2 slices, prompted with boxes, from poor to excellent",
            &plan.cases(),
            runs.iter().filter(|run| SERIES[1].1.holds(&run.score)).map(pictured).collect(),
        )?],
        footnotes: vec![
            "The paper's text gives no numbers: a marginal gain on Kidney-CT, Liver-CT and the prostate's gland, a more substantial one on \
             its peripheral zone and on Spine-MRI."
                .to_owned(),
        ],
        ..Section::default()
    })
}
