"""The contact sheet of mode gate: failing pictures first, each over its name and its reasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.core import pixels

COLUMNS, SIDE, GAP, LINE = 8, 144, 14, 15  # pixels but the first
REASON_LINES = 3  # six reasons, the most there can be, fit
HEAD = 44
PAPER, INK, FAINT = (232, 232, 232), (40, 40, 40), (110, 110, 110)  # a white packshot shows on it
RED, GREEN = (190, 30, 30), (20, 125, 60)


class Sheet:
    """Thumbnails of the first `limit` failing and the first `limit` passing pictures, no more.

    So the memory of a sheet does not depend on how many pictures there are.
    """

    def __init__(self, limit: int):
        self._limit, self._total = limit, 0
        self._failing: list[Image.Image] = []
        self._passing: list[Image.Image] = []

    def add(self, file: str, picture: np.ndarray | None, keys: Sequence[str]) -> None:
        """A picture uint8 [H, W, 1 | 3 | 4], None where unreadable; the keys of its reasons."""
        self._total += 1
        cells = self._failing if keys else self._passing
        if len(cells) < self._limit:
            cells.append(_cell(file, picture, keys))

    def draw(self, title: str) -> Image.Image:
        """The sheet, RGB; it says so where not all pictures are on it."""
        cells = (self._failing + self._passing)[: self._limit]
        columns, lines = COLUMNS, -(-len(cells) // COLUMNS)
        width, height = SIDE + GAP, _height() + GAP
        out = Image.new("RGB", (columns * width + GAP, HEAD + lines * height), PAPER)
        draw = ImageDraw.Draw(out)
        room = out.width - 2 * GAP
        draw.text((GAP, 8), fitted(title, font_of(14), room), fill=INK, font=font_of(14))
        more = f"; {len(cells)} of {self._total} are shown" if len(cells) < self._total else ""
        draw.text((GAP, 26), f"those that fail come first{more}", fill=FAINT, font=font_of(11))
        for i, cell in enumerate(cells):
            out.paste(cell, (GAP + i % columns * width, HEAD + i // columns * height))
        return out


def _height() -> int:
    return SIDE + LINE * (1 + REASON_LINES) + 4


def _cell(file: str, picture: np.ndarray | None, keys: Sequence[str]) -> Image.Image:
    """One thumbnail with its mark and captions, RGB."""
    cell = Image.new("RGB", (SIDE, _height()), PAPER)
    draw = ImageDraw.Draw(cell)
    if picture is None:
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=FAINT)
        draw.text((SIDE // 2, SIDE // 2), "?", fill=FAINT, font=font_of(40), anchor="mm")
    else:
        small = thumbnail(picture)
        place = (SIDE - small.width) // 2, (SIDE - small.height) // 2
        cell.paste(small, place, small if small.mode == "RGBA" else None)
    _mark(draw, not keys)
    draw.text((0, SIDE + 4), fitted(file, font_of(11), SIDE), fill=INK, font=font_of(11))
    words = wrapped(keys) if keys else ["passes"]
    for i, line in enumerate(words[:REASON_LINES]):
        at = (0, SIDE + 4 + LINE * (i + 1))
        draw.text(at, line, fill=RED if keys else GREEN, font=font_of(12))
    return cell


def thumbnail(picture: np.ndarray) -> Image.Image:
    """The whole picture, its longest side SIDE pixels; small ones are enlarged to be seen."""
    full = pixels.to_pillow(picture)
    scale = SIDE / max(full.size)
    size = tuple(max(1, round(side * scale)) for side in full.size)
    return full.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _mark(draw: ImageDraw.ImageDraw, passes: bool) -> None:
    """A green tick or a red cross in the corner: told apart by its shape as well."""
    x, y, r = SIDE - 13, 12, 10
    draw.ellipse((x - r, y - r, x + r, y + r), fill=GREEN if passes else RED, outline="white")
    if passes:
        draw.line((x - 5, y, x - 1, y + 4, x + 5, y - 4), fill="white", width=2, joint="curve")
    else:
        draw.line((x - 4, y - 4, x + 4, y + 4), fill="white", width=2)
        draw.line((x - 4, y + 4, x + 4, y - 4), fill="white", width=2)


def font_of(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def fitted(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """The text, its start cut off where it is wider than `room` pixels: names differ at the end."""
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"...{text}") > room:
        text = text[1:]
    return f"...{text}"


def wrapped(keys: Sequence[str]) -> list[str]:
    """Lines of keys that fit under a thumbnail."""
    lines: list[str] = []
    for key in keys:
        longer = f"{lines[-1]}, {key}" if lines else key
        if lines and font_of(12).getlength(longer) <= SIDE:
            lines[-1] = longer
        else:
            lines.append(key)
    return lines
