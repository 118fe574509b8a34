"""Numbers with real baselines and intervals, on features made by hand."""

import math

import numpy as np
import pytest

from prodgen.metrics import frechet, scores
from prodgen.metrics.features import ExtractorIdentity
from prodgen.metrics.measurement_spec import MeasurementSpec

SPEC = MeasurementSpec("", ExtractorIdentity("pixels", "1", "", "none"), "d1", "test", 0, 0, 0)


def rows(count, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (count, 4))


def test_real_images_reach_the_real_baseline_and_shifted_ones_do_not():
    real, baseline = rows(300, 0), rows(300, 1)
    honest = scores.measure_distances(real, [rows(300, i) for i in (2, 3, 4)], baseline, SPEC)
    shift_scores = scores.measure_distances(
        real, [rows(300, i, 2.0) for i in (2, 3, 4)], baseline, SPEC
    )
    assert set(honest) == set(scores.BETTER_DIRECTION)
    assert not any(number.caution for number in honest.values())  # 300 are enough
    for name, better in scores.BETTER_DIRECTION.items():
        gap = shift_scores[name].value - honest[name].value
        assert gap > 0 if better == scores.LOWER else gap < 0, name
        assert honest[name].real_baseline == shift_scores[name].real_baseline
    assert honest["frechet"].value == pytest.approx(honest["frechet"].real_baseline, abs=0.1)
    assert honest["frechet"].low < honest["frechet"].value < honest["frechet"].high
    assert shift_scores["frechet"].value == pytest.approx(16, rel=0.2)  # 4 features, 2 apart


def test_a_measurement_holds_its_spec_subject_and_caution():
    result = scores.measure_distances(
        rows(30, 0), [rows(20, 1)], rows(10, 2), SPEC, "runs/x", ("ab",)
    )
    spec = result["recall"].measurement_spec
    assert (spec.metric, spec.real, spec.fake) == ("recall", 30, 20)
    assert spec.options == (("k", 5),) and spec.extractor == SPEC.extractor
    assert result["recall"].subject == "runs/x" and result["recall"].trained_with == ("ab",)
    assert result["kernel"].caution == "the real baseline is that of 10 images, not of 20"
    for name in ("precision", "recall", "density", "coverage"):
        assert result[name].caution.startswith("20 images are few")


def test_too_few_images_for_a_covariance_give_a_caution():
    wide = np.random.default_rng(0).normal(size=(3, 12, 20))
    result = scores.measure_distances(wide[0], [wide[1]], wide[2], SPEC)
    assert "too few for 20 features" in result["frechet"].caution
    assert result["kernel"].caution == ""


def test_sets_of_different_sizes_are_rejected():
    with pytest.raises(ValueError, match="of one size"):
        scores.measure_distances(rows(9, 0), [rows(9, 1), rows(8, 2)], rows(9, 3), SPEC)


def test_a_single_set_has_the_intervals_of_its_own_images():
    result = scores.measure_distances(rows(300, 0), [rows(300, 1)], rows(300, 2), SPEC)
    kernel, precision = result["kernel"], result["precision"]
    assert kernel.low < kernel.value < kernel.high
    assert 0 <= precision.low < precision.value < precision.high <= 1
    assert math.isnan(result["frechet"].low) and math.isnan(result["density"].low)


def test_the_real_baseline_is_the_mean_of_several_sets_of_real_images():
    real, others = rows(100, 0), rows(250, 1)
    result = scores.measure_distances(real, [rows(100, 2)], others, SPEC)["frechet"]
    both = [
        frechet.feature_distance(real, others[:100]),
        frechet.feature_distance(real, others[100:200]),
    ]
    assert result.real_baseline == pytest.approx(np.mean(both))
    assert result.real_baseline_low < result.real_baseline < result.real_baseline_high


def test_equal_shares_of_few_sets_have_an_interval():
    real, far = rows(60, 0), rows(60, 1, 50.0)
    precision = scores.measure_distances(real, [far, far], rows(60, 2), SPEC)["precision"]
    assert precision.value == precision.low == 0 and precision.high == pytest.approx(
        0.031, abs=1e-3
    )
