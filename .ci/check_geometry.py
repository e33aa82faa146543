"""Checks with nibabel and SimpleITK that masks and resampled scans lie where their scans lie.

Usage: check_geometry.py THRESHOLD RESAMPLE LABELS

All are programs: the examples `threshold`, `resample` and `labels` of sam-data. Scans are made here: 48 orientations, oblique axes, every type in
both byte orders and versions, with scaling and extensions, one of several volumes, as .nii, .nii.gz and pairs of .hdr and .img. Label maps are saved as other tools save them: reoriented, cropped,
by ITK on a scan whose sform and qform differ or that is slightly sheared, in micrometres.
"""

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy
import SimpleITK

THRESHOLD = 40.0
SHAPE = (7, 6, 5)
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
KINDS = {
    (1, "single"): nibabel.Nifti1Image,
    (1, "pair"): nibabel.Nifti1Pair,
    (2, "single"): nibabel.Nifti2Image,
    (2, "pair"): nibabel.Nifti2Pair,
}
# What a label map may have of its own, in bytes of a NIfTI-1 and a NIfTI-2 header: type and bits, scaling, display range; of a pair
# also the offset and the magic, of several volumes their number.
OWN = {348: [(70, 74), (112, 120), (124, 132)], 540: [(12, 16), (176, 208)]}
OF_PAIR = {348: [(108, 112), (344, 348)], 540: [(168, 176), (4, 12)]}
OF_SEVERAL = {348: [(40, 42), (48, 50)], 540: [(16, 24), (48, 56)]}

random = numpy.random.default_rng(0)


def turned(angles):
    """A rotation about three axes."""
    matrix = numpy.eye(3)
    for angle, (a, b) in zip(angles, [(0, 1), (0, 2), (1, 2)]):
        turn = numpy.eye(3)
        turn[a, a] = turn[b, b] = numpy.cos(angle)
        turn[a, b], turn[b, a] = -numpy.sin(angle), numpy.sin(angle)
        matrix = matrix @ turn
    return matrix


def affine(directions=numpy.eye(3), spacing=(0.7, 0.9, 2.5), origin=(-81.5, 33.25, 704.0)):
    """Columns are steps along the voxel axes."""
    result = numpy.eye(4)
    result[:3, :3] = directions * numpy.array(spacing)
    result[:3, 3] = origin
    return result


def orientations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([1, -1], repeat=3):
            directions = numpy.zeros((3, 3))
            for axis, (patient, sign) in enumerate(zip(order, signs)):
                directions[patient, axis] = sign
            yield directions


def save(path, where, dtype="int16", version=1, order="<", shape=SHAPE, codes=(1, 1), scaling=None, extension=None):
    """Writes a scan whose voxels are all different in their neighbourhood, and reach both sides of the threshold."""
    kind = KINDS[version, "pair" if ".img" in path.name else "single"]
    header = kind.header_class(endianness=order)
    header.set_data_dtype(numpy.dtype(dtype).newbyteorder(order))
    header["descrip"], header["cal_max"] = b"check_geometry.py", 100
    if extension:
        header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", extension))
    stored = random.integers(0, 100, shape)
    image = kind(stored.astype(dtype), where, header)
    # `None` leaves a field as it is: the affine is in the sform, the qform, or both.
    image.set_qform(where if codes[0] else None, codes[0])
    image.set_sform(where if codes[1] else None, codes[1])
    if scaling:
        image.header.set_slope_inter(*scaling)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    if scaling:
        # nibabel scales anew when it saves; the header is meant literally here.
        slope, inter = scaling
        raw = path.read_bytes()
        at = header.template_dtype.fields["scl_slope"][1]
        patched = numpy.array([slope, inter], order + ("f4" if version == 1 else "f8")).tobytes()
        path.write_bytes(raw[:at] + patched + raw[at + len(patched):])
    return path


