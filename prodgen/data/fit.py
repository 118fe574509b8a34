"""A picture of any size to a square of the store's resolution, padded with its own background."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

WHITE = 250  # a border pixel whose channels all reach this counts as white


@dataclasses.dataclass(frozen=True)
class FittedImage:
    """One picture ready for the store.

    pixels: uint8 [R, R, 1 | 3], one channel where the picture is grey throughout. mask: uint8
    [R, R], the resized alpha, or None. background: uint8 [3], the median of the border pixels.
    white: share of border pixels that are white, in [0, 1]. original: (height, width) before.
    """

    pixels: np.ndarray
    mask: np.ndarray | None
    background: np.ndarray
    white_fraction: float
    original_size: tuple[int, int]


def fit_image(
    picture: np.ndarray, resolution: int, fit: str = "pad", composited: bool = False
) -> FittedImage:
    """`picture` uint8 [h, w, 1 | 3 | 4] fitted into a square.

    fit: "pad" keeps the aspect and fills up with the measured background, "crop" keeps the centre,
    "stretch" bends. composited: the RGB of an RGBA picture is finished and alpha only its mask;
    otherwise alpha is composited on white.
    """
    height, width, channels = picture.shape
    if picture.dtype != np.uint8 or channels not in (1, 3, 4):
        raise ValueError(f"a picture is uint8 [h, w, 1|3|4], not {picture.dtype} {picture.shape}")
    image, alpha = _split_alpha(picture, composited)
    border = _border(np.asarray(image).reshape(height, width, -1))
    background = np.median(border, axis=0).astype(np.uint8)
    pixels = _square(image, resolution, fit, tuple(int(value) for value in background))
    mask = None if alpha is None else np.asarray(_square(alpha, resolution, fit, (0,)))
    return FittedImage(
        _squeeze_grey(np.asarray(pixels).reshape(resolution, resolution, -1)),
        mask,
        np.broadcast_to(background, 3).copy(),
        float((border >= WHITE).all(axis=-1).mean()),
        (height, width),
    )


def set_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [..., 1 | 3] with 1 or 3 channels: grey is repeated, colour becomes ITU-R 601 luma."""
    if picture.shape[-1] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=-1)
    weights = np.array([19595, 38470, 7471], np.uint32)  # sum 65536: grey stays exactly as it is
    return ((picture @ weights + 32768) >> 16).astype(np.uint8)[..., None]


def _split_alpha(picture: np.ndarray, composited: bool) -> tuple[Image.Image, Image.Image | None]:
    """The opaque picture (mode L or RGB) and its alpha; an alpha of 255 throughout is none."""
    if picture.shape[-1] == 1:
        return Image.fromarray(picture[..., 0]), None
    if picture.shape[-1] == 3:
        return Image.fromarray(picture), None
    colour = Image.fromarray(np.ascontiguousarray(picture[..., :3]))
    if picture[..., 3].min() == 255:
        return colour, None
    alpha = Image.fromarray(np.ascontiguousarray(picture[..., 3]))
    if composited:
        return colour, alpha
    white = Image.new("RGB", colour.size, (255, 255, 255))
    white.paste(colour, mask=alpha)
    return white, alpha


def _border(pixels: np.ndarray) -> np.ndarray:
    """The pixels [n, c] of a frame of 2 % of the shorter side around the picture [h, w, c]."""
    height, width, channels = pixels.shape
    edge = max(1, round(0.02 * min(height, width)))
    sides = (pixels[:edge], pixels[-edge:], pixels[:, :edge], pixels[:, -edge:])
    return np.concatenate([side.reshape(-1, channels) for side in sides])


def _square(image: Image.Image, side: int, fit: str, background: tuple[int, ...]) -> Image.Image:
    width, height = image.size
    if fit == "stretch":
        return _resize(image, (side, side))
    if fit == "crop":
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        return _resize(image.crop((left, top, left + short, top + short)), (side, side))
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = _resize(image, size)
    if size == (side, side):
        return resized
    fill = background if len(background) > 1 else background[0]
    canvas = Image.new(image.mode, (side, side), fill)
    canvas.paste(resized, ((side - size[0]) // 2, (side - size[1]) // 2))
    return canvas


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Antialiased; the very same pixels where the size is right already."""
    if image.size == size:
        return image
    smaller = size[0] < image.size[0] or size[1] < image.size[1]
    filter = Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC
    return image.resize(size, filter, reducing_gap=3.0)


def _squeeze_grey(pixels: np.ndarray) -> np.ndarray:
    """One channel where all three agree everywhere."""
    first = pixels[..., :1]
    return first if (pixels == first).all() else pixels
