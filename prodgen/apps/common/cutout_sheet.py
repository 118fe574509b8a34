"""The check sheet of mode cutout: each photo beside its cut-out on squares, over its findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from prodgen.apps.common.gate_sheet import FAINT, GREEN, INK, PAPER, RED, fitted, font_of, wrapped
from prodgen.core import pixels

COLUMNS, SIDE, GAP, LINE, HEAD = 4, 150, 16, 15, 44  # pixels but the first
REASON_LINES = 2
SQUARE = 10  # pixels of the pattern that stands for transparent
LIGHT, DARK = 250, 205  # its levels


class Sheet:
    """Thumbnails of the first `limit` doubtful or skipped pictures and of the first clean ones."""

    def __init__(self, limit: int):
        self._limit, self._total = limit, 0
        self._doubtful: list[Image.Image] = []
        self._clean: list[Image.Image] = []

    def add(
        self, file: str, picture: np.ndarray | None, cut: np.ndarray | None, keys: Sequence[str]
    ) -> None:
        """A photo uint8 [H, W, C] and its cut-out uint8 [H, W, 4], None where there is none."""
        self._total += 1
        cells = self._doubtful if keys else self._clean
        if len(cells) < self._limit:
            cells.append(_cell(file, picture, cut, keys))

    def draw(self, title: str) -> Image.Image:
        """The sheet, RGB; it says so where not all pictures are on it."""
        cells = (self._doubtful + self._clean)[: self._limit]
        columns = min(COLUMNS, len(cells))
        width, height = 2 * SIDE + GAP, _height() + GAP
        room = max(columns * width - GAP, 3 * SIDE)
        out = Image.new("RGB", (room + 2 * GAP, HEAD + -(-len(cells) // columns) * height), PAPER)
        draw = ImageDraw.Draw(out)
        draw.text((GAP, 8), fitted(title, font_of(14), room), fill=INK, font=font_of(14))
        more = f"; {len(cells)} of {self._total} are shown" if len(cells) < self._total else ""
        words = f"what deserves a look comes first{more}"
        draw.text((GAP, 26), words, fill=FAINT, font=font_of(11))
        for i, cell in enumerate(cells):
            out.paste(cell, (GAP + i % columns * width, HEAD + i // columns * height))
        return out


def _height() -> int:
    return SIDE + LINE * (1 + REASON_LINES) + 4


def _cell(
    file: str, picture: np.ndarray | None, cut: np.ndarray | None, keys: Sequence[str]
) -> Image.Image:
    """The photo, its cut-out on squares, the name and the findings, RGB."""
    cell = Image.new("RGB", (2 * SIDE, _height()), PAPER)
    draw = ImageDraw.Draw(cell)
    for place, shown in enumerate((picture, cut)):
        if shown is None:
            middle = (place * SIDE + SIDE // 2, SIDE // 2)
            draw.text(middle, "?" if place == 0 else "none", fill=FAINT, font=font_of(24),
                      anchor="mm")  # fmt: skip
        else:
            _paste(cell, shown, place * SIDE)
    draw.text((0, SIDE + 4), fitted(file, font_of(11), 2 * SIDE), fill=INK, font=font_of(11))
    for i, line in enumerate((wrapped(keys) if keys else ["clean"])[:REASON_LINES]):
        at = (0, SIDE + 4 + LINE * (i + 1))
        draw.text(at, line, fill=RED if keys else GREEN, font=font_of(12))
    return cell


def _paste(cell: Image.Image, picture: np.ndarray, left: int) -> None:
    """The whole picture in a square of SIDE pixels from `left` on, over squares if transparent."""
    full = pixels.to_pillow(picture)
    scale = (SIDE - 4) / max(full.size)
    size = tuple(max(1, round(side * scale)) for side in full.size)
    small = full.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    place = left + (SIDE - small.width) // 2, (SIDE - small.height) // 2
    if small.mode == "RGBA":
        cell.paste(_squares(small.size), place)
        cell.paste(small, place, small)
    else:
        cell.paste(small, place)


def _squares(size: tuple[int, int]) -> Image.Image:
    y, x = np.ogrid[: size[1], : size[0]]
    pattern = np.where((y // SQUARE + x // SQUARE) % 2, LIGHT, DARK).astype(np.uint8)
    return Image.fromarray(np.repeat(pattern[..., None], 3, axis=-1))
