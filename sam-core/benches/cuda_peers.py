"""Image encoders and learning on an NVIDIA GPU beside PyTorch, in turns on one device.

    pip install torch torchvision segment-anything
    python sam-core/benches/cuda_peers.py [--goldens DIR]

With `--goldens`, parity with the official implementations comes first. Then, for ViT-B, L and H in f32, f16 and bf16, one image at a time
and four together: seconds an image here and in PyTorch (attention by `scaled_dot_product_attention`, same type), their ratio, and the
most device memory of each, as `nvidia-smi` tells it. At last the step of learning. Weights are random: they take as long as any.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS, REPEATS, WARM_UP = 3, 8, 3
MODELS = {"vit_b": "vit-b", "vit_l": "vit-l", "vit_h": "vit-h"}
TYPES = ("f32", "f16", "bf16")
BATCHES = (1, 4)
CARGO = ["cargo", "run", "--quiet", "--release", "-p", "examples", "--features", "cuda", "--example"]


def torch_seconds(model, precision, batch):
    """Runs PyTorch in this process and prints the seconds of each image."""
    import torch
    from models_peers import with_sdpa
    from segment_anything import sam_model_registry

    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    encoder = with_sdpa(sam_model_registry[model]().image_encoder.eval()).to("cuda", types[precision])
    images = torch.randn(batch, 3, 1024, 1024, device="cuda", dtype=types[precision])
    seconds = []
    with torch.no_grad():
        for _ in range(WARM_UP + REPEATS):
            start = time.perf_counter()
            encoder(images)
            torch.cuda.synchronize()
            seconds.append((time.perf_counter() - start) / batch)
    print(json.dumps(seconds[WARM_UP:]))


def watched(command):
    """What a command prints, and the most MiB that the device held meanwhile beyond what it held before."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    held = lambda: int(subprocess.run(query, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0])
    before, most, is_over = held(), [0], threading.Event()

    def watch():
        while not is_over.wait(0.1):
            most[0] = max(most[0], held() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    finally:
        is_over.set()
        watcher.join()
    return printed, most[0]


def encoder(model, precision, batch):
    """Seconds an image and MiB, here and in PyTorch, by turns."""
    ours = [*CARGO, "embed", "--", "--backend", "cuda", "--model", MODELS[model], "--precision", precision]
    ours += ["--batch", str(batch), "--repeats", str(WARM_UP + REPEATS)]
    theirs = [sys.executable, __file__, "--torch", model, precision, str(batch)]
    seconds, memory = {"here": [], "torch": []}, {"here": 0, "torch": 0}
    for _ in range(ROUNDS):
        printed, most = watched(ours)
        found = [float(number) for number in re.findall(r"pixels: ([\d.]+) s", printed)]
        seconds["here"] += found[WARM_UP:]
        memory["here"] = max(memory["here"], most)
        printed, most = watched(theirs)
        seconds["torch"] += json.loads(printed.strip().splitlines()[-1])
        memory["torch"] = max(memory["torch"], most)
    here, torch = (statistics.median(seconds[which]) for which in ("here", "torch"))
    print(
        f"{model} {precision:4} {batch} together: {here * 1e3:.1f} ms an image, torch {torch * 1e3:.1f}, ours {here / torch:.2f} of it;"
        f" {memory['here']} MiB, torch {memory['torch']}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torch"]:
        torch_seconds(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        sys.exit()
    parser = argparse.ArgumentParser()
    parser.add_argument("--goldens", type=Path)
    options = parser.parse_args()
    if options.goldens:
        goldens = str(options.goldens.resolve())
        subprocess.run([*CARGO, "parity", "--", "--backend", "cuda", "--goldens", goldens], cwd=ROOT, check=True)
    subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], check=True)
    for model in MODELS:
        for precision in TYPES:
            for batch in BATCHES:
                encoder(model, precision, batch)
    # Seconds of learning from 2 and 5 slices on phantoms; then PyTorch's step, of which each takes as many as its configuration says.
    subprocess.run([*CARGO, "table3_training_time", "--", "--backend", "cuda"], cwd=ROOT, check=True)
    steps = ROOT / "sam-assist" / "benches" / "learning_pytorch.py"
    subprocess.run([sys.executable, str(steps), "cuda"], check=True, env=os.environ)
