//! Annotate's work: learn each outlined structure or take it from its card, segment the rest, tell the structures apart.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use burn::tensor::backend::Backend;
use sam_assist::{Adaptation, AssistConfig, CardMetadata, Learned, MultiClass, PromptCard, TrainingSlices};
use sam_auto::{RankedSlice, SegmentedSlice};
use sam_core::{SamConfig, SamPredictor};
use sam_data::{LabelTable, LabelVolume, SlicePlane};
use sam_prompt::ndarray::Array3;

use crate::{
    backend::Job,
    cards,
    disk_cache::DiskCache,
    embeddings::Embeddings,
    outline::{Outlines, join_structures, learn_structure},
    prompting::Prompting,
    stack::Stack,
    trust::{self, TrustConfig},
    weights::Weights,
};

/// All structures of one scan.
#[derive(Debug)]
pub struct AnnotationJob<'a> {
    /// The scan as the network sees it.
    pub stack: &'a Stack,
    /// How it is cut.
    pub plane: &'a SlicePlane,
    /// What a person has outlined.
    pub annotations: &'a LabelVolume,
    /// Slices that a person has seen to show no structure.
    pub empty: &'a [usize],
    /// Names of the label values.
    pub names: &'a LabelTable,
    /// The checkpoint.
    pub weights: &'a Weights,
    /// Embeddings of earlier runs.
    pub disk: Option<&'a DiskCache>,
    /// The learning.
    pub learning: &'a AssistConfig,
    /// Where it starts, or what takes its place.
    pub start: Start<'a>,
    /// Where prompts come from on slices that are not outlined.
    pub prompting: &'a Prompting,
    /// How far what is found there is trusted.
    pub trust: &'a TrustConfig,
    /// Where what is learned is kept.
    pub save_card: Option<&'a Path>,
}

/// Where the learning of structures starts, or what takes its place.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Learning starts from the model as it is.
    Model,
    /// Learning goes on from these cards, by label value; where there is none, it starts from the model.
    Warm(&'a BTreeMap<u16, PromptCard>),
    /// Nothing is learned: the cards are used as they are, in the order of the label values.
    Cards(&'a [PromptCard]),
}

/// A scan whose structures were all found.
#[derive(Debug)]
pub struct Annotated {
    /// Label values on the scan's grid.
    pub labels: Array3<u16>,
    /// How far the members of an ensemble agree, by structure and slice: where they do not, a person should look. Of one generator,
    /// nothing.
    pub agreement: BTreeMap<String, BTreeMap<usize, f32>>,
    /// The slices that nobody outlined, by structure, in the order in which a person should look at them.
    pub ranking: BTreeMap<String, Vec<RankedSlice>>,
    /// What was learned, by label value.
    pub cards: BTreeMap<u16, PromptCard>,
}

impl Job for AnnotationJob<'_> {
    type Output = Annotated;

    fn run<B: Backend>(self, device: &B::Device) -> Result<Annotated> {
        let (config, predictor) = self.weights.load::<B>(device)?;
        let mut embeddings = Embeddings::new(&predictor, self.stack, self.disk);
        let (mut predictors, mut structures) = (Vec::new(), Vec::new());
        let (mut agreement, mut ranking, mut cards) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (position, value) in self.annotations.values().into_iter().enumerate() {
            let (name, outlines) = (self.name(value), self.outlines(value));
            let learned = if let Start::Cards(given) = self.start {
                let card = given.get(position).with_context(|| format!("there is no card for {name}"))?;
                println!("{name}: as the card of {} says", card.metadata().structure);
                card.apply(&predictor, &self.weights.sha256)?
            } else {
                let start = self.warm_start(value, &predictor)?;
                let learned = learn_structure(&name, &outlines, &mut embeddings, self.learning, start.as_ref())?;
                println!("{name}: learned in {:.1} s", learned.seconds);
                cards.insert(value, self.keep(value, &outlines, &learned, &config)?);
                learned.adaptation.apply(&predictor)
            };
            let found = self.prompting.segment(&name, &outlines, &learned, &mut embeddings)?;
            let drawn = found.slices.iter().filter(|slice| slice.mask().is_some()).count();
            println!("{name}: {} slices annotated, found on {drawn} of {}", outlines.len(), found.slices.len());
            let ranked = self.trust.rank(&name, &outlines, &found, &learned, &mut embeddings)?;
            if !ranked.is_empty() {
                println!("{name}: look first at slices {}", trust::in_words(&ranked));
            }
            ranking.insert(name.clone(), ranked);
            predictors.push(learned);
            structures.push(found.slices);
            if !found.agreement.is_empty() {
                agreement.insert(name, found.agreement.into_iter().map(|(index, of)| (index, of.slice)).collect());
            }
        }
        let labels = self.join(&MultiClass::new(predictors), &structures, &mut embeddings)?;
        Ok(Annotated { labels, agreement, ranking, cards })
    }
}

