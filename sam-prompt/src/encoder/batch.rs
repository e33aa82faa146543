//! Prompts of one or more objects, as tensors in pixels of the model's input.

use burn::tensor::{Tensor, TensorData, backend::Backend};

use crate::{Label, PromptError, Prompts, drawing::check_finite};

/// The kind of a sparse token. Each kind has its own learned embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// SAM's label -1: a placeholder for the missing box of a prompt of points.
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
    /// Number of kinds.
    pub const COUNT: usize = 5;

    fn one_hot(self) -> [f32; Self::COUNT] {
        let mut row = [0.0; Self::COUNT];
        row[self as usize] = 1.0;
        row
    }
}

/// One sparse token: its kind and its position in pixels of the model's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
}

/// Prompts with the same numbers of points and boxes, one for each object or slice, in pixels of the model's input.
///
/// [`Prompts`] is in image pixels, this type in model pixels, so that the two frames cannot be confused.
#[derive(Debug, Clone)]
pub struct PromptBatch<B: Backend> {
    /// Token coordinates `(x, y)`, half a pixel added: `[n, tokens, 2]`. `None` without points and boxes.
    pub(super) coordinates: Option<Tensor<B, 3>>,
    /// Each token's [`TokenKind`], one-hot: `[n, tokens, 5]`.
    pub(super) kinds: Option<Tensor<B, 3>>,
    /// Mask logits: `[n, 1, 4 h, 4 w]` for an embedding of `h` x `w`.
    pub(super) masks: Option<Tensor<B, 4>>,
    /// Tokens of another model, appended to the others: `[n, tokens, embed_dim]`.
    pub(super) external: Option<Tensor<B, 3>>,
    size: usize,
}

impl<B: Backend> PromptBatch<B> {
    /// Converts prompts to tensors, with each prompt's coordinates multiplied by its own image's scale.
    ///
    /// A scale is `(x, y)`: the resized image's width over the original's, and height over height. Tokens come in SAM's order:
    /// points, then the padding token if there are points and no box, then the box's corners.
    ///
    /// # Errors
    /// [`PromptError::EmptyBatch`]; [`PromptError::UnevenBatch`] if token counts differ, [`PromptError::UnevenMasks`] if only some
    /// prompts have a mask; [`PromptError::SeveralBoxes`] if a prompt has more than one box (split it with [`Prompts::parts`]);
    /// [`PromptError::MaskSize`] and [`PromptError::TokenWidth`] if masks or external tokens differ in size;
    /// [`PromptError::NotFinite`] if one holds a number that is not finite.
    pub fn new(prompts: &[(&Prompts, (f32, f32))], device: &B::Device) -> Result<Self, PromptError> {
        for (index, (prompt, _)) in prompts.iter().enumerate() {
            if prompt.boxes.len() > 1 {
                return Err(PromptError::SeveralBoxes { index, boxes: prompt.boxes.len() });
            }
            if prompt.mask.is_some() != prompts[0].0.mask.is_some() {
                return Err(PromptError::UnevenMasks { index });
            }
        }
        let tokens: Vec<_> = prompts.iter().map(|&(prompt, scale)| tokens(prompt, scale)).collect();
        let batch = Self::from_tokens(&tokens, masks(prompts, device)?, device)?;
        Ok(match external(prompts, device)? {
            Some(external) => batch.with_external(external),
            None => batch,
        })
    }

    /// A batch of given tokens in model pixels.
    ///
    /// # Shapes
    /// - tokens: the same number for each prompt; masks: `[n, 1, 4 h, 4 w]` for an embedding of `h` x `w`
    ///
    /// # Errors
    /// [`PromptError::EmptyBatch`]; [`PromptError::UnevenBatch`] if token counts differ; [`PromptError::MaskCount`] if the
    /// numbers of masks and prompts differ.
    pub fn from_tokens(
        tokens: &[Vec<Token>],
        masks: Option<Tensor<B, 4>>,
        device: &B::Device,
    ) -> Result<Self, PromptError> {
        let size = tokens.len();
        let expected = tokens.first().ok_or(PromptError::EmptyBatch)?.len();
        if let Some((index, uneven)) = tokens.iter().enumerate().find(|(_, tokens)| tokens.len() != expected) {
            return Err(PromptError::UnevenBatch { index, expected, found: uneven.len() });
        }
        if let Some(found) = masks.as_ref().map(|masks| masks.dims()[0]).filter(|&found| found != size) {
            return Err(PromptError::MaskCount { expected: size, found });
        }
        let coordinates = tokens.iter().flatten().flat_map(|token| [token.x + 0.5, token.y + 0.5]).collect();
        let kinds = tokens.iter().flatten().flat_map(|token| token.kind.one_hot()).collect();
        let tensor =
            |values: Vec<f32>, width| Tensor::from_data(TensorData::new(values, [size, expected, width]), device);
        let (coordinates, kinds) =
            (expected > 0).then(|| (tensor(coordinates, 2), tensor(kinds, TokenKind::COUNT))).unzip();
        Ok(Self { coordinates, kinds, masks, external: None, size })
    }

