//! segment-anything's own modules, in a small size and with random weights.

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{Tensor, backend::Backend};
use sam_core::{
    Checkpoint, Frame, ImageEmbedding, ImageEncoder, MaskOutput, Preprocess, Sam, SamConfig, SamPredictor,
    image_encoder::{AnyImageEncoder, ImageEncoderViT, relative_positions, window_partition, window_unpartition},
    postprocess_masks,
};
use sam_prompt::{
    BoundingBox, Label, Point, PromptBatch, Prompts, Token, TokenKind,
    ndarray::{Array2, Array3, Axis},
};

use super::{Goldens, Report, config::GoldenConfig, goldens::GoldenFile};

pub(super) fn check<B: Backend>(goldens: &Goldens, device: &B::Device, report: &mut Report) -> Result<()> {
    let sizes = GoldenConfig::read(goldens)?;
    let config = sizes.sam();
    let checkpoint = Checkpoint::open(goldens.path("sam_tiny.pth"))?;
    let sam: Sam<B> =
        checkpoint.load(&config, device).context("loading sam_tiny.pth with the sizes of sam_tiny_config.json")?;

    checkpoints::<B>(goldens, &config, device, report)?;
    let AnyImageEncoder::Vit(encoder) = checkpoint.load_image_encoder::<B>(&config, device)? else {
        bail!("the goldens' model was taken for another one than a ViT");
    };
    image_encoder(&goldens.file("encoder")?, &encoder, &sizes, device, report)?;
    prompt_encoder(&goldens.file("prompt_encoder")?, &sam, device, report)?;
    let prompts = goldens.file("prompt_encoder")?;
    mask_decoder(&goldens.file("mask_decoder")?, &prompts, (&sam, sizes.grid()), device, report)?;
    transforms::<B>(&goldens.file("predictor")?, config.preprocess, device, report)?;
    predictor(&goldens.file("predictor")?, &SamPredictor::new(sam, config.preprocess), device, report)
}

/// Checks that the other file formats of the weights contain the same prompt encoder.
fn checkpoints<B: Backend>(
    goldens: &Goldens,
    config: &SamConfig,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let file = goldens.file("prompt_encoder")?;
    for name in ["sam_tiny.safetensors", "ckpt_nested.pth", "ckpt_legacy_format.pth"] {
        if !goldens.has(name) {
            report.skip(name, "the folder does not have it");
            continue;
        }
        let encoder = Checkpoint::open(goldens.path(name))?
            .load_prompt_encoder::<B>(config, device)
            .with_context(|| format!("loading {name}"))?;
        report.tensor(&file, "dense_pe", encoder.dense_pe())?;
    }
    if !goldens.has("ckpt_half.pth") {
        report.skip("ckpt_half.pth", "the folder does not have it");
        return Ok(());
    }
    // Half precision loses half of the mantissa's bits: the encoder must load and be similar, which is less than parity.
    let half = Checkpoint::open(goldens.path("ckpt_half.pth"))?.load_prompt_encoder::<B>(config, device)?;
    let error = (half.dense_pe() - file.tensor("dense_pe", device)?).abs().max().into_scalar();
    let error = burn::tensor::ElementConversion::elem::<f32>(error);
    ensure!(error < 0.1, "half-precision weights are {error} off");
    Ok(())
}

fn image_encoder<B: Backend>(
    file: &GoldenFile,
    encoder: &ImageEncoderViT<B>,
    sizes: &GoldenConfig,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let images: Tensor<B, 4> = file.tensor("enc.input", device)?;
    let tokens = encoder.patch_embed.forward(images.clone());
    report.tensor(file, "enc.patch_embed", tokens.clone())?;
    let mut tokens = tokens + encoder.pos_embed.val();
    report.tensor(file, "enc.after_pos_embed", tokens.clone())?;

    let first = &encoder.blocks[0];
    let normed = first.norm1.forward(tokens.clone());
    report.tensor(file, "enc.block0.norm1", normed.clone())?;
    if sizes.begins_with_windows() {
        let windows = window_partition(normed, sizes.window);
        report.tensor(file, "enc.block0.window_partition", windows.clone())?;
        let attended = first.attn.forward(windows);
        report.tensor(file, "enc.block0.attn_windowed", attended.clone())?;
        let grid = sizes.grid();
        report.tensor(file, "enc.block0.window_unpartition", window_unpartition(attended, grid, grid))?;
    }
    for (index, block) in encoder.blocks.iter().enumerate() {
        tokens = block.forward(tokens);
        report.tensor(file, &format!("enc.block{index}"), tokens.clone())?;
    }
    report.tensor(file, "enc.neck", encoder.forward(images))?;

    let table: Tensor<B, 2> = file.tensor("relpos.table", device)?;
    for name in file.names("relpos.")?.iter().filter(|name| *name != "relpos.table") {
        let (shape, _) = file.values(name)?;
        ensure!(shape.len() == 3, "tensor {name} has the shape {shape:?}, expected [queries, keys, width]");
        report.tensor(file, name, relative_positions(table.clone(), shape[0], shape[1]))?;
    }
    Ok(())
}

