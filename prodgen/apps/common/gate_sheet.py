"""The contact sheet of mode gate: failing images first, each over its name and its reasons."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from prodgen.apps.common.contact_sheet import (
    FAINT,
    GREEN,
    INK,
    LINE_HEIGHT,
    PAPER,
    RED,
    ContactSheet,
    draw_captions,
    load_font,
    resize_to_square,
)

COLUMNS, SIDE, GAP = 8, 144, 14  # pixels but the first
MAX_REASON_LINES = 3  # an image has at most six reasons: they fit
CELL_SIZE = SIDE, SIDE + LINE_HEIGHT * (1 + MAX_REASON_LINES) + 4


class GateSheet(ContactSheet):
    """Thumbnails of the first `limit` failing and the first `limit` passing images."""

    def __init__(self, limit: int):
        super().__init__(
            limit,
            CELL_SIZE,
            max_columns=COLUMNS,
            gap=GAP,
            min_width=COLUMNS * (SIDE + GAP) - GAP,
            note="those that fail come first",
        )

    def add_image(self, file: str, image: np.ndarray | None, keys: tuple[str, ...]) -> None:
        """An image uint8 [H, W, 1 | 3 | 4], None where unreadable; the keys of its reasons."""
        self.add(bool(keys), lambda: render_cell(file, image, keys))


def render_cell(file: str, image: np.ndarray | None, keys: tuple[str, ...]) -> Image.Image:
    """One thumbnail with its mark and captions, RGB."""
    cell = Image.new("RGB", CELL_SIZE, PAPER)
    draw = ImageDraw.Draw(cell)
    if image is None:
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=FAINT)
        draw.text((SIDE // 2, SIDE // 2), "?", fill=FAINT, font=load_font(40), anchor="mm")
    else:
        thumbnail = resize_to_square(image, SIDE)
        corner = (SIDE - thumbnail.width) // 2, (SIDE - thumbnail.height) // 2
        cell.paste(thumbnail, corner, thumbnail if thumbnail.mode == "RGBA" else None)
    # A green tick, a red cross or a grey plus in the corner: the shape tells them apart as well.
    x, y, r = SIDE - 13, 12, 10
    is_close_up = keys[:1] == ("close_up",)
    colour = INK if is_close_up else RED if keys else GREEN
    draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline="white")
    if is_close_up:  # a plus: a further picture, whatever its faults
        draw.line((x - 5, y, x + 5, y), fill="white", width=2)
        draw.line((x, y - 5, x, y + 5), fill="white", width=2)
    elif keys:
        draw.line((x - 4, y - 4, x + 4, y + 4), fill="white", width=2)
        draw.line((x - 4, y + 4, x + 4, y - 4), fill="white", width=2)
    else:
        draw.line((x - 5, y, x - 1, y + 4, x + 5, y - 4), fill="white", width=2, joint="curve")
    draw_captions(draw, (SIDE, SIDE), file, keys, "passes", MAX_REASON_LINES)
    return cell
