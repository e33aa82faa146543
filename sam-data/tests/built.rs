//! NIfTI-1 files that tests put together field by field, as tools of the field write them.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

/// The affine rows of voxels of 2 x 2 x 5 mm.
pub(crate) const ROWS: [[f32; 4]; 3] = [[2.0, 0.0, 0.0, -159.0], [0.0, 2.0, 0.0, -79.0], [0.0, 0.0, 5.0, -27.5]];

/// The codes and bits of types.
pub(crate) const U8: (i16, i16) = (2, 8);
pub(crate) const I16: (i16, i16) = (4, 16);
pub(crate) const F32: (i16, i16) = (16, 32);
pub(crate) const F64: (i16, i16) = (64, 64);

/// A little-endian header of a single file, with its extension flag.
#[derive(Clone)]
pub(crate) struct Built(Vec<u8>);

impl Built {
    /// A header with these sides and this type, without sform and qform.
    pub(crate) fn new(sides: &[i16], (code, bits): (i16, i16)) -> Self {
        let mut header = Self(vec![0; 352]).short(40, sides.len() as i16).short(70, code).short(72, bits);
        header.0[..4].copy_from_slice(&348_i32.to_le_bytes());
        header.0[344..348].copy_from_slice(b"n+1\0");
        for dimension in 0..7 {
            header = header.short(42 + 2 * dimension, sides.get(dimension).copied().unwrap_or(1));
        }
        header.real(108, 352.0)
    }

    pub(crate) fn short(mut self, at: usize, value: i16) -> Self {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn real(mut self, at: usize, value: f32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// The unit of lengths: 1 for m, 2 for mm, 3 for micrometres.
    pub(crate) fn units(mut self, code: u8) -> Self {
        self.0[123] = code;
        self
    }

    pub(crate) fn scaled(self, slope: f32, intercept: f32) -> Self {
        self.real(112, slope).real(116, intercept)
    }

    pub(crate) fn sform(mut self, rows: [[f32; 4]; 3]) -> Self {
        self = self.short(254, 1);
        for (number, value) in rows.into_iter().flatten().enumerate() {
            self = self.real(280 + 4 * number, value);
        }
        self
    }

    /// Voxel sizes, the last three parts of the quaternion, and the translation.
    pub(crate) fn qform(mut self, sizes: [f32; 3], quaternion: [f32; 3], offset: [f32; 3]) -> Self {
        self = self.short(252, 1).real(76, 1.0);
        let axes = sizes.into_iter().zip(quaternion).zip(offset);
        for (axis, ((size, part), offset)) in axes.enumerate() {
            self = self.real(80 + 4 * axis, size).real(256 + 4 * axis, part).real(268 + 4 * axis, offset);
        }
        self
    }

    /// The whole file.
    pub(crate) fn with(&self, voxels: &[u8]) -> Vec<u8> {
        [&self.0, voxels].concat()
    }
}

/// One gzip member.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}
