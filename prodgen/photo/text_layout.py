"""A text on an image: the largest size that fits, in a legible colour.

Contrast is WCAG 2.1's ratio of relative luminances, 1 to 21; 4.5 is its level AA for text.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prodgen.core.errors import UsageError
from prodgen.photo import backdrop, colorimetry, fonts

MIN_CONTRAST_RATIO = 4.5
TEXT_COLOURS = ((26, 26, 26), (255, 255, 255))
MIN_FONT_SIZE = 11  # pixels: the smallest size that is legible on a screen
MAX_LINES = 5
LINE_SPACING = 1.22  # of the font size
MIN_GROWTH_PER_LINE_BREAK = 4 / 3  # a text in fewer lines is read faster
LOW_CONTRAST_PERCENTILE = 1.0  # of the pixels behind a text: specks in an image do not count
_LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
Rgb = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class TextLayout:
    """A text in lines, the font size in pixels, and the extent (width, height) in pixels."""

    lines: tuple[str, ...]
    size: int
    extent: tuple[int, int]


def contrast_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """WCAG's ratio [...] of sRGB colours [..., 3] uint8, which broadcast."""
    y1, y2 = relative_luminance(np.asarray(first)), relative_luminance(np.asarray(second))
    return (np.maximum(y1, y2) + 0.05) / (np.minimum(y1, y2) + 0.05)


def relative_luminance(levels: np.ndarray) -> np.ndarray:
    """Relative luminance in [0, 1] of sRGB levels [..., 3]."""
    return colorimetry.srgb_to_linear(levels / 255) @ _LUMINANCE_WEIGHTS


def fit_text(text: str, path: str, box_size: tuple[int, int], max_font_size: int) -> TextLayout:
    """The text as large as it fits into (width, height) pixels, in few lines.

    UsageError where it does not fit at MIN_FONT_SIZE.
    """
    words, reference_font = text.split(), fonts.load(path, 100)
    layout = None
    for count in range(1, min(MAX_LINES, len(words)) + 1):
        lines = break_lines(words, count, reference_font)
        # More lines only where the letters grow by a third.
        min_size = MIN_FONT_SIZE
        if layout:
            min_size = max(min_size, math.ceil(layout.size * MIN_GROWTH_PER_LINE_BREAK))
        for size in range(max(max_font_size, MIN_FONT_SIZE), min_size - 1, -1):
            extent = _text_extent(lines, fonts.load(path, size), size)
            if extent[0] <= box_size[0] and extent[1] <= box_size[1]:
                layout = TextLayout(lines, size, extent)
                break
    if layout:
        return layout
    raise UsageError(
        f"--text: {text!r} does not fit into {box_size[0]} x {box_size[1]} px at "
        f"{MIN_FONT_SIZE} px, the smallest size that is legible",
        "shorten it, or choose another --size",
    )


def break_lines(words: list[str], count: int, font: ImageFont.FreeTypeFont) -> tuple[str, ...]:
    """The words in `count` lines or fewer, with the least width of the widest line."""
    # Bisect the widths of all runs of words: one of them is the least width.
    starts = range(len(words))
    runs = {" ".join(words[i : j + 1]) for i in starts for j in starts[i:]}
    widths = sorted(map(font.getlength, runs))
    low, high = 0, len(widths) - 1
    while low < high:
        middle = (low + high) // 2
        if len(wrap_words(words, widths[middle], font)) <= count:
            high = middle
        else:
            low = middle + 1
    return tuple(wrap_words(words, widths[low], font))


def wrap_words(words: list[str], width: float, font: ImageFont.FreeTypeFont) -> list[str]:
    """Lines of at most `width` pixels. A word that is wider has a line of its own, and one more,
    so that it never counts as fitting."""
    lines: list[str] = []
    for word in words:
        extension = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(extension) <= width:
            lines[-1] = extension
        else:
            lines += [word] if font.getlength(word) <= width else [word, ""]
    return lines


