//! Prompts on the pixels of slices.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{DocumentError, DrawnMask, distinct, object_called, runs::LONGEST_SIDE};
use crate::{BoundingBox, Lasso, Point, PromptError, Prompts, Scribble, SliceNumber, drawing::check_finite};

/// All prompts for one object, slice by slice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectPrompts {
    /// Name of the object.
    pub name: String,
    /// The slices with prompts, each at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SlicePrompts>,
}

impl ObjectPrompts {
    /// Checks everything that does not depend on the image.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        distinct(self.slices.iter().map(|slice| self.place(slice)))?;
        for slice in &self.slices {
            slice.check().map_err(|source| DocumentError::Drawing { place: self.place(slice), source })?;
            let (rows, columns) = slice.mask.as_ref().map_or((0, 0), |DrawnMask(mask)| mask.dim());
            if rows.max(columns) > LONGEST_SIDE {
                return Err(DocumentError::MaskSize { place: self.place(slice), rows, columns, longest: LONGEST_SIDE });
            }
        }
        Ok(())
    }

    fn place(&self, slice: &SlicePrompts) -> String {
        format!("slice {} of {}", SliceNumber::of_index(slice.slice).with_index(), object_called(&self.name))
    }
}

/// All prompts for one object on one slice.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlicePrompts {
    /// The slice, counted from 0. In JSON it is called `index`; earlier versions called it `slice`.
    #[serde(rename = "index", alias = "slice")]
    pub slice: usize,
    /// Clicks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
    /// Boxes, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<BoundingBox>,
    /// Strokes inside or outside the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scribbles: Vec<Scribble>,
    /// Outlines, one for each part of the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lassos: Vec<Lasso>,
    /// A drawn mask of the whole slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<DrawnMask>,
}

impl SlicePrompts {
    /// Converts all prompts except the mask to what SAM reads: each scribble to `count` points, each lasso to a box and `count` points.
    ///
    /// For the mask use [`mask_logits`](crate::mask_logits), which needs the model's frame. The random generator decides between
    /// equally good points, as in [`Center`](crate::Center).
    ///
    /// # Errors
    /// The first [`PromptError`] of a drawing, point or box, for example if it does not lie on a slice of `height` x `width` pixels.
    pub fn prompts(
        &self,
        count: usize,
        height: usize,
        width: usize,
        rng: &mut dyn Rng,
    ) -> Result<Prompts, PromptError> {
        let mut prompts = Prompts { points: self.points.clone(), boxes: self.boxes.clone(), ..Prompts::default() };
        for scribble in &self.scribbles {
            prompts.points.extend(scribble.points(count, height, width)?);
        }
        for lasso in &self.lassos {
            let Prompts { points, boxes, .. } = lasso.prompts(count, height, width, rng)?;
            prompts.points.extend(points);
            prompts.boxes.extend(boxes);
        }
        prompts.check(height, width)?;
        Ok(prompts)
    }

    /// Checks everything that does not depend on the image.
    fn check(&self) -> Result<(), PromptError> {
        self.points.iter().try_for_each(|point| check_finite("point", [point.x, point.y]))?;
        self.boxes.iter().try_for_each(|&BoundingBox { x_min, y_min, x_max, y_max }| {
            check_finite("box", [x_min, y_min, x_max, y_max])?;
            let inverted = x_max < x_min || y_max < y_min;
            if inverted { Err(PromptError::InvertedBox { x_min, x_max, y_min, y_max }) } else { Ok(()) }
        })?;
        self.scribbles.iter().try_for_each(Scribble::check_form)?;
        self.lassos.iter().try_for_each(Lasso::check_form)
    }
}
