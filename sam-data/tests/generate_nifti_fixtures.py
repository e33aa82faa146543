"""Writes tests/fixtures/*.nii and what nibabel reads from them (expected.json).

    pip install nibabel==5.4.2 numpy==2.4.6
    python generate_nifti_fixtures.py

Every file is put together from header fields and raw bytes, so that odd but legal headers can be written; nibabel is only the reader
whose answers are kept.
"""

import json
from pathlib import Path

import nibabel
import numpy as np

FOLDER = Path(__file__).parent / "fixtures"
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
IDENTITY = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def voxels(dtype, count):
    """Distinct values that reach the ends of the type."""
    if dtype.kind == "f":
        return np.linspace(-1024.25, 3071.5, count).astype(dtype)
    ends = np.iinfo(dtype)
    low, high = int(ends.min), int(ends.max)
    return np.array([low + (high - low) * index // (count - 1) for index in range(count)], dtype=dtype)


def write(name, dtype="uint8", order="<", dim=(2, 3, 4), srow=None, extension=b"", version=1, **fields):
    """One file; `fields` are header fields by their NIfTI names."""
    dtype = np.dtype(dtype).newbyteorder(order)
    kind = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}[version]
    header = kind(endianness=order, check=False)
    raw = header._structarr
    raw["dim"] = [len(dim), *dim] + [1] * (7 - len(dim))
    raw["datatype"] = nibabel.nifti1.data_type_codes.code[dtype.newbyteorder("=")]
    raw["bitpix"] = dtype.itemsize * 8
    raw["magic"] = {1: b"n+1", 2: b"n+2\0\r\n\x1a\n"}[version]
    raw["vox_offset"] = {1: 352, 2: 544}[version] + len(extension)
    raw["pixdim"] = [1, 0.7, 0.8, 2.5, 0, 0, 0, 0]
    raw["scl_slope"] = np.nan
    raw["descrip"] = b"sam-data fixture"
    raw["cal_max"] = 200
    raw["xyzt_units"] = 10
    if srow is not None:
        raw["sform_code"] = 1
        raw["srow_x"], raw["srow_y"], raw["srow_z"] = srow
    for field, value in fields.items():
        raw[field] = value
    flag = bytes([1, 0, 0, 0]) if extension else bytes(4)
    data = voxels(dtype.newbyteorder("="), int(np.prod(dim))).astype(dtype).tobytes()
    path = FOLDER / f"{name}.nii"
    path.write_bytes(raw.tobytes() + flag + extension + data)
    return path


def cases():
    for dtype in TYPES:
        for order, endian in [("<", "le"), (">", "be")]:
            yield write(f"{dtype}_{endian}", dtype, order, srow=IDENTITY)
    yield write("scaled_le", "int16", "<", srow=IDENTITY, scl_slope=2.5, scl_inter=-1000)
    yield write("scaled_be", "uint8", ">", srow=IDENTITY, scl_slope=-0.125, scl_inter=3)
    yield write("scaled_float", "float32", "<", srow=IDENTITY, scl_slope=3, scl_inter=1)
    yield write("slope_zero", "int16", "<", srow=IDENTITY, scl_slope=0, scl_inter=7)
    yield write("las", srow=[[-0.7, 0, 0, 90.5], [0, 0.8, 0, -120], [0, 0, 2.5, 33]])
    yield write("lps", srow=[[-0.7, 0, 0, 90.5], [0, -0.8, 0, 120], [0, 0, 2.5, -33]], order=">")
    yield write("permuted", srow=[[0, 0, -2.5, 5], [0.7, 0, 0, -7], [0, -0.8, 0, 11]], sform_code=2)
    yield write("oblique", srow=[[0.6, -0.3, 0.4, 1.5], [0.3, 0.7, -0.2, -2.5], [-0.1, 0.25, 2.4, 3.5]], sform_code=3)
    turned = {"quatern_b": 0.1, "quatern_c": -0.2, "quatern_d": 0.3, "qoffset_x": 9, "qoffset_y": -8, "qoffset_z": 7.5}
    yield write("qform", qform_code=1, **turned)
    yield write("qform_be", qform_code=1, order=">", **turned)
    yield write("qform_mirrored", qform_code=2, pixdim=[-1, 0.7, 0.8, 2.5, 0, 0, 0, 0], **turned)
    yield write("qform_qfac_zero", qform_code=1, pixdim=[0, 0.7, 0.8, 2.5, 0, 0, 0, 0], **turned)
    yield write("qform_half_turn", qform_code=1, quatern_b=0, quatern_c=1, quatern_d=0)
    yield write("qform_sizes_repaired", qform_code=1, pixdim=[1, -0.7, 0, 2.5, 0, 0, 0, 0], **turned)
    yield write("sform_wins", srow=IDENTITY, qform_code=1, **turned)
    yield write("sform_without_code", srow=IDENTITY, sform_code=0, qform_code=1, **turned)
    yield write("no_codes")
    yield write("no_codes_sizes_repaired", pixdim=[1, -0.7, 0, 2.5, 0, 0, 0, 0])
    yield write("two_dimensions", dim=(3, 4))
    yield write("one_slice", dim=(3, 4, 1), srow=IDENTITY)
    yield write("trailing_one", dim=(2, 3, 4, 1), srow=IDENTITY)
    extension = (32).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"a comment, kept\0".ljust(24, b"\0")
    yield write("extension", srow=IDENTITY, extension=extension)
    for order, endian in [("<", "le"), (">", "be")]:
        yield write(f"nifti2_{endian}", "int16", order, version=2, srow=IDENTITY, scl_slope=2, scl_inter=-3)
    yield write("nifti2_qform", version=2, qform_code=1, **turned)
    yield write("three_volumes", "int16", dim=(2, 3, 2, 3), srow=IDENTITY)


def answer(path):
    """What nibabel reads, computed in 64 bits and kept in 32; volumes of a file with several are listed one after the other."""
    image = nibabel.load(path)
    data = image.get_fdata(dtype=np.float64).astype(np.float32)
    return {
        "file": path.name,
        "shape": list(data.shape),
        "affine": image.affine.tolist(),
        "voxels": [float(value) for value in data.ravel(order="F")],
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    nibabel.imageglobals.logger.disabled = True
    answers = ",\n".join(json.dumps(answer(path)) for path in cases())
    (FOLDER / "expected.json").write_text(f"[\n{answers}\n]\n")