/// The prompts of the goldens, by combination.
struct Combinations<B: Backend> {
    points: Vec<Vec<Token>>,
    boxes: Vec<Vec<Token>>,
    masks: Tensor<B, 4>,
}

impl<B: Backend> Combinations<B> {
    fn read(file: &GoldenFile, device: &B::Device) -> Result<Self> {
        let ((_, points), (shape, labels), (_, boxes)) =
            (file.values("in.points")?, file.values("in.labels")?, file.values("in.boxes")?);
        ensure!(
            shape.len() == 2 && shape[1] > 0,
            "tensor in.labels has the shape {shape:?}, expected [prompts, points]"
        );
        let kind = |label: f32| match label {
            1.0 => TokenKind::Foreground,
            0.0 => TokenKind::Background,
            _ => TokenKind::Padding,
        };
        let points = points
            .chunks_exact(2)
            .zip(&labels)
            .map(|(point, &label)| Token { kind: kind(label), x: point[0], y: point[1] })
            .collect::<Vec<_>>();
        let corners = |edges: &[f32]| {
            vec![
                Token { kind: TokenKind::BoxTopLeft, x: edges[0], y: edges[1] },
                Token { kind: TokenKind::BoxBottomRight, x: edges[2], y: edges[3] },
            ]
        };
        Ok(Self {
            points: points.chunks_exact(shape[1]).map(<[_]>::to_vec).collect(),
            boxes: boxes.chunks_exact(4).map(corners).collect(),
            masks: file.tensor("in.masks", device)?,
        })
    }

    /// The batch of a combination such as `points_boxes_masks`.
    fn batch(&self, name: &str, device: &B::Device) -> Result<PromptBatch<B>> {
        let padding = Token { kind: TokenKind::Padding, x: 0.0, y: 0.0 };
        let tokens: Vec<Vec<Token>> = self
            .points
            .iter()
            .zip(&self.boxes)
            .map(|(points, boxes)| match (name.contains("point"), name.contains("boxes")) {
                (true, true) => [points.as_slice(), boxes].concat(),
                (true, false) => [points.as_slice(), &[padding]].concat(),
                (false, true) => boxes.clone(),
                (false, false) => Vec::new(),
            })
            .collect();
        Ok(PromptBatch::from_tokens(&tokens, name.contains("masks").then(|| self.masks.clone()), device)?)
    }
}

fn prompt_encoder<B: Backend>(file: &GoldenFile, sam: &Sam<B>, device: &B::Device, report: &mut Report) -> Result<()> {
    let encoder = &sam.prompt_encoder;
    report.tensor(file, "dense_pe", encoder.dense_pe())?;
    let combinations = Combinations::<B>::read(file, device)?;
    for name in ["points", "boxes", "masks", "points_boxes", "points_masks", "points_boxes_masks"] {
        let embedded = encoder.forward(&combinations.batch(name, device)?)?;
        let (shape, _) = file.values(&format!("{name}.dense"))?;
        // Without a mask all dense maps are equal, and the goldens keep only one of them.
        let dense = embedded.dense.slice([0..shape[0]]).expand([shape[0], shape[1], shape[2], shape[3]]);
        report.tensor(file, &format!("{name}.dense"), dense)?;
        if let Some(sparse) = embedded.sparse {
            report.tensor(file, &format!("{name}.sparse"), sparse)?;
        }
    }
    let first = combinations.points[0][0];
    let padding = Token { kind: TokenKind::Padding, x: 0.0, y: 0.0 };
    let one_point = encoder.forward(&PromptBatch::from_tokens(&[vec![first, padding]], None, device)?)?;
    report.tensor(file, "one_point.sparse", one_point.sparse.context("a point gives a token")?)?;
    report.tensor(file, "one_point.dense", one_point.dense.expand(encoder.dense_pe().dims()))
}

fn mask_decoder<B: Backend>(
    file: &GoldenFile,
    prompts: &GoldenFile,
    (sam, grid): (&Sam<B>, usize),
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let embedding: Tensor<B, 4> = file.tensor("in.image_embedding", device)?;
    let combinations = Combinations::<B>::read(prompts, device)?;
    for name in ["points", "boxes", "masks", "points_boxes", "points_masks", "points_boxes_masks"] {
        let batch = combinations.batch(name, device)?;
        for (output, output_name) in [(MaskOutput::Single, "single"), (MaskOutput::Multi, "multi")] {
            let masks = sam.decode(embedding.clone(), &batch, output)?;
            report.tensor(file, &format!("{name}.{output_name}.low_res"), masks.low_res)?;
            report.tensor(file, &format!("{name}.{output_name}.iou"), masks.iou)?;
        }
    }
    let transformer = &sam.mask_decoder.transformer;
    let flat = |maps: Tensor<B, 4>| maps.flatten::<3>(2, 3).swap_dims(1, 2);
    let (source, tokens): (_, Tensor<B, 3>) = (flat(file.tensor("tf.src", device)?), file.tensor("tf.tokens", device)?);
    let image_pe = flat(sam.prompt_encoder.dense_pe());
    let (mut queries, mut keys) = (tokens.clone(), source.clone());
    for (index, layer) in transformer.layers.iter().enumerate() {
        (queries, keys) = layer.forward(queries, keys, tokens.clone(), image_pe.clone());
        report.tensor(file, &format!("tf.layer{index}.queries"), queries.clone())?;
        report.tensor(file, &format!("tf.layer{index}.keys"), keys.clone())?;
    }
    let (queries, keys) = transformer.forward(source, image_pe, tokens);
    report.tensor(file, "tf.out.queries", queries)?;
    report.tensor(file, "tf.out.keys", keys.clone())?;
    report.tensor(file, "tf.upscaled", sam.mask_decoder.upscale(keys, grid, grid))
}

