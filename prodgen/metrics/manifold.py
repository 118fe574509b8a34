"""Precision, recall, density and coverage: fidelity and variety apart, in float64 on the host.

A side's manifold is the union of balls around its rows, each as wide as the distance to the row's
k-th nearest other row. Precision and density ask how the generated rows lie in the real balls,
recall how the real rows lie in the generated ones, coverage how many real balls are hit. The
conventions are those of Naeem's package prdc: a row on the edge of a ball is outside.
"""

from __future__ import annotations

import numpy as np

from prodgen.metrics.neighbours import check_rows, distance_blocks, squared_radii

RADIUS_TOLERANCE = (
    1 - 1e-11
)  # of a squared radius: what rounding alone may bring inside stays outside


def compute_prdc(
    real: np.ndarray, fake: np.ndarray, k: int = 5, size: int | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage of features real [N, F] and fake [M, F].

    precision: share of fakes inside a real ball; recall: share of reals inside a fake ball
    (Kynkaanniemi et al. 2019, eq. 1 and 2, there with k = 3). density: how many real balls hold a
    fake on average, divided by k, so near 1 for equal distributions, and not at most 1; coverage:
    share of real balls that hold a fake (Naeem et al. 2020, sec. 3.2, k = 5; near 1 - 2^-k for
    equal distributions). `size` is the number of rows of a block; any gives the same result, and
    the time grows with (N + M)^2 F. More pictures make smaller balls: scores compare only between
    the same numbers. BadData of k rows or fewer on a side, or of rows not finite; ValueError for
    k < 1.
    """
    if k < 1:
        raise ValueError(f"expected k >= 1 neighbours, not {k}")
    real = check_rows(real, k + 1, "real pictures")
    fake = check_rows(fake, k + 1, "generated pictures")
    real_edges, fake_edges = (
        RADIUS_TOLERANCE * squared_radii(real, k, size),
        RADIUS_TOLERANCE * squared_radii(fake, k, size),
    )
    precise, held, recalled, covered = np.zeros(len(fake), bool), 0, 0, 0
    for part, block in distance_blocks(real, fake, size):
        inside = block < real_edges[part, None]
        precise |= inside.any(axis=0)
        held += int(inside.sum())
        covered += int(inside.any(axis=1).sum())
        recalled += int((block < fake_edges).any(axis=1).sum())
    return {
        "precision": float(precise.mean()),
        "recall": recalled / len(real),
        "density": held / (k * len(fake)),
        "coverage": covered / len(real),
    }


def realism(real: np.ndarray, fake: np.ndarray, k: int = 3, size: int | None = None) -> np.ndarray:
    """How typical of the real pictures each generated one is, float64 [M].

    The largest of r_k(x) / |x - y| over the real features x [N, F] of a generated y [M, F], of the
    half of the real balls that are smaller than the median, for wide ones stand where pictures are
    rare (Kynkaanniemi et al. 2019, eq. 3). At least 1: within a ball; inf: a copy. BadData and
    ValueError as in `scores`.
    """
    real = check_rows(real, k + 1, "real pictures")
    fake = check_rows(fake, 1, "generated pictures")
    reach = squared_radii(real, k, size)
    kept = reach <= np.median(reach)
    found = np.zeros(len(fake))
    for part, block in distance_blocks(real[kept], fake, size):
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(block > 0, reach[kept][part, None] / block, np.inf)
        found = np.maximum(found, share.max(axis=0))
    return np.sqrt(found)
