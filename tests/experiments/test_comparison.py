"""Cells of a study compared by one metric: what is called clear, and what is not."""

import math

import numpy as np
import pytest
from scipy import stats

from prodgen.core.errors import UsageError
from prodgen.experiments import comparison, metric_names, statistics
from prodgen.experiments.comparison import compare_cells
from prodgen.experiments.results import Observation
from prodgen.experiments.study import Cell
from prodgen.metrics.scores import BETTER_DIRECTION, HIGHER

LOW = [20.0, 20.3, 19.8, 20.1, 20.4]
HIGH = [21.1, 21.3, 20.8, 21.0, 21.4]


def observe(cell, values, metric="val/psnr", spec=None, sampling_seeds=1, **changes):
    """One observation for each {seed: value} or list of values."""
    values = values if isinstance(values, dict) else dict(enumerate(values))
    fields = {"specs": {metric: spec or {"data": "d", "seed": 0}}, "intervals": {}} | changes
    return [
        Observation(
            index=seed, cell=cell, seed=seed, sampling_seed=sampling_seed,
            metrics={metric: value}, curves={}, seconds=1.0, device_hours=0.1, folder="",
            command="", **fields,
        )
        for seed, value in values.items()
        for sampling_seed in range(sampling_seeds)
    ]  # fmt: skip


def compare(*cells_values, metric="val/psnr"):
    """The comparison of cells a, b, ... with these values."""
    cells = [Cell(i, "abcdefgh"[i], {}, {}) for i in range(len(cells_values))]
    rows = [observe(i, values, metric) for i, values in enumerate(cells_values)]
    return compare_cells(cells, [row for group in rows for row in group], metric)


def test_a_clear_difference_is_called_one():
    result = compare(LOW, HIGH)
    test = stats.ttest_rel(HIGH, LOW)
    limits = test.confidence_interval(0.95)
    assert result.verdict == comparison.Verdict(
        f"b is better than a, by 1 (95 % interval {limits.low:.3g} to {limits.high:.3g}, 5 seeds, "
        f"Holm-adjusted p = {test.pvalue:.2g})",
        True,
        1,
    )
    assert result.differences[0].mean == pytest.approx(-1.0)
    assert result.cells[1].mean.value == pytest.approx(np.mean(HIGH))
    assert result.cells[1].std == pytest.approx(np.std(HIGH, ddof=1))
    assert result.cells[1].iqm.value == pytest.approx(statistics.interquartile_mean(HIGH))


def test_of_a_distance_less_is_better():
    result = compare(LOW, HIGH, metric="evaluate/classifier/frechet")
    assert result.verdict.text.startswith("a is better than b, by 1 (95 % interval 0.")
    assert result.verdict.best == 0
    # The probability that b, which never has the smaller distance, is better.
    assert result.differences[1].mean == pytest.approx(1.0)
    assert result.differences[1].probability.value == 0.0
    assert result.differences[1].probability.low == pytest.approx(0.0)
    assert 0.1 < result.differences[1].probability.high < 0.5


def test_a_gap_inside_the_spread_is_inconclusive():
    other = [20.5, 20.1, 20.2, 19.9, 20.5]
    result = compare(LOW, other)
    limits = stats.ttest_rel(other, LOW).confidence_interval(0.95)
    assert result.verdict.text == (
        "inconclusive: the gap of 0.12 between b and a is inside the spread of seeds "
        f"(95 % interval {limits.low:.3g} to {limits.high:.3g})"
    )
    assert not result.verdict.is_conclusive and result.verdict.best == 1


def test_three_seeds_are_too_few():
    verdict = compare(LOW[:3], HIGH[:3]).verdict
    assert verdict.text == "inconclusive: 3 seeds, at least 5 are needed"
    assert not verdict.is_conclusive
    verdict = compare(LOW, HIGH[:4]).verdict
    assert verdict.text == ("inconclusive: 4 seeds of b, at least 5 are needed; b has 4 of 5 runs")


def test_the_family_is_all_pairs_of_cells():
    third = [19.6, 20.9, 19.9, 20.6, 19.5]
    result = compare(LOW, HIGH, third)
    pairs = [(HIGH, LOW), (HIGH, third), (LOW, third)]
    expected = statistics.adjust_holm([stats.ttest_rel(*pair).pvalue for pair in pairs])
    assert result.p_holm == pytest.approx({0: expected[0], 2: expected[1]})


