"""Inputs as people have them: odd headers, damaged series, outputs that are inputs. Each kind is written, given to `sam-med`, and checked.

    check_faults.py PROGRAM FOLDER [NUMBER ...]

PROGRAM is `sam-med`, after its quickstart: LiteMedSAM's weights are in the user's cache folder. Needs nibabel, numpy and pydicom.
Writes to FOLDER, which must not exist. With NUMBERs, only those faults are tried.

Whatever the program does, no file of an input's folder may change by a bit; if it refuses or is stopped, nothing may be written.
"""

import gzip
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path

import nibabel
import numpy
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

TIMEOUT = 300
SHAPE, SPACING = (64, 64, 6), (2.0, 2.0, 5.0)
WEIGHTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sam-med" / "lite_medsam.pth"
# Weights that do not exist: what is said of them is said after all other inputs were read and accepted.
MISSING = "no-weights.pth"
ACCEPTED = "there are no weights at"
DONE, INPUT, USAGE, STOPPED = 0, 1, 2, 130
STUDY = "1.2.826.0.1.3680043.8.498"


def hashes(folder):
    """All files below a folder, and what they hold."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Trial:
    """Folders of a fault's inputs and outputs, and the program that is run on them."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.inputs, self.outputs = folder / "in", folder / "out"
        self.inputs.mkdir(parents=True)
        self.outputs.mkdir()
        self.scan, self.outlines = self.inputs / "scan.nii.gz", self.inputs / "outlines.nii.gz"
        self.series, self.prompts = self.inputs / "series", self.inputs / "prompts.json"
        self.missing = folder / MISSING
        self.count = 0

    def new(self, ending=".nii.gz"):
        """The name of an output that does not exist."""
        self.count += 1
        return self.outputs / f"{self.count}{ending}"

    def command(self, *words):
        return [self.program, *(os.fspath(word) for word in words)]

    def run(self, *words, code=DONE, says=(), never=(), writes=()):
        """Runs the program, and checks how it ends, what it says and what it writes."""
        before = hashes(self.inputs), hashes(self.outputs)
        ran = subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT
        )
        return self.check(words, before, ran.returncode, ran.stdout, code, says, never, writes)

    def stop(self, *words, says):
        """Runs the program until it has said all this, and stops it by Ctrl-C."""
        before, log = (hashes(self.inputs), hashes(self.outputs)), self.folder / "log.txt"
        with open(log, "wb") as out:
            process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + TIMEOUT
            while process.poll() is None and time.monotonic() < deadline:
                said = log.read_text(errors="replace")
                if all(part in said for part in says):
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=TIMEOUT)
        finally:
            process.kill()
            process.wait()
        return self.check(words, before, code, log.read_bytes(), STOPPED, says)

    def check(self, words, before, found, said, code, says, never=(), writes=()):
        said = said.decode(errors="replace")
        shown = f"`sam-med {' '.join(map(os.fspath, words))}` said:\n{said.rstrip()}"
        assert found == code, f"exit code {found}, expected {code}; {shown}"
        for part in says:
            assert part in said, f"no word of {part!r}; {shown}"
        for part in (*never, "panicked"):
            assert part not in said, f"it speaks of {part!r}; {shown}"
        assert hashes(self.inputs) == before[0], f"an input changed; {shown}"
        after = hashes(self.outputs)
        expected = set(before[1]) | {str(Path(path).relative_to(self.outputs)) for path in writes}
        assert set(after) == expected, f"the folder of outputs holds {ascii(sorted(after))}; {shown}"
        if code != DONE:
            assert after == before[1], f"an output changed; {shown}"
        return said

    def annotate(self, *options, code=INPUT, says=(ACCEPTED,), never=(), image=None, outlines=None):
        """Lets the inputs of `annotate` be read and checked; without weights, it then ends."""
        words = ["--image", image or self.scan, "--annotations", outlines or self.outlines, "--weights", self.missing]
        return self.run("annotate", *words, "--out", self.new(), *options, code=code, says=says, never=never)

    def predict(self, *options, code=INPUT, says=(ACCEPTED,), never=(), image=None):
        """As `annotate`, with prompts."""
        words = ["--image", image or self.scan, "--prompts", self.prompts, "--weights", self.missing]
        return self.run("predict", *words, "--out", self.new(), *options, code=code, says=says, never=never)

    def resampled(self, *options, image=None, says=(), never=()):
        """What `resample` writes of a scan, or of its label map: where axes are at right angles, these very voxels."""
        out = self.new()
        words = ["resample", "--image", image or self.scan, "--out", out, *options]
        self.run(*words, says=says, never=never, writes=[out, record_of(out)])
        return nibabel.load(out)

    def check_labels(self, expected, where, says=(), never=()):
        """The outlines are accepted by `annotate`, and come back voxel by voxel, on the scan's own grid."""
        self.annotate(says=(ACCEPTED, *says), never=never)
        fitted = self.resampled("--labels", self.outlines, says=says, never=never)
        check_voxels(fitted, expected, where)


def record_of(path):
    """The record beside an output."""
    return path.with_name(re.sub(r"(\.(nii|gz|dcm))+$", "", path.name) + ".json")


def check_voxels(image, expected, where=None):
    found = image.get_fdata()
    assert found.shape == expected.shape, f"{found.shape} voxels, expected {expected.shape}"
    apart = numpy.abs(found - expected).max()
    assert apart < 1e-2, f"voxels differ by up to {apart}"
    if where is not None:
        numpy.testing.assert_allclose(image.affine, where, rtol=1e-5, atol=1e-4, err_msg="another grid")