def scans(folder):
    """Every case, by a name that says what it is."""
    for number, directions in enumerate(orientations()):
        name = "".join(nibabel.aff2axcodes(affine(directions)))
        ending = ["nii", "nii.gz", "img", "img.gz"][number % 4]
        yield save(folder / f"orientation_{name}.{ending}", affine(directions), codes=[(1, 1), (1, 0), (0, 2)][number % 3])
    for number in range(6):
        directions = turned(random.uniform(-3, 3, 3)) * [1, 1, 1 - 2 * (number % 2)]
        spacing = random.uniform(0.3, 5, 3)
        for ending, codes in zip(["nii", "nii.gz", "img", "img.gz"], [(1, 1), (0, 3), (2, 0), (1, 2)]):
            version = 1 + number // 3
            name = f"oblique_{number}_{ending.replace('.', '_')}.{ending}"
            yield save(folder / name, affine(directions, spacing), version=version, codes=codes)
    for dtype, order, version in itertools.product(TYPES, "<>", [1, 2]):
        endian = {"<": "little", ">": "big"}[order]
        for ending in ["nii", "nii.gz", "img"]:
            name = f"{dtype}_{endian}_nifti{version}_{ending.replace('.', '_')}.{ending}"
            yield save(folder / name, affine(turned([0.1, -0.2, 0.3])), dtype, version, order)
    for order in "<>":
        endian = {"<": "little", ">": "big"}[order]
        for version in [1, 2]:
            yield save(folder / f"scaled_{endian}_{version}.nii", affine(), "int16", version, order, scaling=(1.5, -30))
    for ending in ["nii", "nii.gz", "img"]:
        yield save(folder / f"extension_{ending.replace('.', '_')}.{ending}", affine(), extension=b"kept, byte for byte")
        yield save(folder / f"several_{ending.replace('.', '_')}.{ending}", affine(), shape=(*SHAPE, 3))


def check_mask(path, mask_path):
    """The mask is on the scan's grid in both libraries, has its header, and voxel (i, j, k) is that of the scan."""
    scan, mask = nibabel.load(path), nibabel.load(mask_path)
    voxels = scan.get_fdata()
    last = voxels[..., -1] if voxels.ndim == 4 else voxels
    assert mask.shape == last.shape, f"shape {mask.shape}, expected {last.shape}"
    assert numpy.array_equal(numpy.asarray(mask.dataobj), last >= THRESHOLD), "voxels differ"
    assert numpy.array_equal(mask.affine, scan.affine), f"affine\n{mask.affine}\nexpected\n{scan.affine}"
    before, after = scan.header.binaryblock, mask.header.binaryblock
    pair = path.name.removesuffix(".gz").endswith(".img")
    spans = OWN[len(before)] + (OF_PAIR[len(before)] if pair else []) + (OF_SEVERAL[len(before)] if voxels.ndim == 4 else [])
    own = {byte for first, end in spans for byte in range(first, end)}
    changed = {index for index, (a, b) in enumerate(zip(before, after, strict=True)) if a != b} - own
    assert not changed, f"header bytes {sorted(changed)} changed"
    assert [e.get_content() for e in scan.header.extensions] == [e.get_content() for e in mask.header.extensions]
    if len(before) == 540:
        return  # SimpleITK does not read NIfTI-2.
    image, label = SimpleITK.ReadImage(str(path)), SimpleITK.ReadImage(str(mask_path))
    if image.GetDimension() == 4:
        image = image[:, :, :, image.GetSize()[3] - 1]
    for picture, expected in [(image, last), (label, last >= THRESHOLD)]:
        assert numpy.array_equal(SimpleITK.GetArrayFromImage(picture), expected.T), "SimpleITK has other voxels"
    for field in ["GetSize", "GetOrigin", "GetSpacing", "GetDirection"]:
        ours, theirs = getattr(label, field)(), getattr(image, field)()
        assert ours == theirs, f"SimpleITK's {field}: {ours}, expected {theirs}"


def check_resampling(program, folder):
    """An oblique scan of thick slices, and its way back, against SimpleITK's linear filter."""
    shape, spacing = (20, 17, 9), (0.8, 1.1, 4.0)
    where = affine(turned([0.3, -0.4, 0.2]), spacing)
    # Noise differs most from voxel to voxel. A header keeps places to 1e-5 of a voxel, so that of 10 some 1e-4 are lost.
    voxels = random.normal(0, 10, shape).astype("float32")
    path, there, back = folder / "scan.nii.gz", folder / "there.nii.gz", folder / "back.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, where), path)
    subprocess.run([program, path, "1.3,0.9,1.7", there], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, there, path, back], check=True, stdout=subprocess.DEVNULL)
    for source, result in [(path, there), (there, back)]:
        ours, image = SimpleITK.ReadImage(str(result)), SimpleITK.ReadImage(str(source))
        theirs = SimpleITK.Resample(
            image, ours, SimpleITK.Transform(), SimpleITK.sitkLinear, float(voxels.min()), SimpleITK.sitkFloat32
        )
        apart = numpy.abs(SimpleITK.GetArrayFromImage(ours) - SimpleITK.GetArrayFromImage(theirs)).max()
        assert apart < 1e-3, f"{result.name} is {apart} away from SimpleITK's"
        centre = [(size - 1) / 2 for size in ours.GetSize()]
        middle = [(size - 1) / 2 for size in image.GetSize()]
        shift = numpy.subtract(
            ours.TransformContinuousIndexToPhysicalPoint(centre), image.TransformContinuousIndexToPhysicalPoint(middle)
        )
        assert numpy.abs(shift).max() < 1e-3, f"the centre of {result.name} moved by {shift} mm"
        print(f"{result.name}: at most {apart:.1e} away from SimpleITK's linear filter, of noise of 10")


