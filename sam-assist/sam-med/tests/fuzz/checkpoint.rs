//! Checkpoints, which may come from untrusted sources.

use std::{
    fs,
    io::{Cursor, Read, Write},
    path::Path,
};

use burn_flex::{Flex, FlexDevice};
use rand::{Rng, RngExt};
use sam_core::{Checkpoint, Precision};
use sam_testing::golden;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{check_words, damage::damage, text::damage_text};

fn read_golden(name: &str) -> Vec<u8> {
    fs::read(golden::path(name)).expect("a committed file")
}

fn put(folder: &Path, bytes: &[u8]) -> usize {
    fs::write(folder.join("weights"), bytes).expect("a writable folder");
    bytes.len()
}

/// PyTorch's archive: its entries are damaged and packed again, so that the checksums are right.
pub(crate) fn prepare_zip(folder: &Path, random: &mut dyn Rng) -> usize {
    let name = if random.random_bool(0.5) { "ckpt_nested.pth" } else { "ckpt_half.pth" };
    let mut archive = ZipArchive::new(Cursor::new(read_golden(name))).expect("an archive");
    let mut written = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).expect("an entry");
        let (mut name, mut bytes) = (file.name().expect("a name").into_owned(), Vec::new());
        file.read_to_end(&mut bytes).expect("a whole entry");
        if name.ends_with("data.pkl") && random.random_bool(0.9) {
            damage(&mut bytes, usize::MAX, random);
        } else {
            match random.random_range(0..100) {
                0 | 1 => bytes.truncate(random.random_range(0..=bytes.len())),
                2 => name += "/",
                3 => continue,
                _ => {}
            }
        }
        let packed = if random.random_bool(0.02) { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let options = SimpleFileOptions::default().compression_method(packed);
        written
            .start_file(name, options)
            .and_then(|()| Ok(written.write_all(&bytes)?))
            .expect("memory takes everything");
    }
    let mut bytes = written.finish().expect("memory takes everything").into_inner();
    if random.random_bool(0.3) {
        // The archive's central directory is at its end.
        bytes.reverse();
        damage(&mut bytes, 3000, random);
        bytes.reverse();
    }
    put(folder, &bytes)
}

/// The format of PyTorch before version 1.6: pickles, one after another.
pub(crate) fn prepare_legacy(folder: &Path, random: &mut dyn Rng) -> usize {
    let mut bytes = read_golden("ckpt_legacy_format.pth");
    damage(&mut bytes, 3000, random);
    put(folder, &bytes)
}

/// A complete model.
pub(crate) fn prepare_safetensors(folder: &Path, random: &mut dyn Rng) -> usize {
    let whole = golden::serialised(&golden::weights());
    let (length, rest) = whole.split_first_chunk().expect("a header's length");
    let (header, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header = header.to_vec();
    damage_text(&mut header, random);
    let mut bytes = [(header.len() as u64).to_le_bytes().as_slice(), &header, values].concat();
    if random.random_bool(0.2) {
        damage(&mut bytes, 64, random);
    }
    put(folder, &bytes)
}

/// Opens a checkpoint, builds a model from it, and writes it as another one.
pub(crate) fn read(folder: &Path) -> Result<bool, String> {
    let path = folder.join("weights");
    let check = |error: sam_core::CoreError| check_words(&error.to_string(), "weights");
    let checkpoint = match Checkpoint::open(&path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return check(error).map(|()| false),
    };
    let copy = folder.join("copy.safetensors");
    match checkpoint.save_safetensors(&copy, Precision::F16) {
        Ok(()) => {
            let again = Checkpoint::open(&copy).map_err(|error| format!("its copy cannot be read: {error}"))?;
            if again.shapes() != checkpoint.shapes() {
                return Err("its copy has other tensors".to_owned());
            }
        }
        Err(error) => check(error)?,
    }
    if let Err(error) = checkpoint.predictor::<Flex>(&FlexDevice) {
        check(error)?;
    }
    Ok(true)
}
