"""Reconstruction errors over a set of images, for inversion.py and reconstruction.py."""

import numpy as np

from prodgen.evaluation import offline
from prodgen.metrics.features import Extractor


def measure_errors(
    real: np.ndarray, reconstructions: np.ndarray, lpips: Extractor
) -> dict[str, float]:
    """PSNR, SSIM and LPIPS of images uint8 [N, H, W, C]: means, and standard errors as NAME_se."""
    per_image = offline.compare_images(real, reconstructions, lpips)
    means = {name: float(values.mean()) for name, values in per_image.items()}
    errors = {f"{name}_se": float(v.std() / len(v) ** 0.5) for name, v in per_image.items()}
    return means | errors
