"""The estimators of a study, by hand, by enumeration, and against SciPy in float64."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from prodgen.experiments import statistics

A = {0: 3.1, 1: 2.7, 2: 3.6, 3: 2.9, 4: 3.3}
B = {0: 3.9, 1: 3.0, 2: 3.5, 3: 3.8, 4: 4.1}


def lists(*sides):
    return [list(side.values()) for side in sides]


def test_interquartile_mean_by_hand_and_as_a_trimmed_mean():
    assert statistics.interquartile_mean([100.0, 1.0, 2.0, 4.0]) == 3.0
    # Of 5: 1.25 to 3.75 covers 0.75, 1 and 0.75 of the middle values.
    by_hand = (0.75 * 2 + 1 * 4 + 0.75 * 9) / 2.5
    assert statistics.interquartile_mean([9.0, 1.0, 50.0, 2.0, 4.0]) == pytest.approx(by_hand)
    values = np.random.default_rng(0).normal(size=(3, 12))
    expected = stats.trim_mean(values, 0.25, axis=1)
    np.testing.assert_allclose(statistics.interquartile_mean(values), expected)
    assert statistics.interquartile_mean([7.0]) == 7.0
    assert math.isnan(statistics.interquartile_mean([]))


def test_mean_interval_is_that_of_scipy():
    values = list(A.values())
    interval = statistics.mean_interval(values, 0.9)
    expected = stats.t.interval(0.9, 4, np.mean(values), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected)
    assert interval.value == pytest.approx(3.12)
    single = statistics.mean_interval([2.0])
    assert single.value == 2.0 and math.isnan(single.low)
    assert math.isnan(statistics.mean_interval([]).value)


def test_a_bootstrap_interval_covers_the_mean_of_few_values():
    """Plain percentiles cover it in 85 % of cases."""
    rng, hits = np.random.default_rng(1), 0

    def mean(values):
        return values.mean(axis=-1)

    for seed in range(400):
        interval = statistics.bootstrap_interval([rng.normal(size=5)], mean, seed, 500)
        hits += interval.low <= 0 <= interval.high
    assert 0.90 < hits / 400 < 0.97


def test_a_stratum_is_resampled_within_itself():
    """Strata far from each other, each without spread: the difference of their means is exact."""
    strata = [np.full(4, 10.0), np.full(3, 2.0)]
    interval = statistics.bootstrap_interval(strata, lambda a, b: a.mean(-1) - b.mean(-1))
    assert (interval.value, interval.low, interval.high) == (8.0, 8.0, 8.0)
    again = [statistics.bootstrap_interval([np.arange(6.0)], statistics.interquartile_mean)] * 2
    assert again[0] == again[1]
    assert math.isnan(statistics.bootstrap_interval([np.ones(1)], lambda a: a.mean(-1)).low)


def test_a_difference_of_pairs_is_that_of_scipy():
    difference = statistics.paired_difference(A, B)
    a, b = lists(A, B)
    expected = stats.ttest_rel(b, a)
    limits = expected.confidence_interval(0.95)
    assert difference.is_paired and difference.num_pairs == 5
    assert difference.mean == pytest.approx(np.mean(b) - np.mean(a))
    assert difference.p == pytest.approx(expected.pvalue)
    assert (difference.low, difference.high) == pytest.approx((limits.low, limits.high))


def test_the_sign_flip_test_by_enumeration():
    gaps = [B[seed] - A[seed] for seed in A]
    sums = [
        abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    expected = np.mean([total >= abs(sum(gaps)) - 1e-9 for total in sums])
    assert statistics.paired_difference(A, B).p_exact == pytest.approx(expected)
    # All signs alike: only two of the 32 sums are as far from 0.
    assert statistics.sign_flip_p([0.3, 0.1, 0.2, 0.5, 0.4]) == 2 / 32
    assert statistics.sign_flip_p([-0.3, -0.1, -0.2, -0.5, -0.4]) == 2 / 32
    assert statistics.sign_flip_p([1.0, -1.0]) == 1.0


def test_random_sign_flips_agree_with_scipy():
    gaps = np.random.default_rng(3).normal(0.45, 1, size=20)
    expected = stats.permutation_test(
        (gaps,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert statistics.sign_flip_p(gaps) == pytest.approx(expected.pvalue, abs=0.01)


def test_without_pairs_a_difference_is_that_of_welch():
    b = {seed + 10: value for seed, value in B.items()} | {20: 5.0}
    difference = statistics.paired_difference(A, b)
    expected = stats.ttest_ind(list(b.values()), list(A.values()), equal_var=False)
    limits = expected.confidence_interval(0.95)
    assert not difference.is_paired and difference.num_pairs == 0
    assert difference.p == pytest.approx(expected.pvalue) and math.isnan(difference.p_exact)
    assert (difference.low, difference.high) == pytest.approx((limits.low, limits.high))


def test_of_partly_common_seeds_only_the_pairs_enter():
    b = {seed: B[seed] for seed in (1, 3, 4)} | {9: 100.0}
    difference = statistics.paired_difference(A, b)
    expected = stats.ttest_rel([B[s] for s in (1, 3, 4)], [A[s] for s in (1, 3, 4)])
    assert (difference.num_pairs, difference.p) == (3, pytest.approx(expected.pvalue))


def test_differences_without_spread_have_no_t_test():
    shift = statistics.paired_difference(A, {seed: value + 0.1 for seed, value in A.items()})
    assert math.isnan(shift.p) and shift.low == shift.high == pytest.approx(0.1)
    assert shift.p_exact == 2 / 32
    assert statistics.paired_difference(A, A).p == 1.0
    alone = statistics.paired_difference({0: 1.0}, {0: 2.0})
    assert alone.mean == 1.0 and math.isnan(alone.p) and math.isnan(alone.low)
    assert math.isnan(statistics.paired_difference({}, A).mean)


def test_probability_of_improvement_is_the_statistic_of_mann_and_whitney():
    a, b = lists(A, B | {5: 3.1})
    interval = statistics.probability_of_improvement(a, b)
    assert interval.value == pytest.approx(stats.mannwhitneyu(b, a).statistic / (5 * 6))
    mirror = statistics.probability_of_improvement(b, a)
    assert (mirror.low, mirror.value, mirror.high) == pytest.approx(
        (1 - interval.high, 1 - interval.value, 1 - interval.low)
    )


def test_the_interval_of_a_probability_has_a_width_without_overlap():
    interval = statistics.probability_of_improvement([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert (interval.value, interval.high) == pytest.approx((1.0, 1.0))
    # The limit t by hand: (1 - t)^2 = z^2 t (1 - t) (1 + 4 ((1 - t) / (2 - t) + t / (1 + t))) / 25.
    t, z = interval.low, 1.959964
    factor = 1 + 4 * ((1 - t) / (2 - t) + t / (1 + t))
    assert (1 - t) ** 2 == pytest.approx(z**2 * t * (1 - t) * factor / 25, rel=1e-5)
    assert 0.5 < t < 0.8


def test_the_interval_of_a_probability_covers_it():
    rng, hits = np.random.default_rng(2), 0
    truth = stats.norm.cdf(1 / math.sqrt(2))
    for _ in range(400):
        interval = statistics.probability_of_improvement(
            rng.normal(size=5), rng.normal(1.0, size=5)
        )
        hits += interval.low <= truth <= interval.high
    assert 0.92 < hits / 400 < 0.99


def test_holm_by_hand():
    # 0.01 * 4; 0.02 * 3; then 0.03 * 2 and 0.04 * 1, not below the one before.
    np.testing.assert_allclose(
        statistics.adjust_holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06]
    )
    np.testing.assert_allclose(statistics.adjust_holm([math.nan, 0.02, 0.9]), [math.nan, 0.04, 0.9])
    assert statistics.adjust_holm([0.7, 0.8]).tolist() == [1.0, 1.0]
    assert len(statistics.adjust_holm([])) == 0


def test_variance_components_by_hand():
    # Row means 1, 4, 7; within: 4 squares of 1 over 3 degrees; between: 2 * 18 / 2 = 18.
    components = statistics.variance_components([[0, 2], [4, 4], [6, 8]], 0.5)
    assert components.sampling == pytest.approx(4 / 3)
    assert components.training == pytest.approx((18 - 4 / 3) / 2)
    assert components.evaluation == 0.5
    # Rows that differ less than their values do: a negative estimate is 0.
    assert statistics.variance_components([[0, 2], [2, 0]]).training == 0.0
    single = statistics.variance_components([[1.0], [2.0]])
    assert math.isnan(single.training) and math.isnan(single.sampling)


def test_variance_components_are_recovered_of_unequal_counts():
    rng = np.random.default_rng(0)
    rows = [rng.normal(2.0) + rng.normal(0, 0.5, size=2 + i % 3) for i in range(4000)]
    components = statistics.variance_components(rows)
    assert components.training == pytest.approx(1.0, rel=0.06)
    assert components.sampling == pytest.approx(0.25, rel=0.06)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("is_higher_better", [True, False])
def test_best_of_n_is_the_mean_over_all_subsets(n, is_higher_better):
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    choose = max if is_higher_better else min
    expected = np.mean([choose(subset) for subset in itertools.combinations(values, n)])
    assert statistics.best_of_n(values, n, is_higher_better) == pytest.approx(expected)


def test_a_diverged_run_is_the_worst_of_a_tuning():
    values = [2.0, math.nan, 5.0]
    assert math.isnan(statistics.best_of_n(values, 1, True))
    assert statistics.best_of_n(values, 2, True) == pytest.approx((2 + 5 + 5) / 3)
    assert statistics.best_of_n(values, 2, False) == pytest.approx((2 + 2 + 5) / 3)
    with pytest.raises(ValueError, match="from 1 to 3, not 4"):
        statistics.best_of_n(values, 4, True)


def test_a_tuning_curve_has_the_cost_of_its_runs():
    budgets, best = statistics.tuning_curve([1.0, 2.0, 6.0], [1.0, 2.0, 3.0], True)
    np.testing.assert_allclose(budgets, [2, 4, 6])
    np.testing.assert_allclose(best, [3, (2 + 6 + 6) / 3, 6])


def test_the_pareto_front_by_hand():
    costs, values = [1, 2, 2, 3, 1, 0.5], [1, 3, 2, 3, 1, math.nan]
    front = statistics.pareto_front(costs, values, True)
    assert front.tolist() == [True, True, False, False, True, False]
    front = statistics.pareto_front(costs, values, False)
    assert front.tolist() == [True, False, False, False, True, False]


def test_a_curve_band_ends_with_the_shortest_curve():
    curves = [[(0, 0.0), (10, 10.0), (20, 20.0)], [(5, 7.0), (15, 17.0)]]
    x, mean, low, high = statistics.curve_band(curves)
    np.testing.assert_allclose(x, [5, 10, 15])
    np.testing.assert_allclose(mean, [6, 11, 16])  # 5 and 7; 10 and 12; 15 and 17
    np.testing.assert_allclose(high - mean, stats.t.ppf(0.975, 1))
    np.testing.assert_allclose(mean - low, high - mean)


def test_a_curve_band_stops_where_a_run_diverges():
    curves = [[(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0)], [(0, 1.0), (3, 4.0)]]
    assert statistics.curve_band(curves)[0].tolist() == [0, 1]
    apart = [[(0, 1.0), (1, 1.0)], [(2, 1.0), (3, 1.0)]]
    assert all(len(column) == 0 for column in statistics.curve_band(apart))
    assert all(len(column) == 0 for column in statistics.curve_band([]))
