"""Checks DICOM in and out with pydicom, SimpleITK and highdicom, which share no code with this project.

Usage: check_segmentation.py write FOLDER       writes synthetic series into folders of FOLDER, in several transfer syntaxes
       check_segmentation.py check SERIES OUT   holds image.nii.gz, mask.nii.gz and mask.dcm in OUT against the series
"""

import sys
from pathlib import Path

import highdicom
import nibabel
import numpy
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

COLUMNS, ROWS, SLICES = 37, 29, 7
SPACING = [0.75, 0.625]
STEP = 3.3
# Turned about two axes.
X = numpy.array([0.96, 0.28, 0.0])
Y = numpy.array([-0.168, 0.576, 0.8])
NORMAL = numpy.cross(X, Y)
# Left, back and head of DICOM to the right, front and head of NIfTI.
TO_RAS = numpy.diag([-1, -1, 1, 1])


def place(index):
    return numpy.array([-31.5, 12.25, -80.0]) + STEP * index * NORMAL


def levels(index):
    generator = numpy.random.default_rng(index)
    rows, columns = numpy.mgrid[:ROWS, :COLUMNS]
    blob = numpy.hypot(rows - ROWS / 2, columns - COLUMNS / 3) < 4 + index
    return (generator.integers(0, 1500, (ROWS, COLUMNS)) + 2400 * blob).astype(numpy.uint16)


def image(uid, storage, syntax):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = uid + ".1", uid + ".2", uid + ".3"
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Müller^Zoë", "synthetic", "", "O"
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "120000", "1", ""
    data.ReferringPhysicianName, data.SeriesNumber, data.InstanceNumber = "", 1, 1
    data.Manufacturer, data.SeriesDescription, data.PositionReferenceIndicator = "nobody", "synthetic", ""
    data.Modality, data.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    return data


def item(**elements):
    data = Dataset()
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def write_slices(folder, syntax, change=lambda data, index: None):
    """A series of single slices, each changed by `change` before it is written."""
    folder.mkdir(parents=True)
    uid = generate_uid()[:50].rstrip(".")
    for index in range(SLICES):
        data = image(uid, CTImageStorage, syntax if syntax != RLELossless else ExplicitVRLittleEndian)
        data.ImagePositionPatient = [f"{part:.8f}" for part in place(index)]
        data.ImageOrientationPatient = [f"{part:.8f}" for part in (*X, *Y)]
        data.PixelSpacing, data.SliceThickness = SPACING, STEP
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 0.5, -1024, "HU"
        data.InstanceNumber = index + 1
        data.PixelData = levels(index).tobytes()
        data["PixelData"].VR = "OW"
        if syntax == RLELossless:
            data.compress(RLELossless, generate_instance_uid=False)
        change(data, index)
        # Names say nothing of the order.
        data.save_as(folder / f"{5 * index % SLICES}.dcm", enforce_file_format=True)


def pad(data, index):
    """A corner outside the field of view, stored with a value of its own."""
    levels_ = levels(index)
    levels_[:5, :7] = 3000
    levels_[0, 0] = 3010
    data.PixelData = levels_.tobytes()
    data.PixelPaddingValue, data.PixelPaddingRangeLimit = 3000, 3010


def name_in_japanese(data, index):
    data.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    data.PatientName = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"


def take_away_preamble(folder):
    """The last slice as its data set alone, as older archives hold it."""
    path = folder / "0.dcm"
    data = pydicom.dcmread(path)
    pydicom.dcmwrite(path, Dataset(data), implicit_vr=True, little_endian=True, enforce_file_format=False)


def write_enhanced(folder):
    folder.mkdir(parents=True)
    data = image(generate_uid()[:50].rstrip("."), EnhancedMRImageStorage, ImplicitVRLittleEndian)
    data.Modality, data.NumberOfFrames = "MR", SLICES
    measures = item(PixelSpacing=SPACING, SliceThickness=STEP)
    orientation = item(ImageOrientationPatient=[f"{part:.8f}" for part in (*X, *Y)])
    rescale = item(RescaleSlope=0.5, RescaleIntercept=-1024, RescaleType="US")
    data.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[orientation],
            PixelValueTransformationSequence=[rescale],
        )
    ]
    # From the last slice to the first.
    order = range(SLICES)[::-1]
    places = [item(ImagePositionPatient=[f"{part:.8f}" for part in place(index)]) for index in order]
    data.PerFrameFunctionalGroupsSequence = [item(PlanePositionSequence=[place]) for place in places]
    data.PixelData = numpy.stack([levels(index) for index in order]).tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(folder / "enhanced.dcm", enforce_file_format=True)


