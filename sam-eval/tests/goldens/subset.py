"""Takes the cases this crate tests from a file of reference masks and scores.

    python subset.py MASKS.safetensors METRICS.json

Both are written by `generate_metrics.py`. MASKS holds `caseNN.pred` and `caseNN.gt`, binary u8 masks in 2-D and 3-D. METRICS is a
list of {"case", "dice", "iou", ...}: 2|A n B| / (|A| + |B|) and |A n B| / |A u B| in double precision, `null` where both masks are
empty; "spacing" in millimetres; and what MONAI 1.6.1 (monai_*) and medpy 0.5.2 (medpy_*) say of the surfaces, where both masks have one.
Writes masks.safetensors and expected.json beside this script. Needs numpy and safetensors.
"""

import json
import pathlib
import sys

from safetensors.numpy import load_file, save_file

# Ordinary pairs, an almost perfect one, anisotropic and 3-D ones, then the edges: one mask empty, both empty, identical, a
# single element, disjoint, full.
CASES = [0, 1, 3, 4, 9, 13, 20, 22, 24, 25, 26, 27, 28, 29, 30, 32, 33]
KEYS = (
    "case dice iou spacing medpy_hd medpy_hd95 medpy_assd monai_hd monai_hd95 monai_assd monai_nsd_t1 monai_nsd_t2"
).split()

here = pathlib.Path(__file__).parent
masks, metrics = load_file(sys.argv[1]), json.load(open(sys.argv[2]))
by_case = {entry["case"]: entry for entry in metrics}
names = [f"case{case:02}.{kind}" for case in CASES for kind in ("pred", "gt")]
save_file({name: masks[name] for name in names}, here / "masks.safetensors")
expected = [{key: by_case[case].get(key) for key in KEYS} for case in CASES]
(here / "expected.json").write_text("[\n" + ",\n".join(map(json.dumps, expected)) + "\n]\n")
