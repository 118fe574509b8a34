"""The product's silhouette: what differs from a flat or smoothly lit background.

The background's colour is estimated from the image's border. Every pass works on whole arrays: some
hundredths of a second for a megapixel.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo import morphology

BACKGROUND_TOLERANCE = 10.0  # levels: above JPEG's ringing at quality 90, below shaded white cloth
MAX_TOLERANCE = 40.0  # levels: a more cluttered background is not flat
CLUTTER_NOISE = 20.0  # levels of noise about a smooth surface: half as much is hardly smooth
MIN_PIECE_FRACTION = 0.005  # of the product's area: smaller pieces are dust or lettering
MIN_PIECE_AREA = 4  # pixels
MIN_SIDE = 16  # pixels
BORDER_FRACTION = 0.02  # of the shorter side: the width of the border that is sampled
MAX_FIT_PIXELS = 4000  # of the border: a fit to some thousand is as good as to all
ON_SURFACE_LEVELS = 0.5  # rounding alone explains less


@dataclasses.dataclass(frozen=True)
class Silhouette:
    """The product against its background.

    mask: bool [H, W], enclosed holes included. background: float32 [H, W, C], the colour that the
    background has, or would have, at every pixel. noise: the border's deviation from it, levels.
    """

    mask: np.ndarray
    background: np.ndarray
    noise: float = 0.0


def find_silhouette(image: np.ndarray, mask: np.ndarray | None = None) -> Silhouette:
    """The product in an image uint8 [H, W, 1 | 3], by flooding a smooth background from the border.

    The background's colour is fitted to the frame's border, where most is background: a constant,
    or a quadratic surface where the light falls off. A pixel is a candidate if it lies within
    BACKGROUND_TOLERANCE levels of it in every channel (more where the border is noisy). Candidates
    that connect to the border are background, but gaps of a few pixels in an outline do not
    connect: so a white product keeps its inside. Of the rest, pieces below MIN_PIECE_FRACTION are
    dust. A soft shadow that is stronger than the tolerance counts as product.
    """
    check_image(image, mask)
    background, noise = fit_surface(image)
    if mask is not None:
        return Silhouette(mask if mask.dtype == bool else mask > 127, background, noise)
    difference = measure_difference(image, background)
    return Silhouette(flood(difference, choose_tolerance(noise)), background, noise)


def choose_tolerance(noise: float) -> float:
    """Levels from the background that still count as background."""
    return min(BACKGROUND_TOLERANCE + 4 * noise, MAX_TOLERANCE)


def measure_difference(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The largest difference of a channel, float32 [H, W] in levels."""
    difference = np.zeros(image.shape[:2], np.float32)
    for channel in range(image.shape[-1]):
        np.maximum(
            difference, np.abs(image[..., channel] - background[..., channel]), out=difference
        )
    return difference


def flood(difference: np.ndarray, tolerance: float) -> np.ndarray:
    """bool [H, W]: what remains when the background is flooded from the border.

    difference: levels from the background, float32 [H, W].
    """
    candidates = difference <= tolerance
    # Erode the candidates to close gaps in outlines, flood from the border, dilate back.
    gap = round(0.004 * max(difference.shape))
    open_background = morphology.select_border_components(~morphology.dilate(~candidates, gap))
    product = ~(morphology.dilate(open_background, gap) & candidates)
    labels, areas = morphology.label_components(product)
    is_large = areas >= max(MIN_PIECE_FRACTION * areas.sum(), MIN_PIECE_AREA)
    return is_large[labels]


def check_image(image: np.ndarray, mask: np.ndarray | None = None) -> None:
    """ValueError unless uint8 [H, W, 1 | 3] of 16 pixels a side or more, with a mask [H, W]."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise ValueError(f"an image is uint8 [H, W, 1|3], not {image.dtype} {image.shape}")
    if min(image.shape[:2]) < MIN_SIDE:
        raise ValueError(f"an image has at least {MIN_SIDE} pixels a side, not {image.shape[:2]}")
    if mask is not None and mask.shape != image.shape[:2]:
        raise ValueError(f"a mask {mask.shape} does not fit an image {image.shape}")


def border_pixels(image: np.ndarray) -> np.ndarray:
    """The pixels [N, C] of a frame of 2 % of the shorter side."""
    edge = max(1, round(BORDER_FRACTION * min(image.shape[:2])))
    sides = (image[:edge], image[-edge:], image[edge:-edge, :edge],
             image[edge:-edge, -edge:])  # fmt: skip
    return np.concatenate([side.reshape(-1, image.shape[-1]) for side in sides])


def fit_surface(image: np.ndarray, region: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The background's colour float32 [H, W, C] and the noise about it, levels.

    Fitted to the pixels of a region bool [H, W], else to the frame's border.
    """
    height, width, channels = image.shape
    rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    y, x = np.broadcast_arrays(rows[:, None], columns[None])
    grid = np.stack([x, y], axis=-1)
    positions = border_pixels(grid) if region is None else grid[region]
    values = (border_pixels(image) if region is None else image[region]).astype(np.float64)
    step = -(-len(values) // MAX_FIT_PIXELS)
    positions, values = positions[::step], values[::step]
    background, noise = np.empty(image.shape, np.float32), 0.0
    for channel in range(channels):
        c, channel_noise = _fit_quadratic(positions, values[:, channel])
        noise = max(noise, channel_noise)
        # The surface at every pixel: c0 + c1 x + c2 y + c3 x^2 + c4 y^2 + c5 x y.
        horizontal = c[0] + c[1] * columns + c[3] * columns**2
        vertical = c[2] * rows + c[4] * rows**2
        cross_term = c[5] * rows[:, None] * columns[None]
        background[..., channel] = horizontal[None] + vertical[:, None] + cross_term
    return np.clip(background, 0, 255, out=background), noise


def _fit_quadratic(positions: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, float]:
    """A robust fit to values [N] at positions [N, 2] (x, y), outliers left out.

    Coefficients of 1, x, y, x^2, y^2, xy, and the noise about the surface, a standard deviation.
    """
    x, y = positions.T
    terms = np.stack([np.ones_like(x), x, y, x**2, y**2, x * y], axis=1)
    c = np.zeros(6)
    c[0] = np.median(values)
    # Least squares without outliers, repeated; 1.4826 turns a median deviation into a standard one.
    for _ in range(6):
        residuals = np.abs(values - terms @ c)
        noise = 1.4826 * np.median(residuals)
        if noise < ON_SURFACE_LEVELS:  # most of the border lies on the surface already
            break
        inliers = residuals <= 2.5 * noise
        c = np.linalg.lstsq(terms[inliers], values[inliers], rcond=None)[0]
    residuals = np.abs(values - terms @ c)
    is_off_surface = residuals >= ON_SURFACE_LEVELS
    # Noise that is clipped at white affects half of the pixels; a product at the border fewer.
    if is_off_surface.mean() > 0.4:
        return c, 1.4826 * float(np.median(residuals[is_off_surface]))
    return c, 0.0