def write_compressed(source, folder, compressor):
    """Packs a series as JPEG (lossless) or JPEG 2000, by GDCM."""
    folder.mkdir(parents=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for path in sorted(source.iterdir()):
        data = pydicom.dcmread(path)
        # Stored numbers, not rescaled: GDCM rescales by whole numbers alone.
        slice_ = SimpleITK.GetImageFromArray(data.pixel_array[None])
        slice_.SetSpacing([SPACING[1], SPACING[0], STEP])
        slice_.SetOrigin([float(part) for part in data.ImagePositionPatient])
        slice_.SetDirection(numpy.stack([X, Y, NORMAL], axis=1).ravel())
        # GDCM takes over what it is told and numbers the rest itself.
        for tag in [(0x0020, 0x0032), (0x0020, 0x0037), (0x0008, 0x0018), (0x0008, 0x0016)]:
            value = data[tag].value
            text = str(value) if isinstance(value, str) else "\\".join(str(part) for part in value)
            slice_.SetMetaData(f"{tag[0]:04x}|{tag[1]:04x}", text)
        for tag, value in [("0020|000e", series), ("0020|000d", study), ("0020|0052", frame), ("0008|0060", "CT")]:
            slice_.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetFileName(str(folder / path.name))
        writer.Execute(slice_)
    written = pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID
    assert written.is_compressed, f"{compressor}: {written.name}"
    print(f"{folder}: {written.name}")


def write(folder):
    write_slices(folder / "explicit", ExplicitVRLittleEndian)
    write_slices(folder / "implicit", ImplicitVRLittleEndian)
    write_slices(folder / "deflated", DeflatedExplicitVRLittleEndian)
    write_slices(folder / "rle", RLELossless)
    write_slices(folder / "padding", ExplicitVRLittleEndian, pad)
    write_slices(folder / "names", ExplicitVRLittleEndian, name_in_japanese)
    write_slices(folder / "preamble", ExplicitVRLittleEndian)
    take_away_preamble(folder / "preamble")
    write_enhanced(folder / "enhanced")
    write_compressed(folder / "explicit", folder / "jpeg", "JPEG")
    write_compressed(folder / "explicit", folder / "jpeg2000", "JPEG2000")


def read(folder):
    """A series by pydicom: slices by position, their voxels [i, j, k], the affine, and of each its file and frame."""
    slices = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        data = pydicom.dcmread(path, force=True)
        data.ensure_file_meta()
        data.file_meta.TransferSyntaxUID = data.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
        pixels = data.pixel_array
        shared = data.get("SharedFunctionalGroupsSequence", [None])[0]
        if shared is None:
            place, turn, measures, rescale = [data.ImagePositionPatient], data.ImageOrientationPatient, data, data
            pixels = pixels[None]
        else:
            place = [
                frame.PlanePositionSequence[0].ImagePositionPatient for frame in data.PerFrameFunctionalGroupsSequence
            ]
            turn = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            measures = shared.PixelMeasuresSequence[0]
            rescale = shared.PixelValueTransformationSequence[0]
        slope, intercept = float(rescale.get("RescaleSlope", 1)), float(rescale.get("RescaleIntercept", 0))
        turn = numpy.array(turn, dtype=float).reshape(2, 3)
        for number, position in enumerate(place):
            levels_ = pixels[number] * slope + intercept
            if "PixelPaddingValue" in data:
                ends = sorted([data.PixelPaddingValue, data.get("PixelPaddingRangeLimit", data.PixelPaddingValue)])
                levels_[(pixels[number] >= ends[0]) & (pixels[number] <= ends[1])] = numpy.nan
            slices.append((numpy.array(position, dtype=float), turn, measures, levels_, data, number))
    normal = numpy.cross(*slices[0][1])
    slices.sort(key=lambda one: one[0] @ normal)
    first, turn, measures = slices[0][:3]
    affine = numpy.eye(4)
    affine[:3, 0], affine[:3, 1] = turn[0] * measures.PixelSpacing[1], turn[1] * measures.PixelSpacing[0]
    affine[:3, 2] = (slices[-1][0] - first) / (len(slices) - 1)
    affine[:3, 3] = first
    voxels = numpy.stack([one[3].T for one in slices], axis=-1)
    # Padding is the lowest intensity.
    voxels = numpy.where(numpy.isnan(voxels), numpy.nanmin(voxels), voxels)
    return voxels, TO_RAS @ affine, [(one[4], one[5], one[0]) for one in slices]


def check_with_itk(series, voxels, affine):
    """The series by SimpleITK, where it is one of single slices."""
    if series.name in ("padding", "preamble"):
        # SimpleITK reads padding as any pixel, and no file without a preamble in a folder.
        return
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(series), recursive=True)
    if len(names) < 2:
        return
    reader.SetFileNames(names)
    found = reader.Execute()
    array = SimpleITK.GetArrayFromImage(found).transpose()
    other = numpy.eye(4)
    other[:3, :3] = numpy.array(found.GetDirection()).reshape(3, 3) * found.GetSpacing()
    other[:3, 3] = found.GetOrigin()
    other = TO_RAS @ other
    if other[:3, 2] @ affine[:3, 2] < 0:
        # SimpleITK counts slices from the other end.
        array = array[..., ::-1]
        other[:3, 3] += other[:3, 2] * (array.shape[2] - 1)
        other[:3, 2] *= -1
    numpy.testing.assert_allclose(array, voxels, atol=1e-3)
    numpy.testing.assert_allclose(other, affine, atol=1e-3)


