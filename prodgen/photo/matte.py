"""From a rough mask to a soft edge without halo, at the photo's own resolution.

In a band around the mask's edge every pixel is taken for a mixture of the product's and the
background's colours nearby: I = a F + (1 - a) B. Projecting I on the line from B to F gives a
(Bayesian matting, Chuang et al. 2001, with one colour a side); the mask is the prior where colours
do not tell. F is then what is left of I without B, leaning on the inside, so that nothing of the
old background goes along. Colours nearby vary slowly and are computed small; only the band's
pixels are visited at full size.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageFilter

from prodgen.photo.guess import Guess, resized
from prodgen.photo.silhouette import dilate

NOISE = 3.0  # levels that a camera adds to every pixel
TRUST = 0.15  # standard deviation of the mask's own share of a pixel at its edge
HAZE = 0.3  # the mask's own share below which a shadow outside of it is no product
BLEED = 10.0  # levels off the line from B to F: JPEG's colour reaches over the edge
CELL = 4  # pixels a side: the smallest neighbourhood whose mean colour is asked for
ROWS = 1 << 18  # band pixels that are worked on at a time: some megabytes
Place = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Matte:
    """colour: uint8 [H, W, 3], the product alone; alpha: uint8 [H, W], its share of each pixel.

    Where alpha is 255 the colour is the photo's; where it is 0, one close to the product's, so
    that resizing the picture brings no stranger in.
    """

    colour: np.ndarray
    alpha: np.ndarray


@dataclasses.dataclass(frozen=True)
class Nearby:
    """The mean colour float32 [h, w, 3] of one side around every pixel, and its variance [h, w]."""

    mean: np.ndarray
    variance: np.ndarray


def refine(picture: np.ndarray, small: np.ndarray, guess: Guess) -> Matte:
    """The matte of a photo uint8 [H, W, 3], from the guess about its reduced copy [h, w, 3]."""
    solid = guess.mask > 0.5
    reach = round(1.5 * guess.cell) + 2
    inside, outside = ~dilate(~solid, reach), ~dilate(solid, reach)
    if not inside.any():  # thinner than the band: all that is known of the product is its middle
        inside = solid
    product, ground = nearby(small, inside), nearby(small, outside)
    prior = _prior(guess, reach)
    band = resized(np.uint8(~(inside | outside)) * 255, picture.shape[:2]) > 0
    sure = resized(np.uint8(inside) * 255, picture.shape[:2]) > 127
    alpha = np.uint8(sure & ~band) * np.uint8(255)
    colour = np.where(alpha[..., None] > 0, picture, _middle(small, solid))
    scale = np.float32(small.shape[:2]) / np.float32(picture.shape[:2])
    rows, columns = np.nonzero(band)
    for start in range(0, len(rows), ROWS):
        y, x = rows[start : start + ROWS], columns[start : start + ROWS]
        at = ((y + np.float32(0.5)) * scale[0] - 0.5, (x + np.float32(0.5)) * scale[1] - 0.5)
        share, own = _solve(picture[y, x].astype(np.float32), at, prior, product, ground)
        alpha[y, x], colour[y, x] = np.rint(share * 255), np.rint(own)
    return Matte(colour, alpha)


def _prior(guess: Guess, reach: int) -> np.ndarray:
    """The mask's own soft edge, float32 [h, w] in [0, 1]: steps of a pixel smoothed away."""
    mask = Image.fromarray(np.uint8(np.rint(guess.mask * 255)))
    smooth = np.asarray(mask.filter(ImageFilter.GaussianBlur(max(1.0, reach / 4))))
    return np.clip((smooth / np.float32(255) - 0.5) * 1.4 + 0.5, 0, 1)


