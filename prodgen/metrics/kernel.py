"""The kernel distance of two sets of features (Binkowski et al. 2018), in float64 on the host.

It is the unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3)
with the kernel k(x, y) = (x.y / F + 1)^3. Unlike a Frechet distance, its mean does not depend on
how many pictures there are, so it is the one to read below 10,000 of them. Of equal distributions
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
    """What `distance` finds.

    mean: over the subsets, the number that papers print; deviation: between subsets, the +- that
    they print beside it, which says how sure one subset is (0 where a subset is everything);
    full: the estimate from all rows, the most exact one; error: its standard error; low and high:
    its 95 % interval; subsets and size: how many, and of how many rows on either side.
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
    rows on a side, or of rows not finite; ValueError for no subsets or a size below 2.
    """
    real, fake = check_rows(real, 2, "real pictures"), check_rows(fake, 2, "generated pictures")
    if subsets < 1 or size < 2:
        raise ValueError(f"expected subsets >= 1 and size >= 2, not {subsets} and {size}")
    size = min(size, len(real), len(fake))
    mine, theirs = _draw(len(real), len(fake), subsets, size, seed)
    within_real, real_sums, _ = _kernel_sums(real, real, mine, mine, same=True)
    within_fake, fake_sums, _ = _kernel_sums(fake, fake, theirs, theirs, same=True)
    across, across_real, across_fake = _kernel_sums(real, fake, mine, theirs)
    found = (within_real + within_fake) / (size * (size - 1)) - 2 * across / size**2
    full = (
        real_sums.sum() / (len(real) * (len(real) - 1))
        + fake_sums.sum() / (len(fake) * (len(fake) - 1))
        - 2 * across_real.sum() / (len(real) * len(fake))
    )
    error = np.sqrt(
        _jackknife_variance(real_sums, across_real, len(fake))
        + _jackknife_variance(fake_sums, across_fake, len(real))
    )
    numbers = (found.mean(), found.std(), full, error, full - Z_95 * error, full + Z_95 * error)
    return KernelDistance(*map(float, numbers), subsets, size)


def _draw(n: int, m: int, subsets: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n and of m rows are in which subset: 0 or 1, float64 [n, subsets], [m, subsets]."""
    dice = np.random.default_rng(seed)
    mine, theirs = np.zeros((n, subsets)), np.zeros((m, subsets))
    for subset in range(subsets):
        mine[dice.choice(n, size, replace=False), subset] = 1
        theirs[dice.choice(m, size, replace=False), subset] = 1
    return mine, theirs


def _kernel_sums(
    rows: np.ndarray,
    others: np.ndarray,
    chosen: np.ndarray,
    others_chosen: np.ndarray,
    same: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kernel values summed over each subset [S], each row [N] and each other [M].

    rows [N, F], others [M, F]; chosen [N, S] and others_chosen [M, S] are 0 or 1. Where both are
    the `same` side, every pair counts twice, and no row with itself.
    """
    by_subset, by_row = np.zeros(chosen.shape[1]), np.zeros(len(rows))
    by_other = np.zeros(len(others))
    size = max(1, MAX_BLOCK_VALUES // len(others))
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        values = cubic_kernel(rows[part], others)
        if same:
            values[np.arange(len(values)), np.arange(part.start, part.stop)] = 0
        by_subset += ((values @ others_chosen) * chosen[part]).sum(axis=0)
        by_row[part] = values.sum(axis=1)
        by_other += values.sum(axis=0)
    return by_subset, by_row, by_other


def _jackknife_variance(within: np.ndarray, across: np.ndarray, others: int) -> float:
    """The jackknife's variance of the estimate from n rows of a side (Efron & Stein 1981).

    within [n] and across [n] are each row's kernel values summed over its own side and over the
    `others` rows of the other. Also right where both sides are alike and the usual first-order
    formula is 0; it errs upwards. nan of 2 rows.
    """
    n = len(within)
    if n < 3:
        return float("nan")
    without = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    without -= 2 * (across.sum() - across) / ((n - 1) * others)
    return (n - 1) / n * float(np.square(without - without.mean()).sum())
