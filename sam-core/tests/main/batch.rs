//! Batches of prompts: which prompts fit into one batch, which are rejected, and tokens of other models. These tests are here because the
//! tests of sam-prompt have no backend.

use burn::tensor::{Tensor, TensorData};
use sam_prompt::{
    BoundingBox, Label, Point, PromptBatch, PromptEmbeddings, PromptError, Prompts, Token, TokenKind, ndarray::Array2,
};
use sam_testing::{B, DEVICE, TestResult, golden::config};

const BOX: BoundingBox = BoundingBox { x_min: 3.0, y_min: 4.0, x_max: 60.0, y_max: 50.0 };

/// Whether an error is the expected one.
type Expected = fn(&PromptError) -> bool;

fn clicks(count: usize) -> Prompts {
    let click = |number: usize| Point { x: 9.0 + number as f32, y: 12.0, label: Label::Foreground };
    Prompts::from_points((0..count).map(click).collect())
}

fn batch(prompts: &[Prompts]) -> Result<PromptBatch<B>, PromptError> {
    let prompts: Vec<_> = prompts.iter().map(|prompts| (prompts, (1.0, 1.0))).collect();
    PromptBatch::new(&prompts, &DEVICE)
}

fn sparse(embeddings: PromptEmbeddings<B>) -> TestResult<(Vec<usize>, Vec<f32>)> {
    let data = embeddings.sparse.ok_or("there are tokens")?.into_data();
    Ok((data.shape.to_vec(), data.iter::<f32>().collect()))
}

#[test]
fn prompts_that_do_not_fit_together_are_errors() {
    let logits = |side: usize, value: f32| Some(Array2::from_elem((side, side), value));
    let masked = |mask| Prompts { mask, ..clicks(1) };
    let told = |shape, value: f32| Prompts { tokens: Some(Array2::from_elem(shape, value)), ..clicks(1) };
    let several = Prompts::from_boxes(vec![BOX, BOX]);
    let cases: [(&str, Vec<Prompts>, Expected); 9] = [
        ("nothing", vec![], |error| matches!(error, PromptError::EmptyBatch)),
        ("more clicks", vec![clicks(1), clicks(2)], |error| matches!(error, PromptError::UnevenBatch { index: 1, .. })),
        ("two boxes", vec![several], |error| matches!(error, PromptError::SeveralBoxes { index: 0, boxes: 2 })),
        ("one mask", vec![masked(logits(4, 0.0)), clicks(1)], |error| {
            matches!(error, PromptError::UnevenMasks { index: 1 })
        }),
        ("masks of two sizes", vec![masked(logits(4, 0.0)), masked(logits(5, 0.0))], |error| {
            matches!(error, PromptError::MaskSize { expected_height: 4, found_height: 5, .. })
        }),
        ("a mask of NaN", vec![masked(logits(4, f32::NAN))], |error| {
            matches!(error, PromptError::NotFinite { what: "mask prompt" })
        }),
        ("an infinite token", vec![told((1, 32), f32::INFINITY)], |error| {
            matches!(error, PromptError::NotFinite { what: "external tokens" })
        }),
        ("more tokens", vec![told((1, 32), 0.0), told((2, 32), 0.0)], |error| {
            matches!(error, PromptError::UnevenBatch { index: 1, expected: 1, found: 2 })
        }),
        ("wider tokens", vec![told((1, 32), 0.0), told((1, 33), 0.0)], |error| {
            matches!(error, PromptError::TokenWidth { expected: 32, found: 33 })
        }),
    ];
    for (name, prompts, is_expected) in cases {
        let error = batch(&prompts).expect_err(name);
        assert!(is_expected(&error), "{name}: {error}");
    }
    let tokens = vec![vec![Token { kind: TokenKind::Foreground, x: 1.0, y: 2.0 }]; 2];
    let masks = Tensor::<B, 4>::zeros([3, 1, 4, 4], &DEVICE);
    let found = PromptBatch::from_tokens(&tokens, Some(masks), &DEVICE);
    assert!(matches!(found, Err(PromptError::MaskCount { expected: 2, found: 3 })));
}

#[test]
fn external_tokens_come_last_and_as_they_are() -> TestResult {
    let encoder = config().prompt_encoder().init::<B>(&DEVICE);
    let prompts = [clicks(2), clicks(2)];
    let (shape, alone) = sparse(encoder.forward(&batch(&prompts)?)?)?;
    assert_eq!(shape, [2, 3, 32], "two clicks and the padding");
    let values: Vec<f32> = (0..2 * 32).map(|value| value as f32).collect();
    let external = Tensor::from_data(TensorData::new(values.clone(), [2, 1, 32]), &DEVICE);
    let both = batch(&prompts)?.with_external(external);
    assert_eq!((both.len(), both.is_empty()), (2, false));
    let (shape, found) = sparse(encoder.forward(&both)?)?;
    assert_eq!(shape, [2, 4, 32]);
    for (prompt, found) in found.chunks(4 * 32).enumerate() {
        assert_eq!(found[..3 * 32], alone[prompt * 3 * 32..][..3 * 32]);
        assert_eq!(found[3 * 32..], values[prompt * 32..][..32]);
    }
    Ok(())
}
