//! How well trust finds the slices that are wrong: every slice of a volume segmented, measured, and held against the truth.

mod checking;
mod growing;
mod look;
mod repeat;
mod volume;

use anyhow::Result;
use burn::tensor::backend::Backend;
use sam_assist::AssistConfig;
use sam_auto::TrustMeterConfig;
use sam_eval::protocol::FewSlices;
use serde::Serialize;

pub use checking::{Checks, Order};
pub use growing::{Choice, Grown, Growth};
pub use look::{TrustConfig, in_words};
pub use volume::{MeasuredSlice, MeasuredVolume, fitted, model_without};

use crate::{
    auto::AutoConfig,
    progress,
    study::{Study, digest},
    subjects::Subjects,
};
use repeat::Repeat;

/// Every number of the measuring.
#[derive(Debug, Clone, Serialize)]
pub struct TrustProtocol {
    /// What is measured on.
    #[serde(flatten)]
    pub subjects: Subjects,
    /// Which slices are annotated; all others are segmented and measured.
    pub slices: FewSlices,
    /// One repeat each.
    pub seeds: Vec<u64>,
    /// In so many repeats, each annotated slice is left out in turn, to see what the annotated slices alone say of trust.
    pub left_out: usize,
    /// The generators' numbers.
    pub numbers: AutoConfig,
    /// What is learned of boxes.
    pub learning: AssistConfig,
    /// How trust is measured.
    pub meter: TrustMeterConfig,
}

/// What decides the result on one volume.
#[derive(Serialize)]
struct DependsOn<'a> {
    subject: (&'a str, String),
    slices: String,
    annotated: &'a [usize],
    seed: u64,
    leave_out: bool,
    numbers: &'a AutoConfig,
    learning: &'a AssistConfig,
    meter: &'a TrustMeterConfig,
}

impl TrustProtocol {
    /// Measures every volume of the data; sets of images in no order are left out, as they have no neighbours.
    ///
    /// # Errors
    /// If a number makes no sense, the data cannot be read, or no case shows a structure on enough slices.
    pub fn run<B: Backend>(&self, study: &Study<'_, B>) -> Result<Vec<MeasuredVolume>> {
        self.meter.check()?;
        self.subjects.each(study, self.slices.most() + 1, |subject, embeddings| {
            if !subject.stack.is_ordered() {
                eprintln!("Left out: {}, whose images are in no order", subject.name());
                return Ok(Vec::new());
            }
            let bar = progress::bar(subject.name(), self.seeds.len());
            let mut measured = Vec::new();
            for (repeat, &seed) in self.seeds.iter().enumerate() {
                for trial in self.slices.trials(subject.survey, seed)? {
                    let leave_out = repeat < self.left_out;
                    let all: Vec<_> = (0..subject.stack.len()).collect();
                    let depends_on = DependsOn {
                        subject: (subject.dataset, subject.name()),
                        slices: digest(subject.stack, subject.structure, &all),
                        annotated: &trial.annotated,
                        seed,
                        leave_out,
                        numbers: &self.numbers,
                        learning: &self.learning,
                        meter: &self.meter,
                    };
                    measured.extend(study.once(&depends_on, || {
                        let work = Repeat { protocol: self, subject, seed, bar: &bar };
                        work.measure(&trial.annotated, leave_out, embeddings)
                    })?);
                }
                bar.inc(1);
            }
            bar.finish_and_clear();
            Ok(measured)
        })
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use std::{cell::RefCell, path::PathBuf};

    use burn_flex::{Flex, FlexDevice};
    use sam_auto::TrustModel;
    use sam_core::{Precision, SamConfig, SamPredictor, ViTConfig};
    use sam_data::SliceAxis;
    use sam_prompt::SliceSelection;
    use sapnet::SapNetConfig;

    use super::*;
    use crate::{backend::in_pool, data_options::DataOptions, journal::Journal, weights::Weights};

    fn protocol() -> Result<TrustProtocol> {
        let phantom = Some("spinal-cord".parse()?);
        let data = DataOptions { phantom, structures: Some("spinal cord=1+2".to_owned()), ..DataOptions::default() };
        let sapnet = SapNetConfig { iterations: 2, ..SapNetConfig::default() };
        Ok(TrustProtocol {
            subjects: Subjects::new(data, SliceAxis::Auto),
            slices: FewSlices {
                annotated: vec![3],
                annotated_empty: 1,
                tested: 0,
                tested_empty: 0,
                selection: SliceSelection::Normal,
            },
            seeds: vec![0],
            left_out: 1,
            numbers: AutoConfig { sapnet, ..AutoConfig::default() },
            learning: AssistConfig { iterations: 2, ..AssistConfig::boxes() },
            meter: TrustMeterConfig { jittered: 1, ..TrustMeterConfig::default() },
        })
    }

    /// Does some work with a small model of random weights: what matters here is not the model.
    fn with_study<T: Send>(work: impl FnOnce(&Study<'_, Flex>) -> Result<T> + Send) -> Result<T> {
        let config = SamConfig::vit(ViTConfig::new(32, 1, 2).with_image_size(64));
        let predictor = SamPredictor::new(config.init(&FlexDevice), config.preprocess);
        let weights = Weights { path: PathBuf::new(), sha256: "of a test".to_owned(), precision: Precision::F32 };
        in_pool(move || {
            let journal = RefCell::new(Journal::in_memory());
            work(&Study { predictor, weights: &weights, disk: None, journal: &journal })
        })
    }

    #[test]
    fn every_slice_is_measured_twice_and_each_outline_left_out_once() -> Result<()> {
        let protocol = protocol()?;
        let measured = with_study(|study| protocol.run(study))?;
        let methods: Vec<_> = measured.iter().map(|volume| volume.method.as_str()).collect();
        assert_eq!(methods, ["ensemble", "walk"]);
        assert_eq!(measured[0].slices.len(), measured[1].slices.len());
        assert_eq!((measured[0].left_out.len(), measured[1].left_out.len()), (3, 0));
        Ok(())
    }

    #[test]
    fn slices_are_outlined_one_after_another() -> Result<()> {
        let growth = Growth { protocol: protocol()?, first: 1, reach: 4.0, model: TrustModel::default() };
        let grown = with_study(|study| growth.run(study))?;
        let [random, suggested] = &grown[..] else { panic!("two choices") };
        assert_eq!((random.choice, suggested.choice), (Choice::Random, Choice::Suggested));
        assert_eq!(random.dice.iter().map(|&(count, _)| count).collect::<Vec<_>>(), [1, 2, 3]);
        // They begin alike; the phantom has no slice without the cord.
        assert_eq!((random.outlined[0], random.dice[0]), (suggested.outlined[0], suggested.dice[0]));
        assert_eq!((random.outlined.len(), suggested.outlined.len()), (3, 3));
        Ok(())
    }
}