impl Annotated {
    /// All slices that nobody outlined, the least trusted first: of several structures, the least trusted one counts.
    pub fn to_check(&self) -> Vec<(usize, f32)> {
        let mut least = BTreeMap::new();
        for slice in self.ranking.values().flatten() {
            least
                .entry(slice.slice)
                .and_modify(|trust: &mut f32| *trust = trust.min(slice.trust))
                .or_insert(slice.trust);
        }
        let mut slices: Vec<_> = least.into_iter().collect();
        slices.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        slices
    }
}

/// What a label value is called, where nobody named it, too.
pub fn name_of(names: &LabelTable, value: u16) -> String {
    names.name(value).map_or_else(|| format!("label {value}"), str::to_owned)
}

impl AnnotationJob<'_> {
    fn name(&self, value: u16) -> String {
        name_of(self.names, value)
    }

    /// A slice on which anything is outlined, or known to be empty, is the person's, for all structures.
    fn is_annotated(&self, index: usize) -> bool {
        self.empty.contains(&index)
            || self.plane.extract(self.annotations.labels.view(), index).iter().any(|&label| label != 0)
    }

    fn outlines(&self, value: u16) -> Outlines {
        let annotated = (0..self.plane.count()).filter(|&index| self.is_annotated(index));
        annotated.map(|index| (index, self.stack.mask(index, &[value]))).collect()
    }

    /// What was learned of a structure before, if its learning goes on from there.
    fn warm_start<B: Backend>(&self, value: u16, predictor: &SamPredictor<B>) -> Result<Option<Adaptation<B>>> {
        let Start::Warm(cards) = self.start else { return Ok(None) };
        let adaptation = |card: &PromptCard| Ok(card.adaptation(predictor, &self.weights.sha256)?);
        cards.get(&value).map(adaptation).transpose()
    }

    /// Puts what was learned on a card, and keeps it at once if it is to be kept.
    fn keep<B: Backend>(
        &self,
        value: u16,
        outlines: &Outlines,
        learned: &Learned<B>,
        model: &SamConfig,
    ) -> Result<PromptCard> {
        let shown = outlines.iter().filter(|(_, outline)| outline.iter().any(|&inside| inside));
        let metadata = CardMetadata {
            structure: self.name(value),
            window: self.stack.window().map_or_else(|| "auto".to_owned(), |window| window.name.clone()),
            model: model.clone(),
            weights_sha256: self.weights.sha256.clone(),
            learning: learned.config.clone(),
            training: TrainingSlices {
                scan: self.stack.name.clone(),
                axis: ["i", "j", "k"][self.plane.axis()].to_owned(),
                indices: shown.map(|(&index, _)| index).collect(),
                annotated: outlines.len(),
            },
            self_check_dice: None,
            created: Some(cards::today()),
        };
        let card = PromptCard::of(metadata, &learned.adaptation)?;
        if let Some(given) = self.save_card {
            let path = cards::path_of(given, value, self.annotations.values().len() == 1);
            card.save(&path)?;
            println!("Wrote {}", path.display());
        }
        Ok(card)
    }

    /// One label map of all structures; annotated slices stay as they were drawn.
    fn join<B: Backend>(
        &self,
        predictors: &MultiClass<B>,
        structures: &[Vec<SegmentedSlice>],
        embeddings: &mut Embeddings<'_, B>,
    ) -> Result<Array3<u16>> {
        let mut found = self.annotations.labels.clone();
        let values: Vec<u16> = self.annotations.values().into_iter().collect();
        for index in (0..self.plane.count()).filter(|&index| !self.is_annotated(index)) {
            let masks: Vec<_> = structures.iter().map(|slices| slices[index].mask()).collect();
            let joined = join_structures(predictors, &masks, &mut || embeddings.get(index))
                .with_context(|| format!("slice {index}"))?;
            if let Some(joined) = joined {
                // The first structure is 1; its label value may be any.
                let labels = joined.mapv(|number| number.checked_sub(1).map_or(0, |place| values[usize::from(place)]));
                self.plane.insert(&mut found, index, labels.view());
            }
        }
        Ok(found)
    }
}
