"""Where the product is: what a flat or smoothly lit background, seen at the border, cannot explain.

NumPy alone, and every pass over whole arrays: some hundredths of a second for a megapixel.
"""

from __future__ import annotations

import dataclasses

import numpy as np

TOLERANCE = 10.0  # levels: JPEG's ringing at quality 90 stays below, the shade of white cloth above
NOISY = 40.0  # levels: beyond, no tolerance makes a cluttered background flat
CLUTTER = 20.0  # levels of noise about a smooth surface: half as much, and it is hardly one
SPECK = 0.005  # of the product's area: smaller pieces are dust or lettering on the background


@dataclasses.dataclass(frozen=True)
class Found:
    """The product against its background.

    mask: bool [H, W], enclosed holes included. background: float32 [H, W, C], the colour that the
    background has, or would have, at every pixel. noise: levels by which the border strays from it.
    """

    mask: np.ndarray
    background: np.ndarray
    noise: float = 0.0


def find(picture: np.ndarray, mask: np.ndarray | None = None) -> Found:
    """The product in a picture uint8 [H, W, 1 | 3], by a smooth background flooded from the border.

    The background's colour is fitted to the frame's border, where most is background: a constant,
    or a quadratic surface where the light falls off. A pixel is a candidate within TOLERANCE
    levels of it in every channel (more where the border is noisy); candidates that the border
    reaches, other than through gaps of a few pixels in an outline, are background, so a white
    product keeps its inside. Of the rest, pieces below SPECK of it are dust. A soft shadow that is
    stronger than the tolerance counts as product.
    """
    check(picture, mask)
    background, noise = _surface(picture)
    if mask is not None:
        return Found(mask if mask.dtype == bool else mask > 127, background, noise)
    off = np.zeros(picture.shape[:2], np.float32)
    for channel in range(picture.shape[-1]):
        np.maximum(off, np.abs(picture[..., channel] - background[..., channel]), out=off)
    candidates = off <= min(TOLERANCE + 4 * noise, NOISY)
    gap = round(0.004 * max(picture.shape[:2]))
    open_space = from_border(~dilate(~candidates, gap))
    product = ~(dilate(open_space, gap) & candidates)
    labels, sizes = components(product)
    return Found((sizes >= max(SPECK * sizes.sum(), 4))[labels], background, noise)


def check(picture: np.ndarray, mask: np.ndarray | None = None) -> None:
    """ValueError unless uint8 [H, W, 1 | 3] of 16 pixels a side or more, with a mask [H, W]."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] not in (1, 3):
        raise ValueError(f"a picture is uint8 [H, W, 1|3], not {picture.dtype} {picture.shape}")
    if min(picture.shape[:2]) < 16:
        raise ValueError(f"a picture has at least 16 pixels a side, not {picture.shape[:2]}")
    if mask is not None and mask.shape != picture.shape[:2]:
        raise ValueError(f"a mask {mask.shape} does not fit a picture {picture.shape}")


def border(picture: np.ndarray) -> np.ndarray:
    """The pixels [N, C] of a frame of 2 % of the shorter side."""
    edge = max(1, round(0.02 * min(picture.shape[:2])))
    sides = (picture[:edge], picture[-edge:], picture[edge:-edge, :edge],
             picture[edge:-edge, -edge:])  # fmt: skip
    return np.concatenate([side.reshape(-1, picture.shape[-1]) for side in sides])


def _surface(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """The background's colour float32 [H, W, C], fitted to the border, and the noise about it."""
    height, width, channels = picture.shape
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    y, x = np.broadcast_arrays(rows[:, None], columns[None])
    place = border(np.stack([x, y], axis=-1))
    values = border(picture).astype(np.float64)
    step = -(-len(values) // 4000)  # some thousand pixels tell as much as all
    place, values = place[::step], values[::step]
    out, noise = np.empty(picture.shape, np.float32), 0.0
    for channel in range(channels):
        c, spread = _fit(place, values[:, channel])
        noise = max(noise, spread)
        across = c[0] + c[1] * columns + c[3] * columns**2
        down = c[2] * rows + c[4] * rows**2
        out[..., channel] = across[None] + down[:, None] + c[5] * rows[:, None] * columns[None]
    return np.clip(out, 0, 255, out=out), noise


def _fit(place: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients of 1, x, y, x^2, y^2, xy, outliers left out, and the noise about the surface."""
    x, y = place.T
    terms = np.stack([np.ones_like(x), x, y, x**2, y**2, x * y], axis=1)
    c = np.zeros(6)
    c[0] = np.median(values)
    for _ in range(6):
        off = np.abs(values - terms @ c)
        spread = 1.4826 * np.median(off)
        if spread < 0.5:  # most of the border lies on the surface already
            break
        near = off <= 2.5 * spread
        c = np.linalg.lstsq(terms[near], values[near], rcond=None)[0]
    off = np.abs(values - terms @ c)
    noisy = off >= 0.5
    # Noise that is clipped at white shows in half of the pixels; a product shows in fewer.
    return c, 1.4826 * float(np.median(off[noisy])) if noisy.mean() > 0.4 else 0.0


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """4-connected pieces of a mask bool [H, W]: labels int [H, W], 0 outside, and their areas.

    Areas [n + 1] with area 0 for label 0. Runs of pixels in a row are joined to those they touch
    in the next by hooking the larger root to the smaller and halving paths, all runs at once
    (Shiloach & Vishkin 1982).
    """
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    run = np.cumsum(starts.ravel(), dtype=np.int32).reshape(mask.shape) * mask
    touch = mask[1:] & mask[:-1]
    touch[:, 1:] &= ~touch[:, :-1]
    upper, lower = run[:-1][touch], run[1:][touch]
    root = np.arange(int(run.max(initial=0)) + 1)
    while True:
        a, b = root[upper], root[lower]
        apart = a != b
        if not apart.any():
            break
        upper, lower, a, b = upper[apart], lower[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(root, root[root]):
            root = root[root]
    names, root = np.unique(root, return_inverse=True)
    labels = root.astype(np.int32)[run]
    sizes = np.bincount(labels.ravel(), minlength=len(names))
    sizes[0] = 0
    return labels, sizes


def from_border(mask: np.ndarray) -> np.ndarray:
    """The pieces of a mask that reach the frame's border."""
    labels, sizes = components(mask)
    reached = np.zeros(len(sizes), bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reached[line] = True
    reached[0] = False
    return reached[labels]


def dilate(mask: np.ndarray, times: int) -> np.ndarray:
    """Grown by `times` pixels, by a cross and a square in turn: nearly a disc."""
    for turn in range(times):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        wide = grown if turn % 2 else mask
        out = grown.copy()
        out[:, 1:] |= wide[:, :-1]
        out[:, :-1] |= wide[:, 1:]
        mask = out
    return mask


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), ends excluded, of a mask bool [H, W] that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
