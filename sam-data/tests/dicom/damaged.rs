//! Damaged DICOM files: reading gives an error or another volume, never a panic or a large allocation.

use std::fs;

use dicom_dictionary_std::uids;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use sam_data::read_dicom;
use sam_prompt::error_chain;

use super::written;

/// Memory limit in MiB: far more than these series need, far less than a wrong length can announce.
const ENOUGH_MIB: f32 = 512.0;

#[test]
fn sequences_within_sequences_without_end() {
    let mut bytes = written::bytes(&written::slice(1), uids::IMPLICIT_VR_LITTLE_ENDIAN);
    // Replaces the pixels by many nested sequences and items of unknown length.
    let pixels = bytes.len() - 2 * written::pixels(1).len() - 8;
    bytes.truncate(pixels);
    for _ in 0..200_000 {
        bytes.extend([0x40, 0x00, 0x75, 0x02, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff]);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("deep"), &bytes).expect("a writable folder");
    let message = error_chain(&read_dicom(folder.path(), None).expect_err("no end"));
    assert!(message.contains("nested"), "{message}");
}

#[test]
fn items_of_no_sequence() {
    let mut bytes = written::bytes(&written::slice(1), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    // Replaces the pixels by the end of an item, an item without end, and a sequence without end that contains such an item.
    bytes.truncate(bytes.len() - 2 * written::pixels(1).len() - 12);
    let item = [0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff];
    bytes.extend([0xfe, 0xff, 0x0d, 0xe0, 0x00, 0x00, 0x00, 0x00]);
    bytes.extend(item);
    bytes.extend([0x20, 0x00, 0x13, 0x91, b'S', b'Q', 0x00, 0x00, 0xff, 0xff, 0xff, 0xff]);
    bytes.extend(item);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("ends"), &bytes).expect("a writable folder");
    let message = error_chain(&read_dicom(folder.path(), None).expect_err("no sequence"));
    assert!(message.contains("begin and end in turn"), "{message}");
}

#[test]
fn elements_behind_the_pixels_announce_no_more_than_there_is() {
    let mut bytes = written::bytes(&written::slice(1), uids::EXPLICIT_VR_LITTLE_ENDIAN);
    // Appends Patient Comments, which belong before the pixels, with an announced length of 1.4 GB.
    bytes.extend([0x10, 0x00, 0x00, 0x40, b'O', b'B', 0x00, 0x00, 0x00, 0x00, 0x00, 0x55]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("behind"), &bytes).expect("a writable folder");
    PeakAlloc.reset_peak_usage();
    assert!(read_dicom(folder.path(), None).is_err());
    assert!(PeakAlloc.peak_usage_as_mb() < ENOUGH_MIB, "{} MiB", PeakAlloc.peak_usage_as_mb());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_panic(
        kind in 0..8_usize,
        without_preamble in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0_u8), Just(0xff), any::<u8>()]), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = written::files().swap_remove(kind);
        for (place, byte) in changes {
            // The preamble stays unchanged, because most bytes are in it.
            let place = 128 + place.index(bytes.len() - 128);
            bytes[place] = byte;
        }
        if without_preamble {
            bytes.drain(..128);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("damaged"), &bytes).expect("a writable folder");
        PeakAlloc.reset_peak_usage();
        let _ = read_dicom(folder.path(), None);
        prop_assert!(PeakAlloc.peak_usage_as_mb() < ENOUGH_MIB, "{} MiB", PeakAlloc.peak_usage_as_mb());
    }
}