def _text_extent(
    lines: tuple[str, ...], font: ImageFont.FreeTypeFont, size: int
) -> tuple[int, int]:
    """(width, height) in pixels of lines in a font of this size."""
    width = max(font.getbbox(line)[2] - min(0, font.getbbox(line)[0]) for line in lines)
    ascent, descent = font.getmetrics()
    height = ascent + descent + LINE_SPACING * size * (len(lines) - 1)
    return int(np.ceil(width)), int(np.ceil(height))


def draw_text(
    image: np.ndarray, text: TextLayout, path: str, left: int, top: int, align: str
) -> tuple[np.ndarray, float, float]:
    """The text on an image uint8 [H, W, 3] at (left, top): the image, its contrast, and the opacity
    of a panel behind the text.

    Dark or white, whichever has more contrast. Where an image behind gives less contrast than
    MIN_CONTRAST_RATIO, a panel of the other tone is drawn behind the text, with the lowest opacity
    in [0, 1] that suffices.
    """
    box = (left, top, left + text.extent[0], top + text.extent[1])
    out, text_colour, contrast, opacity = prepare_ground(image, box, text.size)
    canvas = Image.fromarray(out)
    font, draw = fonts.load(path, text.size), ImageDraw.Draw(canvas)
    for i, line in enumerate(text.lines):
        free_width = text.extent[0] - font.getlength(line)
        x = left + {"left": 0, "centre": free_width / 2}[align]
        y = top + LINE_SPACING * text.size * i
        draw.text((x, y), line, fill=text_colour, font=font)
    return np.asarray(canvas), contrast, opacity


def prepare_ground(
    image: np.ndarray, box: tuple[int, int, int, int], size: int
) -> tuple[np.ndarray, Rgb, float, float]:
    """A copy of an image with what a text in `box` needs behind it; the text's colour and contrast,
    and the opacity of the panel.

    size: of the text, pixels, from which the panel's padding and corners follow.
    """
    # The box of the panel, clipped to the image.
    (left, top, right, bottom), padding = box, round(0.45 * size)
    x0, y0 = max(0, left - padding), max(0, top - padding // 2)
    x1 = min(image.shape[1], right + padding)
    y1 = min(image.shape[0], bottom + padding // 2)
    behind = image[y0:y1, x0:x1]
    text_colour = max(TEXT_COLOURS, key=lambda colour: _low_contrast(behind, colour))
    panel_colour = TEXT_COLOURS[1 - TEXT_COLOURS.index(text_colour)]
    # The lowest opacity of the panel that gives enough contrast; 0 draws no panel.
    for opacity in np.arange(0, 1.01, 0.05):
        panel = np.rint(behind + opacity * (np.array(panel_colour) - behind)).astype(np.uint8)
        contrast = _low_contrast(panel, text_colour)
        if contrast >= MIN_CONTRAST_RATIO:
            break
    out = image.copy()
    if opacity:
        _draw_panel(out[y0:y1, x0:x1], panel_colour, float(opacity), round(0.3 * size))
    return out, text_colour, round(contrast, 2), round(float(opacity), 2)


def _low_contrast(behind: np.ndarray, text_colour: Rgb) -> float:
    """The contrast that all but LOW_CONTRAST_PERCENTILE percent of the pixels give."""
    ratios = contrast_ratio(behind, np.uint8(text_colour))
    return float(np.percentile(ratios, LOW_CONTRAST_PERCENTILE))


def _draw_panel(box: np.ndarray, colour: Rgb, opacity: float, radius: int) -> None:
    """A panel with round corners over a box uint8 [h, w, 3] of an image, in place."""
    # Drawn at four times the size and reduced, so that the corners are smooth.
    height, width = box.shape[:2]
    mask = Image.new("L", (4 * width, 4 * height), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, mask.width - 1, mask.height - 1), 4 * radius, fill=round(255 * opacity)
    )
    alpha = np.asarray(mask.reduce(4))
    panel = np.dstack([np.broadcast_to(np.uint8(colour), (*alpha.shape, 3)), alpha])
    box[:] = backdrop.composite_over(panel, box)
