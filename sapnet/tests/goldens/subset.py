"""Takes the tensors this crate is held against from a file of reference outputs, at the size the features have.

    python subset.py FEWSHOT.safetensors

FEWSHOT is written by `generate_fewshot.py` with kaixin96/PANet 1695bf3, `models/fewshot.py`, on torch for CPU, its encoder replaced with
AvgPool2d(4), so that features are pooled images:

- map.*   masked average pooling of `fts` under `mask`: `prototype`, and the gradient of the sum of its squares
- dist.*  `calDist` of `fts` and map.prototype, scale 20
- interp.up  map.fts through F.interpolate(mode="bilinear", align_corners=False)
- wN.*    an N-way, 2-shot, 2-query episode: masks, labels, prototypes, logits at image size, losses, and the gradients
          of (cross-entropy of the query + align_loss) with respect to the images
- pe.*    PositionEmbeddingRandom of facebookresearch/segment-anything dca509f on a grid of 6 rows and 9 columns
- loss.*  sigmoid(logits) against gt: bias_dice_betaB = 1 - (2 TP + e) / (2 TP + B FP + FN + e), e = 1e-5,
          which is how we read the paper, not its code

Images are stored here as the features that AvgPool2d(4) makes of them, and the gradients as those with respect to these
features: a feature passes a 16th of its gradient to each of its 16 pixels, so it is their sum. Masks are stored as u8.
Writes fewshot.safetensors beside this script. Needs numpy and safetensors.
"""

import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

POOL = 4


def blocks(images):
    *batch, height, width = images.shape
    return images.reshape(*batch, height // POOL, POOL, width // POOL, POOL)


def features(images):
    return blocks(images.astype(np.float64)).mean((-1, -3)).astype(np.float32)


def gradient(images):
    return blocks(images.astype(np.float64)).sum((-1, -3)).astype(np.float32)


def as_is(tensor):
    return tensor


def small(labels):
    assert (labels == labels.astype(np.uint8)).all()
    return labels.astype(np.uint8)


KEEP = {
    "map.fts": as_is,
    "map.mask": small,
    "map.prototype": as_is,
    "map.grad_fts_of_sum_sq": as_is,
    "dist.fts": as_is,
    "dist.out_scaler20": as_is,
    "interp.up": as_is,
    "pe.gaussian_matrix": as_is,
    "pe.grid_6x9": as_is,
    "loss.logits": as_is,
    "loss.gt": small,
    "loss.bias_dice_beta1": as_is,
    "loss.bias_dice_beta2": as_is,
    "loss.bias_dice_beta5": as_is,
}
for episode in ("w1", "w2"):
    KEEP |= {
        f"{episode}.support": features,
        f"{episode}.fore_mask": small,
        f"{episode}.back_mask": small,
        f"{episode}.query": features,
        f"{episode}.query_label": small,
        f"{episode}.fg_prototypes": as_is,
        f"{episode}.bg_prototype": as_is,
        f"{episode}.output_logits": as_is,
        f"{episode}.query_ce": as_is,
        f"{episode}.align_loss": as_is,
        f"{episode}.grad_support": gradient,
        f"{episode}.grad_query": gradient,
    }

source = load_file(sys.argv[1])
kept = {name: np.ascontiguousarray(change(source[name])) for name, change in KEEP.items()}
save_file(kept, pathlib.Path(__file__).with_name("fewshot.safetensors"))
