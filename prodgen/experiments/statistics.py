"""Estimators of a study: intervals, paired differences, variance components, tuning curves.

All functions work on float64 and expect finite values unless they say otherwise. Every test is
two-sided. A p-value of several comparisons is read after `adjust_holm` only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import special

MAX_EXACT_PAIRS = 14  # up to 2^14 sign flips are enumerated
NUM_RANDOM_FLIPS = 20_000  # of more pairs
MIN_RELATIVE_SPREAD = 1e-12  # of differences: below, they are equal but for rounding


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with the limits of its confidence interval; nan where they are not known."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Difference:
    """How b differs from a.

    mean, low, high: of b - a, with the 95 % interval of Student's t. p: of the t test that the
    interval belongs to. num_pairs: seeds that both have. probability: see
    `probability_of_improvement`. is_paired: whether it is of pairs, else it is Welch's. p_exact: of
    the sign-flip test, nan where nothing pairs; with n pairs it is at least 2 / 2^n, with 5 0.0625.
    """

    mean: float
    low: float
    high: float
    p: float
    num_pairs: int
    probability: Interval
    is_paired: bool
    p_exact: float = math.nan


@dataclasses.dataclass(frozen=True)
class VarianceComponents:
    """Variances of one value, in the metric's squared unit; nan where they are not known."""

    training: float
    sampling: float
    evaluation: float


def interquartile_mean(values: np.ndarray | Sequence[float]) -> float | np.ndarray:
    """The mean of the middle half of values [..., N], over the last axis; nan of no value.

    Values at the edges of the middle half have a fractional weight. For N divisible by 4 it is
    `scipy.stats.trim_mean(values, 0.25)` (Agarwal et al. 2021, arXiv 2108.13264).
    """
    sorted_values = np.sort(np.asarray(values, np.float64), axis=-1)
    n = sorted_values.shape[-1]
    if n == 0:
        return math.nan
    # The share of [n/4, 3n/4] that each value's unit interval [i, i + 1] covers.
    edges = np.clip(np.arange(n + 1), n / 4, 3 * n / 4)
    means = sorted_values @ (np.diff(edges) / (n / 2))
    return float(means) if sorted_values.ndim == 1 else means


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean with Student's t interval (Student 1908); of one value without limits."""
    values = np.asarray(values, np.float64)
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan)
    if len(values) == 1:
        return Interval(float(values[0]), math.nan, math.nan)
    mean, standard_error = np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))
    half_width = special.stdtrit(len(values) - 1, (1 + level) / 2) * standard_error
    return Interval(float(mean), float(mean - half_width), float(mean + half_width))


