"""Writes reference tensors of segment-anything's own modules, small and with random weights, for `parity` and for the tests.

    git clone https://github.com/facebookresearch/segment-anything
    git -C segment-anything checkout dca509fe793f601edb92606367a655c15ac00fdf
    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python generate_official.py segment-anything FOLDER [--seed 1234] [--grid 8] [--window 3] [--heads 4] [--image 90x117]
    venv/bin/python generate_official.py segment-anything FOLDER --inputs OLDER

With --inputs, configuration, weights and inputs are those of an older folder, and every output is compared with the one stored there:
so a new version of torch, or of this script, is checked. FOLDER gets

    sam_tiny_config.json            the sizes of the model, which `parity` reads
    sam_tiny.pth, .safetensors      its weights, every parameter drawn at random, the ones that start at zero too
    ckpt_nested.pth, ckpt_legacy_format.pth, ckpt_half.pth
                                    the prompt encoder's weights as other programs save them
    encoder.safetensors             the image encoder, step by step, and its relative positions
    prompt_encoder.safetensors      combinations of points, boxes and masks
    mask_decoder.safetensors        their masks, and the steps of the transformer
    predictor.safetensors           ResizeLongestSide, Sam.preprocess, postprocess_masks, and SamPredictor on an image that need not be
                                    square
    prompt_learning.safetensors     three steps of Adam on the prompt encoder, through the frozen decoder

The goldens in this repository came from an earlier script, which drew other random numbers; `subset.py` cuts them down. From their inputs
this script computes every tensor to the bit. Runs on a CPU, on two threads: their number changes the last bits.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

COMMIT = "dca509fe793f601edb92606367a655c15ac00fdf"
COMBINATIONS = ["points", "boxes", "masks", "points_boxes", "points_masks", "points_boxes_masks"]


# The tensors of an older folder, by file and name; inputs are taken from here where they are.
STORED = {}


def given(file, name, make):
    """An input of an older folder, or a new one."""
    stored = STORED.get(file, {})
    return stored[name] if name in stored else make()


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help=f"segment-anything at {COMMIT}")
    parser.add_argument("folder", type=Path, help="where the reference tensors go")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--grid", type=int, default=8, help="side of the embedding, in cells of 16 pixels")
    parser.add_argument("--window", type=int, default=3, help="side of a window, in cells")
    parser.add_argument("--heads", type=int, default=4, help="of the encoder and of the decoder")
    parser.add_argument("--image", default="90x117", help="HEIGHTxWIDTH of the predictor's image")
    parser.add_argument("--inputs", type=Path, help="a folder of reference tensors whose inputs to use, and to compare with")
    return parser.parse_args()


def configuration(chosen):
    """The sizes of the model, under the names that `parity` reads."""
    height, width = (int(side) for side in chosen.image.lower().split("x"))
    return {
        "seed": chosen.seed,
        "img_size": 16 * chosen.grid,
        "patch": 16,
        "embed_dim": 64,
        "depth": 4,
        "heads": chosen.heads,
        "out_chans": 32,
        "window": chosen.window,
        "glob": [1, 3],
        "mask_in_chans": 16,
        "dec_depth": 2,
        "mlp_dim": 64,
        "dec_heads": chosen.heads,
        "iou_depth": 3,
        "iou_hidden": 40,
        "orig": [height, width],
        "pixel_mean": [123.675, 116.28, 103.53],
        "pixel_std": [58.395, 57.12, 57.375],
    }


def build(config):
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    size, channels = config["img_size"], config["out_chans"]
    grid = size // config["patch"]
    encoder = ImageEncoderViT(
        img_size=size,
        patch_size=config["patch"],
        embed_dim=config["embed_dim"],
        depth=config["depth"],
        num_heads=config["heads"],
        out_chans=channels,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=config["window"],
        global_attn_indexes=config["glob"],
    )
    prompts = PromptEncoder(channels, (grid, grid), (size, size), config["mask_in_chans"])
    transformer = TwoWayTransformer(config["dec_depth"], channels, config["dec_heads"], config["mlp_dim"])
    decoder = MaskDecoder(
        transformer_dim=channels,
        transformer=transformer,
        iou_head_depth=config["iou_depth"],
        iou_head_hidden_dim=config["iou_hidden"],
    )
    sam = Sam(encoder, prompts, decoder, config["pixel_mean"], config["pixel_std"])
    for name, values in sam.state_dict().items():
        if name in ("pixel_mean", "pixel_std"):
            continue
        if "norm" in name.split(".")[-2] and name.endswith("weight") or name.startswith("image_encoder.neck") and values.dim() == 1:
            drawn = 1.0 * name.endswith("weight") + 0.2 * torch.randn(values.shape)
        elif name.endswith("bias"):
            drawn = 0.1 * torch.randn(values.shape)
        elif "pos" in name.split(".")[-1] and "gaussian" not in name:
            drawn = 0.3 * torch.randn(values.shape)
        elif "gaussian" in name:
            drawn = torch.randn(values.shape)
        elif values.dim() == 2 and values.shape[0] <= 4:
            # Embeddings of points, boxes and tokens.
            drawn = 0.5 * torch.randn(values.shape)
        else:
            drawn = torch.randn(values.shape) * (values[0].numel() ** -0.5) * 1.4
        values.copy_(given("sam_tiny", name, lambda drawn=drawn: drawn))
    return sam.eval()


def save(folder, name, tensors):
    tensors = {key: torch.as_tensor(value).detach().float().clone().contiguous() for key, value in tensors.items()}
    save_file(tensors, folder / f"{name}.safetensors")
    stored = STORED.get(name, {})
    if stored:
        off = {key: deviation(value, stored[key]) for key, value in tensors.items() if key in stored}
        worst = max(off, key=off.get)
        print(f"{name}: {len(off)} tensors compared, at most {off[worst]:.1e} of the scale off ({worst})")
        print("".join(f"    only in one folder: {key}\n" for key in sorted(stored.keys() ^ tensors.keys())), end="")


def deviation(found, stored):
    """The largest difference over the largest stored value."""
    if found.shape != stored.shape:
        return float("inf")
    return ((found - stored).abs().max() / stored.abs().max().clamp(min=1e-30)).item()


def save_weights(folder, sam, config):
    state = {name: value.clone() for name, value in sam.state_dict().items()}
    torch.save(state, folder / "sam_tiny.pth")
    save_file({name: value.contiguous() for name, value in state.items()}, folder / "sam_tiny.safetensors")
    (folder / "sam_tiny_config.json").write_text(json.dumps(config, indent=1) + "\n")
    prompts = {name: value for name, value in state.items() if name.startswith("prompt_encoder.")}
    torch.save({"model": prompts, "optimizer": {"state": {}, "lr": 1e-4}, "epoch": 3}, folder / "ckpt_nested.pth")
    torch.save(prompts, folder / "ckpt_legacy_format.pth", _use_new_zipfile_serialization=False)
    kinds = (torch.float16, torch.bfloat16)
    torch.save(
        {name: value.to(kinds[index % 2]) for index, (name, value) in enumerate(prompts.items())}, folder / "ckpt_half.pth"
    )


def encoder(sam, config):
    """The image encoder, step by step."""
    from segment_anything.modeling.image_encoder import get_rel_pos, window_partition, window_unpartition

    model, size, grid = sam.image_encoder, config["img_size"], config["img_size"] // config["patch"]
    seen = {"enc.input": given("encoder", "enc.input", lambda: torch.randn(1, 3, size, size))}
    seen["enc.patch_embed"] = model.patch_embed(seen["enc.input"])
    x = seen["enc.after_pos_embed"] = seen["enc.patch_embed"] + model.pos_embed
    first = model.blocks[0]
    seen["enc.block0.norm1"] = first.norm1(x)
    if first.window_size > 0:
        windows, padded = window_partition(seen["enc.block0.norm1"], first.window_size)
        seen["enc.block0.window_partition"] = windows
        seen["enc.block0.attn_windowed"] = first.attn(windows)
        seen["enc.block0.window_unpartition"] = window_unpartition(
            seen["enc.block0.attn_windowed"], first.window_size, padded, (grid, grid)
        )
    for index, block in enumerate(model.blocks):
        x = seen[f"enc.block{index}"] = block(x)
    seen["enc.neck"] = model(seen["enc.input"])
    table = given("encoder", "relpos.table", lambda: torch.randn(2 * grid - 1, 6))
    seen |= {"relpos.table": table, "relpos.same": get_rel_pos(grid, grid, table)}
    for queries, keys, kind in [(5, 5, "interp_q5_k5"), (20, 20, "interp_q20_k20"), (6, 3, "q6_k3")]:
        seen[f"relpos.{kind}"] = get_rel_pos(queries, keys, table)
    return seen


def prompt_inputs(config):
    """Two prompts of three points, of which the last is padding, two boxes and two masks."""
    size, grid = config["img_size"], config["img_size"] // config["patch"]
    points = torch.rand(2, 3, 2) * size
    points[0, 0], points[1, 2] = 0.0, size - 1.0
    boxes = torch.tensor([[0.1, 0.2, 0.7, 0.8], [0.0, 0.0, 0.999, 0.5]]) * size
    masks = 4 * F.interpolate(torch.randn(2, 1, grid, grid), scale_factor=4, mode="bilinear")
    made = {"in.points": points, "in.labels": torch.tensor([[1, 0, 1], [0, 1, -1]]), "in.boxes": boxes, "in.masks": masks}
    return {name: given("prompt_encoder", name, lambda value=value: value) for name, value in made.items()}


def embedded(sam, inputs, combination):
    points = (inputs["in.points"], inputs["in.labels"]) if "points" in combination else None
    boxes = inputs["in.boxes"] if "boxes" in combination else None
    masks = inputs["in.masks"] if "masks" in combination else None
    return sam.prompt_encoder(points, boxes, masks)


def prompt_encoder(sam, config):
    inputs = prompt_inputs(config)
    seen = inputs | {"dense_pe": sam.prompt_encoder.get_dense_pe()}
    size = (config["img_size"],) * 2
    seen["pe.coords"] = sam.prompt_encoder.pe_layer.forward_with_coords(inputs["in.points"], size)
    for name in COMBINATIONS:
        sparse, dense = embedded(sam, inputs, name)
        # Without masks, all maps are the same; where there are boxes, one is kept.
        seen[f"{name}.dense"] = dense[:1] if name in ("boxes", "points_boxes") else dense
        if sparse.shape[1] > 0:
            seen[f"{name}.sparse"] = sparse
    one = (inputs["in.points"][:1, :1], inputs["in.labels"][:1, :1])
    seen["one_point.sparse"], seen["one_point.dense"] = sam.prompt_encoder(one, None, None)
    return seen


def mask_decoder(sam, prompts, features):
    """The masks of all combinations, and the transformer's steps for the last."""
    decoder, positions = sam.mask_decoder, sam.prompt_encoder.get_dense_pe()
    seen = {"in.image_embedding": features}
    for name in COMBINATIONS:
        sparse, dense = embedded(sam, prompts, name)
        for output in ("multi", "single"):
            low_res, iou = decoder(features, positions, sparse, dense, multimask_output=output == "multi")
            seen |= {f"{name}.{output}.low_res": low_res, f"{name}.{output}.iou": iou}
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
    source = features.expand(len(tokens), -1, -1, -1) + dense
    flat = source.flatten(2).permute(0, 2, 1)
    positions = positions.expand(len(tokens), -1, -1, -1).flatten(2).permute(0, 2, 1)
    seen |= {"tf.src": source, "tf.tokens": tokens}
    queries, keys = tokens, flat
    for index, layer in enumerate(decoder.transformer.layers):
        queries, keys = layer(queries, keys, tokens, positions)
        seen |= {f"tf.layer{index}.queries": queries, f"tf.layer{index}.keys": keys}
    pe = sam.prompt_encoder.get_dense_pe().expand(len(tokens), -1, -1, -1)
    seen["tf.out.queries"], seen["tf.out.keys"] = decoder.transformer(source, pe, tokens)
    maps = seen["tf.out.keys"].transpose(1, 2).reshape(source.shape)
    seen["tf.upscaled"] = decoder.output_upscaling(maps)
    return seen


