"""The Frechet distance of normals whose distance is known."""

import numpy as np
import pytest

from prodgen.metrics import frechet


def test_equal_distributions_are_at_zero():
    rows = np.random.default_rng(0).normal(size=(500, 6))
    mean, covariance = rows.mean(0), np.cov(rows.T)
    assert frechet.distance(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-10)


def test_diagonal_normals_by_hand():
    """(m1 - m2)^2 + sum (s1 - s2)^2 for diagonal covariances."""
    found = frechet.distance(
        np.array([1.0, 2.0]), np.diag([4.0, 9.0]), np.array([0.0, 4.0]), np.diag([1.0, 16.0])
    )
    assert found == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 4) ** 2)


def test_it_is_symmetric_and_does_not_care_about_a_rotation():
    dice = np.random.default_rng(1)
    a, b = (m @ m.T for m in dice.normal(size=(2, 5, 5)))
    m, n = dice.normal(size=(2, 5))
    turn = np.linalg.qr(dice.normal(size=(5, 5)))[0]
    here = frechet.distance(m, a, n, b)
    assert frechet.distance(n, b, m, a) == pytest.approx(here)
    turned = frechet.distance(turn @ m, turn @ a @ turn.T, turn @ n, turn @ b @ turn.T)
    assert turned == pytest.approx(here)


def test_a_covariance_without_full_rank_is_no_trouble():
    line = np.outer([1.0, 1.0], [1.0, 1.0])
    assert np.isfinite(frechet.distance(np.zeros(2), line, np.zeros(2), np.eye(2)))


def test_moments_are_numpys():
    rows = np.random.default_rng(2).normal(size=(40, 3))
    mean, covariance = frechet.moments(40, rows.sum(0), rows.T @ rows)
    np.testing.assert_allclose(mean, rows.mean(0))
    np.testing.assert_allclose(covariance, np.cov(rows.T), rtol=1e-10)
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet.moments(1, rows[0], np.outer(rows[0], rows[0]))
