"""Measures of a packshot: background, frame fill, centring, edge and sharpness.

The product is what differs from a flat or smoothly lit background. Every measure has a unit that a
photographer would use: levels of 255, shares of the frame, pixels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image

from prodgen.photo import silhouette
from prodgen.photo.morphology import bounding_box, dilate

MIN_HALO_LEVELS = 4.0  # levels: a weaker line around the product is no halo
MIN_DROP_DB = 8.0  # of the spectrum: enlargement causes more, an image's own edges less
HALO_GRID_CELLS = 8  # a side: textures cancel out, a product's parts do not
MAX_MEASURED_SIDE = 1500  # pixels a side: larger images are reduced
MIN_CORE_PIXELS = 16  # of a product's inside, for its colour
NUM_BANDS = 96  # of the spectrum, from 0 to Nyquist
LUMA_WEIGHTS = np.float32([0.299, 0.587, 0.114])  # ITU-R 601


@dataclasses.dataclass(frozen=True)
class Measures:
    """One image's measures. nan: not measurable (no product, no background, all too thin).

    size: (height, width) in pixels. background: the border's median colour, levels 0..255, one
    per channel. The background is what lies clear of the product, specks of dust included:
    white_mean and white_worst, mean and largest distance of its pixels from white (255 minus the
    darkest channel, levels); white_share, share of its pixels that are exactly white, in [0, 1];
    evenness, standard deviation of its luma, levels; slope, how far a plane through its luma
    rises over the frame, levels.
    box: (top, left, bottom, right) of the product in pixels, ends excluded; None where there is
    no product (`blank`). fill: the larger of the box's height over the frame's and width over
    width, in [0, 1]; area: the product's share of the frame's pixels, enclosed holes included.
    contact: its share of the frame's (top, left, bottom, right) side; centre: its share of the
    middle ninth of the frame.
    offset: the box's centre minus the frame's, (right, down), shares of the frame's sides.
    halo: levels by which a fringe stands out, positive where it is brighter than both product and
    background allow, negative where darker; halo_width: its width in pixels (see `measure_halo`).
    blur: the Gaussian standard deviation, in pixels, that explains how wide the edges are; below
    0.5 for a sharp image (see `measure_blur`). native: the number of pixels on the longest side
    that the image's detail fills (see `measure_native_share`).
    """

    size: tuple[int, int]
    background: tuple[float, ...]
    white_mean: float = math.nan
    white_worst: float = math.nan
    white_share: float = math.nan
    evenness: float = math.nan
    slope: float = math.nan
    box: tuple[int, int, int, int] | None = None
    fill: float = math.nan
    area: float = math.nan
    contact: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    centre: float = 0.0
    offset: tuple[float, float] = (math.nan, math.nan)
    halo: float = math.nan
    halo_width: float = math.nan
    blur: float = math.nan
    native: float = math.nan

    @property
    def blank(self) -> bool:
        """Whether there is no product."""
        return self.box is None


def measure(image: np.ndarray, mask: np.ndarray | None = None) -> Measures:
    """The measures of an image uint8 [H, W, C], C of 1 or 3, at least 16 pixels a side.

    mask: bool or uint8 [H, W] (a product where over 127), such as alpha; None: it is estimated.
    Another shape or type is a ValueError; an image without a product has `Measures.blank`. Beyond
    MAX_MEASURED_SIDE pixels a side the product and its halo are measured in a copy reduced by a
    whole factor, and everything else in the image itself.
    """
    silhouette.check_image(image, mask)
    height, width = image.shape[:2]
    # Ceiling division: the least whole factor that leaves at most MAX_MEASURED_SIDE pixels.
    factor = -(-max(height, width) // MAX_MEASURED_SIDE)
    small = _reduce(image, factor)
    region = silhouette.find_silhouette(small, mask if mask is None else _reduce(mask, factor))
    border_colour = np.median(silhouette.border_pixels(image), axis=0)
    # The background's pixels at full size, clear of the product's soft edge.
    clear = ~dilate(region.mask, clearance(region.mask.shape))
    clear = clear.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
    result = Measures((height, width), tuple(float(level) for level in border_colour))
    result = dataclasses.replace(result, **_measure_background(image, clear))
    if not region.mask.any():
        return result
    box = bounding_box(region.mask)
    top, left, bottom, right = (edge * factor for edge in box)
    bottom, right = min(bottom, height), min(right, width)
    # The halo in the reduced copy; blur and native size around the product at full size.
    crop = _crop_around(box, region.mask.shape)
    strength, thickness = measure_halo(small[crop], region.background[crop], region.mask[crop])
    y = to_luma(image[_crop_around((top, left, bottom, right), (height, width))])
    return dataclasses.replace(
        result,
        box=(top, left, bottom, right),
        fill=max((bottom - top) / height, (right - left) / width),
        area=float(region.mask.mean()),
        contact=_measure_contact(region.mask),
        centre=_measure_centre(region.mask),
        offset=((left + right - width) / 2 / width, (top + bottom - height) / 2 / height),
        halo=strength,
        halo_width=thickness * factor,
        blur=measure_blur(y),
        native=measure_native_share(y) * max(height, width),
    )


def _measure_contact(mask: np.ndarray) -> tuple[float, float, float, float]:
    top, left, bottom, right = mask[0], mask[:, 0], mask[-1], mask[:, -1]
    return tuple(float(side.mean()) for side in (top, left, bottom, right))


def _measure_centre(mask: np.ndarray) -> float:
    rows, columns = (size // 3 for size in mask.shape)
    return float(mask[rows : mask.shape[0] - rows, columns : mask.shape[1] - columns].mean())


def clearance(shape: tuple[int, int]) -> int:
    """The width in pixels of a product's soft edge: a JPEG block's width at 1,000 pixels."""
    return max(3, round(0.008 * max(shape)))


def _reduce(values: np.ndarray, factor: int) -> np.ndarray:
    """uint8 or bool [H, W] or uint8 [H, W, C] by the mean over blocks; itself where factor is 1."""
    if factor == 1:
        return values
    levels = values * np.uint8(255) if values.dtype == bool else values
    flat = levels[..., 0] if levels.shape[2:] == (1,) else levels
    return np.asarray(Image.fromarray(flat).reduce(factor)).reshape(
        -(-levels.shape[0] // factor), -(-levels.shape[1] // factor), *levels.shape[2:]
    )


def to_luma(image: np.ndarray) -> np.ndarray:
    """float32 [H, W] of an image [H, W, 1 | 3], in the image's levels."""
    image = image.astype(np.float32)
    return image[..., 0] if image.shape[-1] == 1 else image @ LUMA_WEIGHTS