def bootstrap_interval(
    strata: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    seed: int = 0,
    num_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The stratified bootstrap's interval of `statistic(*strata)`.

    strata: arrays [N_i]; each is resampled within itself. statistic: of arrays [..., N_i], over the
    last axis, such as `interquartile_mean`. The limits are expanded percentiles (Hesterberg 2015,
    arXiv 1411.5279), for the smallest stratum: plain percentiles are too narrow for a few values.
    Measured at 95 % on normal values: of 5 values, the interval of a mean covers it in 92 % of
    cases (plain percentiles: 85 %), of 10 in 95 % (90 %). That of 3 covers 75 % only, because it
    cannot be wider than the values. Equal values give no width. A stratum of one value gives nan.
    """
    strata = [np.asarray(stratum, np.float64) for stratum in strata]
    value = float(statistic(*strata))
    smallest = min(len(stratum) for stratum in strata)
    if smallest < 2:
        return Interval(value, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    resamples = [
        stratum[rng.integers(len(stratum), size=(num_resamples, len(stratum)))]
        for stratum in strata
    ]
    # The percentiles that give a mean of normal values the width of Student's interval.
    t = special.stdtrit(smallest - 1, (1 + level) / 2)
    tail = float(special.ndtr(-t * math.sqrt(smallest / (smallest - 1))))
    low, high = np.quantile(statistic(*resamples), [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """b - a of values by seed: the t test of `compare_means`, with what needs no normal values."""
    num_pairs = len(set(a) & set(b))
    is_paired = num_pairs >= 2
    mean, low, high, p = compare_means(a, b)
    probability = probability_of_improvement(list(a.values()), list(b.values()))
    p_exact = sign_flip_p([b[seed] - a[seed] for seed in a if seed in b]) if is_paired else math.nan
    return Difference(mean, low, high, p, num_pairs, probability, is_paired, p_exact)


def compare_means(
    a: Mapping[int, float], b: Mapping[int, float]
) -> tuple[float, float, float, float]:
    """(mean, low, high, p) of b - a of values by seed, with the 95 % interval and the p-value of t.

    With two or more common seeds only these enter, by the t test of their differences. Otherwise
    all values enter, by Welch's t test (1947), which needs two of a side: else p and the limits are
    nan. Without any spread, the limits are the mean, and p is 1 of equal sides, nan of others.
    """
    sides = [np.array(list(side.values()), np.float64) for side in (a, b)]
    if not all(map(len, sides)):
        return math.nan, math.nan, math.nan, math.nan
    scale = max(float(np.max(np.abs(side))) for side in sides)
    gaps = np.array([b[seed] - a[seed] for seed in a if seed in b])
    if len(gaps) >= 2:
        mean, freedom = float(np.mean(gaps)), len(gaps) - 1
        standard_error = float(np.std(gaps, ddof=1)) / math.sqrt(len(gaps))
    else:
        mean = float(sides[1].mean() - sides[0].mean())
        if min(map(len, sides)) < 2:
            return mean, math.nan, math.nan, math.nan
        # The variance of each mean; Welch's degrees of freedom are left out without a spread.
        squares = [float(np.var(side, ddof=1)) / len(side) for side in sides]
        standard_error = math.sqrt(sum(squares))
        parts = [s**2 / (len(side) - 1) for s, side in zip(squares, sides, strict=True)]
        freedom = sum(squares) ** 2 / sum(parts) if sum(parts) else 1.0
    # Without a spread, but for rounding.
    if standard_error <= MIN_RELATIVE_SPREAD * scale:
        is_tie = abs(mean) <= MIN_RELATIVE_SPREAD * scale
        return (0.0, 0.0, 0.0, 1.0) if is_tie else (mean, mean, mean, math.nan)
    half_width = float(special.stdtrit(freedom, 0.975)) * standard_error
    p = 2 * float(special.stdtr(freedom, -abs(mean) / standard_error))
    return mean, mean - half_width, mean + half_width, p


def sign_flip_p(differences: Sequence[float]) -> float:
    """The two-sided p-value of the sign-flip permutation test of a mean of 0 (Fisher 1935).

    The share of all sign flips whose sum is at least as far from 0. Of more than 14 differences,
    20,000 random flips are drawn, and the given signs count as one of them.
    """
    differences = np.asarray(differences, np.float64)
    n = len(differences)
    # Sums that are equal but for rounding count as equal.
    threshold = abs(differences.sum()) - MIN_RELATIVE_SPREAD * np.abs(differences).sum()
    if n <= MAX_EXACT_PAIRS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ differences) >= threshold))
    signs = np.random.default_rng(0).choice((1.0, -1.0), size=(NUM_RANDOM_FLIPS, n))
    count = int(np.sum(np.abs(signs @ differences) >= threshold))
    return (count + 1) / (NUM_RANDOM_FLIPS + 1)


def probability_of_improvement(a: Sequence[float], b: Sequence[float]) -> Interval:
    """P(b > a) + P(b = a) / 2 of a value of each side, with its 95 % interval.

    The estimate is Mann and Whitney's U / (N M) (1947). The interval is Newcombe's method 5
    (2006, Statistics in Medicine 25:559): other than the bootstrap's, it has a width where the
    sides do not overlap. nan of an empty side.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if not len(a) or not len(b):
        return Interval(math.nan, math.nan, math.nan)
    gaps = b[:, None] - a
    value = float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))
    z, count = special.ndtri(0.975), (len(a) + len(b)) / 2 - 1

    def is_plausible(theta: float) -> bool:
        """Whether the estimate is within z standard errors of theta."""
        factor = 1 + count * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * factor / (len(a) * len(b))
        return (value - theta) ** 2 <= z**2 * variance

    # Each limit by bisection between the estimate, which is plausible, and the end.
    limits = []
    for end in (0.0, 1.0):
        inner, outer = value, end
        for _ in range(50):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if is_plausible(middle) else (inner, middle)
        limits.append((inner + outer) / 2)
    return Interval(value, *limits)