def picture(height, width):
    """A smooth image with an object and noise, `[height, width, 3]` of 8 bits."""
    y, x = np.mgrid[:height, :width]
    smooth = np.stack([60 + 80 * x / width, 70 + 60 * y / height, 100 + 50 * np.sin(x / 9.0) * np.cos(y / 7.0)], axis=-1)
    inside = ((y - 0.5 * height) / (0.3 * height)) ** 2 + ((x - 0.4 * width) / (0.25 * width)) ** 2 < 1
    noise = 8 * torch.randn(height, width, 3).numpy()
    return np.clip(smooth + 70 * inside[..., None] + noise, 0, 255).astype(np.uint8)


def transforms(sam, config, image):
    """Resizing, padding, prompts' coordinates, and masks back to the image's size."""
    from segment_anything.utils.amg import batched_mask_to_box, build_point_grid, calculate_stability_score
    from segment_anything.utils.transforms import ResizeLongestSide

    (height, width), grid = config["orig"], config["img_size"] // config["patch"]
    transform = ResizeLongestSide(config["img_size"])
    resized = transform.apply_image(image)
    tensor = torch.as_tensor(image).permute(2, 0, 1)[None].float()
    seen = {"raw_image_u8": image, "apply_image_pil": resized, "apply_image_torch": transform.apply_image_torch(tensor)}
    seen["preprocess_shape"] = torch.tensor(resized.shape[:2])
    for index, (rows, columns) in enumerate([(1, 7), (512, 512), (97, 1024), (640, 480)]):
        shape = ResizeLongestSide.get_preprocess_shape(rows, columns, 1024)
        seen[f"preprocess_shape_case{index}"] = torch.tensor([rows, columns, *shape])
    seen["preprocessed"] = sam.preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None].float())
    coords = np.array([[0, 0], [width - 1, height - 1], [width / 3, height / 2], [10.5, 20.25]])
    boxes = np.array([[5, 7, width - 9, height - 3], [0, 0, width / 2, height / 2]], dtype=float)
    seen |= {"coords": coords, "coords_out": transform.apply_coords(coords, (height, width))}
    seen |= {"boxes": boxes, "boxes_out": transform.apply_boxes(boxes, (height, width))}
    low_res = given("predictor", "postprocess.in_low_res", lambda: torch.randn(2, 3, 4 * grid, 4 * grid))
    masks = sam.postprocess_masks(low_res, resized.shape[:2], (height, width))
    seen |= {"postprocess.in_low_res": low_res, "postprocess.out": masks[:1]}
    seen["mask_to_box"] = batched_mask_to_box(low_res > 0)
    seen["stability_score"] = calculate_stability_score(low_res, 0.0, 1.0)
    seen["amg.point_grid_4"] = build_point_grid(4)
    return seen