def _middle(small: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """The product's median colour, uint8 [3]."""
    return np.median(small[solid], axis=0).astype(np.uint8) if solid.any() else np.uint8([0, 0, 0])


def _solve(
    pixels: np.ndarray, at: Place, prior: np.ndarray, product: Nearby, ground: Nearby
) -> tuple[np.ndarray, np.ndarray]:
    """Alpha [n] in [0, 1] and own colours [n, 3] of pixels float32 [n, 3] at places `at`."""
    f, b = sample(product.mean, at), sample(ground.mean, at)
    span = f - b
    length = np.square(span).sum(axis=-1) + 1e-3
    seen = np.clip(((pixels - b) * span).sum(axis=-1) / length, 0, 1)
    missed = np.square(pixels - b - seen[:, None] * span).mean(axis=-1)
    spread = seen**2 * sample(product.variance, at) + (1 - seen) ** 2 * sample(ground.variance, at)
    doubt = (spread + missed + NOISE**2) / length
    given = sample(prior, at)
    alpha = (seen * TRUST**2 + given * doubt) / (TRUST**2 + doubt)
    alpha *= _step(given / HAZE)
    alpha = np.clip((alpha - 0.02) / 0.96, 0, 1)
    left = (pixels - (1 - alpha[:, None]) * b) / np.maximum(alpha[:, None], 0.1)
    lean = _step((alpha - 0.7) / 0.3) / (1 + missed / BLEED**2)
    own = np.clip(f + lean[:, None] * (left - f), 0, 255)
    return alpha, np.where(alpha[:, None] >= 1, pixels, own)


def _step(x: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def nearby(picture: np.ndarray, where: np.ndarray) -> Nearby:
    """Mean and variance of the colours uint8 [h, w, 3] of a region bool [h, w], carried beyond it.

    By a pyramid: each place takes them from the smallest cell around it that has enough of the
    region (push and pull, Gortler et al. 1996).
    """
    levels = picture.astype(np.float32)
    square = np.square(levels).mean(axis=-1, keepdims=True)
    known = np.concatenate([levels, square, np.ones_like(square)], axis=-1)
    known *= where[..., None]
    found = _pull(_shrunk(known, CELL))
    found = np.stack([resized(np.ascontiguousarray(found[..., i]), picture.shape[:2])
                      for i in range(4)], axis=-1)  # fmt: skip
    variance = found[..., 3] - np.square(found[..., :3]).mean(axis=-1)
    return Nearby(found[..., :3], np.maximum(variance, 0))


def _pull(sums: np.ndarray) -> np.ndarray:
    """Means [h, w, 4] of weighted sums [h, w, 5]; empty cells take the next coarser level's."""
    weight = sums[..., 4:]
    own = sums[..., :4] / np.maximum(weight, 1e-6)
    if max(sums.shape[:2]) == 1:
        return own
    coarse = _pull(_shrunk(sums, 2))
    beyond = np.stack([resized(np.ascontiguousarray(coarse[..., i]), sums.shape[:2])
                       for i in range(4)], axis=-1)  # fmt: skip
    trust = np.minimum(1, weight * 4)
    return trust * own + (1 - trust) * beyond


def _shrunk(values: np.ndarray, factor: int) -> np.ndarray:
    """Means over cells of factor x factor pixels, [h / f, w / f, C], the last ones incomplete."""
    height, width = values.shape[:2]
    grown = np.pad(values, ((0, -height % factor), (0, -width % factor), (0, 0)))
    return grown.reshape(
        grown.shape[0] // factor, factor, grown.shape[1] // factor, factor, -1
    ).mean(axis=(1, 3))


def sample(field: np.ndarray, at: Place) -> np.ndarray:
    """The field [h, w(, C)] between its pixels, at places (rows, columns) float [n]."""
    height, width = field.shape[:2]
    y, x = np.clip(at[0], 0, height - 1), np.clip(at[1], 0, width - 1)
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    tail = (1,) * (field.ndim - 2)
    v, u = (y - top).reshape(-1, *tail), (x - left).reshape(-1, *tail)
    above = field[top, left] * (1 - u) + field[top, right] * u
    below = field[bottom, left] * (1 - u) + field[bottom, right] * u
    return above * (1 - v) + below * v
