"""Pictures: uint8 <-> [-1, 1], contact sheets, PNG and animated PNG bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from prodgen.core.types import Array

SMALL = 128 * 128  # pixels: little but runs repeats in as few, and runs are found in half the time
MARKED = 24  # pixels a side: on a smaller picture no mark is legible


def to_float(image: Array) -> Array:
    """uint8 [...] in 0..255 -> float32 in [-1, 1]."""
    return image.astype(np.float32) / 127.5 - 1.0


def to_uint8(image: Array) -> Array:
    """float [...] in [-1, 1] (clipped) -> uint8, rounded to nearest."""
    return (image * 127.5 + 127.5).clip(0.0, 255.0).round().astype(np.uint8)


def picture(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, C] with C of 1, 3 or 4 -> a Pillow picture."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def png(image: np.ndarray | Image.Image, text: dict[str, str] | None = None) -> bytes:
    """The PNG file of a picture; `text` goes into its metadata. Same input, same bytes."""
    out = io.BytesIO()
    found = picture(image) if isinstance(image, np.ndarray) else image
    small = found.width * found.height <= SMALL
    way = zlib.Z_RLE if small else zlib.Z_DEFAULT_STRATEGY
    found.save(out, "PNG", pnginfo=_info(text), compress_type=way)
    return out.getvalue()


def apng(
    frames: Sequence[np.ndarray | Image.Image],
    milliseconds: int = 80,
    text: dict[str, str] | None = None,
) -> bytes:
    """An endlessly looping animated PNG of frames uint8 [H, W, C]; `text` as for `png`."""
    first, *rest = [picture(f) if isinstance(f, np.ndarray) else f for f in frames]
    out = io.BytesIO()
    first.save(out, "PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0,
               pnginfo=_info(text))  # fmt: skip
    return out.getvalue()


def _info(text: dict[str, str] | None) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for name, value in (text or {}).items():
        if name.startswith("XML:"):  # XMP is read from international text chunks only
            info.add_itxt(name, value)
        else:
            info.add_text(name, value)
    return info


def marked(image: np.ndarray | Image.Image) -> Image.Image:
    """The picture with "AI-generated" in its lower right corner, white on a black plate.

    The plate is opaque, so the words are legible on anything. Only "AI" where the words would take
    more than half of the width; ValueError below MARKED pixels a side.
    """
    found = (picture(image) if isinstance(image, np.ndarray) else image).copy()
    if min(found.size) < MARKED:
        raise ValueError(f"a picture of {found.width} x {found.height} px is too small for a mark")
    font = ImageFont.load_default(size=max(10, round(0.022 * min(found.size))))
    pad = max(2, round(font.size / 4))
    words = next((w for w in ("AI-generated", "AI")
                  if font.getlength(w) + 2 * pad <= 0.5 * found.width), "AI")  # fmt: skip
    left, top, right, bottom = font.getbbox(words)
    plate = (right - left + 2 * pad, bottom - top + 2 * pad)
    x, y = found.width - plate[0], found.height - plate[1]
    draw = ImageDraw.Draw(found)
    draw.rectangle((x, y, found.width, found.height), fill="black")
    draw.text((x + pad - left, y + pad - top), words, fill="white", font=font)
    return found


def enlarge(images: np.ndarray, pixels: int) -> np.ndarray:
    """Repeat pixels [N, H, W, C] a whole number of times, up to about `pixels` a side."""
    factor = max(1, pixels // images.shape[1])
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def sheet(
    images: np.ndarray, columns: int, *, gap: int = 2, rows: Sequence[str] = (), pixels: int = 64
) -> Image.Image:
    """A contact sheet of pictures uint8 [N, H, W, C] on white, with optional names of the rows."""
    images = enlarge(np.asarray(images), pixels)
    side, lines = images.shape[1] + gap, -(-len(images) // columns)
    font = ImageFont.load_default(size=12)
    margin = max((int(font.getlength(name)) + 10 for name in rows), default=0)
    grey = images.shape[-1] == 1
    mode = "L" if grey else "RGB"
    out = Image.new(mode, (margin + columns * side + gap, lines * side + gap), "white")
    for i, image in enumerate(images):
        out.paste(picture(image), (margin + gap + i % columns * side, gap + i // columns * side))
    draw = ImageDraw.Draw(out)
    for i, name in enumerate(rows):
        draw.text((5, gap + i * side + side // 2), name, fill=80 if grey else (80, 80, 80),
                  font=font, anchor="lm")  # fmt: skip
    return out