def check(series, out):
    voxels, affine, slices = read(series)
    check_with_itk(series, voxels, affine)
    ours, mask = nibabel.load(out / "image.nii.gz"), nibabel.load(out / "mask.nii.gz")
    numpy.testing.assert_allclose(numpy.asarray(ours.dataobj), voxels, rtol=1e-6, atol=1e-6)
    for image_ in (ours, mask):
        numpy.testing.assert_allclose(image_.affine, affine, rtol=1e-5, atol=1e-4)

    labels = numpy.asarray(mask.dataobj)
    found = highdicom.seg.segread(out / "mask.dcm")
    source = slices[0][0]
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert found.get(name, "") == source.get(name, ""), name
    names = {1: "bright", 3: "dark"}
    numbers = {found.get_segment_description(number).segment_label: number for number in found.segment_numbers}
    assert set(numbers) == set(names.values()), numbers
    uids = {str(data.SOPInstanceUID) for data, _, _ in slices}
    referenced = {str(uid) for _, _, uid in found.get_source_image_uids()}
    assert referenced == uids, "the mask refers to other images"

    # By position in the patient, whatever the order of axes.
    volume = found.get_volume(segment_numbers=[numbers[name] for name in names.values()], allow_missing_positions=True)
    to_voxel = numpy.linalg.inv(affine) @ TO_RAS @ volume.affine
    for channel, (value, name) in enumerate(names.items()):
        seen = numpy.argwhere(volume.array[..., channel])
        voxel = (to_voxel @ numpy.c_[seen, numpy.ones(len(seen))].T).T[:, :3]
        assert numpy.abs(voxel - voxel.round()).max(initial=0) < 0.01, f"{name} lies between voxels"
        placed = numpy.zeros(labels.shape, dtype=bool)
        placed[tuple(voxel.round().astype(int).T)] = True
        assert placed.any() and numpy.array_equal(placed, labels == value), f"{name} lies elsewhere"

    # By source image, pixel for pixel.
    for index, (data, number, _) in enumerate(slices):
        arguments = dict(segment_numbers=[numbers[name] for name in names.values()], assert_missing_frames_are_empty=True)
        if "NumberOfFrames" in data:
            frames = found.get_pixels_by_source_frame(
                source_sop_instance_uid=data.SOPInstanceUID, source_frame_numbers=[number + 1], **arguments
            )
        else:
            frames = found.get_pixels_by_source_instance(source_sop_instance_uids=[data.SOPInstanceUID], **arguments)
        for channel, value in enumerate(names):
            assert numpy.array_equal(frames[0, ..., channel].T, labels[..., index] == value), f"slice {index}, {value}"
    print(f"{series}: voxels, affine and DICOM SEG agree on {len(slices)} slices")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        check(Path(sys.argv[2]), Path(sys.argv[3]))
