"""The stride-free blocks equal the textbook ones, values and gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from prodgen.models import blocks
from tests.test_hlo import slow_convolutions


def random(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape))


def strided_convolution(x, kernel, bias):
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

    compare(ours, strided_convolution, x, kernel, bias)


def nearest_upsampling(x, kernel, bias):
    """Nearest-neighbour doubling, then a 3x3 convolution."""
    x = x.repeat(2, axis=1).repeat(2, axis=2)
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers) + bias


def test_up_conv_is_doubling_and_a_3x3_convolution(float64):
    x, kernel, bias = random(2, 3, 5, 4), random(3, 3, 4, 6), random(6)
    module = blocks.UpConv(6, jnp.float64)
    ours = lambda x, kernel, bias: module.apply({"params": {"kernel": kernel, "bias": bias}}, x)  # noqa: E731
    compare(ours, nearest_upsampling, x, kernel, bias)


def compare(ours, reference, *arguments):
    """Equal values and gradients to every argument."""
    weight = random(*jax.eval_shape(reference, *arguments).shape)
    every = tuple(range(len(arguments)))

    def value_and_gradients(layer):
        total = lambda *a: jnp.sum(weight * layer(*a) ** 2)  # noqa: E731
        return jax.jit(lambda *a: (layer(*a), jax.grad(total, every)(*a)))(*arguments)

    (mine_value, mine), (their_value, theirs) = map(value_and_gradients, (ours, reference))
    np.testing.assert_allclose(mine_value, their_value, rtol=1e-10, atol=1e-10)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


# Of 3 channels: towards fewer, a kernel's gradient is computed with its sides exchanged.
EITHER_WAY = pytest.mark.parametrize("features", [2, 4])


@EITHER_WAY
@pytest.mark.parametrize(("size", "padding"), [(3, "SAME"), (2, "VALID")])
def test_a_kernel_gradient_in_parts_is_the_gradient(float64, monkeypatch, size, padding, features):
    x, kernel = random(6, 8, 7, 3), random(size, size, 3, features)
    monkeypatch.setattr(blocks.jax, "device_count", lambda: 1)
    parts = {n: blocks.num_gradient_parts(jnp.zeros((n, 8, 7, 1))) for n in (6, 64)}
    assert parts == {6: 6, 64: 8}
    assert blocks.num_gradient_parts(jnp.zeros((64, 6, 6, 1))) == 1

    def plain(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=numbers)

    compare(lambda x, k: blocks.convolve(x, k, padding), plain, x, kernel)

    def penalty(conv):  # second order, as gradient penalties take it
        inner = lambda x, k: jnp.sum(jnp.tanh(conv(x, k)))  # noqa: E731
        return lambda k: jnp.sum(jax.grad(inner)(x, k) ** 2)

    ours, expected = (
        jax.jit(jax.grad(penalty(conv)))(kernel)
        for conv in (lambda x, k: blocks.convolve(x, k, padding), plain)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


PADDINGS = [((3, 3), "SAME"), ((2, 2), "VALID"), ((3, 2), "SAME"), ((2, 3), ((1, 0), (1, 2)))]


# By day every padding once, and either way twice; the two meet in the test above.
CASES = [
    pytest.param(*case, features, marks=() if i % 2 == features // 4 else pytest.mark.slow)
    for i, case in enumerate(PADDINGS)
    for features in (2, 4)
]


@pytest.mark.parametrize(("size", "padding", "features"), CASES)
def test_derivatives_of_higher_order_are_lax_s_and_stay_fast(
    float64, monkeypatch, size, padding, features
):
    x, kernel = random(4, 8, 7, 3), random(*size, 3, features)
    monkeypatch.setattr(blocks.jax, "device_count", lambda: 1)
    ours = lambda x, k: blocks.convolve(x, k, padding)  # noqa: E731
    plain = lambda x, k: blocks.convolve_natively(x, k, padding)  # noqa: E731

    def norm_of_gradient(scalar, argument):
        return lambda *a: jnp.sum(jax.grad(scalar, argument)(*a) ** 2)

    def compare_gradients(scalar):
        mine, theirs = (
            jax.jit(jax.grad(scalar(conv), (0, 1)))(x, kernel) for conv in (ours, plain)
        )
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)

    bent = lambda conv: lambda *a: jnp.sum(jnp.tanh(conv(*a)))  # noqa: E731
    for argument in (0, 1):  # R1, and the same of the gradient to the kernel
        compare_gradients(lambda conv, n=argument: norm_of_gradient(bent(conv), n))
    compare_gradients(lambda conv: norm_of_gradient(norm_of_gradient(bent(conv), 0), 1))
    penalty = norm_of_gradient(bent(ours), 0)
    assert not slow_convolutions(
        jax.jit(jax.grad(penalty, (0, 1))).lower(x, kernel).compile().as_text()
    )


def test_a_penalty_s_kernel_gradients_are_all_split_into_parts(monkeypatch):
    monkeypatch.setattr(blocks.jax, "device_count", lambda: 1)
    inner = lambda x, k: jnp.sum(blocks.convolve(x, k, "SAME") ** 2)  # noqa: E731
    penalty = lambda x, k: jnp.sum(jax.grad(inner)(x, k) ** 2)  # noqa: E731
    shapes = jnp.ones((8, 8, 8, 3)), jnp.ones((3, 3, 3, 2))
    program = jax.jit(jax.grad(penalty, 1)).lower(*shapes).as_text()
    over_the_batch = [line for line in program.splitlines() if "dim_numbers = [f, 0, 1, b]" in line]
    assert len(over_the_batch) == 16  # through the convolution and through its gradient to x
    assert all("(tensor<1x8x8x" in line for line in over_the_batch)


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
    changed_params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    apply = jax.jit(module.apply)
    one = apply({"params": changed_params}, x, condition)
    other = apply({"params": changed_params}, x, condition + 1)
    assert float(jnp.abs(one - other).max()) > 1e-3
