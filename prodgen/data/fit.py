"""An image of any size as a square of the store's resolution, padded with its own background."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

MIN_WHITE_LEVEL = 250  # a border pixel is white where all its channels reach this level
BORDER_FRACTION = 0.02  # of the shorter side: the width of the border


@dataclasses.dataclass(frozen=True)
class FittedImage:
    """One image ready for the store.

    pixels: uint8 [R, R, 1 | 3], one channel where the image is grey throughout. mask: uint8
    [R, R], the resized alpha, or None. background: uint8 [3], the median of the border pixels.
    white_fraction: share of the border pixels that are white, in [0, 1]. original_size: (height,
    width) before fitting.
    """

    pixels: np.ndarray
    mask: np.ndarray | None
    background: np.ndarray
    white_fraction: float
    original_size: tuple[int, int]


def fit_image(
    image: np.ndarray, resolution: int, fit: str = "pad", is_composited: bool = False
) -> FittedImage:
    """Fit an image uint8 [h, w, 1 | 3 | 4] into a square of `resolution` pixels a side.

    fit: "pad" keeps the aspect ratio and fills up with the measured background, "crop" keeps the
    centre, "stretch" changes the aspect ratio. is_composited: the RGB of an RGBA image is final and
    alpha is only its mask; otherwise the image is composited on white.
    """
    height, width, channels = image.shape
    if image.dtype != np.uint8 or channels not in (1, 3, 4):
        raise ValueError(f"an image is uint8 [h, w, 1|3|4], not {image.dtype} {image.shape}")
    opaque_image, alpha = _split_alpha(image, is_composited)
    # The background is the median of a frame around the image.
    pixels = np.asarray(opaque_image).reshape(height, width, -1)
    edge = max(1, round(BORDER_FRACTION * min(height, width)))
    sides = (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:])
    border = np.concatenate([side.reshape(-1, pixels.shape[-1]) for side in sides])
    background = np.median(border, axis=0).astype(np.uint8)
    # Colour and alpha get the same geometry; padding is transparent.
    square = _fit_square(opaque_image, resolution, fit, tuple(int(level) for level in background))
    pixels = np.asarray(square).reshape(resolution, resolution, -1)
    mask = None if alpha is None else np.asarray(_fit_square(alpha, resolution, fit, (0,)))
    # A grey image is stored with one channel.
    first = pixels[..., :1]
    pixels = first if (pixels == first).all() else pixels
    white_fraction = float((border >= MIN_WHITE_LEVEL).all(axis=-1).mean())
    background = np.broadcast_to(background, 3).copy()
    return FittedImage(pixels, mask, background, white_fraction, (height, width))


def set_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [..., 1 | 3] with 1 or 3 channels: grey is repeated, colour becomes ITU-R 601 luma."""
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    weights = np.array([19595, 38470, 7471], np.uint32)  # sum 65536: grey stays exactly as it is
    return ((image @ weights + 32768) >> 16).astype(np.uint8)[..., None]


def _split_alpha(image: np.ndarray, is_composited: bool) -> tuple[Image.Image, Image.Image | None]:
    """The opaque image (mode L or RGB) and its alpha; None where alpha is 255 throughout."""
    if image.shape[-1] == 1:
        return Image.fromarray(image[..., 0]), None
    if image.shape[-1] == 3:
        return Image.fromarray(image), None
    colour = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    if image[..., 3].min() == 255:
        return colour, None
    alpha = Image.fromarray(np.ascontiguousarray(image[..., 3]))
    if is_composited:
        return colour, alpha
    white = Image.new("RGB", colour.size, (255, 255, 255))
    white.paste(colour, mask=alpha)
    return white, alpha


def _fit_square(
    image: Image.Image, side: int, fit: str, background: tuple[int, ...]
) -> Image.Image:
    width, height = image.size
    size = (side, side)
    # "stretch" needs no step of its own: the resize below changes the aspect ratio.
    if fit == "crop":
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short))
    elif fit == "pad":
        scale = side / max(width, height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # With antialiasing; an image of the right size keeps its exact pixels.
    if image.size != size:
        is_reduced = size[0] < image.size[0] or size[1] < image.size[1]
        resample = Image.Resampling.LANCZOS if is_reduced else Image.Resampling.BICUBIC
        image = image.resize(size, resample, reducing_gap=3.0)
    if size == (side, side):
        return image
    # Pillow takes a plain number where a mode has one channel.
    fill = background if len(background) > 1 else background[0]
    canvas = Image.new(image.mode, (side, side), fill)
    canvas.paste(image, ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas
