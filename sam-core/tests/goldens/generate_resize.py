"""Writes `resize.safetensors`: OpenCV's INTER_AREA on 8-bit noise, enlarging, shrinking, and by halves and thirds.

    pip install opencv-python-headless==5.0.0.93 numpy==2.4.6 safetensors==0.8.0
    python generate_resize.py [FOLDER]

FOLDER is this script's own unless it is given. Case K is stored as `K.from` and `K.to`, both [rows, columns, channels].
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

CASES = [((21, 26, 1), (45, 55)), ((13, 17, 3), (52, 68)), ((40, 50, 3), (32, 40)), ((39, 31, 1), (25, 20))]
CASES += [((24, 24, 1), (12, 12)), ((27, 33, 1), (9, 11))]


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    generator = np.random.default_rng(0)
    tensors = {}
    for index, (shape, (rows, columns)) in enumerate(CASES):
        image = generator.integers(0, 256, shape).astype(np.uint8)
        resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        tensors |= {f"{index}.from": image, f"{index}.to": resized.reshape(rows, columns, -1)}
    save_file(tensors, folder / "resize.safetensors")


if __name__ == "__main__":
    main()
