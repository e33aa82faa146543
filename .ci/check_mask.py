"""Checks with nibabel that a mask lies on its image's grid and kept its header.

Usage: check_mask.py IMAGE MASK
"""

import sys

import nibabel
import numpy

# datatype, bitpix, scl_slope, scl_inter, cal_max and cal_min: what a label map may have of its own.
OWN_BYTES = {*range(70, 74), *range(112, 120), *range(124, 132)}

image, mask = nibabel.load(sys.argv[1]), nibabel.load(sys.argv[2])
assert mask.shape == image.shape, f"shape {mask.shape}, expected {image.shape}"
assert numpy.array_equal(mask.affine, image.affine), f"affine\n{mask.affine}\nexpected\n{image.affine}"
before, after = image.header.binaryblock, mask.header.binaryblock
changed = {index for index, (a, b) in enumerate(zip(before, after)) if a != b} - OWN_BYTES
assert not changed, f"header bytes {sorted(changed)} changed"
values = numpy.unique(numpy.asarray(mask.dataobj))
assert len(values) > 1, "the mask is empty"
print(f"{sys.argv[2]}: shape, affine and header are the image's; values {values.tolist()}")
