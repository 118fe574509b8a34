"""The packed grouped convolution equals lax's, to the second order, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from prodgen.models import grouped
from prodgen.parallel import lowering
from tests.test_hlo import slow_convolutions

# (groups, channels of a group read, written): one dense, one pack, even packs, packs that do not
# divide evenly, groups wider than a pack, unequal widths, one channel a group (depthwise).
SHAPES = [(1, 3, 5), (4, 4, 4), (6, 16, 16), (5, 16, 16), (2, 40, 36), (7, 5, 9), (9, 1, 1)]


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def reference(groups):
    def convolve(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=groups
        )

    return convolve


def penalty(layer):
    """R1: the squared norm of a gradient to x."""
    inner = lambda x, kernel: jnp.sum(jnp.tanh(layer(x, kernel)))  # noqa: E731
    return lambda x, kernel: jnp.sum(jax.grad(inner)(x, kernel) ** 2)


def everything(layer):
    """Values, first-order gradients and R1's gradients to x and kernel."""

    def run(*arguments):
        values = layer(*arguments)
        weight = random(*values.shape)
        loss = lambda *arguments: jnp.sum(weight * layer(*arguments) ** 2)  # noqa: E731
        return values, *(jax.grad(s, (0, 1))(*arguments) for s in (loss, penalty(layer)))

    return run


@pytest.mark.parametrize(("groups", "in_channels", "out_channels"), SHAPES)
def test_packs_are_the_grouped_convolution(float64, groups, in_channels, out_channels):
    arguments = (
        random(2, 4, 3, groups * in_channels),
        random(3, 3, in_channels, groups * out_channels),
    )
    ours = lambda x, kernel: grouped.convolve_grouped(x, kernel, groups)  # noqa: E731
    mine, theirs = (jax.jit(everything(layer))(*arguments) for layer in (ours, reference(groups)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), mine, theirs)


def test_a_pack_takes_as_many_groups_as_fit(monkeypatch):
    """Six groups of 16 in packs of at most 64 channels: four and two."""
    shapes = []
    monkeypatch.setattr(grouped, "convolve", lambda x, k, p: shapes.append((x.shape, k.shape)) or x)
    packs = dataclasses.replace(lowering.LOWERINGS["cpu"], pack_channels=64)
    with lowering.use_lowering(packs):
        grouped.convolve_grouped(jnp.zeros((1, 4, 4, 96)), jnp.zeros((3, 3, 16, 96)), 6)
    assert shapes == [((1, 4, 4, 64), (3, 3, 64, 64)), ((1, 4, 4, 32), (3, 3, 32, 32))]


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_no_grouped_convolution_is_compiled(groups):
    layer = lambda x, kernel: grouped.convolve_grouped(x, kernel, groups)  # noqa: E731
    arguments = jnp.ones((2, 8, 8, groups * 16)), jnp.ones((3, 3, 16, groups * 16))
    program = jax.jit(jax.grad(penalty(layer), (0, 1))).lower(*arguments).compile()
    assert not slow_convolutions(program.as_text())
