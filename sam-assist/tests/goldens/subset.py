"""Copies what the tests of this crate need from a folder of reference tensors to the folder of this script.

    python subset.py FOLDER

FOLDER holds the outputs of facebookresearch/segment-anything dca509f: its own modules in a small configuration (image 128, 32
channels, 4 heads in the decoder) with random weights, its prompt encoder trained for three steps of Adam through the frozen
decoder, as sam-core/tests/goldens/generate_official.py writes them. Nothing is computed here.
"""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file, save_file

SOURCE = Path(sys.argv[1])
TARGET = Path(__file__).parent


def main():
    weights = load_file(SOURCE / "sam_tiny.safetensors")
    kept = {key: value for key, value in weights.items() if not key.startswith("image_encoder.")}
    save_file(kept, TARGET / "sam_tiny_prompt_and_decoder.safetensors")
    # As it is; copied by content, for the source may be read-only.
    shutil.copyfile(SOURCE / "prompt_learning.safetensors", TARGET / "prompt_learning.safetensors")


if __name__ == "__main__":
    main()
