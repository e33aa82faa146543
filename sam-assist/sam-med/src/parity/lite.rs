//! `LiteMedSAM` with its real weights, on a real CT slice.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::{Tensor, backend::Backend};
use sam_core::{
    Checkpoint, Frame, ImageEmbedding, ImageEncoder, MaskPrediction, SamPredictor,
    image_encoder::{AnyImageEncoder, TinyVit},
};
use sam_prompt::{
    BoundingBox, Label, Point, Prompts,
    ndarray::{Array2, Array3, Axis},
};

use super::{Goldens, Report, goldens::GoldenFile};

pub(super) fn check<B: Backend>(
    goldens: &Goldens,
    weights: &Path,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let checkpoint = Checkpoint::open(weights)?;
    let predictor: SamPredictor<B> = checkpoint.predictor(device)?;
    let input = goldens.file("lite_input")?;
    let (shape, levels) = input.levels("u8")?;
    let image = Array3::from_shape_vec((shape[0], shape[1], 1), levels)?;
    let (prepared, frame) = predictor.preprocess().apply(image.view())?;
    report.values(&input, "input_1ch", prepared.index_axis(Axis(0), 0).iter().copied())?;

    let AnyImageEncoder::TinyVit(encoder) = checkpoint.load_image_encoder::<B>(&checkpoint.config()?, device)? else {
        bail!("LiteMedSAM's encoder was taken for another one than TinyViT");
    };
    image_encoder(goldens, &encoder, device, report)?;
    let features = goldens.file("lite_embedding")?.tensor("embedding", device)?;
    prompts(&goldens.file("lite_prompt_decode")?, &predictor, &ImageEmbedding::new(features, frame)?, report)
}

fn image_encoder<B: Backend>(
    goldens: &Goldens,
    encoder: &TinyVit<B>,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let file = goldens.file("lite_encoder")?;
    let grey: Tensor<B, 4> = goldens.file("lite_input")?.tensor("input_1ch", device)?;
    let images = grey.repeat_dim(1, 3);
    let mut maps = encoder.patch_embed.forward(images.clone());
    // The goldens keep every eighth pixel and every 16th or fourth token.
    let kept = maps.clone().slice_dim(1, burn::tensor::s![..;8]).slice_dim(2, burn::tensor::s![..;8]);
    report.tensor(&file, "patch_embed_s8", kept.permute([0, 3, 1, 2]))?;
    for (name, step, layer) in [("layer0_s16", 16, 0), ("layer1_s4", 4, 1), ("layer2_s4", 4, 2), ("layer3_s4", 4, 3)] {
        maps = encoder.layers[layer].forward(maps);
        let tokens = maps.clone().flatten::<3>(1, 2);
        report.tensor(&file, name, tokens.slice_dim(1, burn::tensor::s![..;step]))?;
    }
    report.tensor(&goldens.file("lite_embedding")?, "embedding", encoder.forward(images))
}

fn prompts<B: Backend>(
    file: &GoldenFile,
    predictor: &SamPredictor<B>,
    embedding: &ImageEmbedding<B>,
    report: &mut Report,
) -> Result<()> {
    // Prompts of the goldens are in pixels of the model's input, and those of the API in pixels of the image, whose axes may have different
    // scales.
    let Frame { original, resized, .. } = embedding.frame();
    let factors = [original.1 as f32 / resized.1 as f32, original.0 as f32 / resized.0 as f32];
    let (points, labels, edges) = (file.values("points_256")?.1, file.values("labels")?.1, file.values("box_256")?.1);
    let edges: Vec<f32> = edges.iter().zip(factors.iter().cycle()).map(|(edge, factor)| edge * factor).collect();
    let part = BoundingBox { x_min: edges[0], y_min: edges[1], x_max: edges[2], y_max: edges[3] };
    let points: Vec<Point> = points
        .chunks_exact(2)
        .zip(labels)
        .map(|(at, label)| Point {
            x: at[0] * factors[0],
            y: at[1] * factors[1],
            label: if label > 0.0 { Label::Foreground } else { Label::Background },
        })
        .collect();
    let (shape, low_res) = file.values("box.single.low_res")?;
    let fed_back = Array2::from_shape_vec((shape[2], shape[3]), low_res)?;

    let case = |points: &[Point], boxes: &[BoundingBox], mask: Option<Array2<f32>>| Prompts {
        points: points.to_vec(),
        boxes: boxes.to_vec(),
        mask,
        ..Prompts::default()
    };
    for (name, prompts) in [
        ("box", case(&[], &[part], None)),
        ("point1", case(&points[..1], &[], None)),
        ("points3", case(&points, &[], None)),
        ("points3_box", case(&points, &[part], None)),
        ("box_mask", case(&[], &[part], Some(fed_back))),
    ] {
        let prediction = predictor.predict(embedding, &prompts)?;
        compare(file, &format!("{name}.single"), &prediction, report)?;
        let pixels: Vec<bool> = prediction.mask().iter().copied().collect();
        report.mask(file, &format!("{name}.single.mask_u8"), &pixels)?;
    }
    compare(file, "points3.multi", &predictor.predict_multi(embedding, &case(&points, &[], None))?, report)
}

fn compare(file: &GoldenFile, name: &str, found: &MaskPrediction, report: &mut Report) -> Result<()> {
    report.values(file, &format!("{name}.low_res"), found.low_res.iter().copied())?;
    report.values(file, &format!("{name}.iou"), found.iou.iter().copied())
}