def affine(spacing=SPACING, origin=(-63.0, -79.0, -27.5), directions=numpy.eye(3)):
    result = numpy.eye(4)
    result[:3, :3] = directions * numpy.array(spacing)
    result[:3, 3] = origin
    return result


def turned(angle):
    """Turned about the first axis."""
    return numpy.array(
        [[1, 0, 0], [0, numpy.cos(angle), -numpy.sin(angle)], [0, numpy.sin(angle), numpy.cos(angle)]]
    )


def organ(shape=SHAPE):
    """An organ off the middle, whose cross-section is another one on each slice; no two axes run alike."""
    i, j, k = numpy.indices(shape)
    return numpy.hypot((i - 26) / 1.3, j - 36) < 9 + k % 5


def intensities(shape=SHAPE):
    noise = numpy.random.default_rng(5).integers(-20, 20, shape)
    i, j, _ = numpy.indices(shape)
    body = numpy.hypot(i - 31, j - 33) < 30
    return numpy.where(organ(shape), 180, numpy.where(body, 40, -900)).astype(numpy.int16) + noise.astype(numpy.int16)


def outlined(slices=(1, 4), shape=SHAPE):
    """The organ as a person outlines it: on a few slices."""
    labels = numpy.zeros(shape, numpy.uint8)
    labels[..., list(slices)] = 3 * organ(shape)[..., list(slices)]
    return labels


def save(path, voxels, where=None, sform=None, codes=(1, 1)):
    """A NIfTI file with its place in the qform and the sform; `sform` where the two differ."""
    where = affine() if where is None else where
    image = nibabel.Nifti1Image(voxels, where)
    image.set_qform(where if codes[0] else None, codes[0])
    image.set_sform((where if sform is None else sform) if codes[1] else None, codes[1])
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def patch(path, **fields):
    """Writes fields of the header as they are given, past what nibabel allows."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    header = numpy.frombuffer(raw, nibabel.nifti1.header_dtype, 1)
    for name, value in fields.items():
        header[name][0] = value
    path.write_bytes(gzip.compress(bytes(raw)))


def write_scan(trial, **options):
    save(trial.scan, intensities(), **options)


def write_both(trial):
    write_scan(trial)
    save(trial.outlines, outlined())


def write_prompts(trial, index=2):
    """One box around the organ on an axial slice."""
    box = {"x_min": 10, "y_min": 22, "x_max": 42, "y_max": 50}
    objects = [{"name": "spleen", "slices": [{"slice": index, "boxes": [box]}]}]
    trial.prompts.write_text(json.dumps({"version": 1, "prompts": {"pixels": {"axis": "axial", "objects": objects}}}))


def levels(index):
    """Stored levels of an axial image, rows first: HU and 1024."""
    return (intensities()[..., index].T + 1024).astype(numpy.uint16)


def write_series(folder, change=lambda data, index: None, series=STUDY + ".2", slices=SHAPE[2], positions=None):
    """A CT series of single images, each changed by `change` before it is written. Returns its voxels in HU, and their place."""
    folder.mkdir(exist_ok=True)
    positions = positions or [f"-63.0\\-79.0\\{-27.5 + SPACING[2] * index}" for index in range(slices)]
    for index, position in enumerate(positions):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{series}.{index + 1}"
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SpecificCharacterSet, data.Modality = "ISO_IR 192", "CT"
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = STUDY + ".1", series, STUDY + ".3"
        data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Phantom", "synthetic", "", "O"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "120000", "1", ""
        data.ReferringPhysicianName, data.SeriesNumber, data.InstanceNumber = "", 1, index + 1
        data.SeriesDescription = "phantom"
        data.ImagePositionPatient, data.ImageOrientationPatient = position.split("\\"), [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = ["2.0", "2.0"], "5.0"
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = "1", "-1024.0", "HU"
        data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 64, 64, 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.PixelData = levels(index % SHAPE[2]).tobytes()
        data["PixelData"].VR = "OW"
        change(data, index)
        data.save_as(folder / f"IM{index}.dcm", enforce_file_format=True)
    # Left and back of DICOM to the right and front of NIfTI.
    where = numpy.diag([-1, -1, 1, 1]) @ affine()
    return intensities()[..., [index % SHAPE[2] for index in range(len(positions))]].astype(float), where


def gzip_padding(trial):
    """zeros behind the stream are padding, other bytes are noted, a damaged stream is refused

    Tapes and disk images pad files with zeros, and `gzip -t` calls such a file sound.
    """
    write_both(trial)
    for path in (trial.scan, trial.outlines):
        path.write_bytes(path.read_bytes() + bytes(512))
    trial.check_labels(outlined(), affine(), never=["gzip stream", "damaged"])
    check_voxels(trial.resampled(), intensities(), affine())
    write_both(trial)
    sound = trial.outlines.read_bytes()
    trial.outlines.write_bytes(sound + b"a trailer of some archive")
    trial.check_labels(outlined(), affine(), says=["outlines.nii.gz: found 25 bytes behind the end of its gzip stream"])
    # The checksum is before the last four bytes.
    trial.outlines.write_bytes(sound[:-8] + bytes([sound[-8] ^ 1]) + sound[-7:])
    trial.annotate(says=["outlines.nii.gz is damaged"])


def scaled_labels(trial):
    """integers that a 32-bit slope makes 3.00000004 are labels, 2.5 is none"""
    write_scan(trial)
    for value, code in [(30, DONE), (25, INPUT)]:
        save(trial.outlines, (outlined().astype(numpy.int16) // 3) * value)
        patch(trial.outlines, scl_slope=0.1, scl_inter=0)
        if code == DONE:
            trial.check_labels(outlined(), affine())
        else:
            trial.annotate(says=["outlines.nii.gz is no label map", "is 2.5"])


def nan_border(trial):
    """voxels that are NaN or infinite get the lowest intensity, with a note, or that of --nan"""
    voxels = intensities().astype(numpy.float32)
    outside = numpy.zeros(SHAPE, bool)
    outside[:3], outside[5, 6, 2] = True, True
    save(trial.outlines, outlined())
    save(trial.scan, numpy.where(outside, numpy.nan, voxels).astype(numpy.float32))
    note = f"{outside.sum()} voxel(s) are NaN or infinite, the first at index [0, 0, 0]"
    trial.annotate(says=[ACCEPTED, note, "--nan"])
    check_voxels(trial.resampled(says=[note]), numpy.where(outside, voxels[~outside].min(), voxels), affine())
    save(trial.scan, numpy.where(outside, -numpy.inf, voxels).astype(numpy.float32))
    check_voxels(trial.resampled("--nan", "-1024"), numpy.where(outside, -1024, voxels), affine())
    save(trial.scan, numpy.full(SHAPE, numpy.nan, numpy.float32))
    trial.annotate(says=["scan.nii.gz has", "--nan"], never=[ACCEPTED])


def other_form(trial):
    """outlines on the scan's qform are accepted although its sform is elsewhere, with a note"""
    on_qform, on_sform = affine(), affine(origin=(-50.3, -61.2, -20.7), directions=turned(0.3))
    write_scan(trial, where=on_qform, sform=on_sform)
    save(trial.outlines, outlined(), on_qform)
    trial.check_labels(outlined(), on_sform, says=["outlines.nii.gz", "lies on the scan's qform", "by its sform"])


