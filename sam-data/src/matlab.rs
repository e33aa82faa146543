//! Instance maps in MATLAB level-5 files, as in the Lizard data set.
//!
//! Only the needed part of the format is supported: plain or compressed elements, and full arrays of real numbers, in either byte order.
//! Files of version 7.3 are HDF5, a different format.

use std::{borrow::Cow, io::Read, path::Path};

use flate2::read::ZlibDecoder;
use ndarray::{Array2, ShapeBuilder};

use crate::{DataError, MatlabError};

/// The name of the instance map in the data sets Lizard and `CoNSeP`.
const ARRAY: &str = "inst_map";
/// Length of the header: text, an offset, the version and the byte order.
const HEADER_LENGTH: usize = 128;
/// Largest size of a decompressed array, so that a damaged or hostile file cannot use up the memory. It is enough for 5,700 x 5,700 numbers
/// of 64 bits.
const MOST_BYTES: u64 = 1 << 28;

/// Codes of element types.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Array classes from double to 64-bit integers. Lower ones are cells, structures, objects, text and sparse arrays.
const NUMERIC_CLASSES: std::ops::RangeInclusive<u8> = 6..=15;
/// The flag of complex arrays.
const COMPLEX: u8 = 0x08;

/// Reads the instance map `inst_map`: `[rows, columns]`.
pub(crate) fn read_instances(path: &Path) -> Result<Array2<u16>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    parse(&bytes).map_err(|source| DataError::Image { path: path.to_path_buf(), source: source.into() })
}

/// Finds the instance map and decodes it.
fn parse(bytes: &[u8]) -> Result<Array2<u16>, MatlabError> {
    let (body, order) = body(bytes)?;
    let mut elements = Elements { bytes: body, order };
    let mut others = Vec::new();
    while let Some(element) = elements.next()? {
        let Some(data) = element.matrix(order)? else { continue };
        let matrix = Matrix::parse(&data, order)?;
        if matrix.name == ARRAY {
            return matrix.labels(order);
        }
        others.push(matrix.name);
    }
    Err(MatlabError::NoArray { others })
}

/// The elements after the header, and the byte order.
fn body(bytes: &[u8]) -> Result<(&[u8], Order), MatlabError> {
    let parts = bytes.split_at_checked(HEADER_LENGTH);
    let (header, body) = parts.ok_or(MatlabError::NoHeader { found: bytes.len() })?;
    if header.starts_with(b"MATLAB 7.3") {
        return Err(MatlabError::Hdf5);
    }
    match &header[126..] {
        b"IM" => Ok((body, Order::Little)),
        b"MI" => Ok((body, Order::Big)),
        _ => Err(MatlabError::NotMatlab),
    }
}

fn unpack(data: &[u8]) -> Result<Vec<u8>, MatlabError> {
    let mut unpacked = Vec::new();
    ZlibDecoder::new(data).take(MOST_BYTES).read_to_end(&mut unpacked).map_err(MatlabError::Damaged)?;
    Ok(unpacked)
}

/// The byte order of numbers.
#[derive(Debug, Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn bytes<const N: usize>(self, bytes: &[u8]) -> Option<[u8; N]> {
        let mut number: [u8; N] = bytes.get(..N)?.try_into().ok()?;
        if matches!(self, Self::Big) {
            number.reverse();
        }
        Some(number)
    }

    fn u32(self, bytes: &[u8]) -> Option<u32> {
        self.bytes(bytes).map(u32::from_le_bytes)
    }
}

/// An element: its type and data.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

impl<'a> Element<'a> {
    /// The bytes of an array, decompressed if needed; `None` for an element of another type.
    fn matrix(&self, order: Order) -> Result<Option<Cow<'a, [u8]>>, MatlabError> {
        match self.kind {
            MATRIX => Ok(Some(Cow::Borrowed(self.data))),
            COMPRESSED => {
                let unpacked = unpack(self.data)?;
                let inner = (Elements { bytes: &unpacked, order }).next()?;
                Ok(inner.filter(|inner| inner.kind == MATRIX).map(|inner| Cow::Owned(inner.data.to_vec())))
            }
            _ => Ok(None),
        }
    }
}

/// Consecutive elements.
struct Elements<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl<'a> Elements<'a> {
    /// The next element; `None` at the end.
    fn next(&mut self) -> Result<Option<Element<'a>>, MatlabError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let first = self.order.u32(self.bytes).ok_or(MatlabError::CutOff)?;
        // An element of up to four bytes may store its data in the tag itself.
        let (kind, length, start) = match first >> 16 {
            0 => (first, self.order.u32(&self.bytes[4..]).ok_or(MatlabError::CutOff)? as usize, 8),
            length => (first & 0xffff, length as usize, 4),
        };
        let data = self.bytes.get(start..).and_then(|rest| rest.get(..length)).ok_or(MatlabError::CutOff)?;
        let end = start + length;
        // Elements are padded to a multiple of eight bytes, except compressed ones.
        let end = if kind == COMPRESSED { end } else { end.next_multiple_of(8) };
        self.bytes = self.bytes.get(end..).unwrap_or_default();
        Ok(Some(Element { kind, data }))
    }

    /// The next element of an array; an error if it is missing.
    fn part(&mut self) -> Result<Element<'a>, MatlabError> {
        self.next()?.ok_or(MatlabError::Incomplete { part: "parts" })
    }
}

