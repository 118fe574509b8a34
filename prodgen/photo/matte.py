"""Alpha matting: from a rough mask to a soft edge without halo, at the photo's own resolution.

In a band around the mask's edge every pixel is taken as a mixture of the product's and the
background's local colours: I = a F + (1 - a) B. The projection of I on the line from B to F gives a
(Bayesian matting, Chuang et al. 2001, with one colour a side); the mask is the prior where the
colours are ambiguous. F is then what remains of I without B, blended with the local product colour,
so that nothing of the old background remains. Local colours vary slowly and are estimated in a
reduced copy; only the band's pixels are visited at full size.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from prodgen.photo.mask_estimate import MaskEstimate, resize
from prodgen.photo.morphology import dilate

NOISE_STD = 3.0  # levels that a camera adds to every pixel
PRIOR_STD = 0.15  # of the mask's own alpha at its edge
MIN_PRIOR_ALPHA = 0.3  # the mask's alpha below which a mixture is a shadow rather than product
MAX_LINE_DISTANCE = 10.0  # levels from the line B to F: JPEG's colour bleeds over the edge
CELL_SIDE = 4  # pixels: the smallest neighbourhood whose mean colour is used
MIN_RIM_DISTANCE = 80.0  # levels from the product's colour to white: a rim on less is invisible
MIN_RIM_SHARE = 0.5  # of the white that an edge mixed with white has
CHUNK_SIZE = 1 << 18  # band pixels that are processed at a time: some megabytes
Positions = tuple[np.ndarray, np.ndarray]  # rows and columns, float [n]


@dataclasses.dataclass(frozen=True)
class Matte:
    """colour: uint8 [H, W, 3], the product alone; alpha: uint8 [H, W], its share of each pixel.

    Where alpha is 255 the colour is the photo's. Where it is 0, it is similar to the product's, so
    that resizing the image mixes in no foreign colour.
    """

    colour: np.ndarray
    alpha: np.ndarray


@dataclasses.dataclass(frozen=True)
class LocalColour:
    """The mean colour float32 [h, w, 3] of one side around every pixel, and its variance [h, w]."""

    mean: np.ndarray
    variance: np.ndarray


def refine(image: np.ndarray, small: np.ndarray, estimate: MaskEstimate) -> Matte:
    """The matte of a photo uint8 [H, W, 3], from the mask of its reduced copy [h, w, 3]."""
    mask = estimate.mask > 0.5
    radius = round(1.5 * estimate.cell_size) + 2
    inside, outside = ~dilate(~mask, radius), ~dilate(mask, radius)
    if not inside.any():  # thinner than the band: the mask itself gives the product's colours
        inside = mask
    foreground = estimate_local_colour(small, inside)
    background = estimate_local_colour(small, outside)
    # The mask's own alpha: blurred, so that its edge has no steps of a pixel.
    pil_mask = Image.fromarray(np.uint8(np.rint(estimate.mask * 255)))
    smooth_mask = np.asarray(pil_mask.filter(ImageFilter.GaussianBlur(max(1.0, radius / 4))))
    prior = np.clip((smooth_mask / np.float32(255) - 0.5) * 1.4 + 0.5, 0, 1)
    # Certain pixels at full size: the photo's colour inside, the product's median colour outside.
    band = resize(np.uint8(~(inside | outside)) * 255, image.shape[:2]) > 0
    core = resize(np.uint8(inside) * 255, image.shape[:2]) > 127
    alpha = np.uint8(core & ~band) * np.uint8(255)
    fill_colour = np.uint8([0, 0, 0])
    if mask.any():
        fill_colour = np.median(small[mask], axis=0).astype(np.uint8)
    colour = np.where(alpha[..., None] > 0, image, fill_colour)
    # The band, in chunks; positions are those of its pixels in the reduced copy.
    scale = np.float32(small.shape[:2]) / np.float32(image.shape[:2])
    rows, columns = np.nonzero(band)
    for start in range(0, len(rows), CHUNK_SIZE):
        y, x = rows[start : start + CHUNK_SIZE], columns[start : start + CHUNK_SIZE]
        positions = ((y + np.float32(0.5)) * scale[0] - 0.5, (x + np.float32(0.5)) * scale[1] - 0.5)
        pixels = image[y, x].astype(np.float32)
        band_alpha, band_colour = _solve_matting(pixels, positions, prior, foreground, background)
        alpha[y, x], colour[y, x] = np.rint(band_alpha * 255), np.rint(band_colour)
    return Matte(colour, alpha)


def remove_white_rim(matte: Any) -> np.ndarray:
    """The colour uint8 [H, W, 3] of a matte, or of a cut-out, without white in its edge.

    Some programs save a cut-out whose half-transparent pixels are still mixed with white; on a dark
    ground they are a rim. Where that is so, such pixels take the product's colour beside them.
    """
    colour, alpha = matte.colour, matte.alpha
    is_edge = (alpha > 0) & (alpha < 250)
    if not is_edge.any() or not (alpha >= 250).any():
        return colour
    product = estimate_local_colour(colour, alpha >= 250).mean
    # How far an edge's colour lies on the way from the product's to white, by how much is expected.
    middle = is_edge & (alpha > 48) & (alpha < 208)
    to_white = 255 - product[middle]
    length_sq = np.square(to_white).sum(axis=-1)
    is_dark = length_sq > MIN_RIM_DISTANCE**2
    if not is_dark.any():
        return colour
    share = ((colour[middle] - product[middle]) * to_white).sum(axis=-1)[is_dark]
    expected_share = (1 - alpha[middle] / np.float32(255))[is_dark]
    if np.median(share / length_sq[is_dark] / expected_share) < MIN_RIM_SHARE:
        return colour
    clean = np.rint(np.clip(product, 0, 255)).astype(np.uint8)
    return np.where(is_edge[..., None], clean, colour)


def _solve_matting(
    pixels: np.ndarray, positions: Positions, prior: np.ndarray, foreground: LocalColour,
    background: LocalColour,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Alpha [n] in [0, 1] and product colours [n, 3] of pixels float32 [n, 3] at `positions`."""
    f, b = interpolate(foreground.mean, positions), interpolate(background.mean, positions)
    # Project on the line from B to F; the squared distance to it is the residual.
    line = f - b
    length_sq = np.square(line).sum(axis=-1) + 1e-3
    projection = np.clip(((pixels - b) * line).sum(axis=-1) / length_sq, 0, 1)
    residual_sq = np.square(pixels - b - projection[:, None] * line).mean(axis=-1)
    variance = projection**2 * interpolate(foreground.variance, positions) + (
        1 - projection
    ) ** 2 * interpolate(background.variance, positions)
    projection_var = (variance + residual_sq + NOISE_STD**2) / length_sq
    # The posterior mean of two Gaussians: the projection and the mask's alpha.
    prior_alpha = interpolate(prior, positions)
    alpha = (projection * PRIOR_STD**2 + prior_alpha * projection_var) / (
        PRIOR_STD**2 + projection_var
    )
    alpha *= _smoothstep(prior_alpha / MIN_PRIOR_ALPHA)
    # Alpha within 0.02 of 0 or 1 becomes exactly 0 or 1.
    alpha = np.clip((alpha - 0.02) / 0.96, 0, 1)
    # F: the pixel without B where alpha is large and the pixel lies on the line, else the local F.
    foreground_colour = (pixels - (1 - alpha[:, None]) * b) / np.maximum(alpha[:, None], 0.1)
    weight = _smoothstep((alpha - 0.7) / 0.3) / (1 + residual_sq / MAX_LINE_DISTANCE**2)
    colour = np.clip(f + weight[:, None] * (foreground_colour - f), 0, 255)
    return alpha, np.where(alpha[:, None] >= 1, pixels, colour)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, a cubic between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def estimate_local_colour(image: np.ndarray, region: np.ndarray) -> LocalColour:
    """Mean and variance of the colours uint8 [h, w, 3] of a region bool [h, w], extrapolated.

    By a pyramid: each position takes them from the smallest cell around it that has enough of the
    region (push and pull, Gortler et al. 1996).
    """
    levels = image.astype(np.float32)
    mean_square = np.square(levels).mean(axis=-1, keepdims=True)
    # Colour, mean square, weight; zero outside the region.
    sums = np.concatenate([levels, mean_square, np.ones_like(mean_square)], axis=-1)
    sums *= region[..., None]
    # Push: sums over larger and larger cells, down to a single one.
    pyramid = [_average_pool(sums, CELL_SIDE)]
    while max(pyramid[-1].shape[:2]) > 1:
        pyramid.append(_average_pool(pyramid[-1], 2))
    # Pull: from the coarsest level on, cells without enough of the region take the coarser mean.
    means = pyramid[-1][..., :4] / np.maximum(pyramid[-1][..., 4:], 1e-6)
    for level in reversed(pyramid[:-1]):
        weight = level[..., 4:]
        confidence = np.minimum(1, weight * 4)
        coarse_means = resize(means, level.shape[:2])
        means = confidence * (level[..., :4] / np.maximum(weight, 1e-6))
        means += (1 - confidence) * coarse_means
    moments = resize(means, image.shape[:2])
    variance = moments[..., 3] - np.square(moments[..., :3]).mean(axis=-1)
    return LocalColour(moments[..., :3], np.maximum(variance, 0))


def _average_pool(values: np.ndarray, factor: int) -> np.ndarray:
    """Means over cells of factor x factor pixels, [h / f, w / f, C], zero-padded at the end."""
    height, width = values.shape[:2]
    padded_values = np.pad(values, ((0, -height % factor), (0, -width % factor), (0, 0)))
    cells = padded_values.reshape(
        padded_values.shape[0] // factor, factor, padded_values.shape[1] // factor, factor, -1
    )
    return cells.mean(axis=(1, 3))


def interpolate(field: np.ndarray, positions: Positions) -> np.ndarray:
    """The field [h, w(, C)] at positions (rows, columns) float [n], bilinear."""
    height, width = field.shape[:2]
    y, x = np.clip(positions[0], 0, height - 1), np.clip(positions[1], 0, width - 1)
    top, left = y.astype(np.intp), x.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    trailing_axes = (1,) * (field.ndim - 2)
    v, u = (y - top).reshape(-1, *trailing_axes), (x - left).reshape(-1, *trailing_axes)
    above = field[top, left] * (1 - u) + field[top, right] * u
    below = field[bottom, left] * (1 - u) + field[bottom, right] * u
    return above * (1 - v) + below * v
