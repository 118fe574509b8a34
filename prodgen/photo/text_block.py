"""The words of an advert: headline, sub-line, price and button, each in its size and weight."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.core.errors import UsageError
from prodgen.photo import colorimetry, fonts
from prodgen.photo.text_layout import (
    LINE_SPACING,
    MIN_CONTRAST_RATIO,
    MIN_FONT_SIZE,
    Rgb,
    break_lines,
    contrast_ratio,
    prepare_ground,
    wrap_words,
)

# Sizes relative to the headline's; smaller words stay legible.
SIZES = {"headline": 1.0, "subline": 0.46, "price": 0.72, "button": 0.42}
WEIGHTS = {"headline": True, "subline": False, "price": True, "button": True}  # bold or not
MAX_LINES = {"headline": 3, "subline": 3, "price": 1, "button": 1}
GAPS = {"headline": 0.0, "subline": 0.32, "price": 0.5, "button": 0.55}  # above, of the headline
BUTTON_PADDING = (0.95, 0.55)  # beside and above its words, of their size
BLACK_AND_WHITE = ((0, 0, 0), (255, 255, 255))
MIN_ACCENT_CHROMA = 14.0  # of Lab: a greyer product gives no accent
Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Words:
    """The texts of an advert; an empty one is left out."""

    headline: str = ""
    subline: str = ""
    price: str = ""
    button: str = ""

    def list_parts(self) -> list[tuple[str, str]]:
        """(its name, the text) of each part that there is, from above."""
        return [(name, getattr(self, name)) for name in SIZES if getattr(self, name)]


@dataclasses.dataclass(frozen=True)
class Part:
    """One part in lines. top: from the block's top, pixels; extent: (width, height), pixels."""

    name: str
    lines: tuple[str, ...]
    size: int
    font: str
    top: int
    extent: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Block:
    """The parts of a text block, and its extent (width, height) in pixels."""

    parts: tuple[Part, ...]
    extent: tuple[int, int]
    size: int  # of the headline


def choose_fonts(words: Words, regular: str, bold: str) -> dict[str, str]:
    """The font file of each part: the user's, or DejaVu Sans in two weights.

    UsageError where a font lacks a letter.
    """
    files_of = {}
    for name, text in words.list_parts():
        user_font = (bold or regular) if WEIGHTS[name] else regular
        default = fonts.find_dejavu(WEIGHTS[name])
        files_of[name] = fonts.choose(text, user_font, f"--{name}", default)
    return files_of


def fit(words: Words, files: dict[str, str], box: tuple[int, int], max_size: int) -> Block:
    """The block as large as it fits into (width, height) pixels.

    UsageError where it does not fit at the smallest sizes that are legible.
    """
    for size in range(max(max_size, MIN_FONT_SIZE), MIN_FONT_SIZE - 1, -1):
        block = _lay_out(words, files, box[0], size)
        if block and block.extent[0] <= box[0] and block.extent[1] <= box[1]:
            return block
    texts = " / ".join(text for _, text in words.list_parts())
    raise UsageError(
        f"the words {texts!r} do not fit into {box[0]} x {box[1]} px at {MIN_FONT_SIZE} px, the "
        "smallest size that is legible",
        "shorten them, or choose another --size",
    )


def _lay_out(words: Words, files: dict[str, str], width: int, size: int) -> Block | None:
    """The block for a headline of `size` pixels; None where a part needs too many lines."""
    parts, top = [], 0
    for name, text in words.list_parts():
        own_size = max(round(SIZES[name] * size), MIN_FONT_SIZE)
        font = fonts.load(files[name], own_size)
        padding = _pad(own_size) if name == "button" else (0, 0)
        lines = wrap_words(text.split(), width - 2 * padding[0], font)
        if len(lines) > MAX_LINES[name] or "" in lines:
            return None
        lines = break_lines(text.split(), len(lines), font)  # of similar lengths
        if parts:
            top += round(GAPS[name] * size)
        ascent, descent = font.getmetrics()
        height = ascent + descent + round(LINE_SPACING * own_size) * (len(lines) - 1)
        widest = int(np.ceil(max(font.getlength(line) for line in lines)))
        extent = widest + 2 * padding[0], height + 2 * padding[1]
        parts.append(Part(name, lines, own_size, files[name], top, extent))
        top += extent[1]
    return Block(tuple(parts), (max(part.extent[0] for part in parts), top), size)


