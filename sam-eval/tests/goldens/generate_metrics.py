"""Writes masks and what MONAI, medpy and surface-distance measure on them: what `subset.py` cuts down.

    pip install medpy==0.5.2 monai==1.6.1 numpy==2.4.6 safetensors==0.8.0 surface-distance==0.1 torch==2.15.0
    python generate_metrics.py FOLDER [--seed 0] [--inputs MASKS.safetensors METRICS.json]
    python subset.py FOLDER/metric_masks.safetensors FOLDER/metrics.json

With --inputs, the masks and spacings are those of older files instead of random ones, and every value is compared with the one stored
there.

Source: project-monai/monai 1.6.1 (monai_*), loli/medpy 0.5.2 (medpy_*), google-deepmind/surface-distance 0.1 (dm_*). Distances are in
millimetres; a case with an empty mask has none.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import surface_distance
import torch
from medpy.metric import binary
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from safetensors.numpy import load_file, save_file

PLANE, THIN, VOLUME = ((40, 52), (1.0, 1.0)), ((33, 47), (0.8, 1.7)), ((12, 24, 30), (2.5, 0.9, 0.9))


def blob(generator, shape):
    """A smooth random object."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    mask = np.zeros(shape, bool)
    for _ in range(int(generator.integers(1, 4))):
        center = generator.uniform(-0.5, 0.5, len(shape)).reshape(-1, *[1] * len(shape))
        radius = generator.uniform(0.2, 0.5, len(shape)).reshape(-1, *[1] * len(shape))
        mask |= (((grid - center) / radius) ** 2).sum(0) < 1
    return mask


def masks(seed):
    """Pairs of ordinary objects, then the edges: one empty, both empty, identical, one element, disjoint, full."""
    generator = np.random.default_rng(seed)
    cases = []
    for (shape, spacing), count in [(PLANE, 8), (THIN, 4), (VOLUME, 12)]:
        for index in range(count):
            truth = blob(generator, shape)
            shifted = np.roll(truth, int(generator.integers(1, 4)), axis=index % len(shape))
            cases.append((shifted if index % 2 == 0 else blob(generator, shape), truth, spacing))
    for shape in [(20, 22), (6, 8, 9)]:
        spacing, empty, full = (1.0,) * len(shape), np.zeros(shape, bool), np.ones(shape, bool)
        one, far = empty.copy(), empty.copy()
        one[(2,) * len(shape)], far[(-2,) * len(shape)] = True, True
        pairs = [(empty, one), (one, empty), (empty, empty), (one, one), (one, far), (full, one)]
        cases += [(pred, truth, spacing) for pred, truth in pairs]
    return cases


def one_hot(mask):
    return torch.as_tensor(mask)[None, None].float()


def monai(pred, truth, spacing):
    both = {"y_pred": one_hot(pred), "y": one_hot(truth), "include_background": True, "spacing": spacing}
    nsd = lambda tolerance, subvoxel: compute_surface_dice(**both, class_thresholds=[tolerance], use_subvoxels=subvoxel)
    found = {
        "monai_hd": compute_hausdorff_distance(**both),
        "monai_hd95": compute_hausdorff_distance(**both, percentile=95),
        "monai_assd": compute_average_surface_distance(**both, symmetric=True),
    }
    for tolerance in (1, 2):
        found[f"monai_nsd_t{tolerance}"] = nsd(float(tolerance), False)
        found[f"monai_nsd_subvoxel_t{tolerance}"] = nsd(float(tolerance), True)
    return {name: float(value) for name, value in found.items()}


def medpy(pred, truth, spacing):
    return {
        "medpy_hd": binary.hd(pred, truth, spacing),
        "medpy_hd95": binary.hd95(pred, truth, spacing),
        "medpy_assd": binary.assd(pred, truth, spacing),
        "medpy_asd_pred_to_gt": binary.asd(pred, truth, spacing),
    }


def deepmind(pred, truth, spacing):
    distances = surface_distance.compute_surface_distances(truth, pred, spacing)
    to_pred, to_truth = surface_distance.compute_average_surface_distance(distances)
    return {
        "dm_hd95": surface_distance.compute_robust_hausdorff(distances, 95),
        "dm_hd100": surface_distance.compute_robust_hausdorff(distances, 100),
        "dm_asd_gt_to_pred": to_pred,
        "dm_asd_pred_to_gt": to_truth,
        "dm_nsd_t1": surface_distance.compute_surface_dice_at_tolerance(distances, 1),
        "dm_nsd_t2": surface_distance.compute_surface_dice_at_tolerance(distances, 2),
    }


def measured(case, pred, truth, spacing):
    both, either = int((pred & truth).sum()), int((pred | truth).sum())
    entry = {"case": case, "shape": list(pred.shape), "spacing": list(spacing)}
    entry |= {"pred_sum": int(pred.sum()), "gt_sum": int(truth.sum())}
    entry["dice"] = 2 * both / int(pred.sum() + truth.sum()) if either else None
    entry["iou"] = both / either if either else None
    if pred.any() and truth.any():
        for measure in (medpy, monai, deepmind):
            entry |= {name: float(value) for name, value in measure(pred, truth, spacing).items()}
    return entry


def compare(found, stored):
    """Prints the largest difference of each measure."""
    off = {}
    for entry, before in zip(found, stored, strict=True):
        for name in entry.keys() & before.keys() - {"shape", "spacing"}:
            values = (entry[name], before[name])
            difference = 0.0 if values[0] == values[1] else abs(np.subtract(*values)) if None not in values else np.inf
            off[name] = max(off.get(name, 0.0), float(difference))
    for name, difference in sorted(off.items()):
        print(f"{name}: {difference:.1e} off the stored value at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=Path, nargs=2)
    options = parser.parse_args()
    stored = []
    if options.inputs:
        tensors, stored = load_file(options.inputs[0]), json.loads(options.inputs[1].read_text())
        pair = lambda case: [tensors[f"case{case:02}.{kind}"].astype(bool) for kind in ("pred", "gt")]
        cases = [(*pair(entry["case"]), tuple(entry["spacing"])) for entry in stored]
    else:
        cases = masks(options.seed)
    found = [measured(case, *pair) for case, pair in enumerate(cases)]
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "metrics.json").write_text(json.dumps(found, indent=1) + "\n")
    pairs = {f"case{case:02}": pair for case, pair in enumerate(cases)}
    kinds = {f"{name}.{kind}": mask for name, pair in pairs.items() for kind, mask in zip(("pred", "gt"), pair)}
    save_file({name: mask.astype(np.uint8) for name, mask in kinds.items()}, options.folder / "metric_masks.safetensors")
    if stored:
        compare(found, stored)


if __name__ == "__main__":
    main()
