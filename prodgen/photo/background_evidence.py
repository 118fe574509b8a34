"""What the background's colour says about every pixel, given a first mask of the product.

The colour is fitted to all pixels far from the mask, not to the frame's border alone. So it holds
where the product reaches the border, and smaller differences count.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo import morphology, silhouette

MIN_OUTSIDE_FRACTION = 0.03  # of the frame: fewer pixels say nothing of the background
MAX_FOREIGN_FRACTION = 0.2  # of the outside, of other colours than the background: more is clutter
MAX_FLAT_NOISE = 6.0  # levels about the fitted surface: above, the background has a pattern
MIN_MATCH_LEVELS, MATCH_NOISES = 2.0, 1.0  # a match: that many levels, and times the noise
SURE_PRODUCT_LEVELS, SURE_PRODUCT_NOISES = 10.0, 4.0  # as silhouette.find_silhouette

HISTOGRAM_BINS = 16  # of each channel
RING_WIDTH = 14  # pixels at 256 pixels a side: of the silhouette's surroundings, and the border
MIN_RING_PIXELS = 50
NEIGHBOURHOOD_FRACTION = 0.15  # of the longer side: background this near is compared
SHADOWS = 1.0, 0.9, 0.8, 0.7  # shares of its light that the background has within a hole
RIM_WIDTH = 3  # pixels at 256 pixels a side: of a hole, where the product's colour blurs into it


@dataclasses.dataclass(frozen=True)
class BackgroundEvidence:
    """difference: float32 [h, w, 3], levels from the background, means of 3 x 3 pixels; noise: in
    levels."""

    difference: np.ndarray
    noise: float

    @property
    def distance(self) -> np.ndarray:
        """float32 [h, w]: the largest difference of a channel."""
        return np.abs(self.difference).max(axis=-1)

    @property
    def match_levels(self) -> float:
        """A smaller distance is the background's own colour."""
        return MIN_MATCH_LEVELS + MATCH_NOISES * self.noise

    @property
    def product_levels(self) -> float:
        """A larger distance is another colour than the background's, or its shadow."""
        return SURE_PRODUCT_LEVELS + SURE_PRODUCT_NOISES * self.noise


def measure_background(image: np.ndarray, probability: np.ndarray) -> BackgroundEvidence | None:
    """The evidence of an image uint8 [h, w, 3] with a mask float32 [h, w]; None without a flat
    background."""
    from scipy import ndimage

    margin = max(2, round(max(probability.shape) / 64))
    outside = ~morphology.dilate(probability > 0.1, margin)
    if outside.mean() < MIN_OUTSIDE_FRACTION:
        return None
    background, noise = silhouette.fit_surface(image, outside)
    if noise > MAX_FLAT_NOISE:
        return None
    difference = image - background
    for channel in range(3):
        difference[..., channel] = ndimage.uniform_filter(difference[..., channel], 3)
    evidence = BackgroundEvidence(difference, noise)
    # A flat wall beside furniture or cloth is no flat background.
    if (evidence.distance[outside] > evidence.product_levels).mean() > MAX_FOREIGN_FRACTION:
        return None
    return evidence


def measure_likelihood(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """float64 [h, w] in [0, 1]: how much rather a colour is the background's than the product's.

    For backgrounds that are not flat: the colours of the silhouette and of its surroundings are two
    histograms, and the background's share of both densities is averaged over a neighbourhood.
    image: uint8 [h, w, 3]; probability: the mask float32 [h, w]. 0 without surroundings.
    """
    from scipy import ndimage

    side = max(probability.shape)
    product = probability > 0.5
    margin = max(2, round(side / 64))
    outside = ~morphology.dilate(probability > 0.1, margin)
    outside &= morphology.dilate(product, round(NEIGHBOURHOOD_FRACTION * side))
    if not (product.any() and outside.any()):
        return np.zeros(product.shape)
    index = _index_colours(image)
    densities = [_smooth_histogram(index[region])[index] for region in (outside, product)]
    likelihood = densities[0] / (densities[0] + densities[1] + 1e-9)
    return ndimage.uniform_filter(likelihood, max(3, round(side / 28)))


def compare_surroundings(image: np.ndarray, probability: np.ndarray) -> float:
    """The intersection of two histograms, [0, 1]: of the silhouette's surroundings and the border.

    Near 0, the silhouette lies within another object, as a print on a shirt does. 1 where there
    are no surroundings or no free border. Arguments as in measure_likelihood.
    """
    unit = max(probability.shape) / 256
    margin = morphology.dilate(probability > 0.1, round(4 * unit))
    ring = morphology.dilate(probability > 0.5, round(RING_WIDTH * unit)) & ~margin
    width = max(1, round(RING_WIDTH * unit))
    border = ~margin
    border[width:-width, width:-width] = False
    if min(ring.sum(), border.sum()) < MIN_RING_PIXELS:
        return 1.0
    bins = HISTOGRAM_BINS // 2  # coarse: light varies over the frame
    index = np.ravel_multi_index(tuple(np.moveaxis(image // (256 // bins), -1, 0)), (bins,) * 3)
    densities = [_smooth_histogram(index[region], bins) for region in (ring, border)]
    return float(np.minimum(*densities).sum())


def measure_typicality(image: np.ndarray, hole: np.ndarray, outside: np.ndarray) -> float:
    """How typical a hole's colours are of the background near to it, [0, 1].

    It is the share of the background's pixels near the hole whose colour is rarer there than the
    median of the hole: about 0.5 where both are the same cloth, near 0 where the hole has a colour
    of its own. The product may shade what is seen through it: the best of SHADOWS counts. The
    neighbourhood grows until it is as large as the hole.
    image: uint8 [h, w, 3]; hole, outside: bool [h, w]. 1 without enough background.
    """
    side = max(hole.shape)
    width = max(1, round(NEIGHBOURHOOD_FRACTION * side))
    near = outside & morphology.dilate(hole, width)
    while near.sum() < hole.sum() and width < side:
        width *= 2
        near = outside & morphology.dilate(hole, width)
    if near.sum() < MIN_RING_PIXELS:
        return 1.0
    core = ~morphology.dilate(~hole, max(1, round(RIM_WIDTH * side / 256)))
    core = core if core.any() else hole
    index = _index_colours(image)[near]
    density = _smooth_histogram(index)
    # The hole's colours as they would be without each shadow.
    copies = (np.uint8(np.minimum(image / light, 255)) for light in SHADOWS)
    median = max(np.median(density[_index_colours(copy)[core]]) for copy in copies)
    return float((density[index] < median).mean())


def _index_colours(image: np.ndarray) -> np.ndarray:
    """The bin of each colour in a flat histogram, int [h, w], from means of 3 x 3 pixels."""
    from scipy import ndimage

    colour = ndimage.uniform_filter(image, (3, 3, 1)) // (256 // HISTOGRAM_BINS)
    return np.ravel_multi_index(tuple(np.moveaxis(colour, -1, 0)), (HISTOGRAM_BINS,) * 3)


def _smooth_histogram(index: np.ndarray, bins: int = HISTOGRAM_BINS) -> np.ndarray:
    """The density float64 [bins^3] of flat indices of colours, blurred by 0.8 bins."""
    from scipy import ndimage

    counts = np.bincount(index, minlength=bins**3).astype(np.float64).reshape((bins,) * 3)
    return (ndimage.gaussian_filter(counts, 0.8, mode="constant") / len(index)).ravel()
