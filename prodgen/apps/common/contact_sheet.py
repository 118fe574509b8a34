"""A contact sheet of many images under a title: problems first, each image over its captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.core import pixels
from prodgen.core.file_names import format_name

LINE_HEIGHT = 15  # pixels of a line of captions
HEADER_HEIGHT = 44  # pixels of the title and the line below it
MAX_KEYS_WIDTH = 144  # pixels of a line of reasons
PAPER, INK, FAINT = (232, 232, 232), (40, 40, 40), (110, 110, 110)  # a white packshot shows on it
RED, GREEN = (190, 30, 30), (20, 125, 60)


class ContactSheet:
    """Cells of the first `limit` images with problems and of the first `limit` others.

    So the memory of a sheet does not depend on the number of images. cell_size: (width, height)
    in pixels; gap: pixels between cells; min_width: pixels of a line of cells, at least; note: the
    text below the title.
    """

    def __init__(
        self,
        limit: int,
        cell_size: tuple[int, int],
        *,
        max_columns: int,
        gap: int,
        min_width: int,
        note: str,
    ):
        self._limit, self._total = limit, 0
        self._cell_size, self._max_columns, self._gap = cell_size, max_columns, gap
        self._min_width, self._note = min_width, note
        self._problem_cells: list[Image.Image] = []
        self._other_cells: list[Image.Image] = []

    def add(self, has_problem: bool, render_cell: Callable[[], Image.Image]) -> None:
        """Count an image; render its cell where fewer than `limit` of its kind are there."""
        self._total += 1
        cells = self._problem_cells if has_problem else self._other_cells
        if len(cells) < self._limit:
            cells.append(render_cell())

    def draw(self, title: str) -> Image.Image:
        """The sheet, RGB; the note says how many images are on it where some are not."""
        cells = (self._problem_cells + self._other_cells)[: self._limit]
        columns, gap = min(self._max_columns, len(cells)), self._gap
        step_x, step_y = self._cell_size[0] + gap, self._cell_size[1] + gap
        content_width = max(columns * step_x - gap, self._min_width)
        height = HEADER_HEIGHT + -(-len(cells) // columns) * step_y
        sheet = Image.new("RGB", (content_width + 2 * gap, height), PAPER)
        # The title and the note, then the cells line by line.
        draw = ImageDraw.Draw(sheet)
        text = fit_text(title, load_font(14), content_width)
        draw.text((gap, 8), text, fill=INK, font=load_font(14))
        rest = f"; {len(cells)} of {self._total} are shown" if len(cells) < self._total else ""
        draw.text((gap, 26), f"{self._note}{rest}", fill=FAINT, font=load_font(11))
        for i, cell in enumerate(cells):
            corner = gap + i % columns * step_x, HEADER_HEIGHT + i // columns * step_y
            sheet.paste(cell, corner)
        return sheet


def draw_captions(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    file: str,
    keys: Sequence[str],
    pass_text: str,
    max_lines: int,
) -> None:
    """Below an image of `size` pixels: its file, and reasons in red or `pass_text` in green."""
    width, height = size
    name = fit_text(format_name(file), load_font(11), width)
    draw.text((0, height + 4), name, fill=INK, font=load_font(11))
    lines = wrap_keys(keys) if keys else [pass_text]
    for i, line in enumerate(lines[:max_lines]):
        corner = (0, height + 4 + LINE_HEIGHT * (i + 1))
        draw.text(corner, line, fill=RED if keys else GREEN, font=load_font(12))


def resize_to_square(image: np.ndarray, side: int) -> Image.Image:
    """The whole image uint8 [H, W, C], its longer side `side` pixels; small ones are enlarged."""
    full = pixels.to_pillow(image)
    scale = side / max(full.size)
    size = tuple(max(1, round(length * scale)) for length in full.size)
    return full.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def load_font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def fit_text(text: str, font: ImageFont.FreeTypeFont, max_width: int) -> str:
    """The text, cut at its start where it is wider than `max_width` pixels.

    File names differ at their end.
    """
    text = " ".join(text.split())
    if font.getlength(text) <= max_width:
        return text
    while text and font.getlength(f"...{text}") > max_width:
        text = text[1:]
    return f"...{text}"


def wrap_keys(keys: Sequence[str]) -> list[str]:
    """The keys in lines of at most MAX_KEYS_WIDTH, one key at least."""
    lines: list[str] = []
    for key in keys:
        longer = f"{lines[-1]}, {key}" if lines else key
        if lines and load_font(12).getlength(longer) <= MAX_KEYS_WIDTH:
            lines[-1] = longer
        else:
            lines.append(key)
    return lines