/// An array whose numbers are not decoded yet.
struct Matrix<'a> {
    name: String,
    class: u8,
    flags: u8,
    sides: Vec<u32>,
    rest: Elements<'a>,
}

impl<'a> Matrix<'a> {
    fn parse(bytes: &'a [u8], order: Order) -> Result<Self, MatlabError> {
        let mut rest = Elements { bytes, order };
        let flags = order.u32(rest.part()?.data).ok_or(MatlabError::Incomplete { part: "flags" })?;
        let sides = rest.part()?.data.chunks_exact(4).filter_map(|side| order.u32(side)).collect();
        let name = String::from_utf8_lossy(rest.part()?.data).into_owned();
        Ok(Self { name, class: (flags & 0xff) as u8, flags: (flags >> 8 & 0xff) as u8, sides, rest })
    }

    /// The numbers as labels. MATLAB stores arrays in column-major order.
    fn labels(mut self, order: Order) -> Result<Array2<u16>, MatlabError> {
        if !NUMERIC_CLASSES.contains(&self.class) || self.flags & COMPLEX != 0 {
            return Err(MatlabError::NotNumeric);
        }
        let &[rows, columns] = self.sides.as_slice() else {
            return Err(MatlabError::Sides { found: self.sides.len() });
        };
        let element = self.rest.part()?;
        let labels = numbers(&element, order)?.into_iter().map(label).collect::<Result<Vec<_>, _>>()?;
        let (found, rows, columns) = (labels.len(), rows as usize, columns as usize);
        Array2::from_shape_vec((rows, columns).f(), labels).map_err(|_| MatlabError::Count { found, rows, columns })
    }
}

/// Decodes numbers. An array of doubles may be stored in a smaller type.
fn numbers(element: &Element<'_>, order: Order) -> Result<Vec<f64>, MatlabError> {
    /// Decodes numbers of `N` bytes.
    fn decode<const N: usize>(data: &[u8], order: Order, number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N).filter_map(|bytes| order.bytes(bytes)).map(number).collect()
    }
    let data = element.data;
    Ok(match element.kind {
        1 => decode(data, order, |bytes| f64::from(i8::from_le_bytes(bytes))),
        2 => decode(data, order, |bytes| f64::from(u8::from_le_bytes(bytes))),
        3 => decode(data, order, |bytes| f64::from(i16::from_le_bytes(bytes))),
        4 => decode(data, order, |bytes| f64::from(u16::from_le_bytes(bytes))),
        5 => decode(data, order, |bytes| f64::from(i32::from_le_bytes(bytes))),
        6 => decode(data, order, |bytes| f64::from(u32::from_le_bytes(bytes))),
        7 => decode(data, order, |bytes| f64::from(f32::from_le_bytes(bytes))),
        9 => decode(data, order, f64::from_le_bytes),
        12 => decode(data, order, |bytes| i64::from_le_bytes(bytes) as f64),
        13 => decode(data, order, |bytes| u64::from_le_bytes(bytes) as f64),
        found => return Err(MatlabError::NumberType { found }),
    })
}

fn label(value: f64) -> Result<u16, MatlabError> {
    if value.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&value) {
        return Ok(value as u16);
    }
    Err(MatlabError::Value { found: value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIXTURES: [(&str, &[u8]); 3] = [
        ("compressed", include_bytes!("../tests/fixtures/lizard_compressed.mat")),
        ("plain", include_bytes!("../tests/fixtures/lizard_plain.mat")),
        ("big-endian", include_bytes!("../tests/fixtures/lizard_big_endian.mat")),
    ];

    #[test]
    fn files_of_scipy_are_read() {
        for (name, bytes) in FIXTURES {
            let map = parse(bytes).unwrap_or_else(|found| panic!("{name}: {found}"));
            assert_eq!(map, Array2::from_shape_fn((3, 5), |(row, column)| (100 * row + column) as u16), "{name}");
        }
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        let whole = FIXTURES[1].1;
        let mut old = whole.to_vec();
        old[..10].copy_from_slice(b"MATLAB 7.3");
        let classes: &[u8] = include_bytes!("../tests/fixtures/lizard_without_map.mat");
        let half: &[u8] = include_bytes!("../tests/fixtures/lizard_fraction.mat");
        for (bytes, word) in [
            (&b"no file"[..], "7 bytes"),
            (&old, "-v7"),
            (&[0; 200], "no such header"),
            (&whole[..whole.len() - 20], "cut off"),
            (classes, "only id, class"),
            (half, "0.5"),
        ] {
            let found = parse(bytes).expect_err(word).to_string();
            assert!(found.contains(word), "{found}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(which in 0..3_usize, at in 0.0..1.0, value in any::<u8>(), cut in 0.0..1.0) {
            let mut bytes = FIXTURES[which].1.to_vec();
            let place = (at * bytes.len() as f64) as usize;
            bytes[place] = value;
            let _ = parse(&bytes);
            bytes.truncate((cut * bytes.len() as f64) as usize);
            let _ = parse(&bytes);
        }
    }
}