def predictor(sam, config):
    from segment_anything import SamPredictor

    height, width = config["orig"]
    image = given("predictor", "raw_image_u8", lambda: torch.as_tensor(picture(height, width))).numpy().astype(np.uint8)
    seen = transforms(sam, config, image)
    model = SamPredictor(sam)
    model.set_image(image)
    points = np.array([[0.4 * width, 0.5 * height], [0.8 * width, 0.2 * height]], dtype=np.float32)
    labels = np.array([1, 0])
    box = np.array([0.2 * width, 0.2 * height, 0.7 * width, 0.8 * height], dtype=np.float32)
    seen |= {"pred.features": model.features, "pred.point_coords": points, "pred.point_labels": labels, "pred.box": box}
    by_points = {"point_coords": points, "point_labels": labels}
    multi = model.predict(**by_points, multimask_output=True, return_logits=True)
    best = multi[2][int(np.argmax(multi[1]))][None]
    cases = {
        "points_multi": multi,
        "points_single": model.predict(**by_points, multimask_output=False, return_logits=True),
        "box_single": model.predict(box=box, multimask_output=False, return_logits=True),
        "points_box_single": model.predict(**by_points, box=box, multimask_output=False, return_logits=True),
        "points_maskinput_single": model.predict(
            **by_points, mask_input=best, multimask_output=False, return_logits=True
        ),
    }
    for name, (logits, iou, low_res) in cases.items():
        seen |= {f"pred.{name}.logits": logits, f"pred.{name}.iou": iou, f"pred.{name}.low_res": low_res}
    return seen


