"""Writes `fewshot.safetensors` with all that `subset.py` cuts down: PANet's episodes, positions and losses.

    git clone https://github.com/kaixin96/PANet && git -C PANet checkout 1695bf37c2f7585323e09cfcfb3bef8d4fff1b86
    git clone https://github.com/facebookresearch/segment-anything
    git -C segment-anything checkout dca509fe793f601edb92606367a655c15ac00fdf
    pip install numpy==2.4.6 safetensors==0.8.0 torch==2.15.0 torchvision==0.29.2
    python generate_fewshot.py PANet segment-anything FOLDER [--seed 0] [--inputs FILE]
    python subset.py FOLDER/fewshot.safetensors

PANet's encoder is replaced with AvgPool2d(4), so features are pooled images. With --inputs, images, masks and logits are those of an
older file instead of random ones, and what is computed from them is compared with what is stored there: so a new version of torch is
checked. `subset.py` names the tensors.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

SIDE, CHANNELS, SHOTS, QUERIES = 32, 8, 2, 2


def disc(generator, side=SIDE):
    """A mask of one round object."""
    y, x = np.mgrid[:side, :side]
    row, column, radius = generator.uniform(8, side - 8, 2).tolist() + [generator.uniform(4, 8)]
    return torch.as_tensor((y - row) ** 2 + (x - column) ** 2 < radius**2).float()


def inputs(seed):
    generator = np.random.default_rng(seed)
    noise = lambda *shape: torch.as_tensor(generator.standard_normal(shape), dtype=torch.float32)
    tensors = {"map.fts": noise(1, CHANNELS, 8, 8), "map.mask": disc(generator)[None], "dist.fts": noise(2, CHANNELS, 8, 8)}
    for ways in (1, 2):
        foreground = torch.stack([torch.stack([disc(generator) for _ in range(SHOTS)]) for _ in range(ways)])
        any_way = foreground.amax(0, keepdim=True)
        labels = torch.zeros(QUERIES, SIDE, SIDE)
        for way in range(ways):
            for query in range(QUERIES):
                labels[query][disc(generator) > 0] = way + 1
        own = noise(ways, 1, CHANNELS, 1, 1)
        support = noise(ways, SHOTS, CHANNELS, SIDE, SIDE) + 2 * own * foreground[:, :, None]
        of_label = torch.cat([torch.zeros(1, CHANNELS), own[:, 0, :, 0, 0]])
        query = noise(QUERIES, CHANNELS, SIDE, SIDE) + 2 * of_label[labels.long()].permute(0, 3, 1, 2)
        tensors |= {f"w{ways}.fore_mask": foreground, f"w{ways}.back_mask": (1 - any_way).expand(ways, -1, -1, -1)}
        tensors |= {f"w{ways}.support": support, f"w{ways}.query": query, f"w{ways}.query_label": labels}
    tensors["pe.gaussian_matrix"] = noise(2, CHANNELS)
    tensors |= {"loss.logits": 2 * noise(1, 1, SIDE, SIDE), "loss.gt": disc(generator)[None, None]}
    return tensors


def network(checkout):
    sys.path.insert(0, str(checkout))
    from models.fewshot import FewShotSeg

    model = FewShotSeg(in_channels=CHANNELS, cfg={"align": True})
    model.encoder = torch.nn.AvgPool2d(4)
    return model.train()


def episode(model, given, ways):
    """Logits, prototypes, losses and gradients."""
    name = lambda what: f"w{ways}.{what}"
    support = given[name("support")].clone().requires_grad_(True)
    query = given[name("query")].clone().requires_grad_(True)
    lists = lambda tensor: [[tensor[way, shot][None] for shot in range(SHOTS)] for way in range(ways)]
    foreground, background = given[name("fore_mask")], given[name("back_mask")]
    # One episode, whose queries are PANet's list.
    logits, align = model(lists(support), lists(foreground), lists(background), [part[None] for part in query])
    ce = F.cross_entropy(logits, given[name("query_label")].long())
    (ce + align).backward()
    pooled = lambda masks: [
        [model.getFeatures(model.encoder(support[way, shot][None]), masks[way, shot][None]) for shot in range(SHOTS)]
        for way in range(ways)
    ]
    foregrounds, background = model.getPrototype(pooled(foreground), pooled(background))
    return {
        name("output_logits"): logits,
        name("fg_prototypes"): torch.cat(foregrounds),
        name("bg_prototype"): background,
        name("query_ce"): ce.reshape(1),
        name("align_loss"): align.reshape(1),
        name("total_loss"): (ce + align).reshape(1),
        name("grad_support"): support.grad,
        name("grad_query"): query.grad,
    }


def parts(model, given):
    """Pooling, distance, interpolation."""
    features = given["map.fts"].clone().requires_grad_(True)
    prototype = model.getFeatures(features, given["map.mask"])
    prototype.square().sum().backward()
    return {
        "map.prototype": prototype,
        "map.grad_fts_of_sum_sq": features.grad,
        "dist.out_scaler20": model.calDist(given["dist.fts"], prototype.detach()),
        "interp.up": F.interpolate(given["map.fts"], size=(SIDE, SIDE), mode="bilinear", align_corners=False),
    }


def positions(checkout, given):
    sys.path.insert(0, str(checkout))
    from segment_anything.modeling.prompt_encoder import PositionEmbeddingRandom

    encoding = PositionEmbeddingRandom(CHANNELS)
    encoding.positional_encoding_gaussian_matrix.copy_(given["pe.gaussian_matrix"])
    return {"pe.grid_6x9": encoding((6, 9))}


def losses(given):
    """Our reading of the paper's Eq. 7, which has no public code."""
    shares, truth, smooth = torch.sigmoid(given["loss.logits"]), given["loss.gt"], 1e-5
    hits, false, missed = (shares * truth).sum(), (shares * (1 - truth)).sum(), ((1 - shares) * truth).sum()
    return {
        f"loss.bias_dice_beta{beta}": (1 - (2 * hits + smooth) / (2 * hits + beta * false + missed + smooth)).reshape(1)
        for beta in (1, 2, 5)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panet", type=Path)
    parser.add_argument("segment_anything", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored = load_file(options.inputs) if options.inputs else {}
    given = inputs(options.seed)
    if stored:
        given = {name: stored[name].float() for name in given}
    model = network(options.panet)
    found = parts(model, given) | episode(model, given, 1) | episode(model, given, 2) | losses(given)
    with torch.no_grad():
        found |= positions(options.segment_anything, given)
    found = {name: value.detach().contiguous() for name, value in found.items()}
    options.folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in given.items()} | found, options.folder / "fewshot.safetensors")
    for name, value in sorted(found.items()):
        if name in stored:
            off = (value - stored[name]).abs().max() / stored[name].abs().max()
            print(f"{name}: {off:.1e} of its scale off the stored tensor")


if __name__ == "__main__":
    main()
