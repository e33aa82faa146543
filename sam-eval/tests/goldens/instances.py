"""Makes labelled images and what others say of them.

    pip install monai==1.6.1 numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
    pip install --no-deps cellseg-models-pytorch==0.2.0
    python instances.py

Writes instances.safetensors (`caseNN.pred` and `caseNN.gt`, u8) and instances.json beside this script. monai says the counts and PQ
above an IoU of 0.5 and 0.7; of cellseg-models-pytorch the `metrics` alone are used.

The aggregated Jaccard index is algorithm 1 of Kumar et al. (2017), written down below element by element. cellseg-models-pytorch takes the
predicted object of largest intersection instead of largest IoU; where both choose the same, and without ties, it must agree.
"""

import json
import pathlib

import numpy
import torch
from cellseg_models_pytorch.metrics.functional import aggregated_jaccard_index
from monai.metrics.panoptic_quality import compute_panoptic_quality
from safetensors.numpy import save_file

SIDE = 32
THRESHOLDS = (0.5, 0.7)


def discs(circles):
    """Labels of discs (row, column, radius), later ones above; some may be covered whole, so that numbers are left out."""
    rows, columns = numpy.mgrid[:SIDE, :SIDE]
    labels = numpy.zeros((SIDE, SIDE), numpy.uint8)
    for label, (row, column, radius) in enumerate(circles, 1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 3 * label
    return labels


def pair(seed):
    random = numpy.random.default_rng(seed)
    circles = random.uniform((0, 0, 3), (SIDE, SIDE, 7), (random.integers(2, 9), 3))
    kept = circles[random.random(len(circles)) < 0.85] + random.normal(0, 0.6, 3)
    made_up = random.uniform((0, 0, 2), (SIDE, SIDE, 5), (random.integers(0, 3), 3))
    truth, prediction = discs(circles), discs(numpy.concatenate([kept, made_up]))
    present = numpy.unique(prediction)[1:]
    if seed % 3 == 0 and len(present) > 1:  # Two objects in one.
        prediction[prediction == present[0]] = present[-1]
    if seed % 3 == 1:  # One object in two.
        prediction[16:][prediction[16:] == present[-1]] = 200
    return prediction, truth


def kumar(prediction, truth):
    """The index, and whether the largest intersection would choose the same."""
    predicted, used, same, both, either = numpy.unique(prediction[prediction > 0]), set(), True, 0, 0
    for label in numpy.unique(truth[truth > 0]):
        mask = truth == label
        intersections = numpy.array([(mask & (prediction == other)).sum() for other in predicted])
        unions = numpy.array([(mask | (prediction == other)).sum() for other in predicted])
        if intersections.sum() == 0:
            either += mask.sum()
            continue
        best = numpy.argmax(intersections / unions)
        same &= (intersections == intersections.max()).sum() == 1 and intersections[best] == intersections.max()
        used.add(predicted[best])
        both, either = both + intersections[best], either + unions[best]
    either += sum((prediction == label).sum() for label in predicted if label not in used)
    return both / either, bool(same)


if __name__ == "__main__":
    here, arrays, expected, agreed = pathlib.Path(__file__).parent, {}, [], 0
    cases = [pair(seed) for seed in range(10)]
    cases += [(cases[0][0], numpy.zeros_like(cases[0][0])), (numpy.zeros_like(cases[0][0]), cases[0][1])]
    for case, (prediction, truth) in enumerate(cases):
        arrays |= {f"case{case:02}.pred": prediction, f"case{case:02}.gt": truth}
        index, same = kumar(prediction, truth)
        if same and prediction.any() and truth.any():
            assert abs(aggregated_jaccard_index(truth, prediction) - index) < 1e-8, case
            agreed += 1
        entry = {"case": case, "aji": float(index), "monai": []}
        for threshold in THRESHOLDS:
            tensors = torch.from_numpy(prediction.astype(int)), torch.from_numpy(truth.astype(int))
            counts = compute_panoptic_quality(*tensors, match_iou_threshold=threshold, output_confusion_matrix=True).tolist()
            quality = [
                compute_panoptic_quality(*tensors, metric_name=name, match_iou_threshold=threshold).item()
                for name in ("pq", "sq", "rq")
            ]
            entry["monai"].append({"threshold": threshold, "counts": counts, "pq_sq_rq": quality})
        expected.append(entry)
    save_file(arrays, here / "instances.safetensors")
    (here / "instances.json").write_text("[\n" + ",\n".join(map(json.dumps, expected)) + "\n]\n")
    print(f"{len(cases)} cases; cellseg-models-pytorch agrees on the {agreed} where it must")
