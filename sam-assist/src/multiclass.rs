//! Several learned structures on one image: each pixel gets the label of one of them, or of the background.

use burn::tensor::backend::Backend;
use ndarray::{Array2, ArrayView2, Axis, Zip};
use sam_core::{ImageEmbedding, SamPredictor, SliceError};
use sam_prompt::{Prompts, component_boxes, counted};

use crate::AssistError;

/// Predictors of several learned structures, all on the same embedding.
///
/// Make them from one predictor with [`Adaptation::apply`](crate::Adaptation::apply) or a card. They share its weights and projected
/// positions, so another structure costs little more than its learned parameters.
#[derive(Debug, Clone)]
pub struct MultiClass<B: Backend> {
    predictors: Vec<SamPredictor<B>>,
}

impl<B: Backend> MultiClass<B> {
    /// Combines structures: the first gets label 1, the second label 2, and so on.
    pub fn new(predictors: Vec<SamPredictor<B>>) -> Self {
        Self { predictors }
    }

    /// Returns the logits of each structure: positive inside, `None` if it has no prompts.
    ///
    /// # Shapes
    /// - prompts: one for each structure, `None` for those that are not on the image
    /// - output: `[rows, columns]` of the image for each structure
    ///
    /// # Errors
    /// [`AssistError::MultiClass`] if the numbers of prompts and structures differ; [`AssistError::Core`] as [`SamPredictor::predict`].
    pub fn logits(
        &self,
        embedding: &ImageEmbedding<B>,
        prompts: &[Option<Prompts>],
    ) -> Result<Vec<Option<Array2<f32>>>, AssistError> {
        if prompts.len() != self.predictors.len() {
            let expected = format!("prompts for {}", counted(self.predictors.len(), "structure"));
            return Err(AssistError::MultiClass { expected, found: format!("prompts for {}", prompts.len()) });
        }
        let predict = |(predictor, prompts): (&SamPredictor<B>, &Option<Prompts>)| {
            let Some(prompts) = prompts else { return Ok(None) };
            let prediction = predictor.predict(embedding, prompts)?;
            Ok(Some(prediction.logits.index_axis(Axis(0), prediction.best()).to_owned()))
        };
        self.predictors.iter().zip(prompts).map(predict).collect()
    }

    /// Predicts the label of each pixel: see [`resolve_overlap`].
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
        resolve_overlap(embedding.frame().original, &views)
    }

    /// Combines one mask for each structure into a label map. Returns `None` if no structure has a mask.
    ///
    /// As [`join_masks`]. Each structure whose mask overlaps another one's is predicted once more, from the boxes of its own mask, and its
    /// logits are its scores. `embed` is called only if masks overlap.
    ///
    /// # Shapes
    /// - masks: `[rows, columns]` for each structure, `None` for those that are not on the image
    /// - output: `[rows, columns]`
    ///
    /// # Errors
    /// [`AssistError::MultiClass`] if the masks have different sizes, or if they overlap and their number differs from that of the
    /// structures; [`AssistError::Slice`] if the slice cannot be embedded; [`AssistError::Core`] as [`SamPredictor::predict`].
    pub fn join(
        &self,
        masks: &[Option<&Array2<bool>>],
        embed: impl FnOnce() -> Result<ImageEmbedding<B>, SliceError>,
    ) -> Result<Option<Array2<u16>>, AssistError> {
        let contested = overlapping(masks)?;
        if contested.is_empty() {
            return join_masks(masks, &vec![None; masks.len()]);
        }
        let mut prompts = vec![None; masks.len()];
        for index in contested {
            prompts[index] = masks[index].and_then(boxes);
        }
        join_masks(masks, &self.logits(&embed()?, &prompts)?)
    }
}

