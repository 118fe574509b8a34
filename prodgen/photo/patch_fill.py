"""Fills a hole in a photo with patches of the photo itself.

Exemplar-based filling (Criminisi, Perez & Toyama 2004): the patch on the hole's border with the
highest priority, its share of known pixels times the strength of the edge that runs into the hole,
takes its missing pixels from the known patch that is most like it. It is done on a reduced copy of
the surroundings; blocks of the photo itself are then copied from the places that were chosen.
"""

from __future__ import annotations

import numpy as np

from prodgen.photo import morphology

PATCH_SIDE = 7  # pixels, of the reduced copy
MAX_SIDE = 112  # pixels of the reduced copy
MIN_MARGIN_PX = 24  # of surroundings on each side of the hole
MARGIN_RATIO = 1.0  # the same, as a share of the hole's longer side
DISTANCE_WEIGHT = 0.02  # squared levels for each squared pixel: nearer patches first
MIN_EDGE = 1e-3  # of the priority where no edge meets the border


def fill_hole(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """An image uint8 [H, W, C] with another content in the hole, float [H, W] in [0, 1].

    Between 0 and 1 the content is mixed with the image. ValueError for another shape, and where
    the hole is the whole image.
    """
    if hole.shape != image.shape[:2] or not (hole <= 0).any():
        raise ValueError(f"a hole {hole.shape} of an image {image.shape[:2]} leaves nothing known")
    if not (hole > 0).any():
        return image.copy()
    top, left, bottom, right = _surroundings(hole > 0)
    part, part_hole = image[top:bottom, left:right], hole[top:bottom, left:right] > 0
    # Whole blocks of `scale` pixels; the last ones are filled up with the border's pixels.
    scale = max(1, -(-max(part.shape[:2]) // MAX_SIDE))
    height, width = part.shape[:2]
    padding = ((0, -height % scale), (0, -width % scale))
    blocks = np.pad(part, (*padding, (0, 0)), mode="edge")
    block_hole = np.pad(part_hole, padding, mode="edge")
    small = _mean_of_blocks(blocks.astype(np.float32), scale)
    sources = _choose_sources(small, _any_of_blocks(block_hole, scale))
    content = _copy_blocks(blocks, sources, scale)[:height, :width]
    result = image.copy()
    opacity = hole[top:bottom, left:right, None].astype(np.float32)
    mix = part * (1 - opacity) + content * opacity
    result[top:bottom, left:right] = np.where(opacity > 0, np.rint(mix).astype(np.uint8), part)
    return result


def _surroundings(hole: np.ndarray) -> tuple[int, int, int, int]:
    """The box (top, left, bottom, right) of a hole with the margin that patches are taken from."""
    top, left, bottom, right = morphology.bounding_box(hole)
    margin = max(MIN_MARGIN_PX, round(MARGIN_RATIO * max(bottom - top, right - left)))
    height, width = hole.shape
    return (
        max(0, top - margin),
        max(0, left - margin),
        min(height, bottom + margin),
        min(width, right + margin),
    )


def _mean_of_blocks(values: np.ndarray, scale: int) -> np.ndarray:
    """The means [H / s, W / s, C] of blocks of [H, W, C]."""
    height, width, channels = values.shape
    shape = (height // scale, scale, width // scale, scale, channels)
    return values.reshape(shape).mean(axis=(1, 3))


def _any_of_blocks(mask: np.ndarray, scale: int) -> np.ndarray:
    """bool [H / s, W / s]: the blocks that a mask [H, W] touches."""
    height, width = mask.shape
    return mask.reshape(height // scale, scale, width // scale, scale).any(axis=(1, 3))


def _copy_blocks(blocks: np.ndarray, sources: np.ndarray, scale: int) -> np.ndarray:
    """The image uint8 [H, W, C] whose block (y, x) is the one at sources[y, x]."""
    rows = np.repeat(np.repeat(sources[..., 0], scale, axis=0), scale, axis=1) * scale
    columns = np.repeat(np.repeat(sources[..., 1], scale, axis=0), scale, axis=1) * scale
    y, x = np.mgrid[: blocks.shape[0], : blocks.shape[1]]
    return blocks[rows + y % scale, columns + x % scale]


def _choose_sources(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """int [h, w, 2]: from which known pixel each pixel of image float [h, w, C] is taken."""
    height, width = hole.shape
    sources = np.stack(np.mgrid[:height, :width], axis=-1)
    side = min(PATCH_SIDE, height, width)
    corners, patches = _known_patches(image, hole, side)
    if not len(corners):
        return _nearest_known(hole)
    squares, image, unknown = np.square(patches), image.copy(), hole.copy()
    confidence = np.where(hole, 0.0, 1.0)
    while unknown.any():
        y, x, priority = _pick_target(image, unknown, confidence, side)
        window = (slice(y, y + side), slice(x, x + side))
        is_known = ~unknown[window]
        weights = np.repeat(is_known[..., None], image.shape[-1], axis=-1).astype(np.float32)
        target = (weights * image[window]).reshape(-1)
        # The sum of squared differences over the known pixels, up to a constant.
        costs = squares @ weights.reshape(-1) - 2 * patches @ target
        distances = np.square(corners - (y, x)).sum(axis=1)
        best_y, best_x = corners[np.argmin(costs + DISTANCE_WEIGHT * distances)]
        source_window = (slice(best_y, best_y + side), slice(best_x, best_x + side))
        image[window] = np.where(is_known[..., None], image[window], image[source_window])
        sources[window] = np.where(is_known[..., None], sources[window], sources[source_window])
        confidence[window] = np.where(is_known, confidence[window], priority)
        unknown[window] = False
    return sources


def _known_patches(image: np.ndarray, hole: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners int [S, 2] and values float32 [S, side * side * C] of all patches without a hole."""
    windows = np.lib.stride_tricks.sliding_window_view(hole, (side, side))
    corners = np.argwhere(~windows.any(axis=(2, 3)))
    patches = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))
    values = patches[corners[:, 0], corners[:, 1]].transpose(0, 2, 3, 1)
    size = side * side * image.shape[-1]
    return corners, np.ascontiguousarray(values.reshape(len(corners), size), np.float32)


def _pick_target(
    image: np.ndarray, unknown: np.ndarray, confidence: np.ndarray, side: int
) -> tuple[int, int, float]:
    """The corner of the patch to fill next, and the confidence of its new pixels."""
    border = np.argwhere(unknown & morphology.dilate(~unknown, 1))
    height, width = unknown.shape
    half = side // 2
    corners = np.clip(border - half, 0, (height - side, width - side))
    windows = np.lib.stride_tricks.sliding_window_view(confidence, (side, side))
    shares = windows[corners[:, 0], corners[:, 1]].mean(axis=(1, 2))
    # The edge that runs into the hole: the gradient of known pixels along the border.
    grey = np.where(unknown, 0.0, image.mean(axis=-1))
    down, across = np.gradient(grey)
    is_unsure = morphology.dilate(unknown, 1)
    down, across = (np.where(is_unsure, 0.0, gradient) for gradient in (down, across))
    strength = np.lib.stride_tricks.sliding_window_view(np.hypot(down, across), (side, side))
    edges = strength[corners[:, 0], corners[:, 1]].max(axis=(1, 2)) / 255
    best = int(np.argmax(shares * (edges + MIN_EDGE)))
    return int(corners[best, 0]), int(corners[best, 1]), float(shares[best])


def _nearest_known(hole: np.ndarray) -> np.ndarray:
    """int [h, w, 2]: the nearest known pixel of each, where no whole patch is known."""
    known = np.argwhere(~hole)
    sources = np.stack(np.mgrid[: hole.shape[0], : hole.shape[1]], axis=-1)
    for y, x in np.argwhere(hole):
        sources[y, x] = known[np.argmin(np.square(known - (y, x)).sum(axis=1))]
    return sources