def _pad(size: int) -> tuple[int, int]:
    return round(BUTTON_PADDING[0] * size), round(BUTTON_PADDING[1] * size)


def draw(
    image: np.ndarray, block: Block, left: int, top: int, align: str, accent: Rgb | None
) -> tuple[np.ndarray, float, float]:
    """The block on an image uint8 [H, W, 3]: the image, the least contrast of its words, and the
    opacity of a panel behind them.

    accent: of price and button, where it has enough contrast to the ground; None: none. The price
    takes the text's colour where the accent has not.
    """
    box = (left, top, left + block.extent[0], top + block.extent[1])
    out, colour, contrast, opacity = prepare_ground(image, box, block.parts[0].size)
    behind = out[max(top, 0) : box[3], max(left, 0) : box[2]]
    is_visible = accent is not None and _least_contrast(behind, accent) >= MIN_CONTRAST_RATIO
    accent = accent if is_visible and accent is not None else colour
    canvas = Image.fromarray(out)
    pen = ImageDraw.Draw(canvas)
    for part in block.parts:
        free = block.extent[0] - part.extent[0]
        x, y = left + (free // 2 if align == "centre" else 0), top + part.top
        font, fill = fonts.load(part.font, part.size), colour
        if part.name == "price":
            fill = accent
        elif part.name == "button":
            radius = part.extent[1] / 2
            _draw_rounded(canvas, (x, y, x + part.extent[0], y + part.extent[1]), radius, accent)
            # Black or white: one of them has a contrast of 4.5 or more to any colour.
            fill = max(BLACK_AND_WHITE, key=lambda c: float(contrast_ratio(np.uint8(c), accent)))
            contrast = min(contrast, float(contrast_ratio(np.uint8(fill), np.uint8(accent))))
            x, y = x + _pad(part.size)[0], y + _pad(part.size)[1]
        _draw_lines(pen, part, font, (x, y), align, fill)
    return np.asarray(canvas), round(contrast, 2), opacity


def _draw_lines(
    pen: ImageDraw.ImageDraw, part: Part, font: ImageFont.FreeTypeFont, place: tuple[int, int],
    align: str, fill: Rgb,
) -> None:  # fmt: skip
    """The lines of a part, each in the middle of its extent or at its left."""
    width = part.extent[0] if part.name != "button" else part.extent[0] - 2 * _pad(part.size)[0]
    for i, line in enumerate(part.lines):
        free = width - font.getlength(line)
        x = place[0] + (free / 2 if align == "centre" or part.name == "button" else 0)
        pen.text((x, place[1] + round(LINE_SPACING * part.size) * i), line, fill=fill, font=font)


def _draw_rounded(canvas: Image.Image, box: Box, radius: float, colour: Rgb) -> None:
    """A box with round ends; drawn at four times the size, so that its edge is smooth."""
    size = box[2] - box[0], box[3] - box[1]
    mask = Image.new("L", (4 * size[0], 4 * size[1]), 0)
    corner = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(corner, 4 * radius, fill=255)
    canvas.paste(Image.new("RGB", size, colour), box[:2], mask.reduce(4))


def _least_contrast(behind: np.ndarray, colour: Rgb) -> float:
    return float(np.percentile(contrast_ratio(behind, np.uint8(colour)), 1))


def choose_accent(rgb: Rgb, background: Rgb) -> Rgb | None:
    """A product's colour, darker or lighter until it stands out from the background.

    None where the product has no colour, or none of its shades has enough contrast.
    """
    lab = colorimetry.srgb_to_lab(np.asarray(rgb) / 255)
    if np.hypot(*lab[1:]) < MIN_ACCENT_CHROMA:
        return None
    # The nearest lightness that is legible, the product's own first.
    for lightness in sorted(np.arange(20.0, 90.0, 2.0), key=lambda value: abs(value - lab[0])):
        shade = np.array([lightness, *lab[1:]])
        levels = 255 * colorimetry.linear_to_srgb(np.clip(colorimetry.lab_to_linear(shade), 0, 1))
        colour = tuple(int(level) for level in np.rint(levels))
        if float(contrast_ratio(np.uint8(colour), np.uint8(background))) >= MIN_CONTRAST_RATIO:
            return colour
    return None
