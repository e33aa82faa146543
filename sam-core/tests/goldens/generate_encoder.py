"""Writes `vit_odd.safetensors`: segment-anything's image encoder at odd grids, windows and batches.

    pip install segment-anything==1.0 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 safetensors==0.8.0
    python generate_encoder.py [FOLDER]

FOLDER is this script's own unless it is given. segment-anything 1.0 is facebookresearch's code. Every parameter is drawn
at random, the ones that start at zero (positions, biases) too. Seeded, on one thread of a CPU.

Case K of `CASES` is stored as

    case.K.weights.NAME    parameters, by their official names
    case.K.input           [images, 3, img_size, img_size]
    case.K.patch_embed     [images, grid, grid, embed_dim], before positions are added
    case.K.block.I         [images, grid, grid, embed_dim], after block I
    case.K.output          [images, out_chans, grid, grid]

and the file's metadata hold, under `cases`, a JSON list of what the encoders were built with, in the same order: each
has a `name`, all of `COMMON` and what its case changes.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT

COMMON = {"patch_size": 4, "embed_dim": 32, "depth": 1, "num_heads": 2, "mlp_ratio": 1, "out_chans": 16}
COMMON |= {"qkv_bias": True, "use_abs_pos": True, "use_rel_pos": True, "layer_norm_eps": 1e-6}
COMMON |= {"images": 1, "window_size": 0, "global_attn_indexes": []}

CASES = [
    # 7 x 7 tokens: the last of 3 x 3 windows are padded by 2 rows and columns.
    {"name": "padded_windows", "img_size": 28, "images": 2, "depth": 2, "num_heads": 4, "mlp_ratio": 2}
    | {"window_size": 3, "global_attn_indexes": [1]},
    # 5 x 5 tokens in one window of just that size: nothing is padded, and a global block has tables of the same length.
    {"name": "one_exact_window", "img_size": 20, "depth": 2, "window_size": 5, "global_attn_indexes": [0]},
    # 5 x 5 tokens and a window of 7: a single window, wider than the image; channels that are no power of 2.
    {"name": "window_beyond_the_image", "img_size": 20, "embed_dim": 40, "num_heads": 5, "window_size": 7},
    # 3 x 3 tokens, all attention global, larger patches.
    {"name": "global_only", "img_size": 24, "patch_size": 8, "images": 3, "global_attn_indexes": [0]},
]


def build(config):
    chosen = {name: value for name, value in config.items() if name not in ("name", "images", "layer_norm_eps")}
    encoder = ImageEncoderViT(norm_layer=partial(torch.nn.LayerNorm, eps=config["layer_norm_eps"]), **chosen)
    for name, parameter in encoder.named_parameters():
        drawn = torch.randn(parameter.shape)
        if parameter.dim() == 1:
            # Norms stay near one, biases near zero.
            drawn = drawn * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        elif "pos" in name:
            drawn *= 0.3
        else:
            # Each output is then about as large as the inputs.
            drawn *= parameter[0].numel() ** -0.5
        parameter.data = drawn
    return encoder.eval()


@torch.no_grad()
def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    tensors, cases = {}, []
    for index, case in enumerate(CASES):
        torch.manual_seed(index)
        config = COMMON | case
        cases.append(config)
        encoder = build(config)
        seen = {}
        parts = {"patch_embed": encoder.patch_embed} | {f"block.{i}": block for i, block in enumerate(encoder.blocks)}
        for name, part in parts.items():
            part.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
        seen["input"] = torch.randn(config["images"], 3, config["img_size"], config["img_size"])
        start = time.perf_counter()
        seen["output"] = encoder(seen["input"])
        seconds = time.perf_counter() - start
        seen |= {f"weights.{name}": parameter.data for name, parameter in encoder.named_parameters()}
        tensors |= {f"case.{index}.{name}": value.contiguous() for name, value in seen.items()}
        spread = {name: round(value.std().item(), 2) for name, value in seen.items() if not name.startswith("weights.")}
        print(f"{index} {config['name']}: {seconds * 1e3:.1f} ms, standard deviations {spread}")
    save_file(tensors, folder / "vit_odd.safetensors", metadata={"cases": json.dumps(cases)})


if __name__ == "__main__":
    main()
