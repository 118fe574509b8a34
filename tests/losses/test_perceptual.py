"""The distance of activations by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core.types import Spec
from prodgen.losses import perceptual
from prodgen.models import classifier

distance = jax.jit(perceptual.distance)


def make_features(seed=0, n=2):
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(rng.normal(size=(n, *shape)), jnp.float32) for shape in [(4, 4, 3), (2, 2, 5)]
    )


def test_the_distance_of_one_pixel_equals_the_hand_computed_value():
    """(3, 4) and (4, -3) are orthogonal: 2. (3, 4) and its opposite: 4. Its double: 0."""
    a = jnp.tile(jnp.asarray([3.0, 4.0]), (4, 1, 1, 1))
    b = jnp.asarray([[4.0, -3.0], [-3.0, -4.0], [6.0, 8.0], [5.0, 0.0]]).reshape(4, 1, 1, 2)
    expected = [2, 4, 0, 2 - 2 * 3 / 5]
    np.testing.assert_allclose(distance((a,), (b,)), expected, atol=1e-6)


def test_positions_are_averaged_and_then_layers():
    """One of four positions differs by 2; in the other layer both of two differ by 4."""
    first = np.zeros((1, 2, 2, 2), np.float32)
    first[..., 0] = 1
    other = first.copy()
    other[0, 1, 0] = 0, 7
    second = np.ones((1, 1, 2, 3), np.float32)
    result = distance((first, second), (other, -second))
    np.testing.assert_allclose(result, [(2 / 4 + 4) / 2], rtol=1e-6)


def test_the_distance_is_twice_one_minus_the_cosine():
    a, b = make_features(1), make_features(2)
    expected = np.zeros(2)
    for x, y in zip(a, b, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
        expected += (2 - 2 * cosine).mean((1, 2)) / 2
    result = distance(a, b)
    assert result.shape == (2,) and result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_allclose(result, distance(b, a), rtol=1e-6)


def test_equal_and_zero_activations_have_distance_zero_and_a_finite_gradient():
    for a in (make_features(), tuple(map(jnp.zeros_like, make_features()))):
        total = lambda x, a=a: jnp.sum(perceptual.distance(x, a))  # noqa: E731
        assert total(a) == 0
        assert all(np.isfinite(g).all() for g in jax.jit(jax.grad(total))(a))


def test_shapes_that_differ_raise():
    with pytest.raises(ValueError, match="shapes differ"):
        perceptual.distance(make_features(n=2), make_features(n=1))
    with pytest.raises(ValueError, match="shapes differ"):
        perceptual.distance(make_features(), make_features()[:1])


def test_features_of_the_classifier_have_a_distance():
    spec = Spec(28, 1, ("a", "b"))
    net = classifier.build(spec)
    params = net.init(jax.random.key(0), classifier.dummy_image(spec))
    a, b = jax.random.uniform(jax.random.key(1), (2, 3, *spec.shape), minval=-1)
    features_of = jax.jit(lambda image: net.apply(params, image)[2])
    result = distance(features_of(a), features_of(b))
    assert result.shape == (3,) and (result > 0).all() and (result < 4).all()
