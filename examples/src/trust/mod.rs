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
use sam_core::Precision;
use sam_eval::protocol::FewSlices;
use serde::Serialize;

pub use checking::{Checks, Order};
pub use growing::{Choice, Grown, Growth};
pub use look::{TrustConfig, in_words};
pub use volume::{MeasuredSlice, MeasuredVolume, model_without};

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
    /// What the image encoder computes in.
    pub precision: Precision,
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