def sheared_form(trial):
    """where ITK makes the axes of a slightly sheared sform orthogonal is accepted, half a voxel off is refused"""
    sheared = affine()
    sheared[1, 2] = 0.005
    write_scan(trial, where=affine(), sform=sheared, codes=(0, 1))
    sizes = numpy.linalg.norm(sheared[:3, :3], axis=0)
    left, _, right = numpy.linalg.svd(sheared[:3, :3] / sizes)
    by_itk = affine(sizes, sheared[:3, 3], left @ right)
    save(trial.outlines, outlined(), by_itk)
    trial.annotate()
    fitted = trial.resampled("--labels", trial.outlines).get_fdata()
    # At right angles, the grid may need a row more.
    assert numpy.array_equal(fitted[tuple(map(slice, SHAPE))], outlined()), "labels moved"
    by_itk[0, 3] += 1
    save(trial.outlines, outlined(), by_itk)
    trial.annotate(says=["outlines.nii.gz does not lie on the grid", "1.00"])


def units(trial):
    """the header's unit of length is honoured: micrometres, and metres"""
    for code, factor in [(3, 1e-3), (1, 1e3)]:
        where = affine()
        where[:3] *= factor
        stored = affine()
        write_scan(trial, where=stored)
        patch(trial.scan, xyzt_units=code)
        save(trial.outlines, outlined(), where)
        trial.annotate()
        image = trial.resampled("--labels", trial.outlines)
        assert numpy.array_equal(image.get_fdata(), outlined()), "labels moved"
        numpy.testing.assert_allclose(image.affine, where, rtol=1e-5, atol=1e-5 * factor)
        assert image.header.get_xyzt_units()[0] == "mm"


def zero_sform(trial):
    """an sform of zeros gives way to the qform, with a note; with neither, the scan is refused"""
    write_both(trial)
    write_prompts(trial)
    patch(trial.scan, srow_x=0, srow_y=0, srow_z=0)
    note = "scan.nii.gz: it has an sform without an inverse"
    trial.check_labels(outlined(), affine(), says=[note, "qform says where the voxels lie"])
    trial.predict(says=[ACCEPTED, note])
    patch(trial.scan, qform_code=0)
    trial.annotate(says=["scan.nii.gz does not say where its voxels lie", "an sform without an inverse"], never=[ACCEPTED])


def flipped_map(trial):
    """a label map whose axes run the other way, or in another order, is turned exactly, with a note"""
    write_scan(trial)
    own = nibabel.orientations.io_orientation(affine())
    for codes in ["LPS", "SRA", "PIL"]:
        turn = nibabel.orientations.ornt_transform(own, nibabel.orientations.axcodes2ornt(codes))
        nibabel.save(nibabel.Nifti1Image(outlined(), affine()).as_reoriented(turn), trial.outlines)
        trial.check_labels(outlined(), affine(), says=[f"its axes run to {codes}, those of the scan to RAS"])