/// The structures whose mask has a pixel of another one's mask, by index.
///
/// # Shapes
/// - masks: `[rows, columns]` for each structure, `None` for those that are not on the image
///
/// # Errors
/// [`AssistError::MultiClass`] if the masks have different sizes.
pub fn overlapping(masks: &[Option<&Array2<bool>>]) -> Result<Vec<usize>, AssistError> {
    let Some(size) = common_size(masks)? else { return Ok(Vec::new()) };
    let (mut taken, mut contested) = (Array2::from_elem(size, false), Array2::from_elem(size, false));
    for mask in masks.iter().flatten() {
        Zip::from(&mut taken).and(&mut contested).and(*mask).for_each(|taken, contested, &inside| {
            *contested |= *taken && inside;
            *taken |= inside;
        });
    }
    let is_contested =
        |mask: &Array2<bool>| mask.iter().zip(&contested).any(|(&inside, &contested)| inside && contested);
    Ok((0..masks.len()).filter(|&index| masks[index].is_some_and(is_contested)).collect())
}

/// Combines one mask for each structure into a label map: structures are counted from 1, and 0 is the background. Returns `None` if no
/// structure has a mask.
///
/// Where no masks overlap, each structure keeps its mask. Where masks overlap, the structure with the largest score wins. A score of at most 0
/// counts as none, and if scores are equal, the first structure wins.
///
/// # Shapes
/// - masks: `[rows, columns]` for each structure, `None` for those that are not on the image
/// - scores: `[rows, columns]` for each structure, `None` for those that are not [`overlapping`]
/// - output: `[rows, columns]`
///
/// # Errors
/// [`AssistError::MultiClass`] if masks and scores differ in number or size.
pub fn join_masks(
    masks: &[Option<&Array2<bool>>],
    scores: &[Option<Array2<f32>>],
) -> Result<Option<Array2<u16>>, AssistError> {
    let Some(size) = common_size(masks)? else { return Ok(None) };
    if scores.len() != masks.len() {
        let expected = format!("scores of {}", counted(masks.len(), "structure"));
        return Err(AssistError::MultiClass { expected, found: format!("scores of {}", scores.len()) });
    }
    let mut claims = Vec::with_capacity(masks.len());
    for (mask, scores) in masks.iter().zip(scores) {
        // Any value above 0 claims the pixel.
        let mut claim = mask.map(|mask| mask.mapv(|inside| if inside { f32::MIN_POSITIVE } else { 0.0 }));
        if let (Some(claim), Some(scores)) = (&mut claim, scores) {
            check_size("scores", size, scores.dim())?;
            Zip::from(claim).and(scores).for_each(|claim, &score| {
                if *claim > 0.0 {
                    *claim = claim.max(score);
                }
            });
        }
        claims.push(claim);
    }
    let views: Vec<_> = claims.iter().map(|claim| claim.as_ref().map(|array| array.view())).collect();
    resolve_overlap(size, &views).map(Some)
}

/// The size of all masks; `None` if there are none.
fn common_size(masks: &[Option<&Array2<bool>>]) -> Result<Option<(usize, usize)>, AssistError> {
    let Some(size) = masks.iter().flatten().map(|mask| mask.dim()).next() else { return Ok(None) };
    masks.iter().flatten().try_for_each(|mask| check_size("masks", size, mask.dim()))?;
    Ok(Some(size))
}

fn check_size(what: &str, expected: (usize, usize), found: (usize, usize)) -> Result<(), AssistError> {
    if expected == found {
        return Ok(());
    }
    Err(AssistError::MultiClass {
        expected: format!("{what} of {} x {} pixels", expected.0, expected.1),
        found: format!("one of {} x {}", found.0, found.1),
    })
}

/// The boxes of a mask's components; `None` for an empty mask.
fn boxes(mask: &Array2<bool>) -> Option<Prompts> {
    let boxes = component_boxes(mask.view(), 1);
    (!boxes.is_empty()).then(|| Prompts::from_boxes(boxes))
}

