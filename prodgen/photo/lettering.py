"""A text on a picture: the largest size that fits, in a colour that can be read.

Contrast is WCAG 2.1's ratio of relative luminances, 1 to 21; 4.5 is its level AA for text.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.core.errors import MissingInput, UsageError
from prodgen.photo import backdrop, colour

CONTRAST = 4.5
INKS = ((26, 26, 26), (255, 255, 255))
SMALLEST = 11  # pixels: the smallest size that is legible on a screen
LINES = 5  # a text is broken into that many at most
LEADING = 1.22  # of the size, from line to line
WORST = 1.0  # percent of the pixels behind a text may have less contrast: specks in a picture
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclasses.dataclass(frozen=True)
class Setting:
    """A text set: its lines, the size in pixels, and (width, height) in pixels."""

    lines: tuple[str, ...]
    size: int
    extent: tuple[int, int]


def contrast(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """WCAG's ratio [...] of sRGB colours [..., 3] uint8, which broadcast."""
    one, two = luminance(np.asarray(first)), luminance(np.asarray(second))
    return (np.maximum(one, two) + 0.05) / (np.minimum(one, two) + 0.05)


def luminance(levels: np.ndarray) -> np.ndarray:
    """Relative luminance in [0, 1] of sRGB levels [..., 3]."""
    return colour.linear(levels / 255) @ _LUMINANCE


def font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The user's font, or Pillow's own. MissingInput: no such file; UsageError: no font."""
    if not path:
        return ImageFont.load_default(size=size)
    if not Path(path).is_file():
        raise MissingInput(f"--font={path} does not exist", "name a .ttf or .otf file")
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError):
        raise UsageError(f"--font={path} is not a font", "name a .ttf or .otf file") from None


def check(text: str, path: str) -> None:
    """UsageError where the font lacks a letter of the text: it would show as a box."""
    face = font(path, 20)
    none = bytes(face.getmask("\U0010ffff"))
    lacking = [x for x in dict.fromkeys(text) if not x.isspace() and bytes(face.getmask(x)) == none]
    if lacking:
        raise UsageError(
            f"--text: the font has no {' '.join(map(repr, lacking[:5]))}",
            "name a font that has it with --font=FILE.ttf",
        )


def fitted(text: str, path: str, room: tuple[int, int], largest: int) -> Setting:
    """The text as large as it fits into (width, height) pixels, in few lines; at most `largest`.

    UsageError where it does not at SMALLEST.
    """
    words, reference = text.split(), font(path, 100)
    ways = [_broken(words, count, reference) for count in range(1, min(LINES, len(words)) + 1)]
    best = None
    for lines in ways:
        # More lines only where the letters grow by a third: a text in one line reads faster.
        least = SMALLEST if best is None else max(SMALLEST, math.ceil(best.size * 4 / 3))
        for size in range(max(largest, SMALLEST), least - 1, -1):
            extent = _extent(lines, font(path, size), size)
            if extent[0] <= room[0] and extent[1] <= room[1]:
                best = Setting(lines, size, extent)
                break
    if best:
        return best
    raise UsageError(
        f"--text: {text!r} does not fit into {room[0]} x {room[1]} px at {SMALLEST} px, the "
        "smallest size that is legible",
        "shorten it, or choose another --size",
    )


def _broken(words: list[str], count: int, face: ImageFont.FreeTypeFont) -> tuple[str, ...]:
    """The words in `count` lines or fewer, the widest as narrow as can be."""
    starts = range(len(words))
    parts = {" ".join(words[i : j + 1]) for i in starts for j in starts[i:]}
    widths = sorted(map(face.getlength, parts))
    low, high = 0, len(widths) - 1
    while low < high:
        middle = (low + high) // 2
        if len(_wrapped(words, widths[middle], face)) <= count:
            high = middle
        else:
            low = middle + 1
    return tuple(_wrapped(words, widths[low], face))


def _wrapped(words: list[str], width: float, face: ImageFont.FreeTypeFont) -> list[str]:
    """Lines of at most `width` pixels; a word that is wider has a line of its own, and one more,
    so that it never counts as fitting."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines += [word] if face.getlength(word) <= width else [word, ""]
    return lines


def _extent(lines: tuple[str, ...], face: ImageFont.FreeTypeFont, size: int) -> tuple[int, int]:
    width = max(face.getbbox(line)[2] - min(0, face.getbbox(line)[0]) for line in lines)
    ascent, descent = face.getmetrics()
    return int(np.ceil(width)), int(np.ceil(ascent + descent + LEADING * size * (len(lines) - 1)))


def drawn(
    picture: np.ndarray, text: Setting, path: str, left: int, top: int, align: str
) -> tuple[np.ndarray, float, float]:
    """The text on a picture uint8 [H, W, 3] at (left, top): the picture, its contrast, its veil.

    Dark or white, whichever stands out more. Where a picture behind leaves less than CONTRAST, a
    veil of the other tone is laid behind the text, its opacity in [0, 1] as small as will do.
    """
    pad = round(0.45 * text.size)
    box = _clipped((left - pad, top - pad // 2, left + text.extent[0] + pad,
                    top + text.extent[1] + pad // 2), picture.shape)  # fmt: skip
    behind = picture[box[1] : box[3], box[0] : box[2]]
    ink = max(INKS, key=lambda one: _worst(behind, one))
    other = INKS[1 - INKS.index(ink)]
    veil = next(v for v in np.arange(0, 1.01, 0.05) if _worst(_veiled(behind, other, v), ink)
                >= CONTRAST)  # fmt: skip
    out = picture.copy()
    if veil:
        _lay(out, box, other, float(veil), round(0.3 * text.size))
    shown = Image.fromarray(out)
    face, draw = font(path, text.size), ImageDraw.Draw(shown)
    for i, line in enumerate(text.lines):
        spare = text.extent[0] - face.getlength(line)
        x = left + {"left": 0, "centre": spare / 2}[align]
        draw.text((x, top + LEADING * text.size * i), line, fill=ink, font=face)
    ratio = _worst(_veiled(behind, other, veil), ink)
    return np.asarray(shown), round(ratio, 2), round(float(veil), 2)


def _clipped(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return max(0, left), max(0, top), min(shape[1], right), min(shape[0], bottom)


def _worst(behind: np.ndarray, ink: tuple[int, int, int]) -> float:
    """The contrast that all but WORST percent of the pixels give."""
    return float(np.percentile(contrast(behind, np.uint8(ink)), WORST))


def _veiled(behind: np.ndarray, tone: tuple[int, int, int], opacity: float) -> np.ndarray:
    return np.rint(behind + opacity * (np.array(tone) - behind)).astype(np.uint8)


def _lay(
    out: np.ndarray, box: tuple[int, int, int, int], tone: tuple[int, int, int], opacity: float,
    radius: int,
) -> None:  # fmt: skip
    """A panel with round corners over a box of the picture, in place."""
    left, top, right, bottom = box
    four = Image.new("L", (4 * (right - left), 4 * (bottom - top)), 0)
    ImageDraw.Draw(four).rounded_rectangle(
        (0, 0, four.width - 1, four.height - 1), 4 * radius, fill=round(255 * opacity)
    )
    alpha = np.asarray(four.reduce(4))
    panel = np.dstack([np.broadcast_to(np.uint8(tone), (*alpha.shape, 3)), alpha])
    out[top:bottom, left:right] = backdrop.over(panel, out[top:bottom, left:right])
