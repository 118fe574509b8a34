"""Background removal: the product of a photo alone, its edge refined and its quality checked."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from prodgen.config import registry
from prodgen.core.errors import RejectedItem
from prodgen.photo import cutout_quality, matte, morphology
from prodgen.photo.cutout_quality import CutoutQuality
from prodgen.photo.mask_estimate import MaskEstimate, Segmenter, limit_shape, resize

SEARCH_SIDE = 1024  # pixels: the mask is found in a copy of this size, its edge at full size
MIN_SIDE = 32  # pixels
MIN_PIECE_FRACTION = 0.01  # of the largest piece's area: smaller pieces are dust


@dataclasses.dataclass(frozen=True)
class Cutout:
    """A product without its background.

    colour: uint8 [H, W, 3]; alpha: uint8 [H, W]; see matte.Matte. quality: what to look at.
    """

    colour: np.ndarray
    alpha: np.ndarray
    quality: CutoutQuality

    @property
    def rgba(self) -> np.ndarray:
        """uint8 [H, W, 4]."""
        return np.dstack([self.colour, self.alpha])

    def flatten(self, background: tuple[int, int, int]) -> np.ndarray:
        """uint8 [H, W, 3]: the product on a background of one colour, levels 0..255."""
        alpha = self.alpha[..., None] / np.float32(255)
        blend = self.colour * alpha + np.float32(background) * (1 - alpha)
        return np.uint8(np.rint(blend))


@functools.lru_cache(maxsize=2)
def load_segmenter(name: str, model: str = "") -> Segmenter:
    """A method by its name in registry.CUTOUTS, loaded once.

    MissingInput where a package or a file is missing.
    """
    return registry.resolve(registry.CUTOUTS, name, "cutout")(model)


def cut_out(image: np.ndarray, segmenter: Segmenter) -> Cutout:
    """The product of a photo uint8 [H, W, 1 | 3 | 4], at its own resolution.

    A photo that is transparent already keeps its alpha. RejectedItem: too small, or
    without a product.
    """
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise RejectedItem(f"too small: {width} x {height} px, at least {MIN_SIDE} a side")
    rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]
    rgb = np.ascontiguousarray(rgb)
    small = resize(rgb, limit_shape((height, width), SEARCH_SIDE))
    # A photo with transparent pixels is cut out already.
    is_transparent = image.shape[-1] == 4 and image[..., 3].min() < 255
    if is_transparent:
        estimate = MaskEstimate(image[..., 3] / np.float32(255))
    else:
        estimate = _remove_dust(segmenter(small))
    quality = cutout_quality.assess_mask(estimate)
    if quality.empty:
        raise RejectedItem(quality.failure)
    if is_transparent:
        return Cutout(rgb, np.ascontiguousarray(image[..., 3]), quality)
    refined_matte = matte.refine(rgb, small, estimate)
    return Cutout(refined_matte.colour, refined_matte.alpha, quality)


def _remove_dust(estimate: MaskEstimate) -> MaskEstimate:
    """The estimate without pieces that are dust beside the largest one."""
    labels, areas = morphology.label_components(estimate.mask > 0.5)
    is_dust = (areas < MIN_PIECE_FRACTION * areas.max(initial=0)) & (np.arange(len(areas)) > 0)
    if not is_dust.any():
        return estimate
    # The soft edge of a piece is dust, too, but not where it belongs to a larger piece.
    is_kept_piece = ~is_dust & (areas > 0)
    dust = morphology.dilate(is_dust[labels], round(estimate.cell_size) + 1)
    dust &= ~is_kept_piece[labels]
    return dataclasses.replace(estimate, mask=np.where(dust, np.float32(0), estimate.mask))
