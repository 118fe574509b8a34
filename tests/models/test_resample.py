"""Doubling and halving equal their definition as filtered convolutions, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from prodgen.models import resample
from tests.test_hlo import convolutions

TAPS = np.array([1, 3, 3, 1]) / 8


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def convolve_filter(x, gain, **options):
    """Every channel of x through the filter."""
    c = x.shape[-1]
    kernel = jnp.asarray(np.tile(gain * np.outer(TAPS, TAPS)[:, :, None, None], (1, 1, 1, c)))
    return lax.conv_general_dilated(
        x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=c, **options
    )


def up(x):
    """lax inserts no zero after the last pixel: there the padding of 1 becomes 2."""
    padding = ((2, 2), (2, 2))
    return convolve_filter(x, 4, window_strides=(1, 1), padding=padding, lhs_dilation=(2, 2))


def down(x):
    return convolve_filter(x, 1, window_strides=(2, 2), padding=((1, 1), (1, 1)))


def penalty(layer):
    """The squared norm of a gradient to x."""
    inner = lambda x: jnp.sum(jnp.tanh(layer(x)))  # noqa: E731
    return lambda x: jnp.sum(jax.grad(inner)(x) ** 2)


@pytest.mark.parametrize(("ours", "theirs"), [(resample.up, up), (resample.down, down)])
@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (1, 2, 4, 1)])
def test_resampling_is_as_defined_to_the_third_order(float64, ours, theirs, shape):
    x = random(*shape)
    weight = random(*jax.eval_shape(theirs, x).shape)

    def value_and_gradients(layer):
        """The value, and the gradients of the first, second and third order."""
        loss = lambda x: jnp.sum(weight * layer(x) ** 2)  # noqa: E731
        scalars = loss, penalty(layer), penalty(penalty(layer))
        return jax.jit(lambda x: (layer(x), *(jax.grad(scalar)(x) for scalar in scalars)))(x)

    mine, expected = value_and_gradients(ours), value_and_gradients(theirs)
    np.testing.assert_allclose(mine[0], expected[0], rtol=1e-12, atol=1e-12)
    for a, b in zip(mine[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_a_flat_image_stays_flat_inside():
    x = jnp.full((1, 6, 6, 1), 0.5)
    np.testing.assert_allclose(resample.up(x)[:, 1:-1, 1:-1], 0.5, rtol=1e-6)
    np.testing.assert_allclose(resample.down(x)[:, 1:-1, 1:-1], 0.5, rtol=1e-6)


@pytest.mark.parametrize("layer", [resample.up, resample.down])
def test_no_convolution_is_compiled(layer):
    program = jax.jit(jax.grad(penalty(layer))).lower(jnp.ones((2, 8, 8, 3))).compile()
    assert not convolutions(program.as_text())