def test_several_cells_in_words():
    near = [21.0, 21.2, 20.9, 21.1, 21.2]
    verdict = compare(LOW, HIGH, near, near).verdict
    assert verdict.text.startswith("inconclusive: the gap of 0.04 between b and c is inside")
    assert "; 1 further cell cannot be told from b either; b is better than a" in verdict.text
    verdict = compare(LOW, HIGH, [v - 1 + i / 50 for i, v in enumerate(LOW)]).verdict
    assert verdict.text.startswith("b is better than each of the 2 other cells; the nearest is a,")


def test_a_gap_that_the_correction_takes_away_is_named():
    """p = 0.03 alone, of six pairs more."""
    near = [v - g for v, g in zip(HIGH, [0.1, 0.3, 0.05, 0.4, 0.25], strict=True)]
    assert 0.01 < stats.ttest_rel(HIGH, near).pvalue < 0.05
    assert compare(near, HIGH).verdict.is_conclusive
    text = compare(
        near, HIGH, [v + 0.01 * (-1) ** i for i, v in enumerate(near)], near
    ).verdict.text
    assert text.startswith("inconclusive: the gap of 0.2")
    assert "is not clear among all pairs of cells" in text


def test_a_gap_of_unlike_signs_needs_more_than_a_t_test():
    gaps = [-0.1, 2.0, 2.1, 1.9, 2.0]
    other = [v + g for v, g in zip(LOW, gaps, strict=True)]
    assert stats.ttest_rel(other, LOW).pvalue < 0.05
    assert (
        "is clear by the t test, but not by the sign-flip test" in compare(LOW, other).verdict.text
    )


def test_a_small_gap_of_a_frechet_distance_is_inconclusive():
    small = [v * 0.99 + 0.01 * i for i, v in enumerate(LOW)]
    for metric, is_conclusive in [("evaluate/x/frechet", False), ("evaluate/x/kernel", True)]:
        verdict = compare(LOW, small, metric=metric).verdict
        assert verdict.is_conclusive == is_conclusive
        assert ("is under 1.3 % of the distance" in verdict.text) == (not is_conclusive)


def test_ties_are_no_difference():
    result = compare(LOW, LOW)
    assert result.verdict.text == "inconclusive: a and b have the same mean"
    assert result.p_holm == {1: 1.0} and result.differences[1].probability.value == 0.5
    text = compare(LOW, [v + 0.5 for v in LOW]).verdict.text
    assert "the gap of 0.5 between b and a is the same for all seeds" in text


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_run_does_not_vanish(bad):
    result = compare(LOW, [*HIGH[:4], bad], [v - 1 - i / 9 for i, v in enumerate(LOW)])
    summary = result.cells[1]
    assert (summary.n, summary.num_diverged) == (4, 1)
    assert math.isnan(summary.mean.value) and math.isnan(summary.iqm.value)
    assert result.verdict.best == 0 and 1 not in result.differences
    assert result.verdict.text.endswith("1 of 5 runs of b diverged, so that it is not ranked")


def test_a_run_that_never_had_a_value_has_diverged():
    rows = observe(0, LOW) + observe(1, HIGH)
    rows[-1] = observe(1, {4: 1.0}, metric="val/ssim")[0]
    result = compare_cells([Cell(0, "a", {}, {}), Cell(1, "b", {}, {})], rows, "val/psnr")
    assert result.cells[1].num_diverged == 1


def test_many_cells_have_a_short_verdict():
    cells = [Cell(i, f"beta={i}, size=8", {}, {}) for i in range(12)]
    rows = [row for i in range(12) for row in observe(i, [v + 3 * i for v in LOW[: 5 - i % 2]])]
    text = compare_cells(cells, rows, "val/psnr").verdict.text
    assert "4 seeds of (beta=1, size=8)" in text and "(beta=1, size=8) has 4 of 5 runs" in text
    assert text.endswith("; 2 further remarks on diverged and absent runs")


