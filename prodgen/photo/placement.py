"""Where products stand in a frame, at equal visual size and on one line; and putting them there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.core.errors import UsageError
from prodgen.photo import backdrop

MARGIN_FRACTION = 0.07  # of the shorter side
GAP_FRACTION = 0.16  # between products, of the root of a product's area
MIN_PRODUCT_SIZE = 8  # pixels: a smaller product is a dot
GRID_GAP_FRACTION = 0.14  # of a cell, around its product
MAX_GRID_RATIO = 1.35
MIN_FILL = 0.45  # of its box: a thinner product, such as a chain, counts as this
SIDE_WORDS = ("above", "on the left", "below", "on the right")
Box = tuple[int, int, int, int]  # left, top, right, bottom; ends excluded
Sides = tuple[bool, bool, bool, bool]  # something about the top, left, bottom and right side
NO_SIDES: Sides = (False, False, False, False)


@dataclasses.dataclass(frozen=True)
class PlacedProduct:
    """A product's box, and how many times it was enlarged (below 1: reduced)."""

    box: Box
    scale: float


def box_size(box: Box) -> tuple[int, int]:
    """(width, height) of a box."""
    return box[2] - box[0], box[3] - box[1]


def find_safe_area(shape: tuple[int, int], reserved_fractions: tuple[float, float]) -> Box:
    """The frame (height, width) without its margins, and without what is reserved.

    reserved_fractions: of the height, above and below.
    """
    height, width = shape
    margin = max(4, round(MARGIN_FRACTION * min(height, width)))
    top, bottom = (max(margin, round(share * height)) for share in reserved_fractions)
    return margin, top, width - margin, height - bottom


def measure_fill(alpha: np.ndarray) -> float:
    """The share of its box that a product uint8 [h, w] covers, at least MIN_FILL."""
    return max(float((alpha > 127).mean()), MIN_FILL)


def place_products(
    shapes: Sequence[tuple[int, int]], area: Box, fills: Sequence[float] = ()
) -> list[PlacedProduct]:
    """Places of products (height, width), in the number of rows that makes them largest.

    All take the same area, so that none outweighs another: of their boxes, or, with `fills`, of
    what they cover of them. Products of a row stand on one line, GAP_FRACTION apart; the group is
    centred.
    """
    ratios = np.array([width / height for height, width in shapes])
    units = np.stack([np.sqrt(ratios), 1 / np.sqrt(ratios)], axis=1)  # width, height of area 1
    if len(fills):
        units = units / np.sqrt(np.asarray(fills))[:, None]
    area_width, area_height = box_size(area)

    def fit_side(rows: Sequence[np.ndarray]) -> float:
        # The root of a product's area, pixels, with which rows of units [n, 2] fill the area.
        widest = max(row[:, 0].sum() + GAP_FRACTION * (len(row) - 1) for row in rows)
        total_height = sum(row[:, 1].max() for row in rows) + GAP_FRACTION * (len(rows) - 1)
        return min(area_width / widest, area_height / total_height)

    row_splits = [np.array_split(units, count) for count in range(1, len(shapes) + 1)]
    rows = max(row_splits, key=fit_side)
    side = fit_side(rows)
    if side * units.min() < MIN_PRODUCT_SIZE:
        raise UsageError(
            f"{len(shapes)} products do not fit: the smallest would be below {MIN_PRODUCT_SIZE} px",
            "choose fewer with --n, or a larger --size",
        )
    # From the top row down, each row centred, its products on one ground line.
    gap, rows = GAP_FRACTION * side, [row * side for row in rows]
    total_height = sum(row[:, 1].max() for row in rows) + gap * (len(rows) - 1)
    ground = (area[1] + area[3] - total_height) / 2
    boxes = []
    for row in rows:
        ground += row[:, 1].max()
        x = (area[0] + area[2] - row[:, 0].sum() - gap * (len(row) - 1)) / 2
        for width, height in np.maximum(np.floor(row + 1e-6), 1).astype(int).tolist():
            left, bottom = int(x + 1e-6), int(ground + 1e-6)
            boxes.append((left, bottom - height, left + width, bottom))
            x += width + gap
        ground += gap
    return [
        PlacedProduct(box, (box[3] - box[1]) / height)
        for box, (height, _) in zip(boxes, shapes, strict=True)
    ]