    /// Appends tokens of another model, such as a text encoder's, to those of each prompt.
    ///
    /// # Shapes
    /// - tokens: `[n, tokens, embed_dim]`
    ///
    /// # Panics
    /// If `n` is not the number of prompts.
    #[must_use]
    pub fn with_external(self, tokens: Tensor<B, 3>) -> Self {
        assert_eq!(tokens.dims()[0], self.size, "external tokens must be given for each prompt of the batch");
        Self { external: Some(tokens), ..self }
    }

    /// Number of prompts in the batch.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether the batch has no prompt; [`PromptBatch::new`] refuses to make such a batch.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// The sparse tokens of one prompt in SAM's order, scaled to model pixels.
fn tokens(prompts: &Prompts, (scale_x, scale_y): (f32, f32)) -> Vec<Token> {
    let token = |kind, x: f32, y: f32| Token { kind, x: x * scale_x, y: y * scale_y };
    let click = |label| match label {
        Label::Foreground => TokenKind::Foreground,
        Label::Background => TokenKind::Background,
    };
    let mut tokens: Vec<_> = prompts.points.iter().map(|point| token(click(point.label), point.x, point.y)).collect();
    if !tokens.is_empty() && prompts.boxes.is_empty() {
        tokens.push(token(TokenKind::Padding, 0.0, 0.0));
    }
    for part in &prompts.boxes {
        tokens.push(token(TokenKind::BoxTopLeft, part.x_min, part.y_min));
        tokens.push(token(TokenKind::BoxBottomRight, part.x_max, part.y_max));
    }
    tokens
}

/// Mask prompts of equal size, stacked to `[n, 1, rows, columns]`.
fn masks<B: Backend>(
    prompts: &[(&Prompts, (f32, f32))],
    device: &B::Device,
) -> Result<Option<Tensor<B, 4>>, PromptError> {
    let Some((rows, columns)) = prompts.first().and_then(|(prompt, _)| prompt.mask.as_ref()).map(ndarray::Array2::dim)
    else {
        return Ok(None);
    };
    let mut logits = Vec::with_capacity(prompts.len() * rows * columns);
    for mask in prompts.iter().filter_map(|(prompt, _)| prompt.mask.as_ref()) {
        check_mask_size((rows, columns), mask.dim())?;
        check_finite("mask prompt", mask.iter().copied())?;
        logits.extend(mask.iter().copied());
    }
    Ok(Some(Tensor::from_data(TensorData::new(logits, [prompts.len(), 1, rows, columns]), device)))
}

/// External tokens of equal count and width, stacked to `[n, tokens, embed_dim]`.
fn external<B: Backend>(
    prompts: &[(&Prompts, (f32, f32))],
    device: &B::Device,
) -> Result<Option<Tensor<B, 3>>, PromptError> {
    let count = |prompts: &Prompts| prompts.tokens.as_ref().map_or((0, 0), ndarray::Array2::dim);
    let Some(((expected, width), n)) = prompts.first().map(|(first, _)| (count(first), prompts.len())) else {
        return Ok(None);
    };
    let mut values: Vec<f32> = Vec::with_capacity(n * expected * width);
    for (index, (prompt, _)) in prompts.iter().enumerate() {
        match count(prompt) {
            (found, _) if found != expected => return Err(PromptError::UnevenBatch { index, expected, found }),
            (_, found) if found != width => return Err(PromptError::TokenWidth { expected: width, found }),
            _ => {
                check_finite("external tokens", prompt.tokens.iter().flatten().copied())?;
                values.extend(prompt.tokens.iter().flatten());
            }
        }
    }
    Ok((expected > 0).then(|| Tensor::from_data(TensorData::new(values, [n, expected, width]), device)))
}

/// Checks that the size of a mask prompt is the expected one.
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
