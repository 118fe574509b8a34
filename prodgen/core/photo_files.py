"""Photos to PNG, JPEG and WebP files that state where they come from. Same input, same bytes."""

from __future__ import annotations

import io

import numpy as np

from prodgen.core import pixels
from prodgen.core.provenance import XMP_KEY

SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}  # by format
MIN_FULL_COLOUR_QUALITY = 90  # of a JPEG file: from here on, colour has the full resolution
WEBP_EFFORT = 4  # of 6: more takes several times as long for some per cent of the size


def encode_photo(
    image: np.ndarray, file_format: str, quality: int, text: dict[str, str] | None = None
) -> bytes:
    """The content of a file of an image uint8 [H, W, 1 | 3].

    file_format: of SUFFIXES. quality: of JPEG and WebP, 1 to 100. text: as
    `provenance.build_png_text` gives it; JPEG and WebP keep its XMP, JPEG its comment too.
    """
    if file_format == "png":
        return pixels.encode_png(image, text)
    xmp = (text or {}).get(XMP_KEY, "").encode()
    out = io.BytesIO()
    options = {"xmp": xmp} if xmp else {}
    if file_format == "jpeg":
        subsampling = 0 if quality >= MIN_FULL_COLOUR_QUALITY else 2
        options |= {"subsampling": subsampling, "optimize": True}
        options |= {"comment": text["prodgen"]} if text else {}
        pixels.to_pillow(image).save(out, "JPEG", quality=quality, **options)
    else:
        pixels.to_pillow(image).save(out, "WEBP", quality=quality, method=WEBP_EFFORT, **options)
    return out.getvalue()
