"""Reads one packed volume of 105 MB with sam-data and with nibabel, in one run.

Usage, with nibabel and numpy installed: python sam-data/benches/nifti_nibabel.py
Both give 32-bit floats, scaled. nibabel is timed before and after sam-data, so that a machine that others use as well shows.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy

ROOT = Path(__file__).parents[2]
RUNS = 4


def nibabel_whole(path):
    image = nibabel.load(path)
    start = time.perf_counter()
    image.get_fdata(dtype=numpy.float32, caching="unchanged")
    return time.perf_counter() - start


def nibabel_slices(path):
    """All slices along each axis of a volume in memory, copied as sam-data copies them: seconds for one."""
    voxels = nibabel.load(path).get_fdata(dtype=numpy.float32)
    for axis, name in enumerate(["sagittal", "coronal", "axial"]):
        times, slices = [], numpy.moveaxis(voxels, axis, 0)
        for index in range(0, voxels.shape[axis], 4):
            start = time.perf_counter()
            numpy.array(slices[index].T, order="C", copy=True)
            times.append(time.perf_counter() - start)
        yield name, statistics.median(times)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SAM_DATA_BENCH": folder}
        bench = ["cargo", "bench", "--quiet", "-p", "sam-data", "--bench", "nifti", "--"]
        # Makes the files, and warms up.
        subprocess.run([*bench, "--test"], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        path = Path(folder) / "sam-data-bench.nii.gz"
        print(f"{path.stat().st_size / 1e6:.0f} MB packed, {512 * 512 * 200 * 2 / 1e6:.0f} MB unpacked")
        sys.stdout.flush()
        times = [nibabel_whole(path) for _ in range(RUNS)]
        subprocess.run([*bench, "--noplot"], cwd=ROOT, env=environment, check=True)
        times += [nibabel_whole(path) for _ in range(RUNS)]
        print(f"nibabel, whole, nii.gz: median {statistics.median(times):.3f} s, {min(times):.3f} to {max(times):.3f}")
        for name, seconds in nibabel_slices(path):
            print(f"nibabel, slice of a volume, {name}: {1e6 * seconds:.0f} us")
