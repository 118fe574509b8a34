"""A user's photo as a run sees it: fitted as its training images were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from prodgen.core import decode
from prodgen.core.errors import BadData, RejectedItem
from prodgen.core.types import Spec
from prodgen.data import fit, preprocess


def read_photo(path: Path, data: ConfigDict, spec: Spec) -> np.ndarray:
    """A photo's file as uint8 [R, R, C], prepared as config.data says; BadData if it cannot be."""
    try:
        raw = decode.decode_file(path, data.max_pixels)
        options = preprocess.FitOptions.from_config(data)
        photo = preprocess.prepare_photo(raw, options, spec.background or preprocess.WHITE)
    except RejectedItem as reason:
        raise BadData(f"{path}: {reason}", "take it out, or give another picture") from None
    return fit.set_channels(photo.image.pixels, spec.channels)