def by_itk(scan, folder, labels):
    """A label map that ITK saves for a scan, as ITK-SNAP and 3D Slicer do."""
    image = SimpleITK.GetImageFromArray(labels.T)
    image.CopyInformation(SimpleITK.ReadImage(str(scan)))
    path = folder / "by_itk.nii.gz"
    SimpleITK.WriteImage(image, str(path))
    return path


def label_maps(folder):
    """A scan, its labels, a label map of it, and a word of the note that is expected, or None."""
    where = affine(turned([0.3, -0.4, 0.2]))
    labels = random.integers(1, 200, SHAPE).astype("uint8")
    scan = save(folder / "labelled.nii.gz", where)
    image = nibabel.Nifti1Image(labels, where)
    yield scan, labels, by_itk(scan, folder, labels), None
    path = folder / "map.nii.gz"
    for number, codes in enumerate(["LPS", "SAR", "PIL", "RSA"]):
        target = nibabel.orientations.axcodes2ornt(codes)
        turn = nibabel.orientations.ornt_transform(nibabel.orientations.io_orientation(where), target)
        other = image.as_reoriented(turn)
        part, expected = numpy.zeros_like(labels), labels
        if number % 2:
            other = other.slicer[1:4, 2:, :3]
            # Every label is another place's, so the part is found by the positions of its voxels.
            inverse = numpy.linalg.inv(where) @ other.affine
            for index in itertools.product(*map(range, other.shape)):
                place = tuple(numpy.rint((inverse @ [*index, 1])[:3]).astype(int))
                part[place] = labels[place]
            expected = part
        nibabel.save(other, path)
        yield scan, expected, path, "turned"
    both = save(folder / "two_forms.nii.gz", where)
    # Only the sform moves.
    moved = nibabel.load(both)
    moved.set_sform(affine(turned([0.1, 0.2, -0.2])), 2)
    moved.set_qform(where, 1)
    nibabel.save(moved, both)
    on_qform = nibabel.Nifti1Image(labels, where)
    nibabel.save(on_qform, path)
    yield both, labels, path, "qform"
    shear = numpy.eye(4)
    shear[1, 2] = 0.002
    sheared = save(folder / "sheared.nii.gz", where @ shear)
    yield sheared, labels, by_itk(sheared, folder, labels), None
    small = save(folder / "micrometres.nii.gz", affine(spacing=(25, 25, 60), origin=(-100, 50, 0)))
    in_micrometres = nibabel.load(small)
    in_micrometres.header.set_xyzt_units("micron")
    nibabel.save(in_micrometres, small)
    yield small, labels, by_itk(small, folder, labels), None


def check_label_maps(program, folder):
    """Label maps of other tools come back voxel by voxel, on the scan's own grid."""
    count, out = 0, folder / "fitted.nii.gz"
    for scan, labels, path, word in label_maps(folder):
        out.unlink(missing_ok=True)
        said = subprocess.run([program, scan, path, out], check=True, capture_output=True, text=True).stdout
        fitted = nibabel.load(out)
        assert numpy.array_equal(numpy.asarray(fitted.dataobj), labels), f"{path.name} for {scan.name}: labels moved"
        assert numpy.array_equal(fitted.affine, nibabel.load(scan).affine), f"{path.name} for {scan.name}: another grid"
        assert word is None or word in said, f"{path.name} for {scan.name}: no word of {word!r}, but {said!r}"
        count += 1
    print(f"{count} label maps of nibabel and ITK are put into their place")


if __name__ == "__main__":
    threshold, resample, labels = sys.argv[1:]
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = list(scans(folder))
        masks = folder / "masks"
        subprocess.run([threshold, str(THRESHOLD), masks, *paths], check=True, stdout=subprocess.DEVNULL)
        failed = 0
        for path in paths:
            mask = masks / (path.name.removesuffix(".gz").rsplit(".", 1)[0] + ".nii.gz")
            try:
                check_mask(path, mask)
            except (AssertionError, RuntimeError) as error:
                failed += 1
                print(f"{path.name}: {error}", file=sys.stderr)
        if failed:
            sys.exit(f"{failed} of {len(paths)} masks are not where their scans are")
        print(f"{len(paths)} masks have grid, header and voxel order of their scans, by nibabel and SimpleITK")
        check_resampling(resample, folder)
        check_label_maps(labels, folder)
