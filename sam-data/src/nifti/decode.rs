//! Decodes stored numbers of any type.

use ::nifti::NiftiType;

/// Bytes of one number; `None` for types that are not a single number.
pub(super) fn size_of(kind: NiftiType) -> Option<usize> {
    match kind {
        NiftiType::Uint8 | NiftiType::Int8 => Some(1),
        NiftiType::Uint16 | NiftiType::Int16 => Some(2),
        NiftiType::Uint32 | NiftiType::Int32 | NiftiType::Float32 => Some(4),
        NiftiType::Uint64 | NiftiType::Int64 | NiftiType::Float64 => Some(8),
        _ => None,
    }
}

/// Decodes bytes to numbers and appends them. A type without [`size_of`] appends nothing.
#[allow(clippy::cast_lossless, reason = "one line for all types: 64-bit integers alone can lose digits")]
pub(super) fn append<T>(
    values: &mut Vec<T>,
    bytes: &[u8],
    kind: NiftiType,
    little_endian: bool,
    mut convert: impl FnMut(f64) -> T,
) {
    macro_rules! decode {
        ($number:ty) => {{
            let numbers = bytes.as_chunks().0.iter();
            // The byte order is chosen outside the loop, so that the compiler can vectorise the loop.
            if little_endian {
                values.extend(numbers.map(|&bytes| convert(<$number>::from_le_bytes(bytes) as f64)));
            } else {
                values.extend(numbers.map(|&bytes| convert(<$number>::from_be_bytes(bytes) as f64)));
            }
        }};
    }
    match kind {
        NiftiType::Uint8 => decode!(u8),
        NiftiType::Int8 => decode!(i8),
        NiftiType::Uint16 => decode!(u16),
        NiftiType::Int16 => decode!(i16),
        NiftiType::Uint32 => decode!(u32),
        NiftiType::Int32 => decode!(i32),
        NiftiType::Uint64 => decode!(u64),
        NiftiType::Int64 => decode!(i64),
        NiftiType::Float32 => decode!(f32),
        NiftiType::Float64 => decode!(f64),
        _ => {}
    }
}
