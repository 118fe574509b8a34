"""The kernel distance of two sets of features (Binkowski et al. 2018), in float64 on the host.

It is the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3)
with the kernel k(x, y) = (x.y / F + 1)^3. Unlike a Frechet distance, its mean does not depend on
how many images there are, so it is the one to use below 10,000 images. Of equal distributions
it is 0 on average, hence often negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodgen.metrics.interval import Z_95
from prodgen.metrics.neighbours import check_rows

MAX_BLOCK_VALUES = 2**22  # kernel values held at once: 32 MiB


@dataclass(frozen=True)
class KernelDistance:
    """The kernel distance of two sets, with its uncertainty.

    mean: over the subsets, as published; std: between subsets, the +- published beside the mean,
    the uncertainty of one subset (0 where a subset holds all rows); full: the estimate from all
    rows, the most exact one; error: its standard error; low and high: its 95 % interval; subsets:
    their number; size: the rows of either set in each subset.
    """

    mean: float
    std: float
    full: float
    error: float
    low: float
    high: float
    subsets: int
    size: int


def cubic_kernel(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(x.y / F + 1)^3 [N, M] of rows [N, F] and others [M, F] (Binkowski et al. 2018)."""
    base = rows @ others.T
    base /= rows.shape[1]
    base += 1
    return base * base * base  # a power is ten times slower


def distance(
    real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 0
) -> KernelDistance:
    """The kernel distance of features real [N, F] and fake [M, F] of any number type.

    Each subset holds min(size, N, M) rows of either side, drawn without replacement by
    numpy.random.default_rng(seed): for each subset the real rows, then the fake ones. All kernel
    values are computed once, in blocks, and time grows with (N + M)^2 F. BadData of fewer than 2
    rows in a set, or of rows not finite; ValueError for no subsets or a size below 2.
    """
    real, fake = check_rows(real, 2, "real images"), check_rows(fake, 2, "generated images")
    if subsets < 1 or size < 2:
        raise ValueError(f"expected subsets >= 1 and size >= 2, not {subsets} and {size}")
    size = min(size, len(real), len(fake))
    # Which rows are in which subset: 0 or 1, float64 [N, subsets] and [M, subsets].
    rng = np.random.default_rng(seed)
    in_real, in_fake = np.zeros((len(real), subsets)), np.zeros((len(fake), subsets))
    for subset in range(subsets):
        in_real[rng.choice(len(real), size, replace=False), subset] = 1
        in_fake[rng.choice(len(fake), size, replace=False), subset] = 1
    within_real, real_sums, _ = _kernel_sums(real, real, in_real, in_real, same=True)
    within_fake, fake_sums, _ = _kernel_sums(fake, fake, in_fake, in_fake, same=True)
    across, across_real, across_fake = _kernel_sums(real, fake, in_real, in_fake)
    # The unbiased estimate of each subset, and of all rows.
    estimates = (within_real + within_fake) / (size * (size - 1)) - 2 * across / size**2
    full = (
        real_sums.sum() / (len(real) * (len(real) - 1))
        + fake_sums.sum() / (len(fake) * (len(fake) - 1))
        - 2 * across_real.sum() / (len(real) * len(fake))
    )
    # The standard error, by the jackknife over the rows of both sets.
    error = np.sqrt(
        _jackknife_variance(real_sums, across_real, len(fake))
        + _jackknife_variance(fake_sums, across_fake, len(real))
    )
    numbers = (
        estimates.mean(),
        estimates.std(),
        full,
        error,
        full - Z_95 * error,
        full + Z_95 * error,
    )
    return KernelDistance(*map(float, numbers), subsets, size)


def _kernel_sums(
    rows: np.ndarray,
    others: np.ndarray,
    membership: np.ndarray,
    others_membership: np.ndarray,
    same: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel values summed over each subset [S], each row [N] and each other [M].

    rows [N, F], others [M, F]; membership [N, S] and others_membership [M, S] are 0 or 1. Where
    both sets are the `same`, every pair counts twice, and no row with itself.
    """
    by_subset, by_row = np.zeros(membership.shape[1]), np.zeros(len(rows))
    by_other = np.zeros(len(others))
    size = max(1, MAX_BLOCK_VALUES // len(others))
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        values = cubic_kernel(rows[part], others)
        if same:
            values[np.arange(len(values)), np.arange(part.start, part.stop)] = 0
        by_subset += ((values @ others_membership) * membership[part]).sum(axis=0)
        by_row[part] = values.sum(axis=1)
        by_other += values.sum(axis=0)
    return by_subset, by_row, by_other


def _jackknife_variance(within: np.ndarray, across: np.ndarray, others: int) -> float:
    """The jackknife's variance of the estimate from n rows of a set (Efron & Stein 1981).

    within [n] and across [n] are each row's kernel values summed over its own set and over the
    `others` rows of the other. It also holds where both sets are alike and the usual first-order
    formula is 0; its bias is upwards. nan of 2 rows.
    """
    n = len(within)
    if n < 3:
        return float("nan")
    # The estimates with one row left out.
    leave_one_out = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    leave_one_out -= 2 * (across.sum() - across) / ((n - 1) * others)
    return (n - 1) / n * float(np.square(leave_one_out - leave_one_out.mean()).sum())