def test_fewer_than_two_cells_compare_to_nothing():
    assert compare(LOW).verdict == comparison.Verdict(
        "inconclusive: only a has a mean, two are needed", False, None
    )
    verdict = compare(LOW, []).verdict
    assert verdict.text == "inconclusive: only a has a mean, two are needed; b has no value"
    assert compare([], []).verdict.text.startswith("inconclusive: no cell has a mean")
    assert compare([1.0], [2.0]).verdict.text == "inconclusive: 1 seed, at least 5 are needed"


def test_seeds_that_partly_pair():
    verdict = compare(LOW, {seed + 2: value for seed, value in enumerate(HIGH)}).verdict
    assert verdict.text == ("inconclusive: b and a have 3 seeds in common, at least 5 are needed")
    result = compare(LOW, {seed + 9: value for seed, value in enumerate(HIGH)})
    assert result.verdict.is_conclusive and not result.differences[0].is_paired
    # The best cell must have all runs that others have.
    verdict = compare([*LOW, 20.0], HIGH).verdict
    assert verdict.text == (
        "inconclusive: b has the best mean, but not all of its runs; b has 5 of 6 runs"
    )


def test_unlike_measurement_specs_are_refused():
    cells = [Cell(0, "a", {}, {}), Cell(1, "b", {}, {})]
    spec = {"data": "d", "seed": 0, "extractor": {"name": "classifier", "sha256": "1"}}
    same = observe(0, LOW, spec=spec) + observe(1, HIGH, spec=spec | {"seed": 7})
    assert compare_cells(cells, same, "val/psnr").verdict.is_conclusive
    other = spec | {"extractor": {"name": "classifier", "sha256": "2"}}
    rows = observe(0, LOW, spec=spec) + observe(1, HIGH, spec=other)
    with pytest.raises(UsageError) as error:
        compare_cells(cells, rows, "val/psnr")
    assert error.value.message == (
        'val/psnr was not measured alike: extractor.sha256 is "1" in the run of a, seed 0 and "2" '
        "in that of b, seed 0"
    )
    with pytest.raises(UsageError, match="data is .* in the run of a, seed 0 and nothing in"):
        compare_cells(cells, observe(0, LOW) + observe(1, HIGH, spec={"seed": 0}), "val/psnr")


def test_the_components_of_an_evaluation():
    """Two sampling seeds a run; the evaluation's own interval is 1.96 standard deviations wide."""
    metric, cell = "evaluate/classifier/kernel", Cell(0, "a", {}, {})
    limits = {metric: (1.0 - 1.959964 * 0.2, 1.0 + 1.959964 * 0.2)}
    rows = [row for row in observe(0, [0.0, 4.0, 6.0], metric, sampling_seeds=2, intervals=limits)]
    shifts = [0, 2, 0, 0, 0, 2]
    rows = [
        Observation(**{**vars(row), "metrics": {metric: row.metrics[metric] + shift}})
        for row, shift in zip(rows, shifts, strict=True)
    ]
    summary = compare_cells([cell], rows, metric).cells[0]
    assert dict(summary.values) == {0: 1.0, 1: 4.0, 2: 7.0}
    assert summary.components.sampling == pytest.approx(4 / 3)
    assert summary.components.training == pytest.approx((18 - 4 / 3) / 2)
    assert summary.components.evaluation == pytest.approx(0.04)
    # While training, all draws follow from the training seed.
    components = compare(LOW).cells[0].components
    assert components.training == pytest.approx(np.var(LOW, ddof=1))
    assert math.isnan(components.sampling)


def test_every_metric_has_a_direction_or_is_refused():
    for name, direction in BETTER_DIRECTION.items():
        assert metric_names.is_higher_better(f"evaluate/classifier/{name}") == (direction == HIGHER)
    higher = ("val/elbo", "val/psnr", "evaluate/ssim", "val/condition_accuracy", "val/categories")
    lower = ("val/bits_per_dim", "val/nll", "val/mse", "evaluate/lpips", "val/perceptual")
    assert all(metric_names.is_higher_better(name) for name in higher)
    assert not any(metric_names.is_higher_better(name) for name in lower)
    for name in ("val/spread", "val/logits", "val/prsn"):
        with pytest.raises(UsageError, match="does not say which of two runs is better"):
            metric_names.is_higher_better(name)
