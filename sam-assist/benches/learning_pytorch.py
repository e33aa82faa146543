"""One step of prompt learning in PyTorch, to be held against `cargo bench -p sam-assist --features flex`.

The same method on the official modules of the package `segment-anything` (1.0), with LiteMedSAM's shapes and random weights: only the
prompt encoder learns, through the frozen decoder, on embeddings computed once; points drawn anew in each step, Dice and cross-entropy,
AdamW. The official decoder takes one image at a time, so a step runs it once for each slice.

    pip install torch segment-anything torchvision
    python learning_pytorch.py [cuda]
"""

import statistics
import sys
import time

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

STEPS, WARM_UP = 40, 5
LEARNING_RATE = 1e-2
MOST_POINTS = 10


def learn(slice_count: int, device: str) -> float:
    """Median seconds of a step."""
    torch.manual_seed(0)
    torch.set_default_device(device)
    prompt_encoder = PromptEncoder(256, (64, 64), (256, 256), 16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    decoder = MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3).eval()
    decoder.requires_grad_(False)
    features = torch.randn(slice_count, 256, 64, 64)
    targets = torch.zeros(slice_count, 1, 256, 256)
    targets[:, :, 80:140, 90:150] = 1.0
    positions = prompt_encoder.get_dense_pe()
    optimiser = torch.optim.AdamW(prompt_encoder.parameters(), lr=LEARNING_RATE, weight_decay=0.0)

    seconds = []
    for _ in range(WARM_UP + STEPS):
        started = time.perf_counter()
        count = int(torch.randint(1, MOST_POINTS + 1, ()))
        labels = torch.cat([torch.ones(1, count), torch.zeros(1, count)], 1)
        loss = 0.0
        for index in range(slice_count):
            points = torch.rand(1, 2 * count, 2) * 256
            sparse, dense = prompt_encoder((points, labels), None, None)
            logits, _ = decoder(features[index : index + 1], positions, sparse, dense, multimask_output=False)
            probability, target = logits.sigmoid().flatten(1), targets[index : index + 1].flatten(1)
            dice = (2 * (probability * target).sum(1) + 1) / (probability.sum(1) + target.sum(1) + 1)
            entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits.flatten(1), target)
            loss = loss + ((1 - dice).mean() + entropy) / slice_count
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[WARM_UP:])


if __name__ == "__main__":
    device = sys.argv[1] if sys.argv[1:] else "cpu"
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {where}")
    for slice_count in (2, 5):
        print(f"{slice_count} slices: {learn(slice_count, device) * 1e3:.0f} ms a step")
