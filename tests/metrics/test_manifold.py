"""Precision, recall, density and coverage by hand, and against the authors' package prdc."""

import numpy as np
import pytest

from prodgen.core.errors import BadData
from prodgen.metrics import manifold


def rows_of(n, f=8, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, size=(n, f))


def by_prdc(real, fake, k):
    prdc = pytest.importorskip("prdc", reason="needs prdc and scikit-learn", exc_type=ImportError)
    return prdc.compute_prdc(real.astype(np.float64), fake.astype(np.float64), k)


def test_by_hand():
    """Reals at 0, 1, 3, 7 with the radii 1, 1, 2, 4; fakes at 0.5, 3.5, 20 with 3, 3, 16.5.

    0.5 is in two real balls and 3.5 in the two others, so all four are hit; 20 is in none. The
    fake balls hold all reals, that of 20 the real at 7.
    """
    real, fake = np.array([[0.0], [1.0], [3.0], [7.0]]), np.array([[0.5], [3.5], [20.0]])
    result = manifold.compute_prdc(real, fake, k=1)
    assert result == pytest.approx(
        {"precision": 2 / 3, "recall": 4 / 4, "density": 4 / 3, "coverage": 1.0}
    )
    far = manifold.compute_prdc(real, fake + 100, k=1)
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_a_row_on_the_edge_of_a_ball_is_outside():
    """Reals at 0, 1, 10 with the radii 1, 1, 9: the fake at 2 touches the ball of 1."""
    real = np.array([[0.0], [1.0], [10.0]])
    result = manifold.compute_prdc(real, np.array([[2.0], [2.0]]), k=1)
    assert result == pytest.approx(
        {"precision": 1, "recall": 0, "density": 1.0, "coverage": 1 / 3}  # 8 from 10, within 9
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "shift"), [(120, 90, 0.3), (60, 150, 1.0)])
def test_it_agrees_with_prdc(k, n, m, shift):
    real, fake = rows_of(n).astype(np.float32), rows_of(m, seed=1, shift=shift).astype(np.float32)
    assert manifold.compute_prdc(real, fake, k) == pytest.approx(by_prdc(real, fake, k), rel=1e-6)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_it_agrees_with_prdc_where_ties_and_copies_abound(k):
    """Whole numbers, whose distances are exact in either package."""
    rng = np.random.default_rng(k)
    real, fake = rng.integers(0, 4, (80, 3)), rng.integers(0, 4, (70, 3))
    assert manifold.compute_prdc(real, fake, k) == pytest.approx(by_prdc(real, fake, k), rel=1e-6)


def test_the_reals_themselves_are_perfect():
    """Each ball holds its own row and k - 1 neighbours; the k-th is on its edge."""
    rows = rows_of(200)
    assert manifold.compute_prdc(rows, rows) == {
        "precision": 1, "recall": 1, "density": 1, "coverage": 1,
    }  # fmt: skip


def test_other_reals_are_nearly_perfect():
    result = manifold.compute_prdc(rows_of(1000, 4), rows_of(1000, 4, seed=1))
    assert result["density"] == pytest.approx(1, abs=0.1)
    assert result["coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert min(result["precision"], result["recall"]) > 0.9


def test_a_collapsed_generator_is_precise_and_covers_nothing():
    real = rows_of(300)
    result = manifold.compute_prdc(real, np.tile(real[np.abs(real).sum(1).argmin()], (300, 1)))
    assert result["precision"] == 1 and result["recall"] == 0
    assert result["coverage"] < 0.2 < result["density"]


def test_precision_and_recall_swap_with_the_sides():
    real, fake = rows_of(90), rows_of(70, seed=1, shift=0.5)
    one, other = manifold.compute_prdc(real, fake), manifold.compute_prdc(fake, real)
    assert (one["precision"], one["recall"]) == (other["recall"], other["precision"])


def test_block_size_and_row_order_change_nothing():
    real, fake = rows_of(90), np.concatenate([rows_of(60, seed=1), rows_of(90)[:10]])  # 10 copies
    result = manifold.compute_prdc(real, fake)
    for size in (1, 7, 90):
        assert manifold.compute_prdc(real, fake, size=size) == result
    order = np.random.default_rng(2).permutation(70)
    assert manifold.compute_prdc(real[::-1], fake[order]) == result


def test_too_few_rows_for_a_manifold_are_rejected():
    with pytest.raises(BadData, match="at least 6 real images are needed, not 5"):
        manifold.compute_prdc(rows_of(5), rows_of(6))
    with pytest.raises(BadData, match="at least 4 generated images are needed, not 3"):
        manifold.compute_prdc(rows_of(5), rows_of(3), k=3)
    with pytest.raises(ValueError, match="k >= 1"):
        manifold.compute_prdc(rows_of(5), rows_of(5), k=0)
    assert manifold.compute_prdc(rows_of(6), rows_of(6, seed=1))  # the fewest


def test_realism_by_hand():
    """On a line: reals at 0, 1, 3, 7; k = 1 makes radii 1, 1, 2, 4, of which 1 and 1 are kept."""
    real = np.float64([[0], [1], [3], [7]])
    result = manifold.realism(real, np.float64([[0.5], [3.0], [-4.0], [1.0]]), k=1)
    np.testing.assert_allclose(result, [2.0, 0.5, 0.25, np.inf])


def test_a_sample_far_from_every_real_image_is_less_typical():
    rng = np.random.default_rng(0)
    real, near = rng.normal(size=(200, 3)), rng.normal(size=(50, 3))
    assert np.median(manifold.realism(real, near)) > 3 * np.median(manifold.realism(real, near + 9))
