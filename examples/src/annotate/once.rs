//! Annotate without a session: learn or take cards, segment, write.

use anyhow::{Context, Result, ensure};
use sam_assist::PromptCard;
use sam_data::{LabelVolume, Segment, SlicePlane};
use serde_json::json;

use super::{
    Options, Start, name_of, record,
    work::{View, Work},
};
use crate::{cards, outline::outlined_axis, session::Annotations};

/// Segments a scan, and writes the mask and every number that was used.
pub(super) fn run(options: &Options) -> Result<()> {
    let work = Work::open(options)?;
    let annotations = read(options, &work)?;
    let values = annotations.labels.values();
    let cards = cards::load(&options.card, &work.weights.sha256)?;
    ensure!(
        cards.is_empty() || cards.len() == values.len(),
        "there are {} cards for the label values {values:?} of {}: give one for each, in this order",
        cards.len(),
        options.annotations_name()
    );
    let axis = outlined_axis(&annotations.labels, options.axis);
    let view = View { axis, window: cards::window(options.window, &cards)?, names: options.names()? };
    let plane = work.plane(axis);
    check_empty(options, &plane, &annotations.labels)?;
    let config = work.config(options.seed)?;
    let start = if cards.is_empty() { Start::Model } else { Start::Cards(&cards) };
    let stack = work.stack(&annotations, &view)?;
    let found = work.segment(&stack, &annotations, &view.names, &plane, &config, start)?;
    let segment = |&value: &u16| Segment { value, name: name_of(&view.names, value) };
    options.scan.write(found.labels.view(), &work.scan, &values.iter().map(segment).collect::<Vec<_>>(), "")?;

    let learning = cards.is_empty().then_some(config.learning);
    let cards: Vec<_> = cards.iter().map(PromptCard::metadata).collect();
    record::write(
        &work,
        json!({
            "axis": axis, "window": stack.window(), "learning": learning, "cards": cards, "prompting": config.prompting,
            "agreement": found.agreement, "trust": config.trust, "ranking": found.ranking,
        }),
    )
}

fn read(options: &Options, work: &Work<'_>) -> Result<Annotations> {
    let labels = options.read_annotations(&work.scan)?.context("--annotations FILE is needed")?;
    ensure!(
        !labels.values().is_empty(),
        "{} has no annotated slice: outline the structure on 2 to 5 slices of {}",
        options.annotations_name(),
        options.scan.image.display()
    );
    Ok(Annotations { labels, empty: options.empty.iter().collect() })
}

/// Slices named as empty must exist, and have nothing drawn on them.
fn check_empty(options: &Options, plane: &SlicePlane, annotations: &LabelVolume) -> Result<()> {
    options.empty.check("--empty", &options.scan.name(), plane.count())?;
    for slice in options.empty.iter() {
        let drawn = plane.extract(annotations.labels.view(), slice).iter().any(|&label| label != 0);
        ensure!(!drawn, "--empty names slice {slice}, but {} has an outline there", options.annotations_name());
    }
    Ok(())
}