def _crop_around(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    """The box with a margin of 8 % of its longer side, within the frame."""
    margin = max(8, round(0.08 * max(box[2] - box[0], box[3] - box[1])))
    return (
        slice(max(0, box[0] - margin), min(shape[0], box[2] + margin)),
        slice(max(0, box[1] - margin), min(shape[1], box[3] + margin)),
    )


def _measure_background(image: np.ndarray, clear: np.ndarray) -> dict[str, float]:
    """The measures of the background, bool [H, W]; none where it has no pixels."""
    if not clear.any():
        return {}
    distance = 255 - image.min(axis=-1)[clear].astype(np.int64)
    level = to_luma(image)[clear].astype(np.float64)
    # A plane fitted to at most some 20,000 pixels.
    y, x = (axis / size for axis, size in zip(np.nonzero(clear), clear.shape, strict=True))
    step = -(-len(level) // 20000)
    terms = np.stack([np.ones_like(x), x, y], axis=1)[::step]
    plane = np.linalg.lstsq(terms, level[::step], rcond=None)[0]
    return {
        "white_mean": float(distance.mean()),
        "white_worst": float(distance.max()),
        "white_share": float((distance == 0).mean()),
        "evenness": float(level.std()),
        "slope": float(np.hypot(plane[1], plane[2])),
    }


def measure_halo(
    image: np.ndarray, background: np.ndarray, mask: np.ndarray
) -> tuple[float, float]:
    """Strength in levels, with its sign, and width in pixels of a fringe along a product's edge.

    A clean edge pixel mixes the product's colour F and the background's B, t F + (1 - t) B with t
    in [0, 1] (Porter & Duff 1984): it lies on the line between them. Rings of the mask, one pixel
    deep each, are compared with that line; F is the mean of the product just inside the rings. The
    means over HALO_GRID_CELLS x HALO_GRID_CELLS parts of the image are compared, so that a texture
    cancels out. A ring's fringe is their mean offset from the line, with its direction. Strength is
    the strongest ring's root mean square over the channels, with the sign of its luma. Width is the
    sum over the rings in units of the strongest, 0 where that is below MIN_HALO_LEVELS. (nan, nan)
    for a product too thin to have an inside. A dark outline or a shaded rim that belongs to the
    product gives the same result.
    """
    depth = max(4, round(0.008 * max(mask.shape)))
    # Rings of the mask from the edge inwards, and the core within them.
    rings, inside = [], mask
    for _ in range(depth):
        smaller = ~dilate(~inside, 1)
        rings.append(inside & ~smaller)
        inside = smaller
    core = inside & dilate(~inside, depth)
    if core.sum() < MIN_CORE_PIXELS:
        return math.nan, math.nan
    colour, has_colour = _local_mean(image, core, 3 * depth)
    fringe = np.stack(
        [_line_offset(image, background, colour, ring & has_colour) for ring in rings]
    )
    length = np.sqrt(np.square(fringe).mean(axis=1))
    strongest = int(length.argmax())
    sign = math.copysign(1, to_luma(fringe[None])[0, strongest])
    strength = length[strongest]
    width = length.sum() / strength if strength >= MIN_HALO_LEVELS else 0.0
    return float(sign * strength), float(width)


def _line_offset(
    image: np.ndarray, background: np.ndarray, colour: np.ndarray, ring: np.ndarray
) -> np.ndarray:
    """The mean offset [C] of a ring's pixels from the line of background and product colour."""
    if not ring.any():
        return np.zeros(image.shape[-1])
    # The means of pixels, background and product in each cell of a grid.
    y, x = np.nonzero(ring)
    cell = (
        y * HALO_GRID_CELLS // ring.shape[0] * HALO_GRID_CELLS
        + x * HALO_GRID_CELLS // ring.shape[1]
    )
    count = np.bincount(cell, minlength=HALO_GRID_CELLS**2)
    p, b, f = (_cell_means(values[ring], cell, count) for values in (image, background, colour))
    # The nearest point of the line, t F + (1 - t) B.
    direction = f - b
    t = ((p - b) * direction).sum(1) / np.maximum(np.square(direction).sum(1), 1e-9)
    offset = p - b - np.clip(t, 0, 1)[:, None] * direction
    return (offset * count[:, None]).sum(axis=0) / count.sum()


def _cell_means(values: np.ndarray, cell: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The mean [n, C] of the values [N, C] in each of n cells, 0 where there is none."""
    sums = [np.bincount(cell, column, minlength=len(count)) for column in values.T]
    return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]


def _local_mean(values: np.ndarray, mask: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean [H, W, C] of the mask's pixels within `radius` of each pixel, and where it has any.

    By integral images (Crow 1984).
    """
    stack = np.concatenate([values * mask[..., None], mask[..., None]], axis=-1)
    total = np.pad(stack.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    height, width = mask.shape
    top, bottom = (np.clip(np.arange(height) + k, 0, height) for k in (-radius, radius + 1))
    left, right = (np.clip(np.arange(width) + k, 0, width) for k in (-radius, radius + 1))
    down = total[bottom] - total[top]
    window = down[:, right] - down[:, left]
    return window[..., :-1] / np.maximum(window[..., -1:], 1), window[..., -1] > 0


def measure_blur(y: np.ndarray) -> float:
    """The Gaussian standard deviation, pixels, of the strong edges in a luma [H, W].

    For a step blurred by a Gaussian, sum |grad y|^2 / (2 sum (laplace y)^2) is its variance,
    whatever the contrast and the direction: the variance of the Laplacian (Pech-Pacheco et al.
    2000) without its dependence on contrast. Differences between pixels add 5/24, which is
    subtracted. Pixels below a fifth of the strongest slopes are left out. Beyond 2 pixels a copy of
    half the size is measured, as rounding to whole levels outweighs the curvature. nan for a flat
    y.
    """
    centre = y[1:-1, 1:-1]
    steps = (y[1:-1, 2:] - centre, centre - y[1:-1, :-2], y[2:, 1:-1] - centre,
             centre - y[:-2, 1:-1])  # fmt: skip
    slope = sum(np.square(step) for step in steps) / 2
    is_edge = slope > 0.05 * np.percentile(slope, 99.9)
    curvature = float(np.square(steps[0] - steps[1] + steps[2] - steps[3])[is_edge].sum())
    if curvature == 0:
        return math.nan
    std = math.sqrt(max(float(slope[is_edge].sum()) / (2 * curvature) - 5 / 24, 0))
    if std < 2 or min(y.shape) < 64:
        return std
    # The means over squares of two pixels.
    height, width = (size // 2 * 2 for size in y.shape)
    even = y[:height, :width]
    return 2 * measure_blur(
        (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    )


def measure_native_share(y: np.ndarray) -> float:
    """The share of its pixels, (0, 1], that the detail in a luma [H, W] needs.

    Repeated pixels are counted (`_repeated_share`). Otherwise it is the lowest frequency, as a
    share of Nyquist's, from which the spectrum of the gradient lies MIN_DROP_DB lower than before.
    The spectrum is flat for sharp edges and rises for natural textures (Field 1987). It falls by 2
    to 7 dB up to Nyquist in an image at its own size. In an image that was blurred, or enlarged
    with any smooth filter, it falls by 10 dB and more beyond the old Nyquist frequency. For
    enlarged packshots the result is mostly 0.8 to 1.2 times the true value, and up to 1.7 times for
    bilinear ones and for hard edges along the pixel grid. Grain added after enlarging counts as
    detail. nan for a flat y.
    """
    power = _spectrum(y)
    if not power.max() > 0:
        return math.nan
    share = min(_repeated_share(y), _repeated_share(y.T))
    level = 10 * np.log10(power / power.max() + 1e-9)
    # The first band from which the spectrum stays low.
    for i in range(4, NUM_BANDS):
        below = np.median(level[i // 6 : max(i * 17 // 20, 2)])
        above = np.median(level[i : i + max(4, i // 4)])
        if max(level[i], above) < below - MIN_DROP_DB:
            return min(share, i / NUM_BANDS)
    return share


def _spectrum(y: np.ndarray) -> np.ndarray:
    """Power [BANDS] of the differences along rows and along columns."""
    total = np.zeros(NUM_BANDS)
    centres = (np.arange(NUM_BANDS) + 0.5) / NUM_BANDS
    for lines in (y, y.T):
        steps = np.diff(lines, axis=1)
        n = steps.shape[1]
        # A window that rises over a twentieth of the line at both ends.
        rise = np.minimum(np.arange(n) + 0.5, np.arange(n)[::-1] + 0.5) / (0.05 * n)
        power = np.square(np.abs(np.fft.rfft(steps * np.minimum(rise, 1), axis=1))).mean(axis=0)
        # Smoothed by a moving average of odd width, then read at the centres of the bands.
        width = max(3, len(power) // 48 | 1)
        smooth = np.convolve(np.pad(power, width // 2, "edge"), np.ones(width) / width, "valid")
        total += np.interp(centres, np.arange(len(power)) * 2 / n, smooth / n)
    return total


def _repeated_share(y: np.ndarray) -> float:
    """1 / factor where columns are repeated pixels (nearest-neighbour enlargement), else 1.

    Then only every factor-th column differs from the one before. Factors from 2 are detected, in
    images with detail in at least 16 columns.
    """
    energy = np.square(np.diff(y, axis=1)).sum(axis=0)
    columns = np.flatnonzero(energy > 0.3 * energy.mean())
    if len(columns) < 16:
        return 1.0
    gaps = np.diff(columns)
    return 1.0 if (gaps == 1).mean() > 0.1 else float(1 / gaps[gaps <= 1.5 * gaps.min()].mean())
