"""The quality of a reconstruction: PSNR, SSIM and explained edges, one value per example."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.types import Array

WINDOW_SIZE, WINDOW_STD = 11, 1.5  # pixels: SSIM's Gaussian window (Wang et al. 2004)


def psnr(image: Array, other: Array) -> Array:
    """Peak signal-to-noise ratio [B] in dB of images float [B, H, W, C] in [-1, 1].

    10 log10(2^2 / MSE), capped at 100 dB for identical images.
    """
    return psnr_from_mse(jnp.mean(jnp.square(image - other), axis=(1, 2, 3)))


def psnr_from_mse(error: Array) -> Array:
    """PSNR [B] of mean squared errors [B] of images in [-1, 1]."""
    return 10 * jnp.log10(4.0 / jnp.maximum(error, 4e-10))


def _local_mean(x: Array) -> Array:
    """The Gaussian window's local mean, valid positions only; x [B, H, W, C].

    A sum of shifted slices: as fast as a depthwise convolution and twice differentiable.
    """
    offsets = np.arange(WINDOW_SIZE) - WINDOW_SIZE // 2
    weights = np.exp(-(offsets**2) / (2 * WINDOW_STD**2))
    weights = [float(w) for w in weights / weights.sum()]
    for axis in (1, 2):
        length = x.shape[axis] - WINDOW_SIZE + 1
        x = sum(
            w * jax.lax.slice_in_dim(x, i, i + length, axis=axis) for i, w in enumerate(weights)
        )
    return x


def ssim(image: Array, other: Array) -> Array:
    """Structural similarity [B] of images float [B, H, W, C] in [-1, 1], H and W at least 11.

    Wang et al. 2004, eq. 13, with their constants for a dynamic range of 2, Gaussian window of 11
    pixels and population covariances, averaged over valid positions and channels.
    """
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    mean_a, mean_b = _local_mean(image), _local_mean(other)
    var_a = _local_mean(image * image) - mean_a**2
    var_b = _local_mean(other * other) - mean_b**2
    covariance = _local_mean(image * other) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return jnp.mean(numerator / denominator, axis=(1, 2, 3))


def edges(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences float32 of neighbouring values of images uint8 [N, H, W, C], down and across."""
    values = images.astype(np.float32)
    return np.diff(values, axis=1), np.diff(values, axis=2)


def explained_edges(images: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """1 - |edges - edges of the copy|^2 / |edges|^2, float64 [N], of images uint8 [N, H, W, C].

    1 for equal images, about 0 for a smooth copy, below 0 for a copy with other edges. It is the
    share of the variance that is explained (R^2), of the differences of neighbouring pixels.
    """
    error = total = np.zeros(len(images))
    for image_edges, copy_edges in zip(edges(images), edges(copies), strict=True):
        error = error + np.square(image_edges - copy_edges).sum(axis=(1, 2, 3), dtype=np.float64)
        total = total + np.square(image_edges).sum(axis=(1, 2, 3), dtype=np.float64)
    return 1.0 - error / np.maximum(total, 1e-9)
