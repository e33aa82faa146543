//! The axis along which a person outlined slices.

use std::{collections::BTreeMap, fmt};

use ndarray::Array3;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{LabelVolume, SliceAxis, SlicePlane};

/// A slice is whole if it has at least this share of a structure's mean area. Strayed voxels and the tips of a structure have less.
const WHOLE: f64 = 0.25;
/// A slice with less than this share of a structure's mean area counts as a gap: only voxels that strayed are on it.
const BARE: f64 = 0.05;
/// Runs of voxels along two axes are alike if the longer ones are less than this many times longer.
const ALIKE: f64 = 1.5;
/// Outlines are much thinner along one axis if their runs are this many times longer along the others.
const THINNER: f64 = 3.0;
/// Gaps along an axis are doubted if its runs are this many times longer than those of an axis without gaps.
const LONGER: f64 = 4.0;

/// The axis along which slices were outlined, and why it is taken for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutlinedAxis {
    /// The voxel index along which slices are cut: `I`, `J` or `K`.
    pub axis: SliceAxis,
    /// Its closest axis in the patient: `Axial`, `Coronal` or `Sagittal`.
    pub orientation: SliceAxis,
    /// Why this axis.
    pub reason: AxisReason,
}

/// Why an axis is taken for the one along which slices were outlined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AxisReason {
    /// It was named, or chosen earlier, such as by a session.
    Given,
    /// Each structure is outlined on a single slice of it, and on several of every other axis.
    SingleSlices,
    /// Whole slices along it are outlined, with gaps between them.
    Gaps,
    /// The outlines do not tell, and the scan was acquired along it: its spacing is the largest.
    Acquisition,
    /// The outlines are much thinner along it than along the others.
    Thinnest,
}

impl fmt::Display for AxisReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "it was chosen",
            Self::SingleSlices => "each structure is outlined on a single slice along it",
            Self::Gaps => "whole slices along it are outlined, with gaps between them",
            Self::Acquisition => "the scan was acquired along it, and the outlines have no gaps that tell",
            Self::Thinnest => "the outlines are much thinner along it than along the others",
        })
    }
}

/// The outlines fit several axes alike.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the outlines could be on slices of several axes, {}", choice(candidates))]
pub struct AmbiguousAxis {
    /// The axes, as those of the patient that are closest.
    pub candidates: Vec<SliceAxis>,
}

/// The axes, and the options that name them.
fn choice(axes: &[SliceAxis]) -> String {
    format!("{}: say which one with {}", joined(axes, "", " and "), joined(axes, "--axis ", " or "))
}

fn joined(axes: &[SliceAxis], before: &str, last: &str) -> String {
    let mut names: Vec<_> = axes.iter().map(|axis| format!("{before}{axis}")).collect();
    match names.pop() {
        Some(end) if names.is_empty() => end,
        Some(end) => format!("{}{last}{end}", names.join(", ")),
        None => String::new(),
    }
}

impl LabelVolume {
    /// The axis along which a person outlined slices. A `given` axis other than [`SliceAxis::Auto`] is taken as it is.
    ///
    /// In this order, it is the axis of which
    /// 1. a single slice shows each structure;
    /// 2. whole slices are outlined with gaps between them; of several such axes, the one with the shortest runs of labelled voxels;
    /// 3. the spacing is the largest, because the scan was acquired along it;
    /// 4. the runs of labelled voxels are much shorter than those of the other axes.
    ///
    /// A few voxels that strayed do not change it. Without any label it is that of [`SliceAxis::Auto`].
    ///
    /// # Errors
    /// [`AmbiguousAxis`] if two or three axes are alike.
    pub fn outlined_axis(&self, given: SliceAxis) -> Result<OutlinedAxis, AmbiguousAxis> {
        let named = |axis: usize| [SliceAxis::I, SliceAxis::J, SliceAxis::K][axis];
        let orientation = |axis: usize| SlicePlane::new(&self.grid, named(axis)).orientation();
        let (axis, reason) = match (given, Evidence::of(&self.labels)) {
            (SliceAxis::Auto, Some(evidence)) => {
                let chosen = evidence.choose(self.grid.through_plane_axis());
                chosen.map_err(|axes| {
                    let mut candidates: Vec<_> = axes.into_iter().map(orientation).collect();
                    candidates.sort_by_key(ToString::to_string);
                    AmbiguousAxis { candidates }
                })?
            }
            (SliceAxis::Auto, None) => (SlicePlane::new(&self.grid, given).axis(), AxisReason::Acquisition),
            (given, _) => (SlicePlane::new(&self.grid, given).axis(), AxisReason::Given),
        };
        Ok(OutlinedAxis { axis: named(axis), orientation: orientation(axis), reason })
    }
}

