"""The cut-out for any background: the network U2-Net, small (Qin et al. 2020), from its own file.

The file is `u2netp.onnx` of rembg, 4.6 MB, Apache-2.0. It is known by its hash and read by
onnxruntime; nothing is ever downloaded.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.core.errors import BadData, MissingInput
from prodgen.photo.guess import Cutter, Guess, resized

SIDE = 320  # pixels: what the network was trained at
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])  # ImageNet
SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
SLACK = 0.4  # of the product's area that may be half seen before the whole is in doubt
FAINT = 1e-3  # a map without contrast shows nothing, and stretching it would invent something


def cutter(model: str = "") -> Cutter:
    """The method with its model file; MissingInput without the file or onnxruntime, BadData of a
    file that is another one."""
    session = _session(str(Path(model).expanduser()) if model else "")
    return lambda picture: cut(picture, session)


def cut(picture: np.ndarray, session: Any) -> Guess:
    """The product in a picture uint8 [h, w, 3]."""
    small = resized(picture, (SIDE, SIDE)).astype(np.float32)
    x = (small / max(float(small.max()), 1.0) - MEAN) / DEVIATION
    fed = {session.get_inputs()[0].name: x.transpose(2, 0, 1)[None]}
    seen = session.run(None, fed)[0][0, 0]
    low, high = float(seen.min()), float(seen.max())
    mask = (seen - low) / (high - low) if high - low > FAINT else np.zeros_like(seen)
    half = 2 * np.minimum(mask, 1 - mask).sum() / max(float(mask.sum()), 1.0)
    cell = max(picture.shape) / SIDE
    return Guess(resized(mask, picture.shape[:2]), max(cell, 1.0), min(1.0, half / (2 * SLACK)))


@functools.lru_cache(maxsize=2)
def _session(model: str) -> Any:
    """The network, ready to run on one core: the same sums in the same order everywhere."""
    if not model:
        raise MissingInput(
            "the cut-out neural needs its model file",
            "name u2netp.onnx with --model, or config.data.cutout_model",
        )
    content = read(model)
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


def read(model: str) -> bytes:
    """The bytes of a model file that is the known one; MissingInput or BadData otherwise."""
    path = Path(model).expanduser()
    if not path.is_file():
        raise MissingInput(
            f"there is no model file {model}", "name u2netp.onnx: nothing is downloaded"
        )
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise BadData(
            f"{model} is not the u2netp.onnx that is known here: its sha256 is {found[:12]}..., "
            f"not {SHA256[:12]}...",
            "fetch it anew, or choose plain or grabcut",
        )
    return content
