//! The header fields of NIfTI-1 and NIfTI-2.

use crate::SourceHeader;

/// Offset of a header field, and the type of its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    at: usize,
    number: Number,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    U8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// One version of the format. Source: `nifti1.h` and `nifti2.h`.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) number: u8,
    /// Length of the header in bytes.
    pub(super) length: usize,
    /// Offset of the magic.
    pub(super) magic: usize,
    /// The magic of a single file.
    pub(super) single: &'static [u8],
    /// The magic of a header pair.
    pub(super) pair: &'static [u8],
    pub(super) dim: Field,
    pub(super) datatype: Field,
    pub(super) bitpix: Field,
    pub(super) pixdim: Field,
    pub(super) vox_offset: Field,
    pub(super) scl_slope: Field,
    pub(super) scl_inter: Field,
    pub(super) cal_max: Field,
    pub(super) cal_min: Field,
    pub(super) xyzt_units: Field,
    pub(super) qform_code: Field,
    pub(super) sform_code: Field,
    /// The last three components of the quaternion.
    pub(super) quatern: Field,
    /// The translation of the qform.
    pub(super) qoffset: Field,
    /// The three rows of the sform.
    pub(super) srow: Field,
}

const fn field(at: usize, number: Number) -> Field {
    Field { at, number }
}

pub(super) static NIFTI_1: Version = Version {
    number: 1,
    length: 348,
    magic: 344,
    single: b"n+1\0",
    pair: b"ni1\0",
    dim: field(40, Number::I16),
    datatype: field(70, Number::I16),
    bitpix: field(72, Number::I16),
    pixdim: field(76, Number::F32),
    vox_offset: field(108, Number::F32),
    scl_slope: field(112, Number::F32),
    scl_inter: field(116, Number::F32),
    xyzt_units: field(123, Number::U8),
    cal_max: field(124, Number::F32),
    cal_min: field(128, Number::F32),
    qform_code: field(252, Number::I16),
    sform_code: field(254, Number::I16),
    quatern: field(256, Number::F32),
    qoffset: field(268, Number::F32),
    srow: field(280, Number::F32),
};

pub(super) static NIFTI_2: Version = Version {
    number: 2,
    length: 540,
    magic: 4,
    single: b"n+2\0\r\n\x1a\n",
    pair: b"ni2\0\r\n\x1a\n",
    datatype: field(12, Number::I16),
    bitpix: field(14, Number::I16),
    dim: field(16, Number::I64),
    pixdim: field(104, Number::F64),
    vox_offset: field(168, Number::I64),
    scl_slope: field(176, Number::F64),
    scl_inter: field(184, Number::F64),
    cal_max: field(192, Number::F64),
    cal_min: field(200, Number::F64),
    qform_code: field(344, Number::I32),
    sform_code: field(348, Number::I32),
    quatern: field(352, Number::F64),
    qoffset: field(376, Number::F64),
    srow: field(400, Number::F64),
    xyzt_units: field(500, Number::I32),
};

impl Version {
    /// The smallest voxel offset in a single file: after the header and the extension flag.
    pub(super) fn smallest_offset(&self) -> usize {
        self.length + 4
    }
}

impl SourceHeader {
    pub(super) fn version(&self) -> &'static Version {
        if self.bytes.len() == NIFTI_2.length { &NIFTI_2 } else { &NIFTI_1 }
    }

    pub(super) fn magic(&self) -> &[u8] {
        let version = self.version();
        &self.bytes[version.magic..][..version.single.len()]
    }

    pub(super) fn put_magic(&mut self, magic: &[u8]) {
        let at = self.version().magic;
        self.bytes[at..at + magic.len()].copy_from_slice(magic);
    }

    /// The number at `index` in a field, as an integer; fractions are cut off.
    pub(super) fn integer(&self, field: Field, index: usize) -> i64 {
        match field.number {
            Number::U8 => i64::from(self.bytes[field.at + index]),
            Number::I16 => i64::from(i16::from_le_bytes(self.number(field, index))),
            Number::I32 => i64::from(i32::from_le_bytes(self.number(field, index))),
            Number::I64 => i64::from_le_bytes(self.number(field, index)),
            Number::F32 | Number::F64 => self.real(field, index) as i64,
        }
    }

    /// The number at `index` in a field.
    pub(super) fn real(&self, field: Field, index: usize) -> f64 {
        match field.number {
            Number::F32 => f64::from(f32::from_le_bytes(self.number(field, index))),
            Number::F64 => f64::from_le_bytes(self.number(field, index)),
            _ => self.integer(field, index) as f64,
        }
    }

    /// Consecutive numbers of a field.
    pub(super) fn reals<const N: usize>(&self, field: Field, first: usize) -> [f64; N] {
        std::array::from_fn(|index| self.real(field, first + index))
    }

    /// Stores a number at `index` in a field, clamped to the field's type.
    pub(super) fn put(&mut self, field: Field, index: usize, value: f64) {
        match field.number {
            Number::U8 => self.bytes[field.at + index] = value as u8,
            Number::I16 => self.put_number(field, index, (value as i16).to_le_bytes()),
            Number::I32 => self.put_number(field, index, (value as i32).to_le_bytes()),
            Number::I64 => self.put_number(field, index, (value as i64).to_le_bytes()),
            Number::F32 => self.put_number(field, index, (value as f32).to_le_bytes()),
            Number::F64 => self.put_number(field, index, value.to_le_bytes()),
        }
    }

    /// The bytes of a number in little-endian order.
    fn number<const N: usize>(&self, field: Field, index: usize) -> [u8; N] {
        let mut bytes = std::array::from_fn(|byte| self.bytes[field.at + index * N + byte]);
        if !self.little_endian {
            bytes.reverse();
        }
        bytes
    }

    fn put_number<const N: usize>(&mut self, field: Field, index: usize, mut bytes: [u8; N]) {
        if !self.little_endian {
            bytes.reverse();
        }
        let at = field.at + index * N;
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }
}
