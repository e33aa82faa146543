"""Writes 8-bit noise and what OpenCV and Pillow resize it to; `../resize/check.py` compares many more sizes.

    pip install opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6 safetensors==0.8.0
    python generate_resize.py [FOLDER]

FOLDER is this script's own unless it is given. `resize.safetensors` holds OpenCV's INTER_AREA: enlarging, shrinking, and by halves and
thirds. `resize_pillow.safetensors` holds Pillow's `Resampling.BILINEAR` and `Resampling.BICUBIC`: up, down, each way at once, and
images so high that Pillow 13 begins with their columns. Case K is stored as `K.from` and `K.to`, or `K.bilinear` and `K.bicubic`, all
[rows, columns, channels].
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

CASES = [((21, 26, 1), (45, 55)), ((13, 17, 3), (52, 68)), ((40, 50, 3), (32, 40)), ((39, 31, 1), (25, 20))]
CASES += [((24, 24, 1), (12, 12)), ((27, 33, 1), (9, 11))]

PILLOW_CASES = [((21, 26, 1), (45, 55)), ((53, 33, 3), (40, 25)), ((40, 13, 1), (11, 52)), ((64, 20, 3), (32, 10))]
PILLOW_CASES += [((64, 20, 1), (31, 12)), ((1, 9, 3), (4, 1))]


def pillow(generator):
    """Pillow's filters on images of their own."""
    tensors = {}
    for index, (shape, (rows, columns)) in enumerate(PILLOW_CASES):
        image = generator.integers(0, 256, shape).astype(np.uint8)
        picture = Image.fromarray(image if shape[2] == 3 else image[..., 0])
        tensors[f"{index}.from"] = image
        for name, filter in [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]:
            resized = np.asarray(picture.resize((columns, rows), filter))
            tensors[f"{index}.{name}"] = resized.reshape(rows, columns, -1)
    return tensors


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    generator = np.random.default_rng(0)
    tensors = {}
    for index, (shape, (rows, columns)) in enumerate(CASES):
        image = generator.integers(0, 256, shape).astype(np.uint8)
        resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        tensors |= {f"{index}.from": image, f"{index}.to": resized.reshape(rows, columns, -1)}
    save_file(tensors, folder / "resize.safetensors")
    save_file(pillow(np.random.default_rng(1)), folder / "resize_pillow.safetensors")


if __name__ == "__main__":
    main()
