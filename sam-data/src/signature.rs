//! Names files of other formats by their first bytes, and says what to do with them.

use std::io::Read;

/// Number of bytes that are needed to name every known format: a tar archive has its signature at byte 257.
pub(crate) const LENGTH: u64 = 512;

/// What is to be done with a file of another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A volume that other programs of the field read.
    Volume,
    /// A volume that its own tools convert.
    Mgh,
    Dicom,
    Image,
    /// An archive, with the format's name of one file in it or several.
    Archive,
    Matlab,
    /// Something else: no image.
    Other,
    /// A stand-in for the file itself.
    Pointer,
}

/// Signatures at the beginning of a file, and the names of their formats.
const SIGNATURES: [(&[u8], &str, Kind); 37] = [
    (b"NRRD0", "an NRRD file", Kind::Volume),
    (b"ObjectType", "a MetaImage file (.mha or .mhd)", Kind::Volume),
    (b"NDims", "a MetaImage file (.mha or .mhd)", Kind::Volume),
    (b"CDF\x01", "a MINC 1 file", Kind::Volume),
    (b"CDF\x02", "a MINC 1 file", Kind::Volume),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (such as MINC 2)", Kind::Volume),
    (b"# vtk DataFile", "a VTK file", Kind::Volume),
    (b"!INTERFILE", "an Interfile file", Kind::Volume),
    (b"# === DATA DESCRIPTION FILE", "a Philips PAR file", Kind::Volume),
    (b"\x00\x00\x00\x01\x00\x00", "an MGH file of FreeSurfer", Kind::Mgh),
    (b"MATLAB 5.0", "a MATLAB file", Kind::Matlab),
    (b"\x93NUMPY", "a NumPy file", Kind::Matlab),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", Kind::Image),
    (b"\xff\xd8\xff", "a JPEG image", Kind::Image),
    (b"II*\0", "a TIFF image", Kind::Image),
    (b"MM\0*", "a TIFF image", Kind::Image),
    (b"II+\0", "a BigTIFF image", Kind::Image),
    (b"GIF8", "a GIF image", Kind::Image),
    (b"BM", "a BMP image", Kind::Image),
    (b"RIFF", "a RIFF file (such as WebP or AVI)", Kind::Image),
    (b"PK\x03\x04", "a zip archive", Kind::Archive),
    (b"PK\x05\x06", "an empty zip archive", Kind::Archive),
    (b"BZh", "a bzip2 file", Kind::Archive),
    (b"\xfd7zXZ\0", "an xz file", Kind::Archive),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", Kind::Archive),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", Kind::Archive),
    (b"Rar!", "a RAR archive", Kind::Archive),
    (b"\x1f\x8b", "another gzip file", Kind::Archive),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file", Kind::Pointer),
    (b"<!DOCTYPE html", "an HTML page", Kind::Pointer),
    (b"<!doctype html", "an HTML page", Kind::Pointer),
    (b"<html", "an HTML page", Kind::Pointer),
    (b"%PDF", "a PDF document", Kind::Other),
    (b"<?xml", "an XML file", Kind::Other),
    (b"solid ", "a surface in STL", Kind::Other),
    (b"\xd0\xcf\x11\xe0", "an Office document", Kind::Other),
    (b"{", "a JSON text", Kind::Other),
];

/// Finds the name and kind of a format by a file's first bytes.
fn find(start: &[u8]) -> Option<(&'static str, Kind)> {
    let at = |place: usize, signature: &[u8]| start.get(place..).is_some_and(|rest| rest.starts_with(signature));
    if at(128, b"DICM") {
        return Some(("a DICOM file", Kind::Dicom));
    }
    if at(257, b"ustar") {
        return Some(("a tar archive", Kind::Archive));
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let found = SIGNATURES.iter().find(|(signature, ..)| text.starts_with(signature));
    found.map(|&(_, name, kind)| (name, kind))
}

/// The name of the format of a file that should be a volume in NIfTI, and what to do with the file; `None` if the format is not known.
pub(crate) fn volume_advice(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let (name, kind) = find(start)?;
    let advice = match kind {
        Kind::Volume => {
            "convert it to NIfTI: open it in 3D Slicer or ITK-SNAP, and save it as .nii.gz (a segmentation of 3D Slicer: in the module \
             Segmentations, Export to files, as NIfTI)"
        }
        Kind::Mgh => "convert it to NIfTI with FreeSurfer: mri_convert FILE.mgz FILE.nii.gz",
        Kind::Dicom => {
            "a scan is given as the folder of its series; convert a DICOM SEG or RTSTRUCT to NIfTI: load it in 3D Slicer, and save it as a \
             label map, .nii.gz"
        }
        Kind::Image => {
            "convert it to NIfTI with its voxel sizes: open the stack of images in 3D Slicer or Fiji, and save it as .nii.gz"
        }
        Kind::Archive => "unpack it, and give the NIfTI file or the folder of DICOM files in it",
        Kind::Matlab => "save the array as NIfTI, with its affine: nibabel.save in Python, niftiwrite in MATLAB",
        Kind::Other => "give a scan or label map in NIfTI",
        Kind::Pointer => "download the file itself again: git lfs pull, or the link of the page",
    };
    Some((name, advice))
}

/// The name of the format of a file that should be an image, unless it is an image.
pub(crate) fn not_an_image(start: &[u8]) -> Option<&'static str> {
    const NIFTI: [&[u8]; 4] = [b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"];
    let mut inner = [0; 4];
    let is_nifti = |start: &[u8]| NIFTI.iter().any(|first| start.starts_with(first));
    if is_nifti(start) {
        return Some("a NIfTI file");
    }
    if start.starts_with(b"\x1f\x8b") {
        let unpacked = flate2::bufread::GzDecoder::new(start).read_exact(&mut inner);
        return Some(if unpacked.is_ok() && is_nifti(&inner) { "a NIfTI file" } else { "a gzip file" });
    }
    find(start).filter(|(_, kind)| *kind != Kind::Image).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named_by_their_first_bytes() {
        let mut dicom = vec![0; 128];
        dicom.extend(b"DICM");
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar");
        for (start, name, advice) in [
            (&b"NRRD0004\n"[..], "NRRD", "3D Slicer"),
            (b"ObjectType = Image\n", "MetaImage", "ITK-SNAP"),
            (b"PK\x03\x04", "zip", "unpack"),
            (b"\x89PNG\r\n\x1a\n", "PNG", "stack"),
            (b"\xff\xd8\xff\xe0", "JPEG", "stack"),
            (b"\x00\x00\x00\x01\x00\x00\x01\x00", "MGH", "mri_convert"),
            (b"version https://git-lfs.github.com", "Git LFS", "git lfs pull"),
            (b"\xef\xbb\xbf{}", "JSON", "NIfTI"),
            (&dicom, "DICOM", "series"),
            (&tar, "tar", "unpack"),
        ] {
            let found = volume_advice(start).expect(name);
            assert!(found.0.contains(name) && found.1.contains(advice), "{found:?}");
        }
        assert_eq!(volume_advice(b""), None);
        assert_eq!(volume_advice(b"dear diary"), None);
        assert_eq!(not_an_image(b"\x89PNG\r\n\x1a\n"), None);
        assert_eq!(not_an_image(b"\x5c\x01\0\0"), Some("a NIfTI file"));
        assert_eq!(not_an_image(b"NRRD0005"), Some("an NRRD file"));
    }
}
