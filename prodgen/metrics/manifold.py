"""Precision, recall, density and coverage: fidelity and diversity, in float64 on the host.

A set's manifold is the union of balls around its rows. A ball's radius is the distance to the row's
k-th nearest other row. Precision and density count generated rows in real balls, recall counts real
rows in generated balls, coverage counts real balls that hold a generated row. The conventions are
those of Naeem's package prdc: a row on the edge of a ball is outside.
"""

from __future__ import annotations

import numpy as np

from prodgen.metrics.neighbours import check_rows, distance_blocks, squared_radii

# Images of the smaller set. Below it, recall without half of the categories was measured too high,
# with a standard deviation of 0.04 and more (docs/results/judging.md).
MIN_SAMPLE_SIZE = 300
RADIUS_TOLERANCE = 1 - 1e-11  # of a squared radius: excludes rows inside by rounding only


def compute_prdc(
    real: np.ndarray, fake: np.ndarray, k: int = 5, size: int | None = None
) -> dict[str, float]:
    """Precision, recall, density and coverage of features real [N, F] and fake [M, F].

    precision: share of fakes inside a real ball; recall: share of reals inside a fake ball
    (Kynkaanniemi et al. 2019, eq. 1 and 2, there with k = 3). density: how many real balls hold a
    fake on average, divided by k, so near 1 for equal distributions, and not at most 1; coverage:
    share of real balls that hold a fake (Naeem et al. 2020, sec. 3.2, k = 5; near 1 - 2^-k for
    equal distributions). `size` is the number of rows of a block; any gives the same result, and
    the time grows with (N + M)^2 F. More images make smaller balls: scores compare only between
    the same numbers. BadData of k rows or fewer in a set, or of rows not finite; ValueError for
    k < 1.
    """
    if k < 1:
        raise ValueError(f"expected k >= 1 neighbours, not {k}")
    real = check_rows(real, k + 1, "real images")
    fake = check_rows(fake, k + 1, "generated images")
    real_edges = RADIUS_TOLERANCE * squared_radii(real, k, size)
    fake_edges = RADIUS_TOLERANCE * squared_radii(fake, k, size)
    # is_precise: of fakes; the others count pairs, real rows and real balls.
    is_precise, num_pairs, num_recalled, num_covered = np.zeros(len(fake), bool), 0, 0, 0
    for part, block in distance_blocks(real, fake, size):
        inside = block < real_edges[part, None]
        is_precise |= inside.any(axis=0)
        num_pairs += int(inside.sum())
        num_covered += int(inside.any(axis=1).sum())
        num_recalled += int((block < fake_edges).any(axis=1).sum())
    return {
        "precision": float(is_precise.mean()),
        "recall": num_recalled / len(real),
        "density": num_pairs / (k * len(fake)),
        "coverage": num_covered / len(real),
    }


def sample_size_caution(n: int) -> str:
    """The caution for numbers whose smaller set has n images; "" from MIN_SAMPLE_SIZE on.

    The balls of few images are wide: they hold images that are not like them.
    """
    if n >= MIN_SAMPLE_SIZE:
        return ""
    return (
        f"{n} images are few for precision, recall, density and coverage: their balls are wide and "
        f"hide missing kinds of products; below {MIN_SAMPLE_SIZE}, compare only with the real "
        "baseline"
    )


def realism(real: np.ndarray, fake: np.ndarray, k: int = 3, size: int | None = None) -> np.ndarray:
    """The realism score of each generated image, float64 [M]: how typical it is of real images.

    The largest of r_k(x) / |x - y| over the real features x [N, F] of a generated y [M, F], of the
    half of the real balls that are smaller than the median, as wide balls lie where images are
    rare (Kynkaanniemi et al. 2019, eq. 3). At least 1: within a ball; inf: a copy. BadData and
    ValueError as in `scores`.
    """
    real = check_rows(real, k + 1, "real images")
    fake = check_rows(fake, 1, "generated images")
    radii = squared_radii(real, k, size)
    is_small = radii <= np.median(radii)
    ratios = np.zeros(len(fake))
    for part, block in distance_blocks(real[is_small], fake, size):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(block > 0, radii[is_small][part, None] / block, np.inf)
        ratios = np.maximum(ratios, ratio.max(axis=0))
    return np.sqrt(ratios)
