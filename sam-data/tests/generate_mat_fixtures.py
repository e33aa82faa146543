"""Writes tests/fixtures/lizard_*.mat: instance maps as the Lizard data set has them, as MATLAB level-5 files.

    pip install scipy==1.17.1 numpy==2.4.6
    python generate_mat_fixtures.py

The same versions give the same bytes, but for the date in each header. The map has the value 100 * row + column, so that a transposed or truncated reading shows.
"""

import struct
from pathlib import Path

import numpy as np
from scipy.io import savemat

FOLDER = Path(__file__).parent / "fixtures"
MAP = np.add.outer(100 * np.arange(3), np.arange(5))
OTHERS = {"id": np.array([[1], [2]], dtype=np.int32), "class": np.array([[2], [6]], dtype=np.int32)}


def big_endian():
    """The uncompressed map as a machine of the other byte order writes it; scipy only reads such files."""

    def element(kind, data):
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    int32_class = 12
    flags = element(6, struct.pack(">II", int32_class, 0))
    sides = element(5, struct.pack(">ii", *MAP.shape))
    matrix = flags + sides + element(1, b"inst_map") + element(5, MAP.astype(">i4").tobytes(order="F"))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    (FOLDER / "lizard_big_endian.mat").write_bytes(header + element(14, matrix))


# Doubles, as MATLAB keeps any number; scipy stores them in full.
savemat(FOLDER / "lizard_plain.mat", {**OTHERS, "inst_map": MAP.astype(np.float64)})
savemat(FOLDER / "lizard_compressed.mat", {**OTHERS, "inst_map": MAP.astype(np.int32)}, do_compression=True)
savemat(FOLDER / "lizard_without_map.mat", OTHERS)
savemat(FOLDER / "lizard_fraction.mat", {"inst_map": MAP / 2})
big_endian()
