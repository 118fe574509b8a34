"""Pixels to numbers and to files: uint8 <-> [-1, 1], PNG, animated PNG, contact sheets, labels."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from prodgen.core.types import Array

# Pixels of an image that zlib compresses by run lengths: so few pixels repeat little else, and the
# search for runs takes half the time.
MAX_RLE_PIXELS = 128 * 128
MIN_LABEL_SIDE = 24  # pixels: the label is not legible on a smaller image


def to_float(image: Array) -> Array:
    """uint8 [...] in 0..255 -> float32 in [-1, 1]."""
    return image.astype(np.float32) / 127.5 - 1.0


def to_uint8(image: Array) -> Array:
    """float [...] in [-1, 1] (clipped) -> uint8, rounded to nearest."""
    return (image * 127.5 + 127.5).clip(0.0, 255.0).round().astype(np.uint8)


def to_pillow(image: np.ndarray | Image.Image) -> Image.Image:
    """uint8 [H, W, C] with C of 1, 3 or 4 -> a Pillow image; a Pillow image stays as it is."""
    if isinstance(image, Image.Image):
        return image
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def encode_png(image: np.ndarray | Image.Image, text: dict[str, str] | None = None) -> bytes:
    """The bytes of a PNG file with `text` in its metadata. Same input, same bytes."""
    out = io.BytesIO()
    image = to_pillow(image)
    is_small = image.width * image.height <= MAX_RLE_PIXELS
    strategy = zlib.Z_RLE if is_small else zlib.Z_DEFAULT_STRATEGY
    image.save(out, "PNG", pnginfo=_build_text_chunks(text), compress_type=strategy)
    return out.getvalue()


def encode_apng(
    frames: Sequence[np.ndarray | Image.Image],
    milliseconds: int = 80,
    text: dict[str, str] | None = None,
) -> bytes:
    """An animated PNG that loops endlessly; frames uint8 [H, W, C], `text` as in `encode_png`."""
    first, *rest = map(to_pillow, frames)
    out = io.BytesIO()
    first.save(out, "PNG", save_all=True, append_images=rest, duration=milliseconds, loop=0,
               pnginfo=_build_text_chunks(text))  # fmt: skip
    return out.getvalue()


def _build_text_chunks(text: dict[str, str] | None) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for name, value in (text or {}).items():
        # Programs read XMP from international text chunks only.
        if name.startswith("XML:"):
            chunks.add_itxt(name, value)
        else:
            chunks.add_text(name, value)
    return chunks


def draw_ai_label(image: np.ndarray | Image.Image) -> Image.Image:
    """A copy of the image with "AI-generated" in its lower right corner, white on a black box.

    The box is opaque, so the text is legible on any image. The text is "AI" where the longer one
    would take more than half of the width. ValueError below MIN_LABEL_SIDE pixels a side.
    """
    labelled_image = to_pillow(image).copy()
    width, height = labelled_image.size
    if min(width, height) < MIN_LABEL_SIDE:
        raise ValueError(f"an image of {width} x {height} px is too small for a label")

    # Choose the text, then draw the box around it.
    font = ImageFont.load_default(size=max(10, round(0.022 * min(width, height))))
    padding = max(2, round(font.size / 4))
    is_wide = font.getlength("AI-generated") + 2 * padding > 0.5 * width
    text = "AI" if is_wide else "AI-generated"
    left, top, right, bottom = font.getbbox(text)
    x = width - (right - left + 2 * padding)
    y = height - (bottom - top + 2 * padding)
    draw = ImageDraw.Draw(labelled_image)
    draw.rectangle((x, y, width, height), fill="black")
    draw.text((x + padding - left, y + padding - top), text, fill="white", font=font)
    return labelled_image


def enlarge(images: np.ndarray, side: int) -> np.ndarray:
    """Repeat pixels [N, H, W, C] a whole number of times, so that H is at most about `side`."""
    factor = max(1, side // images.shape[1])
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def draw_contact_sheet(
    images: np.ndarray, columns: int, *, gap: int = 2, row_names: Sequence[str] = (), side: int = 64
) -> Image.Image:
    """A grid of images uint8 [N, H, W, C] on white, with optional names of its rows.

    Images are enlarged to about `side` pixels; `gap` pixels lie between them.
    """
    images = enlarge(np.asarray(images), side)
    step, num_rows = images.shape[1] + gap, -(-len(images) // columns)
    font = ImageFont.load_default(size=12)
    margin = max((int(font.getlength(name)) + 10 for name in row_names), default=0)
    is_grey = images.shape[-1] == 1
    size = (margin + columns * step + gap, num_rows * step + gap)
    canvas = Image.new("L" if is_grey else "RGB", size, "white")
    for i, image in enumerate(images):
        position = (margin + gap + i % columns * step, gap + i // columns * step)
        canvas.paste(to_pillow(image), position)

    # Write the rows' names into the left margin, vertically centred on their row.
    draw = ImageDraw.Draw(canvas)
    for i, name in enumerate(row_names):
        draw.text((5, gap + i * step + step // 2), name, fill=80 if is_grey else (80, 80, 80),
                  font=font, anchor="lm")  # fmt: skip
    return canvas
