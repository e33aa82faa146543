//! The prompts of the reference tensors: two of each kind.

use burn::tensor::{Tensor, backend::Backend};
use sam_prompt::{PromptBatch, Token, TokenKind};

use super::Golden;
use crate::TestResult;

impl Golden {
    /// The points of each prompt.
    pub fn points(&self) -> TestResult<Vec<Vec<Token>>> {
        let ((_, points), (_, labels)) = (self.values("in.points")?, self.values("in.labels")?);
        let kind = |label: f32| match label {
            1.0 => TokenKind::Foreground,
            0.0 => TokenKind::Background,
            _ => TokenKind::Padding,
        };
        let points: Vec<_> = points
            .chunks_exact(2)
            .zip(&labels)
            .map(|(point, &label)| Token { kind: kind(label), x: point[0], y: point[1] })
            .collect();
        Ok(points.chunks_exact(labels.len() / 2).map(<[_]>::to_vec).collect())
    }

    /// The corners of each prompt's box.
    pub fn boxes(&self) -> TestResult<Vec<Vec<Token>>> {
        let (_, boxes) = self.values("in.boxes")?;
        let corners = |edges: &[f32]| {
            vec![
                Token { kind: TokenKind::BoxTopLeft, x: edges[0], y: edges[1] },
                Token { kind: TokenKind::BoxBottomRight, x: edges[2], y: edges[3] },
            ]
        };
        Ok(boxes.chunks_exact(4).map(corners).collect())
    }

    /// The prompt batch of a combination such as `points_boxes_masks`.
    pub fn batch<B: Backend>(&self, name: &str) -> TestResult<PromptBatch<B>> {
        let padding = Token { kind: TokenKind::Padding, x: 0.0, y: 0.0 };
        let tokens = |(points, boxes): (Vec<Token>, Vec<Token>)| match (name.contains("points"), name.contains("boxes"))
        {
            (true, true) => [points, boxes].concat(),
            (true, false) => [points, vec![padding]].concat(),
            (false, true) => boxes,
            (false, false) => Vec::new(),
        };
        let tokens: Vec<_> = self.points()?.into_iter().zip(self.boxes()?).map(tokens).collect();
        let masks: Option<Tensor<B, 4>> = name.contains("masks").then(|| self.tensor("in.masks")).transpose()?;
        Ok(PromptBatch::from_tokens(&tokens, masks, &B::Device::default())?)
    }
}