def adjust_holm(p_values: Sequence[float]) -> np.ndarray:
    """The p-values [N] of a family after Holm's correction (1979), at most 1.

    nan stays nan and does not count as a member.
    """
    p_values = np.asarray(p_values, np.float64)
    adjusted_p = np.full(p_values.shape, math.nan)
    members = np.flatnonzero(~np.isnan(p_values))
    order = members[np.argsort(p_values[members], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted_p[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted_p


def variance_components(
    values: Sequence[Sequence[float]], evaluation_variance: float | None = None
) -> VarianceComponents:
    """Variances between training seeds and between sampling seeds of values[training][sampling].

    The estimators of a one-way random-effects ANOVA, for unequal counts, too (Searle, Casella and
    McCulloch 1992, section 3.6); a negative estimate is 0. nan with fewer than two training seeds,
    or where no run has two sampling seeds: then the two cannot be told apart. evaluation_variance:
    of one value by the choice of the images. Runs are compared on the same held-out images, so that
    it moves all of them and is no part of the other two; it is returned as it is.
    """
    rows = [np.asarray(row, np.float64) for row in values if len(row)]
    counts = np.array([len(row) for row in rows])
    num_rows, n = len(rows), int(counts.sum())
    evaluation = math.nan if evaluation_variance is None else float(evaluation_variance)
    if num_rows < 2 or n == num_rows:
        return VarianceComponents(math.nan, math.nan, evaluation)
    means = np.array([row.mean() for row in rows])
    total_mean = float(np.concatenate(rows).mean())
    mean_square_within = sum(float(np.sum((row - row.mean()) ** 2)) for row in rows) / (
        n - num_rows
    )
    mean_square_between = float(np.sum(counts * (means - total_mean) ** 2)) / (num_rows - 1)
    effective_count = (n - float(np.sum(counts**2)) / n) / (num_rows - 1)
    training = max(0.0, (mean_square_between - mean_square_within) / effective_count)
    return VarianceComponents(training, mean_square_within, evaluation)


def best_of_n(values: Sequence[float], n: int, is_higher_better: bool) -> float:
    """The expected best of n runs drawn without replacement from all.

    The question is that of Dodge et al. (2019, arXiv 1909.03004), the unbiased estimator that of
    Tang et al. (2020, arXiv 2004.13705). A value that is not finite is worse than any other; nan
    where n of them may be drawn. ValueError for n outside 1 .. N.
    """
    values = np.asarray(values, np.float64)
    if not 1 <= n <= len(values):
        raise ValueError(f"expected n from 1 to {len(values)}, not {n}")
    sign = 1.0 if is_higher_better else -1.0
    sorted_values = np.sort(np.where(np.isfinite(values), sign * values, -np.inf))  # worst first
    # The value of rank i is the best of the subsets whose other n - 1 members are below it.
    ranks, num_subsets = range(n - 1, len(sorted_values)), math.comb(len(sorted_values), n)
    weights = np.array([math.comb(rank, n - 1) / num_subsets for rank in ranks])
    if not np.isfinite(sorted_values[n - 1]):
        return math.nan
    return sign * float(sorted_values[n - 1 :] @ weights)


def tuning_curve(
    values: Sequence[float], costs: Sequence[float], is_higher_better: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(budgets [N], expected best [N]) of 1 .. N tuning runs.

    values, costs: of each run. The budget of n runs is n times the mean cost, so that curves of
    methods whose runs cost differently compare at one budget.
    """
    counts = np.arange(1, len(values) + 1)
    best = [best_of_n(values, int(n), is_higher_better) for n in counts]
    return counts * float(np.mean(costs)) if len(values) else np.zeros(0), np.array(best)


def pareto_front(
    costs: Sequence[float], values: Sequence[float], is_higher_better: bool
) -> np.ndarray:
    """bool [N]: whether no other point is as cheap and as good, and better in one of the two.

    Equal points are on the front together. A point that is not finite is not on it.
    """
    costs, values = np.asarray(costs, np.float64), np.asarray(values, np.float64)
    losses = -values if is_higher_better else values
    is_finite = np.isfinite(costs) & np.isfinite(losses)
    is_on_front = is_finite.copy()
    for i in np.flatnonzero(is_finite):
        is_no_worse = (costs <= costs[i]) & (losses <= losses[i]) & is_finite
        is_better = (costs < costs[i]) | (losses < losses[i])
        is_on_front[i] = not np.any(is_no_worse & is_better)
    return is_on_front


def curve_band(
    curves: Sequence[Sequence[tuple[float, float]]], level: float = 0.95
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x, mean, low, high), each [M], over the curves of several seeds, by Student's t.

    Curves are interpolated between their points (x, y), and never extrapolated: x has the points of
    all curves that lie where each of them is known. A curve ends before its first value that is not
    finite. Empty arrays where the curves have no x in common; limits are nan of a single curve.
    """
    lines = []
    for curve in curves:
        points = np.array(sorted(curve), np.float64).reshape(-1, 2)
        is_bad = ~np.isfinite(points[:, 1])
        lines.append(points[: np.argmax(is_bad)] if is_bad.any() else points)
    if not lines or not all(len(line) for line in lines):
        return tuple(np.zeros(0) for _ in range(4))
    first, last = max(line[0, 0] for line in lines), min(line[-1, 0] for line in lines)
    x = np.unique(np.concatenate([line[:, 0] for line in lines]))
    x = x[(x >= first) & (x <= last)]
    rows = np.array([np.interp(x, line[:, 0], line[:, 1]) for line in lines])
    bands = [mean_interval(column, level) for column in rows.T]
    low, high = (np.array([getattr(band, name) for band in bands]) for name in ("low", "high"))
    return x, rows.mean(axis=0), low, high