def cropped_map(trial):
    """a label map of a part of the scan is put into its place, with a note; between the voxels it is refused"""
    write_scan(trial)
    whole = nibabel.Nifti1Image(outlined(), affine())
    part = whole.slicer[4:60, 10:62, 1:5]
    nibabel.save(part, trial.outlines)
    trial.check_labels(outlined(), affine(), says=["56 x 52 x 4", "[4, 10, 1]", "counts as not labelled"])
    beside = part.affine.copy()
    beside[0, 3] += 1
    nibabel.save(nibabel.Nifti1Image(numpy.asarray(part.dataobj), beside), trial.outlines)
    trial.annotate(says=["outlines.nii.gz does not lie on the grid"])
    # Labels beyond the scan would be lost.
    nibabel.save(whole.slicer[:, :, 1:5], trial.scan)
    save(trial.outlines, outlined((0, 3)))
    trial.annotate(says=["lie outside the scan"], never=[ACCEPTED])


def four_dimensions(trial):
    """a scan of several volumes is refused with --volume named, which chooses one; dimensions of 0 count as none"""
    other = intensities()[::-1]
    save(trial.scan, numpy.stack([intensities(), other], axis=-1))
    save(trial.outlines, outlined())
    trial.annotate(says=["holds 2 volumes", "--volume"], never=[ACCEPTED])
    for number, expected in [("1", intensities()), ("2", other)]:
        trial.annotate("--volume", number)
        check_voxels(trial.resampled("--volume", number), expected, affine())
    trial.annotate("--volume", "3", says=["holds 2 volume(s)", "volume 3"], never=[ACCEPTED])
    write_scan(trial)
    patch(trial.scan, dim=[5, *SHAPE, 0, 0, 0, 0])
    trial.check_labels(outlined(), affine())


def out_is_an_input(trial):
    """an output that is an input under any spelling is refused before the work"""
    write_both(trial)
    write_prompts(trial)
    write_series(trial.series)
    labels = trial.inputs / "labels.json"
    labels.write_text('{"3": "spleen"}')
    hard, soft, card = (trial.inputs / name for name in ("hard.nii.gz", "soft.nii.gz", "card.safetensors"))
    os.link(trial.scan, hard)
    soft.symlink_to(trial.scan.name)
    os.link(trial.series / "IM3.dcm", trial.inputs / "hard.dcm")
    os.link(trial.scan, card)
    around = trial.inputs / "series" / ".." / "scan.nii.gz"
    weights = ["--weights", trial.missing]
    predict = ["predict", "--prompts", trial.prompts, *weights]
    annotate = ["annotate", "--image", trial.scan, "--annotations", trial.outlines, *weights]
    mask = trial.new()
    for words, output, taken in [
        *[([*predict, "--image", trial.scan, "--out", out], "--out", "--image") for out in (trial.scan, hard, soft, around)],
        ([*predict, "--image", soft, "--out", trial.scan], "--out", "--image"),
        ([*predict, "--image", trial.series, "--out", mask, "--seg", trial.series / "IM0.dcm"], "--seg", "--image"),
        ([*predict, "--image", trial.series, "--out", mask, "--seg", trial.inputs / "hard.dcm"], "--seg", "--image"),
        ([*predict, "--image", trial.scan, "--out", trial.inputs / "prompts.nii.gz"], "the record of --out", "--prompts"),
        ([*annotate, "--out", trial.scan], "--out", "--image"),
        ([*annotate, "--out", trial.outlines], "--out", "--annotations"),
        ([*annotate, "--out", mask, "--save-card", card], "--save-card", "--image"),
        (["resample", "--image", trial.scan, "--out", around], "--out", "--image"),
        (["resample", "--image", trial.scan, "--labels", trial.outlines, "--out", trial.outlines], "--out", "--labels"),
        (["convert", "--weights", card, "--out", card], "--out", "--weights"),
        (["review", "--image", trial.scan, "--mask", trial.outlines, "--out", hard, *weights], "--out", "--image"),
    ]:
        trial.run(*words, code=USAGE, says=[f"{output} would overwrite {taken}"])
        # Not even if the person insists.
        trial.run(*words, "--overwrite", code=USAGE, says=[f"{output} would overwrite {taken}"])


def record_is_an_input(trial):
    """a record never replaces labels.json, and no output a file that is not ours; --overwrite keeps it"""
    write_both(trial)
    labels = trial.inputs / "labels.json"
    labels.write_text('{"3": "spleen"}')
    weights = ["--weights", trial.missing]
    annotate = ["annotate", "--image", trial.scan, "--annotations", trial.outlines, *weights]
    trial.run(
        *annotate, "--labels", labels, "--out", trial.inputs / "labels.nii.gz",
        code=USAGE, says=["the record of --out would overwrite --labels"],
    )
    out, record = trial.outputs / "mask.nii.gz", trial.outputs / "mask.json"
    for path, output in [(out, "--out"), (record, "the record of --out")]:
        path.write_text("somebody's work")
        says = [f"{output} would overwrite", path.name, "no record says", "--overwrite", f"{path.name}.bak"]
        trial.run(*annotate, "--out", out, code=INPUT, says=says)
        path.unlink()
    out.write_text("somebody's work")
    kept = out.with_name(out.name + ".bak")
    trial.run("resample", "--image", trial.scan, "--out", out, code=INPUT, says=["--out would overwrite", "--overwrite"])
    trial.run("resample", "--image", trial.scan, "--out", out, "--overwrite", writes=[kept, record])
    assert kept.read_text() == "somebody's work", "the old file is not kept"
    check_voxels(nibabel.load(out), intensities(), affine())


