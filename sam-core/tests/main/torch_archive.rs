//! PyTorch archives: strided tensors, and malicious archives.

use std::io::Write;

use sam_core::{Checkpoint, CoreError, Precision, ReadError};
use sam_testing::TestResult;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Writes an archive like torch.save, with the given pickle and the numbers from 0 to 7 as f32 values.
fn write_archive(path: &std::path::Path, pickle: &[u8], method: CompressionMethod) -> TestResult {
    write_values(path, pickle, method, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
}

fn write_values(path: &std::path::Path, pickle: &[u8], method: CompressionMethod, values: [f32; 8]) -> TestResult {
    let mut archive = ZipWriter::new(std::fs::File::create(path)?);
    let options = SimpleFileOptions::default().compression_method(method);
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    for (name, bytes) in [("weights/data.pkl", pickle), ("weights/data/0", &values)] {
        archive.start_file(name, options)?;
        archive.write_all(bytes)?;
    }
    archive.finish()?;
    Ok(())
}

/// The pickle of `{"image_encoder.x": tensor}` on those values, with a shape, strides and an offset in elements.
fn pickled_tensor(shape: [i32; 2], strides: [i32; 2], offset: i32) -> Vec<u8> {
    let text = |text: &str| [[b'U', text.len() as u8].as_slice(), text.as_bytes()].concat();
    let number = |number: i32| [[b'J'].as_slice(), &number.to_le_bytes()].concat();
    let pair = |[one, other]: [i32; 2]| [number(one), number(other), vec![0x86]].concat();
    [
        b"\x80\x02}".to_vec(),
        text("image_encoder.x"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        number(8),
        b"tQ".to_vec(),
        number(offset),
        pair(shape),
        pair(strides),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

/// Reads the tensor of such a pickle back through safetensors.
fn read_back(pickle: &[u8], method: CompressionMethod) -> TestResult<(Vec<usize>, Vec<f32>)> {
    let folder = tempfile::tempdir()?;
    let (path, copy) = (folder.path().join("x.pth"), folder.path().join("x.safetensors"));
    write_archive(&path, pickle, method)?;
    Checkpoint::open(&path)?.save_safetensors(&copy, Precision::F32)?;
    let bytes = std::fs::read(copy)?;
    let file = safetensors::SafeTensors::deserialize(&bytes)?;
    let tensor = file.tensor("image_encoder.x")?;
    let values = tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok((tensor.shape().to_vec(), values))
}

#[test]
fn tensors_are_read_by_their_strides() -> TestResult {
    for (shape, strides, offset, expected) in [
        ([2, 3], [3, 1], 0, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ([2, 3], [3, 1], 2, vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
        // A transposed tensor, and every second column of a tensor.
        ([3, 2], [1, 3], 0, vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        ([2, 2], [4, 2], 1, vec![1.0, 3.0, 5.0, 7.0]),
        ([1, 3], [99, 1], 5, vec![5.0, 6.0, 7.0]),
    ] {
        let (found, values) = read_back(&pickled_tensor(shape, strides, offset), CompressionMethod::Stored)?;
        assert_eq!((found, values), (shape.map(|size| size as usize).to_vec(), expected), "{shape:?} by {strides:?}");
    }
    Ok(())
}

#[test]
fn values_that_are_not_finite_are_refused_where_a_tensor_holds_them() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (path, copy) = (folder.path().join("x.pth"), folder.path().join("x.safetensors"));
    // Every second column of a tensor, without the values between them.
    let pickle = pickled_tensor([2, 2], [4, 2], 1);
    let convert = |place: usize, value| -> TestResult<Result<(), CoreError>> {
        let mut values = [1.0; 8];
        values[place] = value;
        write_values(&path, &pickle, CompressionMethod::Stored, values)?;
        Ok(Checkpoint::open(&path)?.save_safetensors(&copy, Precision::F32))
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = convert(7, value)?.err().ok_or("it was converted")?;
        let CoreError::NotFinite { tensors, .. } = &error else { return Err(error.into()) };
        assert_eq!(tensors, &["image_encoder.x"]);
        assert!(!copy.exists(), "nothing was written");
    }
    convert(6, f32::NAN)??;
    Ok(())
}

#[test]
fn what_is_not_stored_is_never_made_up() {
    for (shape, strides, offset) in [
        ([2, 4], [4, 1], 1),
        ([3, 3], [3, 1], 0),
        ([-1, 3], [3, 1], 0),
        ([2, 3], [3, -1], 0),
        ([2, 3], [3, 1], -1),
        ([1, 1], [1, 1], i32::MAX),
        ([i32::MAX, i32::MAX], [i32::MAX, i32::MAX], 0),
        // One value, repeated a huge number of times.
        ([i32::MAX, i32::MAX], [0, 0], 0),
        ([1000, 1], [0, 1], 0),
    ] {
        let found = read_back(&pickled_tensor(shape, strides, offset), CompressionMethod::Stored);
        assert!(found.is_err(), "{shape:?} by {strides:?} from {offset}: {found:?}");
    }
    let packed = read_back(&pickled_tensor([2, 3], [3, 1], 0), CompressionMethod::Deflated);
    let error = packed.expect_err("PyTorch packs nothing, and what is packed may be any size");
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("packed"), "{error}: {cause}");
}

#[test]
fn checkpoints_that_ask_for_code_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let witness = folder.path().join("was-run");
    // The pickle of an object whose `__reduce__` returns (os.system, ("touch ...",)).
    let command = format!("touch {}", witness.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85R.");
    let path = folder.path().join("evil.pth");
    write_archive(&path, &pickle, CompressionMethod::Stored)?;
    let error = Checkpoint::open(&path).err().ok_or("it was opened")?;
    let CoreError::Unreadable { source: ReadError::Malformed { reason }, .. } = error else { return Err(error.into()) };
    assert!(reason.contains("posix.system"), "{reason}");
    assert!(!witness.exists(), "the code was run");
    Ok(())
}
