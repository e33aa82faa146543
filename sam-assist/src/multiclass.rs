//! Several learned structures on one image: each pixel belongs to one of them, or to the background.

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis, Zip};
use sam_core::{ImageEmbedding, SamPredictor};
use sam_prompt::Prompts;

use crate::AssistError;

/// One predictor for each learned structure, all asked on the same embedding.
///
/// Make the predictors from one by [`PromptCard::apply`](crate::PromptCard::apply): they share its weights and what its decoder computes
/// of positions, so that a further structure costs little more than its card.
#[derive(Debug, Clone)]
pub struct MultiClass<B: Backend> {
    predictors: Vec<SamPredictor<B>>,
}

impl<B: Backend> MultiClass<B> {
    /// Joins structures; the first becomes label 1, the second label 2, and so on.
    pub fn new(predictors: Vec<SamPredictor<B>>) -> Self {
        Self { predictors }
    }

    /// The logits of each structure, positive inside, `None` where it has no prompts.
    ///
    /// # Shapes
    /// - prompts: one for each structure, `None` for those that are not on the image
    /// - output: `[rows, columns]` of the image for each structure
    ///
    /// # Errors
    /// [`AssistError::MultiClass`] if there are not as many prompts as structures; [`AssistError::Core`] as
    /// [`SamPredictor::predict`].
    pub fn logits(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &[Option<Prompts>],
    ) -> Result<Vec<Option<Array2<f32>>>, AssistError> {
        if prompts.len() != self.predictors.len() {
            let expected = format!("prompts for each of {} structures", self.predictors.len());
            return Err(AssistError::MultiClass { expected, found: format!("prompts for {}", prompts.len()) });
        }
        let ask = |(predictor, prompts): (&SamPredictor<B>, &Option<Prompts>)| {
            let Some(prompts) = prompts else { return Ok(None) };
            let prediction = predictor.predict(embedding, prompts)?;
            Ok(Some(prediction.logits.index_axis(Axis(0), prediction.best()).to_owned()))
        };
        self.predictors.iter().zip(prompts).map(ask).collect()
    }

    /// The label of each pixel: see [`resolve_overlap`].
    ///
    /// # Shapes
    /// - output: `[rows, columns]` of the image
    ///
    /// # Errors
    /// As [`MultiClass::logits`].
    pub fn labels(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &[Option<Prompts>],
    ) -> Result<Array2<u16>, AssistError> {
        let logits = self.logits(embedding, prompts)?;
        let views: Vec<_> = logits.iter().map(|logits| logits.as_ref().map(|array| array.view())).collect();
        resolve_overlap(embedding.frame.original, &views)
    }
}

/// Gives each pixel to the structure of the largest logit: the first is label 1; 0 is background, where no logit is above 0.
///
/// Where logits are equal, the structure that comes first keeps the pixel. A logit that is no number claims nothing.
///
/// # Shapes
/// - size: rows and columns
/// - logits: `[rows, columns]` for each structure, `None` for one that is not on the image
/// - output: `[rows, columns]`
///
/// # Errors
/// [`AssistError::MultiClass`] if logits are of another size, or there are more structures than labels.
pub fn resolve_overlap(
    size: (usize, usize),
    logits: &[Option<ArrayView2<'_, f32>>],
) -> Result<Array2<u16>, AssistError> {
    let mut labels = Array2::zeros(size);
    let mut largest = Array2::<f32>::zeros(size);
    for (index, logits) in logits.iter().enumerate() {
        let Some(logits) = logits else { continue };
        let Ok(label) = u16::try_from(index + 1) else {
            return Err(AssistError::MultiClass {
                expected: format!("at most {} structures", u16::MAX),
                found: logits.len().to_string(),
            });
        };
        if logits.dim() != size {
            let (rows, columns) = logits.dim();
            return Err(AssistError::MultiClass {
                expected: format!("logits of {} x {} pixels", size.0, size.1),
                found: format!("{rows} x {columns} for structure {label}"),
            });
        }
        Zip::from(&mut labels).and(&mut largest).and(logits).for_each(|owner, largest, &logit| {
            if logit > *largest {
                (*owner, *largest) = (label, logit);
            }
        });
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    /// The labels of one row of pixels.
    fn row(logits: &[Option<&[f32]>]) -> Vec<u16> {
        let arrays: Vec<_> =
            logits.iter().map(|row| row.map(|row| Array1::from(row.to_vec()).insert_axis(Axis(0)))).collect();
        let views: Vec<_> = arrays.iter().map(|array| array.as_ref().map(|array| array.view())).collect();
        resolve_overlap((1, 3), &views).expect("equal sizes").into_iter().collect()
    }

    #[test]
    fn apart_each_keeps_its_own() {
        assert_eq!(row(&[Some(&[2.0, -1.0, -1.0]), Some(&[-3.0, -0.5, 0.1])]), [1, 0, 2]);
    }

    #[test]
    fn where_they_overlap_the_largest_logit_decides() {
        assert_eq!(row(&[Some(&[2.0, 2.0, 5.0]), Some(&[1.0, 3.0, 4.0]), Some(&[0.5, 2.5, 6.0])]), [1, 2, 3]);
    }

    #[test]
    fn without_a_positive_logit_all_is_background() {
        assert_eq!(row(&[Some(&[0.0, -1.0, f32::NAN]), Some(&[-0.1, f32::NEG_INFINITY, 0.0])]), [0, 0, 0]);
        assert_eq!(row(&[None, None]), [0, 0, 0]);
        assert_eq!(row(&[]), [0, 0, 0]);
    }

    #[test]
    fn ties_go_to_the_first_and_absence_keeps_the_numbering() {
        assert_eq!(row(&[Some(&[1.0, 1.0, 0.0]), Some(&[1.0, 1.5, 0.0]), Some(&[1.0, 1.5, 0.0])]), [1, 2, 0]);
        assert_eq!(row(&[None, Some(&[1.0, 0.0, 2.0]), None, Some(&[1.0, 3.0, 0.0])]), [2, 4, 2]);
    }

    #[test]
    fn logits_of_another_size_are_refused() {
        let small = array![[1.0_f32, 2.0]];
        let message = resolve_overlap((1, 3), &[Some(small.view())]).expect_err("too small").to_string();
        assert!(message.contains("1 x 3") && message.contains("1 x 2"), "{message}");
    }
}
