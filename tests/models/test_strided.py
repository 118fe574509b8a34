"""The stride-free layers equal flax's strided ones, weights included, to the second order."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.models import strided
from tests.test_hlo import slow_convolutions

LAYERS = {  # ours, flax's
    "transposed": (strided.TransposedConv, nn.ConvTranspose),
    "strided": (strided.StridedConv, nn.Conv),
}
# (size, I, O): grey, colour and wide at size 5, so that both forms are met; then other sizes.
SHAPES = [(5, 1, 18), (5, 18, 1), (5, 3, 4), (5, 16, 17), (3, 3, 2), (3, 16, 16), (4, 16, 16)]
DAILY = [(5, 1, 18), (5, 18, 1), (3, 3, 2), (4, 16, 16)]  # both forms at size 5; every size


def daily(shapes, daily_shapes):
    """All shapes, those marked slow that are not kept for every day."""
    return [pytest.param(*s, marks=() if s in daily_shapes else pytest.mark.slow) for s in shapes]


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def pair(kind, size, features, dtype):
    ours, flax = LAYERS[kind]
    return (
        ours(features, size, dtype),
        flax(features, (size, size), strides=(2, 2), padding="SAME", param_dtype=dtype),
    )


def apply_fn(module):
    return lambda x, kernel, bias: module.apply({"params": {"kernel": kernel, "bias": bias}}, x)


def penalty(layer):
    """R1: the squared norm of a gradient to x."""
    inner = lambda *arguments: jnp.sum(jnp.tanh(layer(*arguments)))  # noqa: E731
    return lambda *arguments: jnp.sum(jax.grad(inner)(*arguments) ** 2)


def everything(layer):
    """Values, first-order gradients and R1's gradients to x, kernel and bias."""

    def run(*arguments):
        values = layer(*arguments)
        weight = random(*values.shape)
        loss = lambda *arguments: jnp.sum(weight * layer(*arguments) ** 2)  # noqa: E731
        gradients = (jax.grad(scalar, (0, 1, 2))(*arguments) for scalar in (loss, penalty(layer)))
        return values, *gradients

    return run


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("size", "i", "o"), daily(SHAPES, DAILY))
def test_the_layers_are_flax_s(float64, kind, size, i, o):
    arguments = random(2, 6, 8, i), random(size, size, i, o), random(o)
    ours, flax = (apply_fn(module) for module in pair(kind, size, o, jnp.float64))
    mine, theirs = (jax.jit(everything(layer))(*arguments) for layer in (ours, flax))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), mine, theirs)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_parameters_are_laid_out_as_flax_s(kind):
    x = jnp.zeros((1, 4, 4, 3))
    ours, flax = (
        nn.Sequential([layer]).init(jax.random.key(0), x)["params"]["layers_0"]
        for layer in pair(kind, 5, 7, jnp.float32)
    )
    jax.tree.map(np.testing.assert_array_equal, ours, flax)  # even drawn alike


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("i", "o"),
    daily([(1, 16), (16, 3), (16, 16)], [(1, 16), (16, 3)]),  # both forms
)
def test_no_strided_convolution_is_compiled(kind, i, o):
    module, _ = pair(kind, 5, o, jnp.float32)
    arguments = jnp.ones((2, 8, 8, i)), jnp.ones((5, 5, i, o)), jnp.ones(o)
    step = jax.jit(jax.grad(penalty(apply_fn(module)), (0, 1, 2)))
    assert not slow_convolutions(step.lower(*arguments).compile().as_text())
