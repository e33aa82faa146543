#!/usr/bin/env python3
"""Cards from scan to scan: does a card of earlier scans help with the next, and does it forget the first?

    pip install nibabel
    python examples/cards.py --program "sam-med annotate" --slices 3 --out cards.json \
        "scans/hippocampus_001:hippocampus=1+2" "scans/hippocampus_004:hippocampus=1+2" "scans/hippocampus_007:hippocampus=1+2"

Each CASE is FOLDER:NAME=VALUES[@WINDOW], as for rounds.py; all are scans of one structure. The outlines are the truth's: --slices slices, spread
evenly from 5 % to 95 % of those with the structure along the third axis. The card is learned on the first scan and improved on each of the
others. Printed are the Dice of the volume, the mean Dice of the slices that are not outlined and show the structure, and seconds:

- for each scan: learned from nothing, and learned from the card of the scans before it;
- for the last scan: the card of the scans before it, without learning;
- for the first scan: its own card without learning, the last card without learning, and learned from the last card.
"""
import argparse
import json
import os
import shlex
import subprocess
import tempfile
import time

import nibabel
import numpy
from rounds import Case, dice, spread


def annotate(program, case, theirs, folder, *more):
    """Runs the program on a scan with the truth's outlines on these slices, and compares its mask with the truth."""
    outlines, mask = os.path.join(folder, "outlines.nii.gz"), os.path.join(folder, "mask.nii.gz")
    drawn = numpy.zeros(case.truth.shape, numpy.uint8)
    drawn[:, :, theirs] = case.truth[:, :, theirs]
    nibabel.save(nibabel.Nifti1Image(drawn, nibabel.load(case.image).affine), outlines)
    command = shlex.split(program) + ["--image", case.image, "--annotations", outlines, "--out", mask, "--axis", "k"]
    command += list(more)
    began = time.time()
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{ended.stderr[-2000:]}")
    found = numpy.asanyarray(nibabel.load(mask).dataobj) > 0
    others = [i for i in range(found.shape[2]) if i not in theirs and case.truth[:, :, i].any()]
    if not others:
        raise SystemExit(f"{case.image}: every slice with {case.name} is outlined; choose fewer with --slices")
    slices = float(numpy.mean([dice(found[:, :, i], case.truth[:, :, i]) for i in others]))
    return {"volume": dice(found, case.truth), "slices": slices, "seconds": time.time() - began}


def measure(options, seed):
    cases = [Case(text) for text in options.cases]
    results = []

    def run(case, start, *more):
        window = ["--window", case.window] if case.window else []
        outlined = spread(case.truth, options.slices)
        found = annotate(options.program, case, outlined, folder, "--seed", str(seed), *window, *more)
        results.append({"case": os.path.basename(case.folder), "structure": case.name, "seed": seed, "outlines": options.slices, "start": start, **found})
        line = f"{results[-1]['case']:24} {case.name:12} seed {seed}, {start}: volume {found['volume']:.4f}, slices {found['slices']:.4f}"
        print(f"{line}, {found['seconds']:.1f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        card = lambda number: os.path.join(folder, f"card{number}.safetensors")
        last = len(cases) - 1
        for number, case in enumerate(cases):
            before = f"card of {number}"
            run(case, "nothing", *([] if number else ["--save-card", card(0)]))
            if number == last:
                run(case, f"{before}, not learned", "--card", card(number - 1))
            if number:
                run(case, before, "--card", card(number - 1), "--save-card", card(number))
        run(cases[0], "its own card, not learned", "--card", card(0))
        run(cases[0], f"card of {len(cases)}, not learned", "--card", card(last))
        run(cases[0], f"card of {len(cases)}", "--card", card(last), "--save-card", os.path.join(folder, "again.safetensors"))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--program", default="sam-med annotate", help='the program and its options, such as "sam-med annotate --cache DIR"')
    parser.add_argument("--slices", type=int, default=3, help="outlined slices of each scan")
    parser.add_argument("--seeds", default="0", help="seeds, such as 0,1,2")
    parser.add_argument("--out", help="file for the results")
    options = parser.parse_args()
    if len(options.cases) < 2:
        parser.error("at least two scans are needed")
    results = []
    for seed in options.seeds.split(","):
        results += measure(options, int(seed))
        if options.out:
            with open(options.out + ".part", "w") as file:
                json.dump(results, file, indent=1)
            os.replace(options.out + ".part", options.out)