def place_in_grid(
    shapes: Sequence[tuple[int, int]], area: Box, fills: Sequence[float]
) -> list[PlacedProduct]:
    """Places of products in equal cells, in the number of columns that makes them largest.

    Each stands in the middle of its cell, on the line of its row. None is larger than
    MAX_GRID_RATIO times the smallest, as the root of what it covers.
    """
    (width, height), count = box_size(area), len(shapes)

    def fit(columns: int) -> tuple[np.ndarray, float, float]:
        # (scales [n], width and height of a cell with its gap)
        rows = -(-count // columns)
        cell_width, cell_height = width / columns, height / rows
        inner = (1 - GRID_GAP_FRACTION) * np.array([cell_height, cell_width])
        scales = (inner / np.array(shapes)).min(axis=1)
        sizes = scales * roots
        scales = scales * np.minimum(1, MAX_GRID_RATIO * sizes.min() / sizes)
        return scales, cell_width, cell_height

    roots = np.sqrt(np.prod(np.array(shapes, float), axis=1) * np.asarray(fills))
    columns = max(range(1, count + 1), key=lambda n: float((fit(n)[0] * roots).mean()))
    scales, cell_width, cell_height = fit(columns)
    placements = []
    for i, ((h, w), scale) in enumerate(zip(shapes, scales, strict=True)):
        row, column = divmod(i, columns)
        # The last row is centred.
        in_row = min(columns, count - row * columns)
        x = area[0] + (columns - in_row) * cell_width / 2 + (column + 0.5) * cell_width
        bottom = round(area[1] + (row + 1 - GRID_GAP_FRACTION / 2) * cell_height)
        size = max(1, int(h * scale)), max(1, int(w * scale))
        if min(size) < MIN_PRODUCT_SIZE:
            raise UsageError(
                f"{count} products do not fit: one would be below {MIN_PRODUCT_SIZE} px",
                "choose fewer with --n, or a larger --size",
            )
        left = round(x - size[1] / 2)
        box = (left, bottom - size[0], left + size[1], bottom)
        placements.append(PlacedProduct(box, float(scale)))
    return placements


def stand_on_edge(placement: PlacedProduct, frame_height: int, top: int) -> PlacedProduct:
    """A product that the photo's lower border cut off, set on the frame's lower edge.

    It grows until it reaches from there to where it began, but not above `top`.
    """
    left, _, right, bottom = placement.box
    height, width = bottom - placement.box[1], right - left
    growth = (frame_height - max(placement.box[1], top)) / height
    new_height, new_width = round(height * growth), round(width * growth)
    middle = (left + right) / 2
    new_left = round(middle - new_width / 2)
    box = (new_left, frame_height - new_height, new_left + new_width, frame_height)
    return PlacedProduct(box, placement.scale * growth)


def move_to_side(
    placement: PlacedProduct, others: Sequence[Box], frame_width: int, is_right: bool
) -> PlacedProduct:
    """A product that a side of the photo cut off, moved to that side of the frame.

    It stays where one of `others` stands between.
    """
    left, top, right, bottom = placement.box
    beside = [box for box in others if box[1] < bottom and top < box[3]]
    if any(box[2] > right if is_right else box[0] < left for box in beside):
        return placement
    shift = frame_width - right if is_right else -left
    box = (left + shift, top, right + shift, bottom)
    return dataclasses.replace(placement, box=box)


def describe_loose_sides(is_cut_off: Sides, box: Box, shape: tuple[int, int]) -> str:
    """Which sides that the photo cut off do not lie on an edge of the frame (height, width), as a
    reason to look at them; "" for none."""
    is_on_edge = (box[1] <= 0, box[0] <= 0, box[3] >= shape[0], box[2] >= shape[1])
    words = [
        word
        for word, is_cut, is_hidden in zip(SIDE_WORDS, is_cut_off, is_on_edge, strict=True)
        if is_cut and not is_hidden
    ]
    if not words:
        return ""
    return f"its photo cuts it off {' and '.join(words)}, which shows as a straight edge"


def composite(
    products: Sequence[np.ndarray],
    placements: Sequence[PlacedProduct],
    background: np.ndarray,
    shadow: float,
) -> np.ndarray:
    """Products uint8 [h, w, 4] at their places on a background, uint8 [H, W, 3].

    shadow: strength in [0, 1]; a product on the frame's lower edge casts none.
    """
    frames = []
    for product, spot in zip(products, placements, strict=True):
        # Pillow premultiplies alpha while it resizes.
        pixels = Image.fromarray(product).resize(box_size(spot.box), Image.Resampling.LANCZOS)
        left, top, _, _ = spot.box
        frames.append(backdrop.place(np.asarray(pixels), background.shape[:2], top, left))
    # All shadows first: none falls on a product.
    image = background
    for frame, spot in zip(frames, placements, strict=True):
        if spot.box[3] < background.shape[0]:
            image = backdrop.add_shadow(image, frame[..., 3], shadow)
    for frame in frames:
        image = backdrop.composite_over(frame, image)
    return image
