"""Compares the resizing of 8-bit images with Pillow's and OpenCV's on random sizes, byte by byte.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    cargo build -p sam-core --example resize
    venv/bin/python check.py target/debug/examples/resize [--count 1000] [--seed 0]

Each filter resizes COUNT images of random sizes, up, down, or one side each way, every second with one channel and the others with
three. A tenth of them shrink by whole numbers, which OpenCV computes in another way. Exits with 1 if any byte differs.
"""

import argparse
import struct
import subprocess
import sys

import cv2
import numpy as np
import PIL
from PIL import Image


def side(generator):
    """A side that is small as often as it is large."""
    return int(np.exp(generator.uniform(0, np.log(300))))


def images(generator, count):
    """Noise and smooth gradients with their new sizes."""
    for index in range(count):
        rows, columns, height, width = (side(generator) for _ in range(4))
        if index % 10 == 0:
            rows, columns = (size * int(generator.integers(1, 7)) for size in (height, width))
        shape = (rows, columns, 3 if index % 2 else 1)
        image = generator.integers(0, 256, shape).astype(np.uint8)
        if index % 3 == 0:
            y, x = np.mgrid[:rows, :columns]
            smooth = 127.5 + 127.5 * np.sin(y / rows * 3 + x / columns * generator.uniform(1, 9))
            image = np.repeat(smooth[..., None], shape[2], axis=2).astype(np.uint8)
        yield image, height, width


def by_pillow(resampling):
    def resize(image, height, width):
        picture = Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
        return np.asarray(picture.resize((width, height), resampling))

    return resize


def by_opencv(image, height, width):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


FILTERS = {
    "pillow_bilinear": by_pillow(Image.Resampling.BILINEAR),
    "bicubic": by_pillow(Image.Resampling.BICUBIC),
    "area": by_opencv,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, {options.count} images each, seed {options.seed}")
    failed = False
    for name, reference in FILTERS.items():
        cases = list(images(np.random.default_rng(options.seed), options.count))
        stream = b"".join(
            struct.pack("<5I", *image.shape, height, width) + image.tobytes() for image, height, width in cases
        )
        output = subprocess.run([options.program, name], input=stream, stdout=subprocess.PIPE, check=True).stdout
        found, start, differing, total, worst, examples = np.frombuffer(output, np.uint8), 0, 0, 0, 0, []
        for image, height, width in cases:
            expected = reference(image, height, width).reshape(-1)
            part = found[start : start + expected.size]
            start += expected.size
            off = np.abs(part.astype(int) - expected.astype(int))
            differing, total, worst = differing + int((off > 0).sum()), total + off.size, max(worst, int(off.max()))
            if (off > 0).any():
                examples.append(f"{image.shape} to {height} x {width}: {int((off > 0).sum())}")
        assert start == found.size, f"{name}: {found.size} bytes came back, expected {start}"
        print(f"{name}: {differing} of {total} bytes differ, by {worst} at most, in {len(examples)} images")
        print("".join(f"    {example}\n" for example in examples[:5]), end="")
        failed |= differing > 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
