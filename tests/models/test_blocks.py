"""The stride-free blocks equal the textbook ones, values and gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from prodgen.models import blocks


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def strided(x, kernel, bias):
    """The 4x4 convolution of stride 2 and padding 1."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return (
        lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=numbers)
        + bias
    )


def as_squares(kernel):
    """A 4x4 kernel [4, 4, I, O] as the 2x2 kernel over squares of pixels [2, 2, 4I, O]."""
    i, o = kernel.shape[2:]
    kernel = kernel.reshape(2, 2, 2, 2, i, o).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(2, 2, 4 * i, o)


def test_down_conv_is_the_4x4_convolution_of_stride_2(float64):
    x, kernel, bias = random(2, 8, 6, 3), random(4, 4, 3, 5), random(5)
    module = blocks.DownConv(5, jnp.float64)

    def ours(x, kernel, bias):
        params = {"Conv_0": {"kernel": as_squares(kernel), "bias": bias}}
        return module.apply({"params": params}, x)

    compare(ours, strided, x, kernel, bias)


def doubled(x, kernel, bias):
    """Nearest-neighbour doubling, then a 3x3 convolution."""
    x = x.repeat(2, axis=1).repeat(2, axis=2)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers) + bias


def test_up_conv_is_doubling_and_a_3x3_convolution(float64):
    x, kernel, bias = random(2, 3, 5, 4), random(3, 3, 4, 6), random(6)
    module = blocks.UpConv(6, jnp.float64)
    ours = lambda x, kernel, bias: module.apply({"params": {"kernel": kernel, "bias": bias}}, x)  # noqa: E731
    compare(ours, doubled, x, kernel, bias)


def compare(ours, reference, *arguments):
    """Equal values and gradients to every argument."""
    np.testing.assert_allclose(ours(*arguments), reference(*arguments), rtol=1e-10, atol=1e-10)
    weight = random(*reference(*arguments).shape)
    every = tuple(range(len(arguments)))
    mine = jax.grad(lambda *a: jnp.sum(weight * ours(*a) ** 2), every)(*arguments)
    theirs = jax.grad(lambda *a: jnp.sum(weight * reference(*a) ** 2), every)(*arguments)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "padding"), [(3, "SAME"), (2, "VALID")])
def test_a_kernel_gradient_in_parts_is_the_gradient(float64, monkeypatch, size, padding):
    x, kernel = random(6, 8, 7, 3), random(size, size, 3, 2)
    monkeypatch.setattr(blocks.jax, "device_count", lambda: 1)
    parts = {n: blocks.kernel_gradient_parts(jnp.zeros((n, 8, 7, 1))) for n in (6, 64)}
    assert parts == {6: 6, 64: 8}
    assert blocks.kernel_gradient_parts(jnp.zeros((64, 6, 6, 1))) == 1

    def plain(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=numbers)

    compare(lambda x, k: blocks.convolve(x, k, padding), plain, x, kernel)

    def penalty(conv):  # second order, as gradient penalties take it
        inner = lambda x, k: jnp.sum(jnp.tanh(conv(x, k)))  # noqa: E731
        return lambda k: jnp.sum(jax.grad(inner)(x, k) ** 2)

    ours = jax.grad(penalty(lambda x, k: blocks.convolve(x, k, padding)))(kernel)
    np.testing.assert_allclose(ours, jax.grad(penalty(plain))(kernel), rtol=1e-9, atol=1e-9)


def test_space_and_depth_are_inverse():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    deep = blocks.space_to_depth(x)
    assert deep.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(
        deep[0, 0, 0], [*x[0, 0, 0], *x[0, 0, 1], *x[0, 1, 0], *x[0, 1, 1]]
    )
    np.testing.assert_array_equal(blocks.depth_to_space(deep), x)


def test_a_fresh_residual_block_is_the_identity_and_conditions_can_change_it():
    x, condition = random(2, 4, 4, 3).astype(jnp.float32), random(2, 5).astype(jnp.float32)
    module = blocks.Residual()
    params = module.init(jax.random.key(0), x, condition)["params"]
    np.testing.assert_array_equal(module.apply({"params": params}, x, condition), x)
    stirred = jax.tree.map(lambda leaf: leaf + 0.1, params)
    one = module.apply({"params": stirred}, x, condition)
    other = module.apply({"params": stirred}, x, condition + 1)
    assert float(jnp.abs(one - other).max()) > 1e-3
