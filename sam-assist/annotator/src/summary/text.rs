//! The summary as text for people. Slices are counted from 1.

use std::fmt;

use sam_prompt::{SliceNumber, counted};

use super::{AbsentReason, AnnotationSummary, AxisSummary, Outline, SlicePlace, StructureSummary};

/// So many outlines are described one by one.
const DESCRIBED: usize = 12;

impl fmt::Display for AnnotationSummary {
    /// One line for the axis, and some for each structure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.axis)?;
        self.structures.iter().try_for_each(|structure| write!(f, "\n{structure}"))
    }
}

impl fmt::Display for AxisSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis, orientation, reason, slices } = self;
        write!(f, "Axis: {orientation} ({axis}, {}), because {reason}", counted(*slices, "slice"))
    }
}

impl fmt::Display for StructureSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, outlined, .. } = self;
        write!(f, "{name}: outlined on {}: {}", counted(outlined.len(), "slice"), described(outlined))?;
        let absent = |reason| {
            let slices = self.absent.iter().filter(move |absent| absent.reason == reason);
            slices.map(|absent| absent.place).collect::<Vec<_>>()
        };
        for (slices, reason) in [
            (absent(AbsentReason::SaidEmpty), "said to be empty"),
            (absent(AbsentReason::Complete), "outlined for other structures, and outlined slices are complete"),
        ] {
            if !slices.is_empty() {
                write!(f, "\n{name}: absent on {} ({reason})", listed(&slices))?;
            }
        }
        if !self.open.is_empty() {
            write!(f, "\n{name}: looked for on {}, outlined for other structures alone", listed(&self.open))?;
        }
        Ok(())
    }
}

impl StructureSummary {
    /// What a person should check before anything is learned, as sentences.
    pub fn warnings(&self) -> Vec<String> {
        let Self { name, outlined, too_small, .. } = self;
        let largest = outlined.iter().map(|outline| outline.voxels).max().unwrap_or(0);
        let mut warnings: Vec<_> =
            too_small.iter().map(|outline| format!("{name}: {}", questioned(outline, largest))).collect();
        if let Some(outline) = outlined.first().filter(|_| self.is_doubtful) {
            let voxels: usize = outlined.iter().map(|outline| outline.voxels).sum();
            warnings.push(format!(
                "{name} is outlined with {} in all, on slice {}: if the brush slipped, erase it",
                counted(voxels, "voxel"),
                place(&outline.place)
            ));
        }
        warnings
    }
}

/// Why an outline does not count.
pub(crate) fn questioned(outline: &Outline, largest: usize) -> String {
    let Outline { voxels, area_mm2, .. } = outline;
    format!(
        "slice {} has {} ({area_mm2:.1} mm2) of it, and the largest outline has {largest}: the slice counts as not outlined, so \
         these voxels are neither learned nor kept",
        place(&outline.place),
        counted(*voxels, "voxel")
    )
}

/// Each outline, or, if there are many, their range.
fn described(outlines: &[Outline]) -> String {
    if outlines.len() <= DESCRIBED {
        let one = |outline: &Outline| {
            let SlicePlace { index, mm } = outline.place;
            let (number, components) = (SliceNumber::of_index(index), counted(outline.components, "component"));
            format!("{number} ({} mm; {components}, {:.1} mm2)", tenths(mm), outline.area_mm2)
        };
        return outlines.iter().map(one).collect::<Vec<_>>().join(", ");
    }
    let places: Vec<_> = outlines.iter().map(|outline| outline.place).collect();
    let components = outlines.iter().map(|outline| outline.components);
    let (fewest, most) = (components.clone().min().unwrap_or(0), components.max().unwrap_or(0));
    let areas = || outlines.iter().map(|outline| outline.area_mm2);
    let (smallest, largest) = (areas().fold(f64::INFINITY, f64::min), areas().fold(0.0, f64::max));
    let components = if fewest == most { counted(most, "component") } else { format!("{fewest} to {most} components") };
    format!("{}; each {components}, {smallest:.1} to {largest:.1} mm2", runs(&places))
}

/// `slice 4 (-3.0 mm)`, `slices 4 (-3.0 mm), 6-8 (1.0 to 5.0 mm)`.
fn listed(places: &[SlicePlace]) -> String {
    format!("{} {}", if places.len() == 1 { "slice" } else { "slices" }, runs(places))
}

/// Slices with their places; neighbours are joined: `12 (-30.0 mm), 40-44 (54.0 to 66.0 mm)`.
pub(crate) fn runs(places: &[SlicePlace]) -> String {
    let mut runs: Vec<(SlicePlace, SlicePlace)> = Vec::new();
    for &place in places {
        match runs.last_mut() {
            Some((_, last)) if last.index + 1 == place.index => *last = place,
            _ => runs.push((place, place)),
        }
    }
    let show = |(first, last): &(SlicePlace, SlicePlace)| {
        let [from, to] = [first.index, last.index].map(SliceNumber::of_index);
        if first == last {
            place(first)
        } else {
            format!("{from}-{to} ({} to {} mm)", tenths(first.mm), tenths(last.mm))
        }
    };
    runs.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// `4 (-3.0 mm)`.
fn place(place: &SlicePlace) -> String {
    format!("{} ({} mm)", SliceNumber::of_index(place.index), tenths(place.mm))
}

/// A place in mm, without the sign of a zero.
fn tenths(mm: f64) -> String {
    format!("{:.1}", if mm.abs() < 0.05 { 0.0 } else { mm })
}