/// Label map of several structures. Each pixel gets the structure with the largest logit, counted from 1, or 0 (background) if no logit is
/// above 0.
///
/// If logits are equal, the first structure wins.
///
/// # Shapes
/// - size: rows and columns
/// - logits: `[rows, columns]` for each structure, `None` for one that is not on the image
/// - output: `[rows, columns]`
///
/// # Errors
/// [`AssistError::MultiClass`] if logits are of another size or NaN, or there are more structures than labels.
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
        let mut is_nan = false;
        Zip::from(&mut labels).and(&mut largest).and(logits).for_each(|owner, largest, &logit| {
            is_nan |= logit.is_nan();
            if logit > *largest {
                (*owner, *largest) = (label, logit);
            }
        });
        if is_nan {
            // It is above no threshold, so it would be taken for background.
            return Err(AssistError::MultiClass {
                expected: "logits that are numbers".to_owned(),
                found: format!("NaN for structure {label}; use other weights, or learn the structure again"),
            });
        }
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
        assert_eq!(row(&[Some(&[0.0, -1.0, -2.0]), Some(&[-0.1, f32::NEG_INFINITY, 0.0])]), [0, 0, 0]);
        assert_eq!(row(&[None, None]), [0, 0, 0]);
        assert_eq!(row(&[]), [0, 0, 0]);
    }

    #[test]
    fn nan_is_an_error_and_no_background() {
        let (sound, spoiled) = (array![[1.0_f32, 2.0, -1.0]], array![[1.0_f32, f32::NAN, -1.0]]);
        for logits in [vec![Some(sound.view()), Some(spoiled.view())], vec![None, Some(spoiled.view())]] {
            let message = resolve_overlap((1, 3), &logits).expect_err("NaN").to_string();
            assert!(message.contains("NaN for structure 2"), "{message}");
        }
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

    #[test]
    fn masks_that_do_not_overlap_are_joined_without_an_embedding() {
        type B = burn_flex::Flex;
        let none = MultiClass::<B>::new(Vec::new());
        let refuse = || Err(SliceError::new(0, "no embedding is needed"));
        let (first, third) = (array![[true, true, false, false]], array![[false, false, false, true]]);
        let joined = none.join(&[Some(&first), None, Some(&third)], refuse).expect("no overlap");
        assert_eq!(joined, Some(array![[1, 1, 0, 3]]));
        assert_eq!(none.join(&[None, None], refuse).expect("nothing"), None);
        assert!(matches!(none.join(&[Some(&first), Some(&first)], refuse), Err(AssistError::Slice(_))));
        let small = array![[true]];
        assert!(overlapping(&[Some(&first), Some(&small)]).is_err());
        let message = none.join(&[Some(&first), Some(&small)], refuse).expect_err("two sizes").to_string();
        assert!(message.contains("1 x 4") && message.contains("1 x 1"), "{message}");
    }
    #[test]
    fn where_masks_overlap_the_largest_score_wins() {
        let first = array![[true, true, true, false, false]];
        let (second, third) = (array![[false, true, true, true, false]], array![[false, false, false, false, true]]);
        let masks = [Some(&first), None, Some(&second), Some(&third)];
        assert_eq!(overlapping(&masks).expect("of one size"), [0, 2]);
        assert_eq!(overlapping(&[Some(&first), Some(&third)]).expect("of one size"), [0_usize; 0]);
        // Beyond a mask, its scores count for nothing.
        let of_first = Some(array![[-1.0, 2.0, 1.0, 9.0, 9.0]]);
        let of_second = Some(array![[9.0, 1.0, 3.0, -1.0, 9.0]]);
        let joined = join_masks(&masks, &[of_first.clone(), None, of_second, None]).expect("scores");
        assert_eq!(joined, Some(array![[1, 1, 3, 3, 4]]));
        // Without scores, the first wins.
        assert_eq!(join_masks(&masks, &vec![None; 4]).expect("no scores"), Some(array![[1, 1, 1, 3, 4]]));
        let small = Some(array![[1.0_f32]]);
        for (scores, part) in
            [(vec![of_first, None], "scores of 4 structures"), (vec![small, None, None, None], "one of 1 x 1")]
        {
            let message = join_masks(&masks, &scores).expect_err("they do not fit").to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
