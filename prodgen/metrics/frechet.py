"""The Frechet distance of two normal distributions, in float64 on the host.

In Inception features it is called FID. kernel.py is the unbiased alternative for few images.

A distance of features estimates that of their distributions, and is biased upwards by about
1 / n: two distances compare only between the same numbers of images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from prodgen.core.errors import BadData


def moments(n: float, total: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [F] and unbiased covariance [F, F] of n rows from their sum and sum of outer products.

    At least 2 rows: ValueError otherwise.
    """
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 rows, not {n:g}")
    mean = np.asarray(total, np.float64) / n
    return mean, (np.asarray(outer, np.float64) - n * np.outer(mean, mean)) / (n - 1)


@dataclass
class Moments:
    """Running sums over a stream of rows of F features, for its mean and covariance.

    `total` [F] and `outer` [F, F] are the sums of the rows and of their outer products, float64,
    after `shift` [F], the mean of the first rows, is subtracted. A mean that is large beside the
    standard deviation would otherwise cost digits of the covariance (Chan, Golub & LeVeque 1983).
    """

    n: int
    shift: np.ndarray
    total: np.ndarray
    outer: np.ndarray

    @classmethod
    def empty(cls, features: int) -> Moments:
        """Of no rows, each of so many features."""
        return cls(0, np.zeros(features), np.zeros(features), np.zeros((features, features)))

    def add(self, rows: np.ndarray) -> None:
        """Add rows [n, F] of any number type; n may be 0. ValueError for another shape."""
        rows = np.asarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.shift):
            raise ValueError(f"expected rows [n, {len(self.shift)}], not {rows.shape}")
        if not len(rows):
            return
        if not self.n:
            self.shift = rows.mean(axis=0)
        rows = rows - self.shift
        self.n += len(rows)
        self.total += rows.sum(axis=0)
        self.outer += rows.T @ rows

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean [F] and unbiased covariance [F, F]; BadData of fewer than 2 rows."""
        require_two_rows(self.n)
        mean, covariance = moments(self.n, self.total, self.outer)
        return mean + self.shift, covariance


def min_full_rank_rows(features: int) -> int:
    """The fewest rows whose covariance of so many features can have full rank."""
    return features + 1


def require_two_rows(n: int, noun: str = "images") -> None:
    """BadData where n rows are too few for any covariance."""
    if n < 2:
        raise BadData(
            f"a Frechet distance needs at least 2 {noun} in either set, not {n}",
            f"give more {noun}; thousands are needed to compare models",
        )


def sample_size_caution(n: int, features: int, noun: str = "images") -> str:
    """The caution for a distance whose smaller set has n rows of so many features; "" if none.

    Below `min_full_rank_rows` the distance depends on n as much as on the images.
    """
    if n >= min_full_rank_rows(features):
        return ""
    return (
        f"{n} {noun} are too few for {features} features: their covariance is singular, so the "
        f"distance is biased upwards; at least {min_full_rank_rows(features)} are needed, and only "
        "distances of as many compare"
    )


def distance(
    mean: np.ndarray, covariance: np.ndarray, other: np.ndarray, other_covariance: np.ndarray
) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson & Landau 1982, eq. 4).

    With C = R R^T, the root's trace is the sum of the singular values of R1^T R2, whose squares
    are the eigenvalues of C1 C2. nan where a moment is not finite.
    """
    if not all(np.isfinite(x).all() for x in (mean, covariance, other, other_covariance)):
        return float("nan")
    return _gaussian_distance(
        _Gaussian(mean, np.trace(covariance), _factorise(covariance)),
        _Gaussian(other, np.trace(other_covariance), _factorise(other_covariance)),
    )


def feature_distance(rows: np.ndarray, others: np.ndarray) -> float:
    """The distance of features [N, F] and [M, F] of any number type; BadData of fewer than 2.

    The centred rows X of a set with no more rows than features are themselves a factor of
    C = X^T X / (N - 1). No covariance is formed, which is exact, and tens of times faster for
    1,000 rows of 2,048 features.
    ValueError for rows of different widths; nan where a row is not finite.
    """
    if rows.ndim != 2 or rows.shape[1:] != others.shape[1:]:
        raise ValueError(f"expected rows [N, F] and [M, F], not {rows.shape} and {others.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(others).all()):
        return float("nan")
    return _gaussian_distance(_fit_gaussian(rows), _fit_gaussian(others))


class _Gaussian(NamedTuple):
    """Mean [F] and covariance C of one set, as its trace and a factor [F, r], C = R R^T."""

    mean: np.ndarray
    trace: float
    factor: np.ndarray


def _fit_gaussian(rows: np.ndarray) -> _Gaussian:
    """The mean and covariance of finite rows [n, F]."""
    require_two_rows(len(rows))
    rows = np.asarray(rows, np.float64)
    mean = rows.mean(axis=0)
    deviations = (rows - mean) / np.sqrt(len(rows) - 1)
    is_wide = len(rows) <= rows.shape[1]
    factor = deviations.T if is_wide else _factorise(deviations.T @ deviations)
    return _Gaussian(mean, float(np.square(deviations).sum()), factor)


def _gaussian_distance(one: _Gaussian, other: _Gaussian) -> float:
    # The trace of (C1 C2)^(1/2).
    root_trace = np.linalg.svd(one.factor.T @ other.factor, compute_uv=False).sum()
    covariance_term = float(one.trace + other.trace - 2 * root_trace)
    mean_term = float(np.square(one.mean - other.mean).sum())
    # Equal covariances leave a rounding error of either sign.
    return mean_term + max(covariance_term, 0.0)


def _factorise(covariance: np.ndarray) -> np.ndarray:
    """R [F, r] with C = R R^T for a covariance [F, F] of numerical rank r.

    Directions without variance are left out. Their eigenvalues are rounding errors of about 1e-16,
    and their roots of 1e-8 would add up to visible errors.
    """
    tolerance = len(covariance) * np.finfo(np.float64).eps
    try:
        root = np.linalg.cholesky(covariance)  # several times faster than eigenvectors
        if np.diagonal(root).min() ** 2 > tolerance * np.diagonal(covariance).max():
            return root
    except np.linalg.LinAlgError:
        pass  # singular, or not quite symmetric positive
    values, vectors = np.linalg.eigh(covariance)
    is_significant = values > tolerance * max(values[-1], 0)
    return vectors[:, is_significant] * np.sqrt(values[is_significant])
