"""A sprite sheet with alpha in equal cells, and its atlas as JSON for game engines.

The atlas is TexturePacker's "JSON (Hash)", which Phaser, PixiJS and others load directly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.core.errors import UsageError

MAX_SHEET_SIDE = 8192  # pixels: the largest texture that ordinary graphics cards support
CELL_SIZES = (16, 32, 64, 128, 256, 512, 1024)  # pixels a side
MIN_PRODUCT_SIZE = 8  # pixels a side


def fit_to_cell(product: np.ndarray, cell: int, border: int) -> np.ndarray:
    """A trimmed product uint8 [h, w, 4], reduced to a cell within its border; never enlarged."""
    available_size = cell - 2 * border
    if available_size < MIN_PRODUCT_SIZE:
        raise UsageError(
            f"a cell of {cell} px with {border} px of padding and extrusion has no space left",
            "choose a larger --cell, or less --padding and --extrude",
        )
    scale = min(1.0, available_size / max(product.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in product.shape[:2])
    if scale == 1:
        return product
    return np.asarray(Image.fromarray(product).resize((width, height), Image.Resampling.LANCZOS))


def pack_sheet(
    sprites: Sequence[np.ndarray], cell: int, extrude: int = 0
) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """The sheet uint8 [H, W, 4], sides powers of two times the cell, and the boxes (x, y, w, h).

    Sprites uint8 [h, w, 4] are in the middle of their cells, in reading order. extrude: their
    outermost pixels are repeated that many times outwards, so that a filter that reads across the
    edge gets the same colour. UsageError beyond MAX_SHEET_SIDE.
    """
    columns = _next_power_of_two(math.ceil(math.sqrt(len(sprites))))
    lines = _next_power_of_two(-(-len(sprites) // columns))
    if max(columns, lines) * cell > MAX_SHEET_SIDE:
        raise UsageError(
            f"{len(sprites)} cells of {cell} px make a sheet over {MAX_SHEET_SIDE} px a side",
            "choose fewer with --n, or a smaller --cell",
        )
    out = np.zeros((lines * cell, columns * cell, 4), np.uint8)
    boxes = []
    for i, sprite in enumerate(sprites):
        height, width = sprite.shape[:2]
        x = i % columns * cell + (cell - width) // 2
        y = i // columns * cell + (cell - height) // 2
        extruded_sprite = np.pad(sprite, ((extrude, extrude), (extrude, extrude), (0, 0)), "edge")
        out[y - extrude : y + height + extrude, x - extrude : x + width + extrude] = extruded_sprite
        boxes.append((x, y, width, height))
    return out, boxes


def _next_power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()


def encode_atlas(
    names: Sequence[str],
    files: Sequence[str],
    boxes: Sequence[tuple[int, int, int, int]],
    cell: int,
    image: str,
    size: tuple[int, int],
) -> bytes:
    """The atlas of a sheet file `image` of `size` (width, height), in TexturePacker's JSON (Hash).

    names: of the frames, no two alike. files: what each frame was made from, a field `file` of its
    own that engines pass over.
    A frame is the product's own rectangle. spriteSourceSize is its position in its cell, which is
    the source. pivot is the cell's middle, so that one sprite replaces another without a shift.
    """
    frames = {}
    for name, file, (x, y, width, height) in zip(names, files, boxes, strict=True):
        frames[name] = {
            "frame": {"x": x, "y": y, "w": width, "h": height},
            "rotated": False,
            "trimmed": True,
            "spriteSourceSize": {"x": x % cell, "y": y % cell, "w": width, "h": height},
            "sourceSize": {"w": cell, "h": cell},
            "pivot": {"x": 0.5, "y": 0.5},
            "file": file,
        }
    width, height = size
    meta = {"app": "prodgen", "version": "1.0", "image": image, "format": "RGBA8888",
            "size": {"w": width, "h": height}, "scale": "1"}  # fmt: skip
    return json.dumps({"frames": frames, "meta": meta}, indent=1).encode()
