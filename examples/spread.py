#!/usr/bin/env python3
"""How much chance and small choices change the Dice: three seeds, three windows, three choices of the outlined slices.

    pip install nibabel
    python examples/spread.py --program "sam-med annotate" --slices 5 --out spread.json \
        --windows abdomen,-200:300,-100:250 "scans/ct:liver=6@abdomen"

Each CASE is FOLDER:NAME=VALUES[@WINDOW], as for rounds.py. The outlines are the truth's, on --slices slices, spread evenly along the third axis
from 5 % to 95 % of those with the structure, from 2 % to 92 %, and from 8 % to 98 %. One thing is changed at a time: the seed (0, 1, 2), the
window (--windows; by default those of CASE, auto and percentile), the outlined slices. Printed are the Dice of the volume and the mean Dice
of the slices that show the structure and are not outlined, of each run; then, of each thing, the largest minus the smallest of its three
values, as mean over the cases.

A gain below twice such a spread may be chance.
"""
import argparse
import json
import os
import tempfile

import nibabel  # noqa: F401  It is needed by cards.py: fail before the work.
import numpy
from cards import annotate
from rounds import Case

# Shares of the structure's slices between which outlines are spread. The first is that of the other examples.
BETWEEN = [(0.05, 0.95), (0.02, 0.92), (0.08, 0.98)]
SEEDS = [0, 1, 2]
MEASURES = ["volume", "slices"]


def spread_between(truth, count, low, high):
    shown = numpy.where(truth.any((0, 1)))[0]
    places = (round(part * (len(shown) - 1)) for part in numpy.linspace(low, high, count))
    return sorted({int(shown[place]) for place in places})


def trials(options, case):
    """What is changed, its value, the seed, the window and the outlined slices of each run. The first is shared by all three things."""
    first = case.window or "auto"
    windows = options.windows.split(",") if options.windows else [first, *(name for name in ["auto", "percentile"] if name != first)]
    outlined = [spread_between(case.truth, options.slices, *shares) for shares in BETWEEN]
    yield "all", "first", SEEDS[0], windows[0], outlined[0]
    for seed in SEEDS[1:]:
        yield "seed", seed, seed, windows[0], outlined[0]
    for window in windows[1:3]:
        yield "window", window, SEEDS[0], window, outlined[0]
    for shares, slices in list(zip(BETWEEN, outlined))[1:]:
        yield "outlines", f"{shares[0]:.0%} to {shares[1]:.0%}", SEEDS[0], windows[0], slices


def main(options):
    results = []
    for text in options.cases:
        case = Case(text)
        for changed, value, seed, window, outlined in trials(options, case):
            with tempfile.TemporaryDirectory() as folder:
                found = annotate(options.program, case, outlined, folder, "--seed", str(seed), "--window", window)
            about = {"case": os.path.basename(case.folder), "structure": case.name, "changed": changed, "value": value}
            results.append({**about, "seed": seed, "window": window, "outlined": outlined, **found})
            measured = ", ".join(f"{name} {found[name]:.4f}" for name in MEASURES)
            print(f"{about['case']:24} {case.name:14} {changed} {value}: {measured}, {found['seconds']:.1f} s", flush=True)
            if options.out:
                with open(options.out + ".part", "w") as file:
                    json.dump(results, file, indent=1)
                os.replace(options.out + ".part", options.out)
    structures = sorted({(result["case"], result["structure"]) for result in results})
    for changed in ["seed", "window", "outlines"]:
        spreads = {name: [] for name in MEASURES}
        for structure in structures:
            own = [r for r in results if (r["case"], r["structure"]) == structure and r["changed"] in ("all", changed)]
            for name in MEASURES:
                spreads[name].append(max(r[name] for r in own) - min(r[name] for r in own))
        means = ", ".join(f"{name} {numpy.mean(values):.4f} (largest {max(values):.4f})" for name, values in spreads.items())
        print(f"spread by {changed}: {means}, {len(structures)} structures", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--program", default="sam-med annotate", help='the program and its options, such as "sam-med annotate --cache DIR"')
    parser.add_argument("--slices", type=int, default=5, help="outlined slices of each scan")
    parser.add_argument("--windows", help="three windows, such as abdomen,-200:300,-100:250")
    parser.add_argument("--out", help="file for the results")
    main(parser.parse_args())
