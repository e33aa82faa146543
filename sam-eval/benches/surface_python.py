"""HD95 of the two balls of `surface.rs` by sam-eval, MONAI and surface-distance, in one run on one machine.

Usage, with monai, numpy, scipy and surface-distance installed: python sam-eval/benches/surface_python.py
Both Python packages are timed before and after sam-eval, so that a machine that others use as well shows. MONAI must give sam-eval's HD95;
surface-distance weighs elements by area, so that its own lies a little off.
"""

import re
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numpy
import surface_distance
import torch
from monai.metrics import compute_hausdorff_distance

ROOT = Path(__file__).parents[2]
SPACING = (0.8, 0.8, 2.5)
RUNS = 3
MILLISECONDS = {"ns": 1e-6, "µs": 1e-3, "us": 1e-3, "ms": 1.0, "s": 1e3}


def ball(centre, radius):
    steps = [
        ((numpy.arange(count) * length - place) ** 2).reshape([-1 if axis == at else 1 for axis in range(3)])
        for at, (count, length, place) in enumerate(zip((512, 512, 200), SPACING, centre))
    ]
    return steps[0] + steps[1] + steps[2] <= radius**2


def by_monai(prediction, truth):
    prediction, truth = (torch.from_numpy(mask)[None, None] for mask in (prediction, truth))
    distance = compute_hausdorff_distance(
        prediction, truth, include_background=True, percentile=95, spacing=list(SPACING)
    )
    return distance.item()


def by_surface_distance(prediction, truth):
    distances = surface_distance.compute_surface_distances(truth, prediction, SPACING)
    return surface_distance.compute_robust_hausdorff(distances, 95)


def timed(measure, masks):
    start = time.perf_counter()
    hd95 = measure(*masks)
    return time.perf_counter() - start, hd95


def sam_eval():
    """Seconds, by Criterion's estimate, and HD95 in millimetres."""
    command = ["cargo", "bench", "--quiet", "-p", "sam-eval", "--bench", "surface", "--", "--noplot"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    hd95 = re.search(r"HD95: ([\d.]+) mm", printed)
    found = re.search(r"time:\s+\[\S+ \S+ ([\d.]+) (\S+) ", printed)
    return float(found[1]) * MILLISECONDS[found[2]] / 1e3, float(hd95[1])


if __name__ == "__main__":
    masks = ball((200.0, 210.0, 250.0), 120.0), ball((206.0, 205.0, 255.0), 118.0)
    packages = {"monai": by_monai, "surface-distance": by_surface_distance}
    seconds = {name: [timed(measure, masks)[0] for _ in range(RUNS)] for name, measure in packages.items()}
    ours, hd95 = sam_eval()
    print(f"sam-eval: {ours:.3f} s, HD95 {hd95:.4f} mm")
    for name, measure in packages.items():
        again, theirs = zip(*(timed(measure, masks) for _ in range(RUNS)))
        seconds[name] += again
        middle = statistics.median(seconds[name])
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f}"
        print(f"{name} {version(name)}: {middle:.2f} s ({spread}), {middle / ours:.1f} times ours, HD95 {theirs[0]:.4f} mm")
        # MONAI measures in single precision; the other one may be off by an element.
        assert abs(theirs[0] - hd95) < (1e-3 if name == "monai" else max(SPACING)), (name, theirs[0], hd95)
