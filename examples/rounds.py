#!/usr/bin/env python3
"""Rounds of a session: does each round make the mask better, and nothing worse?

    pip install nibabel
    python examples/rounds.py --program "sam-med annotate" --slices 5 --rounds 3 --out rounds.json \
        "scans/ct:liver=6@abdomen" "scans/lung:right lung=1@lung"

Each CASE is FOLDER:NAME=VALUES[@WINDOW]; the folder holds image.nii.gz and label.nii.gz, and VALUES are joined by +.

The outlines are the truth's: first --slices slices, spread evenly from 5 % to 95 % of those with the structure along the third axis; then in
each round the worst slices of the mask, a fifth of those with the structure and at most 8. They are corrected in a copy of the mask, and the
program runs the next round of its session. With --accept N, the N best of the other slices are accepted in the same round, as a person would who
has looked at them. Printed of each round: Dice of the volume; mean Dice of the slices that nobody has outlined or
corrected before, before and after the round; the largest fall of a single one; how many of these slices changed; seconds.
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import tempfile
import time

import nibabel
import numpy

# Share of the structure's slices that are corrected in a round, and how many at most.
CORRECTED, MOST = 0.2, 8


def dice(found, truth):
    size = found.sum() + truth.sum()
    return 1.0 if size == 0 else float(2 * (found & truth).sum() / size)


def spread(truth, count):
    """`count` slices, evenly over those with the structure."""
    shown = numpy.where(truth.any((0, 1)))[0]
    places = (round(part * (len(shown) - 1)) for part in numpy.linspace(0.05, 0.95, count))
    return sorted({int(shown[place]) for place in places})


class Case:
    def __init__(self, text):
        found = re.fullmatch(r"(?P<folder>.+):(?P<name>[^:=]+)=(?P<values>[\d+]+)(@(?P<window>.+))?", text)
        if not found:
            raise SystemExit(f"expected FOLDER:NAME=VALUES[@WINDOW], found {text}")
        self.folder, self.name, self.window = found["folder"], found["name"], found["window"]
        label = nibabel.load(os.path.join(self.folder, "label.nii.gz"))
        values = [int(value) for value in found["values"].split("+")]
        self.truth = numpy.isin(numpy.rint(numpy.asanyarray(label.dataobj)).astype(int), values)
        self.image = os.path.join(self.folder, "image.nii.gz")


class Session:
    """A session of the program in a folder of its own."""

    def __init__(self, program, case, seed, folder):
        self.case, self.folder = case, folder
        self.mask = os.path.join(folder, "mask.nii.gz")
        self.command = shlex.split(program) + ["--image", case.image, "--session", os.path.join(folder, "session")]
        self.command += ["--axis", "k", "--out", self.mask, "--seed", str(seed)]
        self.command += ["--window", case.window] if case.window else []

    def round(self, outlines, accepted=()):
        """Runs a round with these outlines or corrections, and these slices accepted: its mask, its seconds, and what it printed."""
        given = os.path.join(self.folder, "outlines.nii.gz")
        nibabel.save(nibabel.Nifti1Image(outlines.astype(numpy.uint8), nibabel.load(self.case.image).affine), given)
        began = time.time()
        command = self.command + ["--annotations", given]
        command += ["--accept", ",".join(str(index + 1) for index in accepted)] if accepted else []
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"{shlex.join(command)} failed:\n{ended.stderr[-2000:]}")
        return numpy.asanyarray(nibabel.load(self.mask).dataobj) > 0, time.time() - began, ended.stdout


def measure(options, text, seed):
    case = Case(text)
    truth, count = case.truth, case.truth.shape[2]
    shown = int(truth.any((0, 1)).sum())
    each = lambda mask: [dice(mask[:, :, index], truth[:, :, index]) for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        session = Session(options.program, case, seed, folder)
        theirs = spread(truth, options.slices)
        outlines = numpy.zeros_like(truth)
        outlines[:, :, theirs] = truth[:, :, theirs]
        mask, seconds, _ = session.round(outlines)
        rounds = [{"round": 1, "volume": dice(mask, truth), "seconds": seconds, "outlined": theirs}]
        for number in range(2, options.rounds + 2):
            scores = each(mask)
            open_slices = [index for index in range(count) if index not in theirs and scores[index] < 1]
            worst = sorted(open_slices, key=lambda index: scores[index])[: min(MOST, max(1, round(CORRECTED * shown)))]
            if not worst:
                break
            corrected = mask.copy()
            corrected[:, :, worst] = truth[:, :, worst]
            found = [index for index in open_slices if index not in worst and mask[:, :, index].any()]
            accepted = sorted(found, key=lambda index: -scores[index])[: options.accept]
            renewed, seconds, printed = session.round(corrected, accepted)
            theirs = sorted(theirs + worst + accepted)
            # Slices without the structure and without a mask would only hide what falls.
            untouched = [i for i in range(count) if i not in theirs and (truth[:, :, i].any() or mask[:, :, i].any() or renewed[:, :, i].any())]
            after = each(renewed)
            falls = {index: scores[index] - after[index] for index in untouched}
            lowest = max(falls, key=falls.get, default=None)
            rounds.append({
                "round": number,
                "corrected": sorted(worst),
                "accepted": sorted(accepted),
                "volume": dice(renewed, truth),
                "volume_fall": dice(mask, truth) - dice(renewed, truth),
                "untouched_before": float(numpy.mean([scores[i] for i in untouched])) if untouched else None,
                "untouched_after": float(numpy.mean([after[i] for i in untouched])) if untouched else None,
                "largest_fall": falls[lowest] if untouched else 0.0,
                "largest_fall_slice": lowest,
                "changed": int(sum((mask[:, :, i] != renewed[:, :, i]).any() for i in untouched)),
                "untouched": len(untouched),
                "seconds": seconds,
                "printed": printed,
            })
            mask = renewed
        return {"case": os.path.basename(case.folder), "structure": case.name, "seed": seed, "slices": options.slices, "rounds": rounds}


def show(result):
    for entry in result["rounds"]:
        line = f"{result['case']:24} {result['structure']:12} seed {result['seed']} round {entry['round']}: volume {entry['volume']:.4f}"
        if entry["round"] > 1 and entry["untouched"]:
            line += f" untouched {entry['untouched_before']:.4f} -> {entry['untouched_after']:.4f}, largest fall {entry['largest_fall']:.4f}"
            line += f" (slice {entry['largest_fall_slice'] + 1}), {entry['changed']} of {entry['untouched']} changed"
        print(f"{line}, {entry['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="CASE")
    parser.add_argument("--program", default="sam-med annotate", help='the program and its options, such as "sam-med annotate --cache DIR"')
    parser.add_argument("--slices", type=int, default=5, help="outlined slices of the first round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of corrections")
    parser.add_argument("--accept", type=int, default=0, metavar="N", help="also accept the N best slices in each round")
    parser.add_argument("--seeds", default="0", help="seeds, such as 0,1,2")
    parser.add_argument("--out", help="file for the results")
    options = parser.parse_args()
    results = []
    for text in options.cases:
        for seed in options.seeds.split(","):
            results.append(measure(options, text, int(seed)))
            show(results[-1])
            if options.out:
                with open(options.out + ".part", "w") as file:
                    json.dump(results, file, indent=1)
                os.replace(options.out + ".part", options.out)