def prompt_learning(sam, config, features):
    """Three steps of Adam on the prompt encoder's embeddings; the loss is soft Dice plus binary cross-entropy."""
    size, grid = config["img_size"], config["img_size"] // config["patch"]
    points = torch.rand(2, 4, 2) * size
    labels = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]])
    boxes = torch.tensor([[0.1, 0.2, 0.7, 0.8], [0.2, 0.1, 0.9, 0.6]]) * size
    y, x = np.mgrid[: 4 * grid, : 4 * grid] / (4 * grid)
    target = torch.as_tensor(np.stack([(x > 0.1) & (x < 0.7) & (y > 0.2) & (y < 0.8), (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.08]))
    seen = {"in.points": points, "in.labels": labels, "in.boxes": boxes, "in.gt_low_res": target[:, None].float()}
    seen = {name: given("prompt_learning", name, lambda value=value: value) for name, value in seen.items()}
    points, labels, boxes, target = seen.values()
    features = seen["in.embedding"] = given("prompt_learning", "in.embedding", lambda: features)
    learned = {
        name: value
        for name, value in sam.prompt_encoder.named_parameters()
        if name.startswith(("point_embeddings", "not_a_point", "no_mask"))
    }
    sam.requires_grad_(False)
    for value in learned.values():
        value.requires_grad_(True)
    adam = torch.optim.Adam(learned.values(), lr=1e-2)
    for step in range(3):
        adam.zero_grad()
        sparse, dense = sam.prompt_encoder((points, labels), boxes, None)
        low_res, iou = sam.mask_decoder(features, sam.prompt_encoder.get_dense_pe(), sparse, dense, False)
        shares = torch.sigmoid(low_res).flatten(1)
        truth = target.flatten(1)
        dice = 1 - (2 * (shares * truth).sum(1) + 1) / (shares.sum(1) + truth.sum(1) + 1)
        bce = F.binary_cross_entropy_with_logits(low_res, target)
        loss = dice.mean() + bce
        loss.backward()
        parts = {"dice_loss": dice.mean(), "bce_loss": bce, "loss": loss}
        seen |= {f"step{step}.{name}": value.reshape(1) for name, value in parts.items()}
        if step == 0:
            seen |= {"step0.low_res": low_res, "step0.iou": iou}
            gradients = {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in learned.items()}
            seen |= {f"grad.{name}": value.clone() for name, value in gradients.items()}
        adam.step()
        seen |= {f"adam{step + 1}.{name}": value.detach().clone() for name, value in learned.items()}
    return seen


def main():
    chosen = options()
    if not (chosen.checkout / "segment_anything").is_dir():
        sys.exit(f"{chosen.checkout} holds no segment_anything: expected a checkout of commit {COMMIT}")
    sys.path.insert(0, str(chosen.checkout))
    chosen.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    torch.manual_seed(chosen.seed)
    config = configuration(chosen)
    if chosen.inputs:
        STORED.update({path.stem: load_file(path) for path in chosen.inputs.glob("*.safetensors")})
        config |= json.loads((chosen.inputs / "sam_tiny_config.json").read_text())
    with torch.no_grad():
        sam = build(config)
        save_weights(chosen.folder, sam, config)
        steps = encoder(sam, config)
        save(chosen.folder, "encoder", steps)
        prompts = prompt_encoder(sam, config)
        save(chosen.folder, "prompt_encoder", prompts)
        save(chosen.folder, "mask_decoder", mask_decoder(sam, prompts, steps["enc.neck"]))
        save(chosen.folder, "predictor", predictor(sam, config))
    save(chosen.folder, "prompt_learning", prompt_learning(sam, config, steps["enc.neck"]))
    print(f"wrote the reference tensors of segment-anything {COMMIT[:7]} to {chosen.folder}, made with torch {torch.__version__}")


if __name__ == "__main__":
    main()