def without_preamble(trial):
    """a slice without the DICM preamble is read as the others"""
    voxels, where = write_series(trial.series)
    path = trial.series / "IM5.dcm"
    data = pydicom.dcmread(path)
    pydicom.dcmwrite(path, Dataset(data), implicit_vr=True, little_endian=True, enforce_file_format=False)
    check_voxels(trial.resampled(image=trial.series, says=["6 files"]), voxels, where)


def damaged_slice(trial):
    """a slice of 0 bytes, of zeros or clipped is an error with its name, as is a gap; --series leaves it out, with a note"""
    write_series(trial.series)
    write_prompts(trial)
    last = trial.series / "IM5.dcm"
    whole = last.read_bytes()
    for content in (b"", bytes(1000)):
        last.write_bytes(content)
        trial.predict(image=trial.series, says=["IM5.dcm", "empty or filled with zeros"], never=[ACCEPTED])
    chosen = trial.resampled("--series", STUDY + ".2", image=trial.series, says=["IM5.dcm", "that slice is missing"])
    assert chosen.shape == (64, 64, 5)
    last.write_bytes(whole[: len(whole) // 2])
    for options in ([], ["--series", STUDY + ".2"]):
        trial.predict(*options, image=trial.series, says=["IM5.dcm is truncated"], never=[ACCEPTED])
    last.write_bytes(whole)
    (trial.series / "IM3.dcm").unlink()
    trial.predict(image=trial.series, says=["between IM2.dcm and IM4.dcm", "slices are missing"], never=[ACCEPTED])


def decimal_comma(trial):
    """numbers with decimal commas are read; what cannot be read is an error with tag, text and file, never a default"""
    voxels, where = write_series(trial.series)
    write_prompts(trial)

    def put(old, new):
        for path in trial.series.iterdir():
            content = path.read_bytes()
            assert content.count(old) == 1, f"{old} in {path}"
            path.write_bytes(content.replace(old, new))

    put(b"-1024.0 ", b"-1024,0 ")
    put(b"2.0\\2.0 ", b"2,0\\2,0 ")
    check_voxels(trial.resampled(image=trial.series), voxels, where)
    put(b"-1024,0 ", b"minus 1k")
    trial.predict(image=trial.series, says=["IM0.dcm", "(0028,1052)", "minus 1k"], never=[ACCEPTED])
    put(b"minus 1k", b"-1024.0 ")
    put(b"2,0\\2,0 ", b"two,two ")
    trial.predict(image=trial.series, says=["IM0.dcm", "(0028,0030)", "two,two"], never=[ACCEPTED])


def predicted_segmentation(trial, says=(), never=()):
    """A DICOM SEG that a model made of the series."""
    out = trial.outputs / "mask.nii.gz"
    seg, record = trial.outputs / "mask.dcm", trial.outputs / "mask.json"
    words = ["predict", "--image", trial.series, "--prompts", trial.prompts, "--out", out, "--seg", seg]
    trial.run(*words, says=says, never=never, writes=[out, seg, record])
    labels = nibabel.load(out).get_fdata()
    assert labels[..., 2].any() and not labels[..., [0, 1, 3, 4, 5]].any(), "the mask is elsewhere"
    return pydicom.dcmread(seg)


def japanese_name(trial):
    """a patient's name with code extensions is the same in the DICOM SEG"""
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"

    def change(data, index):
        data.SpecificCharacterSet, data.PatientName = ["", "ISO 2022 IR 87"], name

    write_series(trial.series, change)
    write_prompts(trial)
    found = predicted_segmentation(trial, never=["not text of the character set"]).PatientName
    source = pydicom.dcmread(trial.series / "IM0.dcm").PatientName
    assert str(found) == str(source) == name, f"{ascii(str(found))}, expected {ascii(name)}"


def missing_uids(trial):
    """a missing Frame of Reference UID is made, and told before the work; images with one UID are refused"""

    def change(data, index):
        del data.FrameOfReferenceUID

    write_series(trial.series, change)
    write_prompts(trial)
    seg = ["--seg", trial.outputs / "mask.dcm"]
    note = ["the images have no", "(0020,0052)", "was made for this series"]
    trial.predict(*seg, image=trial.series, says=[ACCEPTED, *note])
    found = predicted_segmentation(trial, says=note)
    assert pydicom.uid.UID(found.FrameOfReferenceUID).is_valid and found.FrameOfReferenceUID, "no frame of reference"
    assert "PlanePositionSequence" in found.PerFrameFunctionalGroupsSequence[0]

    def same(data, index):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = STUDY + ".2.1"

    write_series(trial.series, same)
    seg = ["--seg", trial.outputs / "other.dcm"]
    trial.predict(*seg, image=trial.series, says=["the same SOP Instance UID", "leave out --seg"], never=[ACCEPTED])


def series_for_each_slice(trial):
    """a series for each slice: refused with a hint, read by --series all or repeated"""

    def change(data, index):
        data.SeriesInstanceUID = f"{STUDY}.2.{index + 1}"

    voxels, where = write_series(trial.series, change)
    write_prompts(trial)
    says = ["it holds 6 series", f"{STUDY}.2.6", "--series all", "repeated, or as --series all"]
    trial.predict(image=trial.series, says=says, never=[ACCEPTED])
    trial.predict("--series", "all", image=trial.series, says=[ACCEPTED, "read 6 series as one volume"])
    check_voxels(trial.resampled("--series", "all", image=trial.series), voxels, where)
    some = [word for number in (1, 2, 3) for word in ("--series", f"{STUDY}.2.{number}")]
    check_voxels(trial.resampled(*some, image=trial.series, says=["other series"]), voxels[..., :3], where)


def rounded_positions(trial):
    """positions rounded to the digits that are stored are equal distances; a missing slice is still found"""
    positions = [f"-63.0\\-79.0\\{-27.5 + 0.625 * index:.1f}" for index in range(12)]
    voxels, _ = write_series(trial.series, positions=positions)
    write_prompts(trial)
    image = trial.resampled(image=trial.series)
    check_voxels(image, voxels)
    assert abs(image.affine[2, 2] - 0.625) < 0.01, f"slices each {image.affine[2, 2]} mm"
    (trial.series / "IM6.dcm").unlink()
    trial.predict(image=trial.series, says=["between IM5.dcm and IM7.dcm", "slices are missing"], never=[ACCEPTED])


def damaged_other_series(trial):
    """a clipped file of another series is a note where --series is given, and never a silent gap"""
    voxels, where = write_series(trial.series)
    write_prompts(trial)
    write_series(trial.inputs / "other", series=STUDY + ".9", slices=1)
    whole = (trial.inputs / "other" / "IM0.dcm").read_bytes()
    clipped = trial.series / "zz.dcm"
    # In the meta header, before the series is named, and in the pixels.
    for length in (134, 300, len(whole) - 1000):
        clipped.write_bytes(whole[:length])
        image = trial.resampled("--series", STUDY + ".2", image=trial.series, says=["skipped", "zz.dcm"])
        check_voxels(image, voxels, where)
    trial.predict("--series", STUDY + ".2", image=trial.series, says=[ACCEPTED, "zz.dcm, which is of another series"])
    clipped.write_bytes(whole[:134])
    out = trial.new()
    says = ["zz.dcm", "may be a slice that would be missing", "--series"]
    trial.run("resample", "--image", trial.series, "--out", out, code=INPUT, says=says)


def gantry_tilt(trial):
    """sheared slices are told, with the command that writes scan and mask at right angles, exactly where they were"""
    # Each slice lies one row lower than the one before.
    positions = [f"-63.0\\{-79.0 + 2 * index}\\{-27.5 + 5 * index}" for index in range(SHAPE[2])]
    voxels, where = write_series(trial.series, positions=positions)
    write_prompts(trial)
    note = ["sheared by 21.8 degrees", "sam-med resample"]
    trial.predict(image=trial.series, says=[ACCEPTED, *note])
    upright = numpy.full((64, 69, 6), voxels.min())
    labels = numpy.zeros(upright.shape)
    for index in range(SHAPE[2]):
        upright[:, index : index + 64, index] = voxels[..., index]
        labels[:, index : index + 64, index] = outlined()[..., index]
    check_voxels(trial.resampled(image=trial.series, says=note), upright, where)
    # As the program writes a mask: on the sheared grid of the series.
    sheared = where.copy()
    sheared[1, 2] = -2
    save(trial.outlines, outlined(), where, sform=sheared, codes=(0, 1))
    trial.annotate(image=trial.series)
    check_voxels(trial.resampled("--labels", trial.outlines, image=trial.series, says=note), labels, where)


def without_position(trial):
    """a frame without a position is refused with a hint of --spacing and PNG, and read with --spacing"""

    def change(data, index):
        del data.ImagePositionPatient, data.ImageOrientationPatient, data.PixelSpacing, data.SliceThickness
        data.Modality = "US"

    voxels, _ = write_series(trial.series, change, slices=1)
    write_prompts(trial, index=0)
    frame = trial.series / "IM0.dcm"
    for image in (frame, trial.series):
        trial.predict(image=image, says=["(0020,0032)", "--spacing", "PNG"], never=[ACCEPTED])
        trial.predict("--spacing", "0.3,0.3,1", image=image, says=[ACCEPTED, "do not say where they lie"])
    image = trial.resampled("--spacing", "0.3,0.25,1", image=trial.series)
    check_voxels(image, voxels)
    numpy.testing.assert_allclose(numpy.linalg.norm(image.affine[:3, :3], axis=0), [0.3, 0.25, 1], rtol=1e-5)


def understood(trial, *options, says):
    """Lets `annotate` say what it understood, and stops it before it learns."""
    words = ["--image", trial.scan, "--annotations", trial.outlines, "--out", trial.new(), *options]
    return trial.stop("annotate", *words, says=says)


def different_slices(trial):
    """a structure stays open on slices outlined for another one, unless --empty says so; what was understood is printed"""
    write_scan(trial)
    labels = numpy.zeros(SHAPE, numpy.uint8)
    labels[..., [1, 4]] = organ()[..., [1, 4]]
    labels[44:56, 20:34, [0, 3]] = 2
    save(trial.outlines, labels)
    said = understood(
        trial, "--empty", "2:2",
        says=[
            "Axis: axial (k, 6 slices)",
            "label 1: outlined on 2 slices: 2 (-22.5 mm; 1 component",
            "label 1: looked for on slices 1 (-27.5 mm), 4 (-12.5 mm), outlined for other structures alone",
            "label 2: outlined on 2 slices: 1 (-27.5 mm; 1 component, 672.0 mm2), 4 (-12.5 mm; 1 component, 672.0 mm2)",
            "label 2: absent on slice 2 (-22.5 mm) (said to be empty)",
            "label 2: looked for on slice 5 (-7.5 mm), outlined for other structures alone",
            "--empty 1:SLICES",
        ],
    )
    assert "label 1: absent" not in said, said


def thin_structure(trial):
    """a vessel outlined on axial slices is axial, and that is printed; where two axes are alike, --axis is asked for"""
    shape = (40, 40, 16)
    save(trial.scan, intensities(shape), affine((1.5, 1.5, 3.0)))
    labels = numpy.zeros(shape, numpy.uint8)
    labels[17:24, 14:24, [0, 1, 3, 4, 6, 7, 9, 10, 12, 14]] = 1
    save(trial.outlines, labels, affine((1.5, 1.5, 3.0)))
    understood(trial, says=["Axis: axial (k, 16 slices), because", "label 1: outlined on 10 slices: 1 ("])
    save(trial.scan, intensities(shape), affine((1.5, 1.5, 1.5)))
    labels = numpy.zeros(shape, numpy.uint8)
    labels[4:12, 4:12, 4:12] = 1
    save(trial.outlines, labels, affine((1.5, 1.5, 1.5)))
    words = ["annotate", "--image", trial.scan, "--annotations", trial.outlines, "--out", trial.new()]
    trial.run(*words, code=INPUT, says=["several axes", "--axis axial", "--axis coronal", "--axis sagittal"])


def poisoned_weights(trial):
    """weights with NaN are refused by the tensor's name, in both formats; what is no checkpoint is named"""
    write_both(trial)
    write_prompts(trial)
    sound = trial.outputs / "sound.safetensors"
    trial.run("convert", "--weights", WEIGHTS, "--out", sound, writes=[sound, record_of(sound)])
    content = bytearray(sound.read_bytes())
    sound.unlink()
    (length,) = struct.unpack_from("<Q", content)
    tensors = json.loads(content[8 : 8 + length])
    name = next(name for name in tensors if name.startswith("image_encoder") and name.endswith("weight"))
    struct.pack_into("<f", content, 8 + length + tensors[name]["data_offsets"][0], float("nan"))
    path = trial.inputs / "nan.safetensors"
    path.write_bytes(content)
    refused = ["nan.safetensors", "NaN", name]
    scan, weights = ["--image", trial.scan, "--out", trial.new()], ["--weights", path]
    trial.run("predict", *scan, "--prompts", trial.prompts, *weights, code=INPUT, says=refused)
    trial.run("annotate", *scan, "--annotations", trial.outlines, *weights, code=INPUT, says=refused)
    trial.run("convert", *weights, "--out", trial.outputs / "f16.safetensors", "--precision", "f16", code=INPUT, says=refused)
    path.unlink()
    # The largest tensor of a .pth file.
    path = trial.inputs / "nan.pth"
    with zipfile.ZipFile(WEIGHTS) as source, zipfile.ZipFile(path, "w") as result:
        largest = max(source.infolist(), key=lambda member: member.file_size)
        for member in source.infolist():
            data = source.read(member)
            result.writestr(member.filename, struct.pack("<f", float("nan")) + data[4:] if member is largest else data)
    words = ["predict", *scan, "--prompts", trial.prompts, "--weights", path]
    said = trial.run(*words, code=INPUT, says=["nan.pth", "NaN"])
    assert re.search(r"too large for f32, in \w+\.[\w.]+", said), f"no tensor is named: {said}"
    path.unlink()
    for content, word in [(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"), (b"<!DOCTYPE html><p>404", "web page")]:
        path.write_bytes(content)
        trial.run(*words, code=INPUT, says=["nan.pth", word])


def strange_path(trial):
    """a path that is not UTF-8: no panic, mask and record are written"""
    write_prompts(trial)
    strange = os.fsdecode(b"caf\xe9")
    (trial.inputs / strange).mkdir()
    (trial.outputs / strange).mkdir()
    scan = trial.inputs / strange / "scan.nii.gz"
    save(scan, intensities())
    out, record = (trial.outputs / strange / name for name in ("mask.nii.gz", "mask.json"))
    words = ["predict", "--image", scan, "--prompts", trial.prompts, "--out", out]
    trial.run(*words, says=["spleen (1)"], writes=[out, record])
    written = json.loads(record.read_text())
    assert hashlib.sha256(out.read_bytes()).hexdigest() in json.dumps(written["outputs"]), "the record knows no mask"
    mask = nibabel.load(out)
    assert mask.get_fdata()[..., 2].any()
    numpy.testing.assert_array_equal(mask.affine, nibabel.load(scan).affine)


def two_reviews(trial):
    """a second review of one file is refused with the first one's process, whose work is saved"""
    write_scan(trial)
    mask = trial.inputs / "mask.nii.gz"
    save(mask, organ().astype(numpy.uint8))
    out, record = trial.outputs / "reviewed.nii.gz", trial.outputs / "reviewed.review.json"
    words = ["review", "--image", trial.scan, "--mask", mask, "--out", out]
    before = hashes(trial.inputs)
    first = subprocess.Popen(trial.command(*words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        said = first.stdout.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)(/[0-9a-f]{64}/)", said)
        assert found, f"no address in {said!r}"

        def ask(what, content=None):
            connection = http.client.HTTPConnection(found[1], timeout=60)
            header = {"Content-Type": "application/json"}
            connection.request("POST" if content else "GET", found[2] + what, content and json.dumps(content), header)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
            assert response.status == 200, f"{what}: {response.status} {answer}"
            return answer

        version = ask("overview")["slices"][1]["version"]
        ask("decide", {"slice": 1, "decision": "empty", "version": version})
        held = ["reviewed.nii.gz", f"process {first.pid}", "not saved yet", "--out"]
        second = subprocess.run(trial.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
        assert second.returncode == INPUT, f"the second review ended with {second.returncode}: {second.stderr}"
        for part in held:
            assert part in second.stderr, f"no word of {part!r}: {second.stderr}"
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=TIMEOUT)
        assert first.returncode == DONE, f"the first review ended with {first.returncode}"
    finally:
        first.kill()
        first.wait()
    assert hashes(trial.inputs) == before, "an input changed"
    assert set(hashes(trial.outputs)) == {out.name, record.name}, f"left are {sorted(hashes(trial.outputs))}"
    expected = organ().astype(float)
    expected[..., 1] = 0
    check_voxels(nibabel.load(out), expected, affine())


def stray_voxel(trial):
    """an outline far smaller than the others is questioned, and its slice counts as not outlined"""
    write_scan(trial)
    labels = outlined()
    labels[30, 30, 2] = 3
    save(trial.outlines, labels)
    said = understood(
        trial,
        says=[
            "label 3: outlined on 2 slices: 2 (-22.5 mm",
            "warning: label 3: slice 3 (-17.5 mm) has 1 voxel (4.0 mm2) of it, and the largest outline has",
            "the slice counts as not outlined",
            "--min-outline 0 lets every outline count",
        ],
    )
    assert "outlined on 3 slices" not in said, said


def other_formats(trial):
    """a file of another known format is named, with what to convert it to"""
    write_both(trial)
    for name, content, says in [
        ("outlines.seg.nrrd", b"NRRD0004\ntype: unsigned char\ndimension: 3\n", ["an NRRD file", "NIfTI", "3D Slicer"]),
        ("outlines.mha", b"ObjectType = Image\nNDims = 3\n", ["MetaImage", "NIfTI"]),
        ("outlines.zip", b"PK\x03\x04" + bytes(60), ["a zip archive", "unpack"]),
        ("slice.png", b"\x89PNG\r\n\x1a\n" + bytes(60), ["a PNG image", "NIfTI"]),
        # Named as if it were NIfTI.
        ("renamed.nii.gz", gzip.compress(b"NRRD0005\n" + bytes(600)), ["renamed.nii.gz", "NIfTI"]),
    ]:
        path = trial.inputs / name
        path.write_bytes(content)
        for file in ({"image": path}, {"outlines": path}):
            trial.annotate(says=[name, *says], never=[ACCEPTED, "the bytes ["], **file)


FAULTS = [
    ("01", "bytes behind a gzip stream", gzip_padding),
    ("03", "labels with a slope", scaled_labels),
    ("04", "NaN outside the field of view", nan_border),
    ("05", "sform and qform disagree", other_form),
    ("06", "slightly sheared sform", sheared_form),
    ("07", "lengths not in mm", units),
    ("08", "sform of zeros", zero_sform),
    ("09", "outlines in LPS", flipped_map),
    ("10", "outlines cropped", cropped_map),
    ("11", "four dimensions", four_dimensions),
    ("12", "--out is an input", out_is_an_input),
    ("13", "labels.json beside --out labels.nii.gz", record_is_an_input),
    ("14", "slice without preamble", without_preamble),
    ("15", "damaged slice", damaged_slice),
    ("16", "decimal comma", decimal_comma),
    ("17", "Japanese name", japanese_name),
    ("18", "missing UIDs", missing_uids),
    ("20", "a series for each slice", series_for_each_slice),
    ("21", "rounded positions", rounded_positions),
    ("22", "damaged file of another series", damaged_other_series),
    ("23", "tilted gantry", gantry_tilt),
    ("25", "no position", without_position),
    ("26", "structures on different slices", different_slices),
    ("27", "axis of a thin structure", thin_structure),
    ("28", "weights with NaN", poisoned_weights),
    ("29", "path not UTF-8", strange_path),
    ("30", "two reviews of one file", two_reviews),
    ("32", "stray voxel", stray_voxel),
    ("33", "NRRD and other formats", other_formats),
]


def attempt(program, folder, fault):
    """What is wrong, or None. The folder is kept if something is."""
    trial = Trial(program, folder)
    try:
        fault(trial)
    except AssertionError as error:
        return str(error)
    except Exception:
        # Such as an output that cannot be read: the other faults are tried all the same.
        return traceback.format_exc()
    shutil.rmtree(folder)
    return None


def main(program, folder, numbers):
    folder.mkdir(parents=True)
    failures = []
    for number, name, fault in FAULTS:
        if numbers and number not in numbers:
            continue
        begun = time.monotonic()
        wrong = attempt(program, folder / number, fault)
        right = fault.__doc__.splitlines()[0]
        seconds = f"{time.monotonic() - begun:.1f} s"
        print(f"{number} {name}: {right} ({seconds})" if wrong is None else f"{number} {name}: WRONG ({seconds})", flush=True)
        if wrong is not None:
            failures.append(f"{number} {name}; right is: {right}\n{wrong.encode(errors='backslashreplace').decode()}")
    if failures:
        sys.exit(f"\n{len(failures)} of {len(numbers) or len(FAULTS)} fail:\n\n" + "\n\n".join(failures))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).absolute(), sys.argv[3:])