/// What the labels tell about each voxel axis.
#[derive(Debug)]
struct Evidence {
    /// Mean length, in voxels, of the runs of one label along the axis.
    run: [f64; 3],
    /// Whether a structure has whole slices with a gap between them.
    has_gaps: [bool; 3],
    /// Whether each structure has one whole slice.
    is_single: [bool; 3],
}

impl Evidence {
    /// `None` if there is no label.
    fn of(labels: &Array3<u16>) -> Option<Self> {
        let (i, j, k) = labels.dim();
        let mut areas: BTreeMap<u16, [Vec<usize>; 3]> = BTreeMap::new();
        let (mut voxels, mut runs) = (0_usize, [0_usize; 3]);
        for ((i_at, j_at, k_at), &label) in labels.indexed_iter().filter(|&(_, &label)| label != 0) {
            voxels += 1;
            let at = [i_at, j_at, k_at];
            let areas = areas.entry(label).or_insert_with(|| [i, j, k].map(|count| vec![0; count]));
            for axis in 0..3 {
                areas[axis][at[axis]] += 1;
                let mut before = at;
                let continues = at[axis] > 0 && {
                    before[axis] -= 1;
                    labels[before] == label
                };
                runs[axis] += usize::from(!continues);
            }
        }
        if voxels == 0 {
            return None;
        }
        let profiles: Vec<_> = areas.values().map(|areas| [0, 1, 2].map(|axis| Profile::of(&areas[axis]))).collect();
        Some(Self {
            run: runs.map(|runs| voxels as f64 / runs.max(1) as f64),
            has_gaps: [0, 1, 2].map(|axis| profiles.iter().any(|profile| profile[axis].has_gap)),
            is_single: [0, 1, 2].map(|axis| profiles.iter().all(|profile| profile[axis].whole == 1)),
        })
    }

    /// The axis and why, or the axes that are alike. `acquisition` is the axis with the largest spacing, if there is one.
    fn choose(&self, acquisition: Option<usize>) -> Result<(usize, AxisReason), Vec<usize>> {
        let with = |holds: [bool; 3]| -> Vec<usize> { (0..3).filter(|&axis| holds[axis]).collect() };
        if let [axis] = with(self.is_single)[..] {
            return Ok((axis, AxisReason::SingleSlices));
        }
        if let Some(best) = self.shortest(&with(self.has_gaps)) {
            let is_rival = |axis: usize| {
                let share = if self.has_gaps[axis] { ALIKE } else { 1.0 / LONGER };
                self.run[axis] < share * self.run[best]
            };
            let alike = with_rivals(best, is_rival);
            return match acquisition {
                _ if alike.len() == 1 => Ok((best, AxisReason::Gaps)),
                Some(axis) if alike.contains(&axis) => Ok((axis, AxisReason::Acquisition)),
                _ => Err(alike),
            };
        }
        if let Some(axis) = acquisition {
            return Ok((axis, AxisReason::Acquisition));
        }
        let best = self.shortest(&[0, 1, 2]).unwrap_or(2);
        let alike = with_rivals(best, |axis| self.run[axis] < THINNER * self.run[best]);
        if alike.len() == 1 { Ok((best, AxisReason::Thinnest)) } else { Err(alike) }
    }

    /// The axis with the shortest runs.
    fn shortest(&self, axes: &[usize]) -> Option<usize> {
        axes.iter().copied().min_by(|&one, &other| self.run[one].total_cmp(&self.run[other]))
    }
}

/// An axis and its rivals.
fn with_rivals(best: usize, is_rival: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..3).filter(|&axis| axis == best || is_rival(axis)).collect()
}

/// The slices of one structure along one axis.
#[derive(Debug)]
struct Profile {
    /// Number of whole slices.
    whole: usize,
    /// Whether there is a gap between two whole slices. A structure that narrows before it widens again has none.
    has_gap: bool,
}

impl Profile {
    /// From the structure's area on each slice.
    fn of(areas: &[usize]) -> Self {
        let shown = areas.iter().filter(|&&area| area > 0).count().max(1);
        let mean = areas.iter().sum::<usize>() as f64 / shown as f64;
        let share = |slice: usize| areas[slice] as f64 / mean;
        let whole: Vec<usize> = (0..areas.len()).filter(|&slice| share(slice) >= WHOLE).collect();
        let is_bare = |slice: usize| share(slice) < BARE;
        let has_gap = whole.windows(2).any(|pair| {
            let (from, to) = (pair[0], pair[1]);
            to > from + 1 && is_bare(from + 1) && is_bare(to - 1)
        });
        Self { whole: whole.len(), has_gap }
    }
}

#[cfg(test)]
mod tests;
