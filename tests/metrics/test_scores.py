"""Numbers with floors and intervals, on features made by hand."""

import math

import numpy as np
import pytest

from prodgen.metrics import frechet, scores
from prodgen.metrics.features import ExtractorIdentity
from prodgen.metrics.measurement_spec import MeasurementSpec

PASS = MeasurementSpec("", ExtractorIdentity("pixels", "1", "", "none"), "d1", "test", 0, 0, 0)


def rows(count, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (count, 4))


def test_real_pictures_sit_at_the_floor_and_shifted_ones_do_not():
    real, floor = rows(300, 0), rows(300, 1)
    honest = scores.measure_distances(real, [rows(300, i) for i in (2, 3, 4)], floor, PASS)
    shifted = scores.measure_distances(real, [rows(300, i, 2.0) for i in (2, 3, 4)], floor, PASS)
    assert set(honest) == set(scores.BETTER_DIRECTION)
    for name, better in scores.BETTER_DIRECTION.items():
        gap = shifted[name].value - honest[name].value
        assert gap > 0 if better == scores.LOWER else gap < 0, name
        assert honest[name].real_baseline == shifted[name].real_baseline
    assert honest["frechet"].value == pytest.approx(honest["frechet"].real_baseline, abs=0.1)
    assert honest["frechet"].low < honest["frechet"].value < honest["frechet"].high
    assert shifted["frechet"].value == pytest.approx(16, rel=0.2)  # 4 features, 2 apart


def test_a_number_says_what_it_stands_on():
    found = scores.measure_distances(
        rows(30, 0), [rows(20, 1)], rows(10, 2), PASS, "runs/x", ("ab",)
    )
    passport = found["recall"].measurement_spec
    assert (passport.metric, passport.real, passport.fake) == ("recall", 30, 20)
    assert passport.options == (("k", 5),) and passport.extractor == PASS.extractor
    assert found["recall"].subject == "runs/x" and found["recall"].trained_with == ("ab",)
    assert found["recall"].caution == "the real baseline is that of 10 images, not of 20"


def test_too_few_pictures_for_a_covariance_are_a_caution():
    wide = np.random.default_rng(0).normal(size=(3, 12, 20))
    found = scores.measure_distances(wide[0], [wide[1]], wide[2], PASS)
    assert "too few for 20 features" in found["frechet"].caution
    assert found["kernel"].caution == ""


def test_sets_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="of one size"):
        scores.measure_distances(rows(9, 0), [rows(9, 1), rows(8, 2)], rows(9, 3), PASS)


def test_one_set_alone_has_the_intervals_of_its_own_pictures():
    found = scores.measure_distances(rows(300, 0), [rows(300, 1)], rows(300, 2), PASS)
    kernel, precision = found["kernel"], found["precision"]
    assert kernel.low < kernel.value < kernel.high
    assert 0 <= precision.low < precision.value < precision.high <= 1
    assert math.isnan(found["frechet"].low) and math.isnan(found["density"].low)


def test_the_floor_is_the_mean_of_several_sets_of_real_pictures():
    real, others = rows(100, 0), rows(250, 1)
    found = scores.measure_distances(real, [rows(100, 2)], others, PASS)["frechet"]
    both = [
        frechet.feature_distance(real, others[:100]),
        frechet.feature_distance(real, others[100:200]),
    ]
    assert found.real_baseline == pytest.approx(np.mean(both))
    assert found.real_baseline_low < found.real_baseline < found.real_baseline_high


def test_equal_shares_of_few_sets_are_not_known_exactly():
    real, far = rows(60, 0), rows(60, 1, 50.0)
    precision = scores.measure_distances(real, [far, far], rows(60, 2), PASS)["precision"]
    assert precision.value == precision.low == 0 and precision.high == pytest.approx(
        0.031, abs=1e-3
    )
