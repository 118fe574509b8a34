"""The cut-out method for any background: the small U2-Net (Qin et al. 2020), from the user's file.

The file is `u2netp.onnx` of rembg, 4.6 MB, Apache-2.0. It is recognised by its hash and run by
onnxruntime; nothing is ever downloaded.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.core.errors import BadData, MissingInput
from prodgen.photo.mask_estimate import MaskEstimate, Segmenter, resize

SIDE = 320  # pixels: the resolution that the network was trained at
IMAGENET_MEAN = np.float32([0.485, 0.456, 0.406])
IMAGENET_STD = np.float32([0.229, 0.224, 0.225])
SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
MAX_AMBIGUOUS_FRACTION = 0.4  # of the product's area, with values around a half
MIN_CONTRAST = 1e-3  # of the map: below, it shows nothing, and stretching would invent something


def make_segmenter(model: str = "") -> Segmenter:
    """The method with its model file; MissingInput without the file or onnxruntime, BadData of a
    file that is another one."""
    session = _open_session(os.path.expanduser(model) if model else "")
    return lambda image: segment(image, session)


def segment(image: np.ndarray, session: Any) -> MaskEstimate:
    """The product in an image uint8 [h, w, 3]."""
    small = resize(image, (SIDE, SIDE)).astype(np.float32)
    x = (small / max(float(small.max()), 1.0) - IMAGENET_MEAN) / IMAGENET_STD
    inputs = {session.get_inputs()[0].name: x.transpose(2, 0, 1)[None]}
    saliency = session.run(None, inputs)[0][0, 0]
    # Stretch the map to [0, 1], as the network's authors do.
    low, high = float(saliency.min()), float(saliency.max())
    has_contrast = high - low > MIN_CONTRAST
    mask = (saliency - low) / (high - low) if has_contrast else np.zeros_like(saliency)
    # Twice the distance to the nearer of 0 and 1, summed, over the product's area.
    ambiguous_fraction = 2 * np.minimum(mask, 1 - mask).sum() / max(float(mask.sum()), 1.0)
    uncertainty = min(1.0, ambiguous_fraction / (2 * MAX_AMBIGUOUS_FRACTION))
    cell_size = max(image.shape) / SIDE
    return MaskEstimate(resize(mask, image.shape[:2]), max(cell_size, 1.0), uncertainty)


@functools.lru_cache(maxsize=2)
def _open_session(model: str) -> Any:
    """The network, ready to run on one core: the same sums in the same order everywhere."""
    if not model:
        raise MissingInput(
            "the cut-out neural needs its model file",
            "name the file u2netp.onnx; or set config.data.cutout_model=u2netp.onnx",
        )
    content = read_model(model)
    try:
        import onnxruntime
    except ImportError:
        raise MissingInput(
            "the cut-out neural needs onnxruntime, which is not installed",
            "pip install onnxruntime, or choose plain or grabcut",
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def read_model(model: str) -> bytes:
    """The bytes of a model file that is the known one; MissingInput or BadData otherwise."""
    path = Path(os.path.expanduser(model))
    if not os.path.isfile(path):
        raise MissingInput(
            f"there is no model file {model}",
            "put the file u2netp.onnx there; or set config.data.cutout_model=FILE",
        )
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != SHA256:
        raise BadData(
            f"{model} is not the u2netp.onnx that is known here: its sha256 is {sha256[:12]}..., "
            f"not {SHA256[:12]}...",
            "fetch it again, or choose plain or grabcut",
        )
    return content
