//! Reads label maps, on their own grid or on that of a scan.

use std::path::Path;

use super::{
    arrange,
    form::{AffineForm, Forms},
    index_of,
    note::NiftiNote,
    source::{Head, Source},
};
use crate::{
    DataError, Grid, GridMismatch, LabelVolume, PlacementError, ScanNote, Volume, geometry::list, lattice::Lattice,
    note,
};

/// Largest distance of a label from a whole number. The rounding of a slope moves the label 65535 by 0.004.
const MAX_ROUNDING: f64 = 0.01;

/// A label map that is farther from the form in use than this share of a voxel's side may be nearer to another one. Rounding to 32 bits is
/// less.
const CLOSE: f64 = 0.01;

/// Reads a label map on its own grid: whole numbers from 0 to 65535, stored in any type, and scaled with any slope. A number is whole if
/// the rounding of stored value, slope and intercept to 32-bit floats explains the rest.
///
/// # Errors
/// As [`read_volume`](crate::read_volume), and [`DataError::NoLabel`] if a value is not such a number.
pub fn read_labels(path: impl AsRef<Path>) -> Result<LabelVolume, DataError> {
    let (labels, notes) = decode(Source::open_labels(path.as_ref())?)?;
    note::log(&notes);
    Ok(labels)
}

/// Reads a label map as one of a scan: on the scan's grid.
///
/// Its voxels may be in another order, or those of a part of the scan. It may lie on the form of the scan's header that is not in use, or
/// where ITK puts a scan with sheared axes. The notes say so. Labels are moved, but never resampled.
///
/// # Errors
/// As [`read_labels`]; [`DataError::Grid`] if its voxels do not lie on those of the scan; [`DataError::Placement`].
pub(crate) fn read_labels_on(
    path: &Path,
    scan: &Volume,
    image: &Path,
) -> Result<(LabelVolume, Vec<ScanNote>), DataError> {
    let mut source = Source::open_labels(path)?;
    // Before any voxel is read.
    let place = Place::find(scan, &source.head, image)?;
    place.notes(scan).into_iter().for_each(|note| source.head.note(note));
    let (LabelVolume { labels, .. }, notes) = decode(source)?;
    let labels = place.lattice.place(labels).map_err(|count| DataError::Placement {
        mask: path.to_path_buf(),
        image: image.to_path_buf(),
        source: PlacementError::Outside { count },
    })?;
    Ok((LabelVolume { labels, grid: scan.grid.clone() }, notes))
}

/// Decodes the labels.
fn decode(source: Source) -> Result<(LabelVolume, Vec<ScanNote>), DataError> {
    let (slope, intercept) = source.head.layout.scaling;
    let (mut position, mut odd) = (0, None);
    let (values, Head { path, layout, grid, notes, .. }) = source.decode(|stored| {
        let value = stored * slope + intercept;
        let rounding = ((stored * slope).abs() + intercept.abs()) * f64::from(f32::EPSILON);
        let label = value.round() as u16;
        if !value.is_finite() || (f64::from(label) - value).abs() > rounding.min(MAX_ROUNDING) {
            odd = odd.or(Some((position, value)));
        }
        position += 1;
        label
    })?;
    match odd {
        Some((position, value)) => Err(DataError::NoLabel { path, index: index_of(position, layout.shape), value }),
        None => Ok((LabelVolume { labels: arrange(values, &layout), grid }, notes)),
    }
}

/// How a label map fits one form of a scan.
#[derive(Debug, Clone, Copy)]
struct Fit {
    form: AffineForm,
    /// Whether the scan is read by this form.
    is_used: bool,
    lattice: Lattice,
    /// Largest distance of a voxel, as a share of its side.
    apart: f64,
}

impl Fit {
    /// The forms of a scan that a map fits; the scan's grids begin with the one in use.
    fn all(scan: &[(AffineForm, Grid)], map: &Grid) -> Vec<Self> {
        let fits = scan.iter().enumerate().filter_map(|(place, (form, grid))| {
            let (lattice, apart) = Lattice::find(grid, map)?;
            Some(Self { form: *form, is_used: place == 0, lattice, apart })
        });
        fits.collect()
    }

    fn contradicts(&self, other: &Self) -> PlacementError {
        PlacementError::TwoPlaces {
            first_form: self.form,
            first: self.lattice.to_string(),
            second_form: other.form,
            second: other.lattice.to_string(),
        }
    }
}

/// Where a label map lies on a scan.
struct Place {
    lattice: Lattice,
    /// The form of the label map that fits, and whether it is the one in use.
    map: (AffineForm, bool),
    /// The form of the scan that it fits, and whether it is the one in use.
    scan: (AffineForm, bool),
    used: AffineForm,
    /// The orientation of the label map.
    orientation: String,
}

impl Place {
    /// Tries the forms of both files. A form of the label map that is not in use counts only if the one in use fits nowhere.
    fn find(scan: &Volume, map: &Head, image: &Path) -> Result<Self, DataError> {
        let forms = Forms::of_volume(scan);
        let grids = forms.grids(scan.grid.shape);
        for (number, (map_form, map_grid)) in map.forms.grids(map.layout.shape).into_iter().enumerate() {
            let found = Fit::all(&grids, &map_grid);
            let Some(&first) = found.first() else { continue };
            let other = found.iter().find(|other| other.lattice != first.lattice);
            if let Some(second) = other.filter(|_| !(first.is_used && first.lattice.is_identity())) {
                let (mask, image) = (map.path.clone(), image.to_path_buf());
                return Err(DataError::Placement { mask, image, source: first.contradicts(second) });
            }
            let nearest =
                found.iter().filter(|fit| fit.lattice == first.lattice).min_by(|a, b| a.apart.total_cmp(&b.apart));
            let fit = nearest.filter(|_| first.apart > CLOSE).unwrap_or(&first);
            let orientation = map_grid.orientation();
            let (map, scan) = ((map_form, number == 0), (fit.form, fit.is_used));
            return Ok(Self { lattice: fit.lattice, map, scan, used: forms.form, orientation });
        }
        let (mask, image) = (map.path.clone(), image.to_path_buf());
        Err(DataError::Grid { mask, image, mismatch: Box::new(mismatch(&scan.grid, &map.grid)) })
    }

    fn notes(&self, scan: &Volume) -> Vec<NiftiNote> {
        let mut notes = Vec::new();
        let (map, scan_form) = (self.map, self.scan);
        if !(map.1 && scan_form.1) {
            notes.push(NiftiNote::OtherForm { map: map.0, scan: scan_form.0, used: self.used });
        }
        if self.lattice.is_turned() {
            notes.push(NiftiNote::Turned { found: self.orientation.clone(), scan: scan.grid.orientation() });
        }
        if let Some((first, sides)) = self.lattice.part() {
            notes.push(NiftiNote::Part { sides, first, shape: scan.grid.shape });
        }
        notes
    }
}

/// How the grid of a label map that lies nowhere on the scan's voxels differs from the scan's.
fn mismatch(scan: &Grid, map: &Grid) -> GridMismatch {
    let mut mismatch = match scan.compare_shape(map) {
        Ok(()) => return scan.mismatch(map),
        Err(mismatch) => mismatch,
    };
    if let Some(index) = scan.index(map.world([0.0; 3])) {
        mismatch.found = format!("{}, whose first voxel lies at the scan's index {}", mismatch.found, list(index));
    }
    mismatch
}
