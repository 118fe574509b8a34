"""The guided filter (He, Sun & Tang 2013): a mask takes over the edges of its photo."""

from __future__ import annotations

import numpy as np

from prodgen.photo.mask_estimate import resize

EDGE_STD = 4.0  # levels: contrast below this is smoothed, above it is an edge (the paper's epsilon)


def snap_to_edges(
    mask: np.ndarray, image: np.ndarray, radius: int, photo: np.ndarray | None = None
) -> np.ndarray:
    """The mask float32 [h, w] as a local linear function of the colours uint8 [h, w, 3].

    radius: pixels of the window's half side. In each window the mask is a . I + b, with the
    coefficients of the least-squares fit (equations 10 and 11); their means over the windows that
    cover a pixel give its value, limited to [0, 1]. photo: the same image at a larger size, uint8
    [H, W, 3]; the result then has its size (the fast guided filter, He & Sun 2015).
    """
    photo = image if photo is None else photo
    colour = image.astype(np.float32)
    mean_colour = np.stack([_mean(colour[..., c], radius) for c in range(3)], axis=-1)
    mean_mask = _mean(mask, radius)
    covariance = np.empty((*mask.shape, 3, 3), np.float32)
    cross = np.empty((*mask.shape, 3), np.float32)
    for i in range(3):
        cross[..., i] = _mean(colour[..., i] * mask, radius) - mean_colour[..., i] * mean_mask
        for j in range(i, 3):
            product = _mean(colour[..., i] * colour[..., j], radius)
            covariance[..., i, j] = product - mean_colour[..., i] * mean_colour[..., j]
            covariance[..., j, i] = covariance[..., i, j]
    covariance += EDGE_STD**2 * np.eye(3, dtype=np.float32)
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = mean_mask - (slope * mean_colour).sum(axis=-1)
    value = resize(_mean(offset, radius), photo.shape[:2]).copy()
    for channel in range(3):
        coefficient = resize(_mean(slope[..., channel], radius), photo.shape[:2])
        value += coefficient * photo[..., channel]
    return np.clip(value, 0, 1, out=value)


def _mean(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean over the window of every pixel."""
    from scipy import ndimage

    return ndimage.uniform_filter(values.astype(np.float32), 2 * radius + 1, mode="nearest")
