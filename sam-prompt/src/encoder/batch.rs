//! Prompts of one or more objects, as tensors in the model's own pixels.

use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::{Label, PromptError, Prompts};

/// What one sparse token says; each kind has its learned embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// SAM's label -1: stands for the box that a prompt of points does not have.
    Padding,
    /// A background click.
    Background,
    /// A foreground click.
    Foreground,
    /// The upper left corner of a box.
    BoxTopLeft,
    /// The lower right corner of a box.
    BoxBottomRight,
}

impl TokenKind {
    /// How many kinds there are.
    pub const COUNT: usize = 5;
}

/// Prompts of equal make-up, one for each object or slice, in pixels of the model's input.
///
/// [`Prompts`] is in image pixels, this in model pixels: the types keep the two frames apart.
#[derive(Debug, Clone)]
pub struct PromptBatch<B: Backend> {
    /// Token coordinates `(x, y)`, half a pixel added: `[n, tokens, 2]`. `None` without points and boxes.
    pub(super) coordinates: Option<Tensor<B, 3>>,
    /// Each token's [`TokenKind`], one-hot: `[n, tokens, 5]`.
    pub(super) kinds: Option<Tensor<B, 3>>,
    /// Mask logits: `[n, 1, 4 h, 4 w]` for an embedding of `h` x `w`.
    pub(super) masks: Option<Tensor<B, 4>>,
    size: usize,
}

impl<B: Backend> PromptBatch<B> {
    /// Puts prompts into tensors, with coordinates multiplied by `scale`.
    ///
    /// `scale` is `(x, y)`: the resized image's width over the original's, and height over height. Tokens come in SAM's order:
    /// points, then the padding token if there are points and no box, then the box's corners.
    ///
    /// # Errors
    /// [`PromptError::EmptyBatch`]; [`PromptError::UnevenBatch`] if token counts or the presence of masks differ, or a prompt has
    /// more than one box (split it with [`Prompts::parts`]); [`PromptError::MaskSize`] if masks differ in size.
    pub fn new(prompts: &[Prompts], scale: (f32, f32), device: &B::Device) -> Result<Self, PromptError> {
        let first = prompts.first().ok_or(PromptError::EmptyBatch)?;
        let tokens: Vec<_> = prompts.iter().map(|prompts| tokens(prompts, scale)).collect();
        let count = tokens[0].len();
        let mask_word = |has_mask| if has_mask { "a mask" } else { "no mask" };
        for (index, (prompts, tokens)) in prompts.iter().zip(&tokens).enumerate() {
            if tokens.len() != count || prompts.mask.is_some() != first.mask.is_some() || prompts.boxes.len() > 1 {
                return Err(PromptError::UnevenBatch {
                    index,
                    expected: count,
                    found: tokens.len(),
                    expected_mask: mask_word(first.mask.is_some()),
                    found_mask: mask_word(prompts.mask.is_some()),
                });
            }
        }
        let size = prompts.len();
        let coordinates = tokens.iter().flatten().flat_map(|(_, [x, y])| [x + 0.5, y + 0.5]).collect();
        let kinds = tokens.iter().flatten().flat_map(|(kind, _)| one_hot(*kind)).collect();
        let tensor = |values: Vec<f32>, width| Tensor::from_data(TensorData::new(values, [size, count, width]), device);
        let (coordinates, kinds) =
            (count > 0).then(|| (tensor(coordinates, 2), tensor(kinds, TokenKind::COUNT))).unzip();
        Ok(Self { coordinates, kinds, masks: masks(prompts, device)?, size })
    }

    /// How many prompts the batch holds.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether the batch holds no prompt; [`PromptBatch::new`] never makes such a one.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// The sparse tokens of one prompt in SAM's order, scaled to model pixels.
fn tokens(prompts: &Prompts, (scale_x, scale_y): (f32, f32)) -> Vec<(TokenKind, [f32; 2])> {
    let at = |x: f32, y: f32| [x * scale_x, y * scale_y];
    let mut tokens: Vec<_> = prompts
        .points
        .iter()
        .map(|point| match point.label {
            Label::Foreground => (TokenKind::Foreground, at(point.x, point.y)),
            Label::Background => (TokenKind::Background, at(point.x, point.y)),
        })
        .collect();
    if !tokens.is_empty() && prompts.boxes.is_empty() {
        tokens.push((TokenKind::Padding, [0.0, 0.0]));
    }
    for part in &prompts.boxes {
        tokens.push((TokenKind::BoxTopLeft, at(part.x_min, part.y_min)));
        tokens.push((TokenKind::BoxBottomRight, at(part.x_max, part.y_max)));
    }
    tokens
}

fn one_hot(kind: TokenKind) -> [f32; TokenKind::COUNT] {
    let mut row = [0.0; TokenKind::COUNT];
    row[kind as usize] = 1.0;
    row
}

/// Mask prompts of equal size, stacked to `[n, 1, rows, columns]`.
fn masks<B: Backend>(prompts: &[Prompts], device: &B::Device) -> Result<Option<Tensor<B, 4>>, PromptError> {
    let Some((rows, columns)) = prompts.first().and_then(|prompts| prompts.mask.as_ref()).map(ndarray::Array2::dim)
    else {
        return Ok(None);
    };
    let mut logits = Vec::with_capacity(prompts.len() * rows * columns);
    for mask in prompts.iter().filter_map(|prompts| prompts.mask.as_ref()) {
        check_mask_size((rows, columns), mask.dim())?;
        logits.extend(mask.iter().copied());
    }
    Ok(Some(Tensor::from_data(TensorData::new(logits, [prompts.len(), 1, rows, columns]), device)))
}

/// Fails where a mask prompt's size is not the expected one.
pub(super) fn check_mask_size(expected: (usize, usize), found: (usize, usize)) -> Result<(), PromptError> {
    if expected == found {
        return Ok(());
    }
    Err(PromptError::MaskSize {
        expected_height: expected.0,
        expected_width: expected.1,
        found_height: found.0,
        found_width: found.1,
    })
}
