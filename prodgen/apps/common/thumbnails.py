"""Small JPEG images for pages."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from prodgen.apps.common.contact_sheet import resize_to_square

SIDE, QUALITY = 168, 80  # pixels of the longer side; of the JPEG file
GROUND = (226, 232, 240)  # below transparent pixels: white products show on it


def encode_thumbnail(image: np.ndarray, side: int = SIDE) -> bytes:
    """A JPEG file of an image uint8 [H, W, 1 | 3 | 4], its longer side `side` pixels."""
    thumbnail = resize_to_square(image, side)
    if thumbnail.mode == "RGBA":
        ground = Image.new("RGB", thumbnail.size, GROUND)
        ground.paste(thumbnail, mask=thumbnail)
        thumbnail = ground
    out = io.BytesIO()
    thumbnail.convert("RGB").save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
