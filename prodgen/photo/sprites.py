"""A sprite sheet with alpha in equal cells, and its atlas in the JSON that game engines read.

The atlas is TexturePacker's "JSON (Hash)", which Phaser, PixiJS and others load as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.core.errors import UsageError

LARGEST = 8192  # pixels a side: the largest texture that ordinary graphics cards take
CELLS = (16, 32, 64, 128, 256, 512, 1024)


def fitted(product: np.ndarray, cell: int, border: int) -> np.ndarray:
    """A trimmed product uint8 [h, w, 4], reduced to a cell within its border; never enlarged."""
    room = cell - 2 * border
    if room < 8:
        raise UsageError(
            f"a cell of {cell} px with {border} px of padding and extrusion has no room",
            "take a larger --cell, or less --padding and --extrude",
        )
    scale = min(1.0, room / max(product.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in product.shape[:2])
    if scale == 1:
        return product
    return np.asarray(Image.fromarray(product).resize((width, height), Image.Resampling.LANCZOS))


def sheet(
    sprites: Sequence[np.ndarray], cell: int, extrude: int = 0
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """The sheet uint8 [H, W, 4], sides powers of two times the cell, and (x, y, w, h) of each.

    Sprites uint8 [h, w, 4] stand in the middle of their cells, in reading order. extrude: their
    outermost pixels are repeated that many times outwards, so that a filter that looks across the
    edge finds the same colour. UsageError beyond LARGEST.
    """
    columns = _power(math.ceil(math.sqrt(len(sprites))))
    lines = _power(-(-len(sprites) // columns))
    if max(columns, lines) * cell > LARGEST:
        raise UsageError(
            f"{len(sprites)} cells of {cell} px make a sheet over {LARGEST} px a side",
            "take fewer with --n, or a smaller --cell",
        )
    out = np.zeros((lines * cell, columns * cell, 4), np.uint8)
    places = []
    for i, sprite in enumerate(sprites):
        height, width = sprite.shape[:2]
        x = i % columns * cell + (cell - width) // 2
        y = i // columns * cell + (cell - height) // 2
        wide = np.pad(sprite, ((extrude, extrude), (extrude, extrude), (0, 0)), "edge")
        out[y - extrude : y + height + extrude, x - extrude : x + width + extrude] = wide
        places.append((x, y, width, height))
    return out, places


def _power(n: int) -> int:
    """The least power of two that is at least n."""
    return 1 << (n - 1).bit_length()


def atlas(
    names: Sequence[str],
    places: Sequence[tuple[int, int, int, int]],
    cell: int,
    image: str,
    size: tuple[int, int],
) -> bytes:
    """The atlas of a sheet file `image` of `size` (width, height), in TexturePacker's JSON (Hash).

    A frame is the product's own rectangle; spriteSourceSize says where it lies in its cell, which
    is the source, and pivot the cell's middle: sprites that are exchanged for each other stay put.
    """
    frames = {}
    for name, (x, y, width, height) in zip(names, places, strict=True):
        frames[name] = {
            "frame": {"x": x, "y": y, "w": width, "h": height},
            "rotated": False,
            "trimmed": True,
            "spriteSourceSize": {"x": x % cell, "y": y % cell, "w": width, "h": height},
            "sourceSize": {"w": cell, "h": cell},
            "pivot": {"x": 0.5, "y": 0.5},
        }
    width, height = size
    meta = {"app": "prodgen", "version": "1.0", "image": image, "format": "RGBA8888",
            "size": {"w": width, "h": height}, "scale": "1"}  # fmt: skip
    return json.dumps({"frames": frames, "meta": meta}, indent=1).encode()
