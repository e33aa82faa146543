#!/usr/bin/env python3
"""Makes fixtures/dicom/*.dcm: one slice, compressed without loss as JPEG and as JPEG 2000 by GDCM.

Written with pydicom 3.0.2, python-gdcm 3.2.6 and numpy 2.4.6 (pip install pydicom python-gdcm numpy). The same versions give the same
bytes: pixels come from a seed, and identifiers from a name.
"""

import tempfile
import uuid
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

FOLDER = Path(__file__).parent / "fixtures" / "dicom"
ROWS, COLUMNS = 29, 37


def uid(name: str) -> str:
    """An identifier as DICOM PS3.5, B.2 derives it from 128 bits."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'sam-data/' + name).int}"


def slice_of_noise(path: Path) -> np.ndarray:
    """An uncompressed CT slice with values that no predictor guesses, up to 12 bits of 16."""
    rng = np.random.default_rng(7)
    pixels = np.clip(rng.gamma(2.0, 500.0, (ROWS, COLUMNS)), 0, 4095).astype("<u2")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_ = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    slice_.SOPClassUID = CTImageStorage
    slice_.SOPInstanceUID = uid("instance")
    slice_.StudyInstanceUID = uid("study")
    slice_.SeriesInstanceUID = uid("series")
    slice_.FrameOfReferenceUID = uid("frame of reference")
    slice_.StudyDate, slice_.StudyTime = "20260101", "120000"
    slice_.Modality = "CT"
    slice_.PatientName = slice_.PatientID = ""
    slice_.ImagePositionPatient = [-31.5, 12.25, -80]
    slice_.ImageOrientationPatient = [0.96, 0.28, 0, -0.168, 0.576, 0.8]
    slice_.PixelSpacing = [0.75, 0.625]
    slice_.SamplesPerPixel = 1
    slice_.PhotometricInterpretation = "MONOCHROME2"
    slice_.Rows, slice_.Columns = ROWS, COLUMNS
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation = 0
    slice_.RescaleIntercept, slice_.RescaleSlope = 0, 1
    slice_.PixelData = pixels.tobytes()
    slice_.save_as(path, enforce_file_format=True)
    return pixels


def transcode(source: Path, target: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read(), source
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change(), target
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write(), target


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.dcm"
        pixels = slice_of_noise(plain)
        for name, syntax in [
            ("jpeg_lossless", gdcm.TransferSyntax.JPEGLosslessProcess14_1),
            ("jpeg_2000", gdcm.TransferSyntax.JPEG2000Lossless),
        ]:
            target = FOLDER / f"{name}.dcm"
            transcode(plain, target, syntax)
            assert (pydicom.dcmread(target).pixel_array == pixels).all(), name


if __name__ == "__main__":
    main()
