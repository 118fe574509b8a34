"""The Frechet distance of two normal distributions, in float64 on the host."""

from __future__ import annotations

import numpy as np


def moments(n: float, total: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [F] and unbiased covariance [F, F] of n rows from their sum and sum of outer products.

    At least 2 rows: ValueError otherwise.
    """
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 rows, not {n:g}")
    mean = np.asarray(total, np.float64) / n
    return mean, (np.asarray(outer, np.float64) - n * np.outer(mean, mean)) / (n - 1)


def distance(
    mean: np.ndarray, covariance: np.ndarray, other: np.ndarray, other_covariance: np.ndarray
) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982, eq. 4).

    The root's trace is the sum of the roots of the eigenvalues of the symmetric C1^(1/2) C2
    C1^(1/2), which has those of C1 C2. nan where a moment is not finite.
    """
    if not all(np.isfinite(x).all() for x in (mean, covariance, other, other_covariance)):
        return float("nan")
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = root @ other_covariance @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((middle + middle.T) / 2), 0)).sum()
    gap = float(np.square(mean - other).sum())
    return gap + float(np.trace(covariance) + np.trace(other_covariance) - 2 * shared)
