//! What a header says about the voxels that follow.

use ::nifti::{Endianness, NiftiHeader, NiftiType};

use super::{HEADER_LENGTH, SMALLEST_OFFSET, affine, decode};

/// What was expected of a header and what it says instead.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) expected: &'static str,
    pub(super) found: String,
}

/// A header that has been checked.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) little_endian: bool,
    pub(super) kind: NiftiType,
    pub(super) shape: [usize; 3],
    /// Volumes along the fourth and further dimensions.
    pub(super) volumes: usize,
    /// Bytes of one volume.
    pub(super) length: usize,
    /// Where voxels begin.
    pub(super) offset: usize,
    /// By what stored numbers are multiplied, and what is added then.
    pub(super) scaling: (f64, f64),
    pub(super) affine: [[f64; 4]; 4],
}

impl Layout {
    /// Understands the 348 bytes of a header.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Complaint> {
        let little_endian = little_endian(bytes)?;
        let unreadable = |error: ::nifti::NiftiError| Complaint { expected: NIFTI, found: error.to_string() };
        let header = NiftiHeader::from_reader(bytes).map_err(unreadable)?;
        // That crate tells the byte order by the number of dimensions, which must then be a likely one.
        let ranked = (1..=7).contains(&header.dim[0]) && (header.endianness == Endianness::Little) == little_endian;
        if !ranked {
            let rank = [bytes[40], bytes[41]];
            let rank = if little_endian { i16::from_le_bytes(rank) } else { i16::from_be_bytes(rank) };
            return Err(Complaint { expected: "1 to 7 dimensions", found: rank.to_string() });
        }
        let kind = header.data_type().ok();
        let size = kind.and_then(decode::size_of);
        let (Some(kind), Some(size)) = (kind, size) else {
            let name = kind.map_or("unknown".to_owned(), |kind| format!("{kind:?}"));
            let found = format!("data type {} ({name}); convert it to one such number for each voxel", header.datatype);
            return Err(Complaint { expected: "integers or floats of up to 64 bits", found });
        };
        let (shape, volumes) = sides(&header)?;
        let length = shape.iter().try_fold(size, |bytes, &side| bytes.checked_mul(side));
        let too_large = || Complaint { expected: "a volume that fits into memory", found: format!("shape {shape:?}") };
        let offset = header.vox_offset;
        if !(offset >= SMALLEST_OFFSET as f32 && offset < i32::MAX as f32) {
            return Err(Complaint {
                expected: "voxels to begin at byte 352 or later",
                found: format!("byte {offset}"),
            });
        }
        Ok(Self {
            little_endian,
            kind,
            shape,
            volumes,
            length: length.ok_or_else(too_large)?,
            offset: offset as usize,
            scaling: scaling(&header)?,
            affine: affine::of_header(&header)?,
        })
    }
}

const NIFTI: &str = "a NIfTI-1 file, .nii or .nii.gz";

/// Tells a NIfTI-1 file and its byte order.
fn little_endian(bytes: &[u8]) -> Result<bool, Complaint> {
    let refuse = |found: String| Err(Complaint { expected: NIFTI, found });
    let first = [bytes[0], bytes[1], bytes[2], bytes[3]];
    let [little, big] = [u32::from_le_bytes(first), u32::from_be_bytes(first)].map(|size| size as usize);
    if little == 540 || big == 540 {
        return refuse("NIfTI-2; convert it to NIfTI-1".to_owned());
    }
    if little != HEADER_LENGTH && big != HEADER_LENGTH {
        return refuse(format!("a file that begins with the bytes {first:?}"));
    }
    match &bytes[344..] {
        b"n+1\0" => Ok(little == HEADER_LENGTH),
        b"ni1\0" => refuse("the header of a .hdr/.img pair; join them into one .nii file".to_owned()),
        b"\0\0\0\0" => refuse("an Analyze 7.5 header, which does not say where the patient's sides are".to_owned()),
        magic => refuse(format!("the magic \"{}\" instead of \"n+1\"", magic.escape_ascii())),
    }
}

/// The three spatial sides and the number of volumes.
fn sides(header: &NiftiHeader) -> Result<([usize; 3], usize), Complaint> {
    let side = |dimension: u16| match header.dim[usize::from(dimension)] as i16 {
        _ if dimension > header.dim[0] => Ok(1),
        side @ 1.. => Ok(side as usize),
        side => Err(Complaint {
            expected: "at least one voxel a side",
            found: format!("{side} along dimension {dimension}"),
        }),
    };
    // Four factors below 2^15 cannot overflow.
    Ok(([side(1)?, side(2)?, side(3)?], side(4)? * side(5)? * side(6)? * side(7)?))
}

/// Slope and intercept as nibabel takes them: none where the slope is zero or not finite.
fn scaling(header: &NiftiHeader) -> Result<(f64, f64), Complaint> {
    let (slope, intercept) = (f64::from(header.scl_slope), f64::from(header.scl_inter));
    if slope == 0.0 || !slope.is_finite() {
        return Ok((1.0, 0.0));
    }
    if !intercept.is_finite() {
        return Err(Complaint {
            expected: "a finite intercept beside the slope",
            found: format!("scl_slope {slope} and scl_inter {intercept}; correct the header"),
        });
    }
    Ok((slope, intercept))
}
