"""Copies what the tests of this crate need from a folder of reference tensors to the folder of this script.

    python subset.py FOLDER

FOLDER holds the outputs of facebookresearch/segment-anything dca509f: its own modules in a small configuration (image 128, ViT
of 4 blocks of 64 channels, 4 heads in the decoder) with random weights, as `generate_official.py` beside this script writes them. Nothing is computed here;
large maps are thinned to every third row and column, images of whole numbers are stored as bytes.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

SOURCE = Path(sys.argv[1])
TARGET = Path(__file__).parent

ENCODER = ["enc.after_pos_embed", "enc.block0", "enc.neck", "enc.block0.attn_windowed"]
RELATIVE = ["relpos.table", "relpos.same", "relpos.interp_q5_k5", "relpos.interp_q20_k20", "relpos.q6_k3"]
# Without a mask, `dense` is one embedding at every cell; with one, it depends on the mask alone.
PROMPTS = ["in.boxes", "in.labels", "in.masks", "in.points", "dense_pe", "boxes.dense", "masks.dense"]
PROMPTS += [f"{name}.sparse" for name in ("boxes", "points", "points_boxes", "points_masks", "points_boxes_masks")]
DECODED = [("points", "single"), ("points", "multi"), ("boxes", "single")]
DECODED += [("points_boxes_masks", "single"), ("points_boxes_masks", "multi")]
PREDICTED = ["points_multi", "points_single", "box_single", "points_box_single", "points_maskinput_single"]
POINTS = ["pred.point_coords", "pred.point_labels", "pred.box", "pred.features", "coords", "coords_out", "boxes", "boxes_out"]


def save(name, tensors):
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, TARGET / f"{name}.safetensors")


def main():
    weights = load_file(SOURCE / "sam_tiny.safetensors")
    blocks = {key for key in weights if key.startswith("image_encoder.blocks.")}
    save("sam_tiny_encoder", {key: weights[key] for key in blocks})
    save("sam_tiny_rest", {key: weights[key] for key in weights.keys() - blocks})

    encoder = load_file(SOURCE / "encoder.safetensors")
    save("encoder", {key: encoder[key] for key in ENCODER + RELATIVE})

    prompts = load_file(SOURCE / "prompt_encoder.safetensors")
    save("prompt_encoder", {key: prompts[key] for key in PROMPTS})

    decoder = load_file(SOURCE / "mask_decoder.safetensors")
    parts = [f"{name}.{output}.{part}" for name, output in DECODED for part in ("low_res", "iou")]
    save("mask_decoder", {key: decoder[key] for key in parts})

    predictor = load_file(SOURCE / "predictor.safetensors")
    kept = {key: predictor[key] for key in POINTS + [f"preprocess_shape_case{case}" for case in range(4)]}
    for name in PREDICTED:
        kept[f"pred.{name}.iou"] = predictor[f"pred.{name}.iou"]
        kept[f"pred.{name}.low_res"] = predictor[f"pred.{name}.low_res"]
        kept[f"pred.{name}.logits"] = predictor[f"pred.{name}.logits"][:, ::3, ::3]
    for name in ("raw_image_u8", "apply_image_pil"):
        kept[name] = predictor[name].astype(np.uint8)
    kept["preprocessed"] = predictor["preprocessed"][:, :, ::3, ::3]
    kept["postprocess.in_low_res"] = predictor["postprocess.in_low_res"][:1, :1]
    kept["postprocess.out"] = predictor["postprocess.out"][:, :1, ::3, ::3]
    save("predictor", kept)

    for name in ("ckpt_nested.pth", "ckpt_legacy_format.pth", "ckpt_half.pth"):
        shutil.copyfile(SOURCE / name, TARGET / name)


if __name__ == "__main__":
    main()
