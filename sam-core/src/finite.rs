//! Checks for NaN and infinity.

use burn::tensor::{DType, ElementConversion, Tensor, TensorData, backend::Backend};

/// Number of values that are checked without a branch, so that the loop vectorises.
const AT_ONCE: usize = 1024;

/// Whether no value is NaN or infinite.
pub(crate) fn are_finite(values: &[f32]) -> bool {
    values.chunks(AT_ONCE).all(|part| part.iter().fold(true, |all, value| all & value.is_finite()))
}

/// Whether no value is NaN or infinite, for data of any element type.
pub(crate) fn is_data_finite(data: &TensorData) -> bool {
    match data.dtype {
        DType::F32 => data.as_slice::<f32>().map_or_else(|_| data.iter::<f32>().all(f32::is_finite), are_finite),
        // In f64, because finite values of it may be infinite in f32.
        DType::F64 | DType::F16 | DType::BF16 => data.iter::<f64>().all(f64::is_finite),
        _ => true,
    }
}

/// Whether no value is NaN or infinite. Only one number leaves the device.
pub(crate) fn is_tensor_finite<B: Backend, const D: usize>(values: &Tensor<B, D>) -> bool {
    // The plain sum of finite numbers may overflow. Multiplied by 0, finite numbers give 0, all others NaN.
    !(values.clone() * 0.0).sum().into_scalar().elem::<f32>().is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_enough_wherever_it_lies() {
        for length in [1, 7, AT_ONCE, 3 * AT_ONCE + 5] {
            let mut values = vec![f32::MAX; length];
            assert!(are_finite(&values));
            for place in [0, length / 2, length - 1] {
                for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let sound = std::mem::replace(&mut values[place], value);
                    assert!(!are_finite(&values), "{value} at {place} of {length}");
                    let data = TensorData::new(values.clone(), [length]);
                    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
                        assert!(!is_data_finite(&data.clone().convert_dtype(dtype)), "{value} in {dtype:?}");
                    }
                    values[place] = sound;
                }
            }
        }
        assert!(are_finite(&[]));
        let large = TensorData::new(vec![1e300_f64, -1e300], [2]);
        assert!(is_data_finite(&large) && !is_data_finite(&large.convert_dtype(DType::F32)));
        assert!(is_data_finite(&TensorData::new(vec![1_i64, i64::MAX], [2])));
    }
}
