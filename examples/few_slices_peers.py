#!/usr/bin/env python3
"""Other programs on the outlines of the example few_slices: fill between outlined slices, and score as the example does.

    pip install nibabel scipy scikit-image itk-morphologicalcontourinterpolation
    cargo run --release --example few_slices -- --out results/few_slices
    python examples/few_slices_peers.py results/few_slices
    cargo run --release --example few_slices -- --out results/few_slices --peers results/few_slices/peers.json

Methods:
- itk: morphological contour interpolation, that of ITK-SNAP and 3D Slicer;
- signed distances: linear interpolation of the signed distances to two outlines;
- random walker: that of scikit-image on the image, seeded where the interpolated signed distance is above 1 pixel or below -1.

All of them fill between the outermost outlines only. Images, truth and outlined slices are in the folder `trials`, which the example wrote.
"""
import argparse
import json
import os
import time
import warnings

import itk
import nibabel
import numpy
from scipy import ndimage
from skimage.segmentation import random_walker

# Pixels this close to the interpolated outline are left to the random walker. A wider band leaves no seeds in a thin structure.
BAND = 1.0
# Pixels around the structure that the random walker sees.
MARGIN = 12


def signed(mask):
    return ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)


def between(outlines, chosen):
    """Interpolated signed distance of each slice between two outlines."""
    for low, high in zip(chosen, chosen[1:]):
        below, above = signed(outlines[:, :, low]), signed(outlines[:, :, high])
        for index in range(low + 1, high):
            part = (index - low) / (high - low)
            yield index, (1 - part) * below + part * above


def by_distances(_image, outlines, chosen):
    found = outlines.copy()
    for index, distance in between(outlines, chosen):
        found[:, :, index] = distance > 0
    return found


def by_itk(_image, outlines, _chosen):
    image = itk.image_from_array(numpy.ascontiguousarray(outlines.astype(numpy.uint8).transpose(2, 1, 0)))
    fill = itk.MorphologicalContourInterpolator.New(image)
    fill.SetAxis(2)
    fill.SetLabel(1)
    fill.Update()
    return itk.array_from_image(fill.GetOutput()).transpose(2, 1, 0) > 0


def by_walker(image, outlines, chosen):
    found = outlines.copy()
    for index, distance in between(outlines, chosen):
        inside = distance > 0
        found[:, :, index] = inside
        seeds = numpy.where(distance > BAND, 1, numpy.where(distance < -BAND, 2, 0))
        if not (seeds == 1).any() or not (seeds == 0).any():
            continue
        rows, columns = (numpy.where(inside.any(axis))[0] for axis in (1, 0))
        part = tuple(slice(max(at[0] - MARGIN, 0), at[-1] + MARGIN + 1) for at in (rows, columns))
        if not (seeds[part] == 2).any():
            continue
        levels = image[:, :, index][part].astype(float) / 255.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[:, :, index][part] = random_walker(levels, seeds[part], mode="cg_j") == 1
    return found


METHODS = {"itk": by_itk, "signed distances": by_distances, "random walker": by_walker}


def dice(found, truth):
    size = found.sum() + truth.sum()
    return 1.0 if size == 0 else float(2 * (found & truth).sum() / size)


def score(found, truth, chosen):
    test = [index for index in range(truth.shape[2]) if index not in chosen]
    shown = [index for index in test if truth[:, :, index].any()]
    inner = [index for index in shown if chosen[0] < index < chosen[-1]]
    empty = [index for index in test if index not in shown]

    def mean(slices):
        return float(numpy.mean([dice(found[:, :, at], truth[:, :, at]) for at in slices])) if slices else None

    return {
        "volume": dice(found[:, :, test], truth[:, :, test]),
        "slices": mean(shown),
        "inner": mean(inner),
        "false_slices": sum(bool(found[:, :, index].any()) for index in empty),
        "empty_slices": len(empty),
    }


def measure(folder, case):
    """Every method on every trial of one structure. Trials with the same outlines have the same results."""

    def read(name):
        voxels = numpy.asanyarray(nibabel.load(os.path.join(folder, case[name])).dataobj)
        return numpy.ascontiguousarray(numpy.moveaxis(voxels, case["axis"], 2))

    image, truth, known = read("image"), read("truth") > 0, {}
    for trial in case["trials"]:
        chosen = trial["outlined"]
        outlines = numpy.zeros_like(truth)
        outlines[:, :, chosen] = truth[:, :, chosen]
        for name, fill in METHODS.items():
            key = (name, *chosen)
            if key not in known:
                begun = time.time()
                found = fill(image, outlines, chosen)
                known[key] = {"seconds": time.time() - begun, **score(found, truth, chosen)}
            yield {"dataset": case["dataset"], "subject": case["subject"], "method": name, **trial, **known[key]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="the folder of results of few_slices")
    options = parser.parse_args()
    folder = os.path.join(options.results, "trials")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [name for name in names if name.startswith("trials-") and name.endswith(".json")]
    if not names:
        parser.error(f"{folder} has no trials-*.json; run the example few_slices first, with --out {options.results}")
    results = []
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            case = json.load(file)
        results.extend(measure(folder, case))
        print(f"{case['subject']}: {len(case['trials'])} trials", flush=True)
    out = os.path.join(options.results, "peers.json")
    with open(out + ".part", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    os.replace(out + ".part", out)
    print(f"Wrote {out}", flush=True)


if __name__ == "__main__":
    main()
    os._exit(0)  # ITK's Python module can fail while it is unloaded.
