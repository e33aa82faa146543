//! Checks a header and describes the voxels that follow it.

use ::nifti::{NiftiHeader, NiftiType};

use super::{
    decode,
    fields::{NIFTI_1, NIFTI_2},
    issue::HeaderIssue,
};
use crate::SourceHeader;

/// The layout of a file, from a header that has been checked.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) little_endian: bool,
    /// Whether the voxels are in a separate file.
    pub(super) pair: bool,
    pub(super) kind: NiftiType,
    pub(super) shape: [usize; 3],
    /// Number of volumes: the product of the fourth and further dimensions.
    pub(super) volumes: usize,
    /// Bytes of one volume.
    pub(super) length: usize,
    /// Offset of the voxels in their file.
    pub(super) offset: usize,
    /// Slope and intercept.
    pub(super) scaling: (f64, f64),
}

/// Largest size of the extensions. They are kept in memory, and a damaged header can announce any size.
pub(super) const MOST_EXTENSIONS: usize = 64 << 20;

pub(super) const NIFTI: &str = "a NIfTI file: .nii, .nii.gz, or a pair of .hdr and .img";

/// Length of the header, and whether it is little-endian, from its first four bytes; `None` if the file is not NIfTI.
pub(super) fn length_and_order(first: [u8; 4]) -> Option<(usize, bool)> {
    let [little, big] = [u32::from_le_bytes(first), u32::from_be_bytes(first)].map(|length| length as usize);
    let lengths = [NIFTI_1.length, NIFTI_2.length];
    [(little, true), (big, false)].into_iter().find(|(length, _)| lengths.contains(length))
}

impl Layout {
    /// Checks a header of either version.
    pub(super) fn parse(header: &SourceHeader) -> Result<Self, HeaderIssue> {
        let pair = is_pair(header)?;
        let version = header.version();
        let rank = header.integer(version.dim, 0);
        if !(1..=7).contains(&rank) {
            return Err(HeaderIssue { expected: "1 to 7 dimensions", found: rank.to_string() });
        }
        let code = header.integer(version.datatype, 0);
        let kind = number_type(code);
        let size = kind.and_then(decode::size_of);
        let (Some(kind), Some(size)) = (kind, size) else {
            let name = kind.map_or("unknown".to_owned(), |kind| format!("{kind:?}"));
            let found = format!("data type {code} ({name}); convert it to one such number for each voxel");
            return Err(HeaderIssue { expected: "integers or floats of up to 64 bits", found });
        };
        let sides = sides(header, rank as usize)?;
        let shape = [sides[0], sides[1], sides[2]];
        let product = |sides: &[usize]| sides.iter().try_fold(1, |all: usize, &side| all.checked_mul(side));
        let length = product(&shape).and_then(|voxels| voxels.checked_mul(size));
        let countable = length.zip(product(&sides[3..])).filter(|(length, volumes)| {
            // The size of the whole file must fit into the number type, not only that of one volume.
            length.checked_mul(*volumes).is_some_and(|bytes| bytes < (i64::MAX / 2) as usize)
        });
        let Some((length, volumes)) = countable else {
            return Err(HeaderIssue { expected: "a file of a size that exists", found: format!("sides of {sides:?}") });
        };
        Ok(Self {
            little_endian: header.little_endian,
            pair,
            kind,
            shape,
            volumes,
            length,
            offset: offset(header, pair)?,
            scaling: scaling(header)?,
        })
    }
}

/// The type of a type code, from the `nifti` crate.
fn number_type(code: i64) -> Option<NiftiType> {
    let datatype = i16::try_from(code).ok()?;
    NiftiHeader { datatype, ..NiftiHeader::default() }.data_type().ok()
}

/// Whether the magic says that the voxels are in a separate file.
fn is_pair(header: &SourceHeader) -> Result<bool, HeaderIssue> {
    let (magic, version) = (header.magic(), header.version());
    if magic == version.single || magic == version.pair {
        return Ok(magic == version.pair);
    }
    let found = if magic.iter().all(|&byte| byte == 0) {
        "an Analyze 7.5 header, which does not say where the patient's sides are".to_owned()
    } else {
        let expected = version.single[..3].escape_ascii();
        format!("the magic \"{}\" instead of \"{expected}\" of NIfTI-{}", magic.escape_ascii(), version.number)
    };
    Err(HeaderIssue { expected: NIFTI, found })
}

/// The seven sides; 1 for dimensions that the file does not have. Some tools store a side of 0 for these, even if they count them.
fn sides(header: &SourceHeader, rank: usize) -> Result<[usize; 7], HeaderIssue> {
    let mut sides = [1; 7];
    for dimension in 1..=rank {
        let side = match header.integer(header.version().dim, dimension) {
            0 if dimension > 3 => 1,
            side => side,
        };
        sides[dimension - 1] = usize::try_from(side).ok().filter(|&side| side > 0).ok_or_else(|| HeaderIssue {
            expected: "at least one voxel a side",
            found: format!("{side} along dimension {dimension}"),
        })?;
    }
    Ok(sides)
}

/// Offset of the voxels in their file.
fn offset(header: &SourceHeader, pair: bool) -> Result<usize, HeaderIssue> {
    let version = header.version();
    let offset = header.real(version.vox_offset, 0);
    let (least, expected) = match (pair, version.number) {
        (true, _) => (0, "voxels to begin at byte 0 of the .img file, or up to 64 MiB later"),
        (_, 1) => (version.smallest_offset(), "voxels to begin at byte 352, or up to 64 MiB later"),
        _ => (version.smallest_offset(), "voxels to begin at byte 544, or up to 64 MiB later"),
    };
    if (least as f64..=(least + MOST_EXTENSIONS) as f64).contains(&offset) {
        return Ok(offset as usize);
    }
    Err(HeaderIssue { expected, found: format!("byte {offset}") })
}

/// Slope and intercept as in nibabel: no scaling if the slope is zero or not finite.
fn scaling(header: &SourceHeader) -> Result<(f64, f64), HeaderIssue> {
    let version = header.version();
    let (slope, intercept) = (header.real(version.scl_slope, 0), header.real(version.scl_inter, 0));
    if slope == 0.0 || !slope.is_finite() {
        return Ok((1.0, 0.0));
    }
    if !intercept.is_finite() {
        return Err(HeaderIssue {
            expected: "a finite intercept beside the slope",
            found: format!("scl_slope {slope} and scl_inter {intercept}; correct the header"),
        });
    }
    Ok((slope, intercept))
}
