"""The Frechet distance of normals whose distance is known."""

import numpy as np
import pytest
from scipy import linalg

from prodgen.core.errors import BadData
from prodgen.metrics import frechet


def features(n, f=24, seed=0, shift=0.0):
    """Correlated rows, some directions a thousand times wider than others."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(9).normal(size=(f, f)) * np.geomspace(1, 1e-3, f)
    return rng.normal(size=(n, f)) @ mix.T + shift


def accumulate(rows):
    return rows.mean(0), np.cov(rows.T)


def of_rows(a, b):
    """The distance of two sets of rows without any covariance: exact also where it is singular."""
    left_rows, right = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    overlap = np.linalg.svd(left_rows @ right.T, compute_uv=False).sum()
    spread = np.square(left_rows).sum() + np.square(right).sum() - 2 * overlap
    return np.square(a.mean(0) - b.mean(0)).sum() + spread


def test_equal_distributions_are_at_zero():
    rows = np.random.default_rng(0).normal(size=(500, 6))
    mean, covariance = rows.mean(0), np.cov(rows.T)
    assert frechet.distance(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-10)


def test_diagonal_normals_by_hand():
    """(m1 - m2)^2 + sum (s1 - s2)^2 for diagonal covariances."""
    result = frechet.distance(
        np.array([1.0, 2.0]), np.diag([4.0, 9.0]), np.array([0.0, 4.0]), np.diag([1.0, 16.0])
    )
    assert result == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 4) ** 2)


def test_it_is_symmetric_and_does_not_care_about_a_rotation():
    rng = np.random.default_rng(1)
    a, b = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    m, n = rng.normal(size=(2, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    here = frechet.distance(m, a, n, b)
    assert frechet.distance(n, b, m, a) == pytest.approx(here)
    after_rotation = frechet.distance(turn @ m, turn @ a @ turn.T, turn @ n, turn @ b @ turn.T)
    assert after_rotation == pytest.approx(here)


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


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_stream_has_the_moments_of_all_its_rows(shift):
    rows = features(300, shift=shift)
    stream = frechet.Moments.empty(24)
    for part in np.split(rows, [0, 1, 90, 200]):  # an empty part, a single row
        stream.add(part)
    mean, covariance = stream.result()
    assert stream.n == 300
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(rows.T), rtol=1e-7, atol=1e-9)


def test_a_stream_of_float32_is_summed_in_float64():
    rows = (features(200) + 1e3).astype(np.float32)
    stream = frechet.Moments.empty(24)
    stream.add(rows)
    np.testing.assert_allclose(stream.result()[1], np.cov(rows.astype(np.float64).T), rtol=1e-9)


def test_a_stream_rejects_rows_of_another_width():
    with pytest.raises(ValueError, match=r"rows \[n, 24\], not \(3, 23\)"):
        frechet.Moments.empty(24).add(np.zeros((3, 23)))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_are_rejected(n):
    stream = frechet.Moments.empty(24)
    stream.add(features(n))
    with pytest.raises(BadData, match=f"at least 2 images in either set, not {n}"):
        stream.result()


def test_a_biased_distance_has_a_caution():
    assert frechet.min_full_rank_rows(2048) == 2049
    assert frechet.sample_size_caution(2049, 2048) == ""
    words = frechet.sample_size_caution(2048, 2048)
    assert "2048 images are too few" in words and "upwards; at least 2049" in words
    frechet.require_two_rows(2)


@pytest.mark.parametrize(("n", "m"), [(200, 300), (10, 300), (300, 10), (10, 12), (25, 2)])
def test_few_rows_are_as_exact_as_many(n, m):
    a, b = features(n), features(m, seed=1, shift=0.1)
    expected = of_rows(a, b)
    assert frechet.distance(*accumulate(a), *accumulate(b)) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(*accumulate(a), *accumulate(a)) == pytest.approx(
        0, abs=1e-10 * expected
    )


@pytest.mark.parametrize(
    ("n", "m"), [(200, 300), (24, 25), (10, 300), (300, 10), (10, 12), (25, 2)]
)
def test_rows_and_their_moments_are_equally_far_apart(n, m):
    """Whether or not a side has more rows than features."""
    a, b = features(n, shift=1e3), features(m, seed=1, shift=1e3 + 0.1)
    expected = frechet.distance(*accumulate(a), *accumulate(b))
    assert frechet.feature_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet.feature_distance(a, b) == pytest.approx(of_rows(a, b), rel=1e-9)
    assert frechet.feature_distance(a, a) == pytest.approx(0, abs=1e-10 * expected)


def test_rows_of_different_widths_are_rejected():
    with pytest.raises(ValueError, match=r"not \(9, 24\) and \(9, 23\)"):
        frechet.feature_distance(features(9), features(9)[:, 1:])
    with pytest.raises(BadData, match="at least 2 images in either set, not 1"):
        frechet.feature_distance(features(9), features(1))


def test_a_small_distance_of_singular_covariances_keeps_its_digits():
    a = features(12)
    b = a + 1e-3 * features(12, seed=1)
    assert frechet.distance(*accumulate(a), *accumulate(b)) == pytest.approx(
        of_rows(a, b), rel=1e-5
    )
    assert frechet.feature_distance(a, b) == pytest.approx(of_rows(a, b), rel=1e-9)


def test_fewer_images_are_biased_upwards():
    a, b = features(4000), features(4000, seed=1)
    few = frechet.distance(*accumulate(a[:30]), *accumulate(b[:30]))
    assert few > 10 * frechet.distance(*accumulate(a), *accumulate(b))


def test_sets_of_equal_images_have_a_distance():
    one, many = np.tile(features(1), (5, 1)), features(50, seed=1)
    expected = np.square(one[0] - many.mean(0)).sum() + np.trace(np.cov(many.T))
    assert frechet.distance(*accumulate(one), *accumulate(many)) == pytest.approx(expected)
    assert frechet.distance(*accumulate(one), *accumulate(one)) == pytest.approx(0, abs=1e-12)


def test_the_distance_of_nonfinite_moments_is_nan():
    rows = features(50)
    rows[3, 4] = np.nan
    assert np.isnan(frechet.distance(*accumulate(rows), *accumulate(features(50))))
    assert np.isnan(frechet.feature_distance(rows, features(50)))


def test_it_agrees_with_the_matrix_root():
    (m, a), (n, b) = accumulate(features(100)), accumulate(features(200, seed=1, shift=0.2))
    root = np.trace(linalg.sqrtm(a @ b)).real
    expected = np.square(m - n).sum() + np.trace(a) + np.trace(b) - 2 * root
    assert frechet.distance(m, a, n, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [20, 200])  # singular, and not
def test_it_agrees_with_pytorch_fid(n):
    why = "needs pytorch-fid and torchvision"
    pytest.importorskip("torchvision", reason=why, exc_type=ImportError)
    peer = pytest.importorskip("pytorch_fid.fid_score", reason=why, exc_type=ImportError)
    a, b = accumulate(features(n)), accumulate(features(150, seed=1, shift=0.2))
    expected = peer.calculate_frechet_distance(*a, *b)
    assert frechet.distance(*a, *b) == pytest.approx(expected, rel=1e-6)