fn transforms<B: Backend>(
    file: &GoldenFile,
    preprocess: Preprocess,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let image = raw_image(file)?;
    let frame = Frame::new(image.dim().0, image.dim().1, preprocess.image_size);
    let resized = preprocess.resize(image.view(), frame.resized);
    report.values(file, "apply_image_pil", resized.iter().map(|&level| f32::from(level)))?;
    let (input, _) = preprocess.apply(image.view())?;
    report.values(file, "preprocessed", input.iter().copied())?;
    report.values(file, "preprocess_shape", [frame.resized.0 as f32, frame.resized.1 as f32])?;
    for name in file.names("preprocess_shape_case")? {
        let (_, shape) = file.values(&name)?;
        ensure!(
            shape.len() == 4,
            "tensor {name} has {} values, expected height and width, before and after",
            shape.len()
        );
        let frame = Frame::new(shape[0] as usize, shape[1] as usize, 1024);
        let sides = [shape[0], shape[1], frame.resized.0 as f32, frame.resized.1 as f32];
        report.values(file, &name, sides)?;
    }
    let (scale_x, scale_y) = frame.scale();
    let scaled = |(index, value): (usize, &f32)| value * if index % 2 == 0 { scale_x } else { scale_y };
    for name in ["coords", "boxes"] {
        let (_, coordinates) = file.values(name)?;
        report.values(file, &format!("{name}_out"), coordinates.iter().enumerate().map(scaled))?;
    }
    // The goldens keep only the first prompt.
    let low_res = file.tensor::<B, 4>("postprocess.in_low_res", device)?.slice([0..1]);
    report.tensor(file, "postprocess.out", postprocess_masks(low_res, &frame))
}

/// The goldens' image as `[rows, columns, 3]`.
fn raw_image(file: &GoldenFile) -> Result<Array3<u8>> {
    let (shape, values) = file.levels("raw_image_u8")?;
    Ok(Array3::from_shape_vec((shape[0], shape[1], shape[2]), values)?)
}

fn predictor<B: Backend>(
    file: &GoldenFile,
    predictor: &SamPredictor<B>,
    device: &B::Device,
    report: &mut Report,
) -> Result<()> {
    let embedding = predictor.embed(raw_image(file)?.view())?;
    report.tensor(file, "pred.features", embedding.features().clone())?;
    // Errors of the embedding are counted only once, above.
    let embedding = ImageEmbedding::new(file.tensor("pred.features", device)?, embedding.frame())?;

    let (coordinates, labels, edges) =
        (file.values("pred.point_coords")?.1, file.values("pred.point_labels")?.1, file.values("pred.box")?.1);
    let label = |label: f32| if label > 0.0 { Label::Foreground } else { Label::Background };
    let points: Vec<Point> = coordinates
        .chunks_exact(2)
        .zip(labels)
        .map(|(at, value)| Point { x: at[0], y: at[1], label: label(value) })
        .collect();
    let part = BoundingBox { x_min: edges[0], y_min: edges[1], x_max: edges[2], y_max: edges[3] };
    let multi = predictor.predict_multi(&embedding, &Prompts::from_points(points.clone()))?;
    let (shape, low_res) = file.values("pred.points_multi.low_res")?;
    let best =
        Array3::from_shape_vec((shape[0], shape[1], shape[2]), low_res)?.index_axis(Axis(0), multi.best()).to_owned();
    let case = |points: &[Point], boxes: &[BoundingBox], mask: Option<Array2<f32>>| Prompts {
        points: points.to_vec(),
        boxes: boxes.to_vec(),
        mask,
        ..Prompts::default()
    };
    let single = |prompts: &Prompts| predictor.predict(&embedding, prompts);
    for (name, prediction) in [
        ("points_multi", multi),
        ("points_single", single(&case(&points, &[], None))?),
        ("box_single", single(&case(&[], &[part], None))?),
        ("points_box_single", single(&case(&points, &[part], None))?),
        ("points_maskinput_single", single(&case(&points, &[], Some(best)))?),
    ] {
        report.values(file, &format!("pred.{name}.logits"), prediction.logits.iter().copied())?;
        report.values(file, &format!("pred.{name}.low_res"), prediction.low_res.iter().copied())?;
        report.values(file, &format!("pred.{name}.iou"), prediction.iou.iter().copied())?;
    }
    Ok(())
}
