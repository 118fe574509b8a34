"""The check sheet of mode cutout: each photo beside its cut-out, over its findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from prodgen.apps.common.contact_sheet import (
    FAINT,
    LINE_HEIGHT,
    PAPER,
    ContactSheet,
    draw_captions,
    load_font,
    resize_to_square,
)

COLUMNS, SIDE, GAP = 4, 150, 16  # pixels but the first
MAX_FINDING_LINES = 2
CELL_SIZE = 2 * SIDE, SIDE + LINE_HEIGHT * (1 + MAX_FINDING_LINES) + 4
CHECKER_SIDE = 10  # pixels of a square of the pattern that stands for transparent
LIGHT_LEVEL, DARK_LEVEL = 250, 205  # of 255


class CutoutSheet(ContactSheet):
    """Thumbnails of the first `limit` doubtful or skipped photos and of the first clean ones."""

    def __init__(self, limit: int):
        super().__init__(
            limit,
            CELL_SIZE,
            max_columns=COLUMNS,
            gap=GAP,
            min_width=3 * SIDE,
            note="what deserves a look comes first",
        )

    def add_photo(
        self, file: str, photo: np.ndarray | None, rgba: np.ndarray | None, keys: Sequence[str]
    ) -> None:
        """A photo uint8 [H, W, C] and its cut-out uint8 [H, W, 4], None where there is none."""
        self.add(bool(keys), lambda: render_cell(file, photo, rgba, keys))


def render_cell(
    file: str, photo: np.ndarray | None, rgba: np.ndarray | None, keys: Sequence[str]
) -> Image.Image:
    """The photo, its cut-out on a checkerboard, the name and the findings, RGB."""
    cell = Image.new("RGB", CELL_SIZE, PAPER)
    draw = ImageDraw.Draw(cell)
    for column, (image, missing) in enumerate(((photo, "?"), (rgba, "none"))):
        if image is None:
            middle = column * SIDE + SIDE // 2, SIDE // 2
            draw.text(middle, missing, fill=FAINT, font=load_font(24), anchor="mm")
            continue
        thumbnail = resize_to_square(image, SIDE - 4)
        left, top = (SIDE - thumbnail.width) // 2, (SIDE - thumbnail.height) // 2
        corner = column * SIDE + left, top
        if thumbnail.mode == "RGBA":
            cell.paste(render_checkerboard(thumbnail.size), corner)
            cell.paste(thumbnail, corner, thumbnail)
        else:
            cell.paste(thumbnail, corner)
    draw_captions(draw, (2 * SIDE, SIDE), file, keys, "clean", MAX_FINDING_LINES)
    return cell


def render_checkerboard(size: tuple[int, int]) -> Image.Image:
    """The pattern that stands for transparent, RGB, of a size (width, height)."""
    y, x = np.ogrid[: size[1], : size[0]]
    is_light = (y // CHECKER_SIDE + x // CHECKER_SIDE) % 2
    levels = np.where(is_light, LIGHT_LEVEL, DARK_LEVEL).astype(np.uint8)
    return Image.fromarray(np.repeat(levels[..., None], 3, axis=-1))
