"""The kernel distance by hand, against its definition and against the package torch-fidelity."""

import numpy as np
import pytest

from prodgen.core.errors import BadData
from prodgen.metrics import kernel


def rows_of(n, f=16, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, size=(n, f))


def by_definition(real, fake):
    """Gretton et al. 2012, eq. 3, pair by pair."""
    n, m, f = len(real), len(fake), real.shape[1]

    def k(x, y):
        return (x @ y / f + 1) ** 3

    within_real = sum(k(real[i], real[j]) for i in range(n) for j in range(n) if i != j)
    within_fake = sum(k(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j)
    across = sum(k(x, y) for x in real for y in fake)
    return within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * across / (n * m)


def test_by_hand():
    """Reals at 1, 2 and fakes at 0, 1: k(1, 2) = 27, k(1, 1) = 8, and 1 with a 0.

    27 + 1 - 2 (1 + 8 + 1 + 27) / 4 = 9.5.
    """
    result = kernel.distance(np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]]), subsets=3)
    assert result.full == result.mean == pytest.approx(9.5)
    assert (result.subsets, result.size, result.std) == (3, 2, 0)
    assert np.isnan(result.error)  # of 2 rows none can be left out


def test_all_rows_against_the_definition():
    real, fake = rows_of(20), rows_of(13, seed=1, shift=0.3)
    result = kernel.distance(real.astype(np.float32), fake.astype(np.float32))
    assert result.full == pytest.approx(by_definition(real, fake), rel=1e-5)
    assert kernel.distance(real, fake).full == pytest.approx(by_definition(real, fake), rel=1e-12)


def test_subsets_are_drawn_from_the_seed_and_each_is_the_definition():
    real, fake = rows_of(20), rows_of(13, seed=1, shift=0.3)
    rng = np.random.default_rng(7)
    subset_rows = [
        (rng.choice(20, 6, replace=False), rng.choice(13, 6, replace=False)) for _ in range(4)
    ]
    values = [by_definition(real[i], fake[j]) for i, j in subset_rows]
    result = kernel.distance(real, fake, subsets=4, size=6, seed=7)
    assert result.mean == pytest.approx(np.mean(values), rel=1e-10)
    assert result.std == pytest.approx(np.std(values), rel=1e-10)
    assert result == kernel.distance(real, fake, subsets=4, size=6, seed=7)
    assert result.mean != kernel.distance(real, fake, subsets=4, size=6, seed=8).mean


def test_a_subset_is_never_larger_than_a_side():
    assert kernel.distance(rows_of(30), rows_of(9)).size == 9


def test_the_error_is_the_jackknifes():
    real, fake = rows_of(12), rows_of(9, seed=1, shift=0.3)
    left = [by_definition(np.delete(real, i, 0), fake) for i in range(12)]
    right = [by_definition(real, np.delete(fake, i, 0)) for i in range(9)]
    variance = 11 * np.var(left) + 8 * np.var(right)
    result = kernel.distance(real, fake)
    assert result.error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert result.high - result.full == pytest.approx(1.959964 * result.error)
    assert result.full - result.low == pytest.approx(1.959964 * result.error)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Equal distributions are at 0, where the estimate's usual first-order error is 0 as well."""
    pairs = [(rows_of(60, seed=2 * i), rows_of(80, seed=2 * i + 1)) for i in range(100)]
    result = [kernel.distance(*pair, subsets=1) for pair in pairs]
    assert sum(each.low <= 0 <= each.high for each in result) >= 90
    assert abs(np.mean([each.full for each in result])) < 0.01  # unbiased
    assert any(each.full < 0 for each in result)


def test_the_mean_does_not_depend_on_the_number_of_images():
    real, fake = rows_of(1000), rows_of(1000, seed=1, shift=0.3)
    few = kernel.distance(real, fake, subsets=200, size=50)
    many = kernel.distance(real, fake, subsets=20, size=500)
    assert few.mean == pytest.approx(many.full, rel=0.1)
    assert few.std > 2 * many.std


def test_block_size_row_order_and_set_order_change_nothing(monkeypatch):
    real, fake = rows_of(50), rows_of(40, seed=1, shift=0.3)
    result = kernel.distance(real, fake)
    other = kernel.distance(real[::-1], fake[np.random.default_rng(0).permutation(40)])
    swapped_order = kernel.distance(fake, real)
    monkeypatch.setattr(kernel, "MAX_BLOCK_VALUES", 100)
    for each in (other, swapped_order, kernel.distance(real, fake)):
        assert each.full == pytest.approx(result.full, rel=1e-10)
        assert each.error == pytest.approx(result.error, rel=1e-10)
    assert kernel.distance(real, fake).mean == pytest.approx(result.mean, rel=1e-10)


def test_the_same_rows_on_both_sides_are_two_sides():
    """Each row meets its copy across, so the estimate is below 0, as the definition has it."""
    rows = rows_of(15)
    result = kernel.distance(rows, rows)
    assert result.full == pytest.approx(by_definition(rows, rows), rel=1e-10)
    assert result.mean == pytest.approx(result.full) and result.full < 0


def test_invalid_inputs_of_the_kernel_distance_are_rejected():
    with pytest.raises(BadData, match="at least 2 generated images are needed, not 1"):
        kernel.distance(rows_of(5), rows_of(1))
    with pytest.raises(BadData, match="at least 2 real images are needed, not 0"):
        kernel.distance(rows_of(0), rows_of(5))
    with pytest.raises(BadData, match="1 of 5 real images are not finite"):
        kernel.distance(np.where(np.arange(5)[:, None] == 2, np.nan, rows_of(5)), rows_of(5))
    for wrong in ({"subsets": 0}, {"size": 1}):
        with pytest.raises(ValueError, match="subsets >= 1 and size >= 2"):
            kernel.distance(rows_of(5), rows_of(5), **wrong)


def test_it_agrees_with_torch_fidelity():
    why = "needs torch-fidelity and torchvision"
    pytest.importorskip("torchvision", reason=why, exc_type=ImportError)
    peer = pytest.importorskip("torch_fidelity.metric_kid", reason=why, exc_type=ImportError)
    real, fake = rows_of(80), rows_of(80, seed=1, shift=0.2)
    options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    expected = peer.kernel_mmd(real, fake, **options, kid_kernel_poly_coef0=1)
    assert kernel.distance(real, fake).full == pytest.approx(expected, rel=1e-6)
    assert kernel.distance(real, fake).mean == pytest.approx(expected, rel=1e-6)
