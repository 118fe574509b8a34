"""Operations by formula equal those counted by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from prodgen.core import trees
from prodgen.parallel import flops

LAYOUT = ("NHWC", "HWIO", "NHWC")
S = jax.ShapeDtypeStruct


def convolve(x, k, stride=1, groups=1, padding="SAME", dilation=1):
    return lax.conv_general_dilated(
        x, k, (stride, stride), padding, lhs_dilation=(dilation, dilation),
        dimension_numbers=LAYOUT, feature_group_count=groups,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_and_each_of_its_gradients_cost_the_same(groups, stride):
    """2 B Ho Wo kh kw (Ci / groups) Co, also where the gradient dilates its input."""
    image, kernel = S((5, 8, 8, 4), "float32"), S((3, 3, 4 // groups, 6), "float32")
    side = 8 // stride
    by_hand = 2 * 5 * side * side * 3 * 3 * (4 // groups) * 6

    def loss(x, k):
        return jnp.sum(convolve(x, k, stride, groups) ** 2)

    assert flops.count_flops(loss, image, kernel) == by_hand
    assert flops.count_flops(jax.grad(loss, (0, 1)), image, kernel) == 3 * by_hand


def test_zeros_between_the_pixels_of_a_transposed_convolution_are_not_counted():
    """Each of 4 x 4 pixels meets each of 4 x 4 taps, forward and in both gradients."""
    image, kernel = S((2, 4, 4, 3), "float32"), S((4, 4, 3, 5), "float32")
    by_hand = 2 * 2 * 4 * 4 * 4 * 4 * 3 * 5

    def loss(x, k):
        return jnp.sum(convolve(x, k, padding=((2, 2), (2, 2)), dilation=2) ** 2)

    assert flops.count_flops(loss, image, kernel) == by_hand
    assert flops.count_flops(jax.grad(loss, (0, 1)), image, kernel) == 3 * by_hand


def test_a_small_network_with_its_gradients():
    """A convolution whose input needs no gradient twice, a matrix product three times."""
    weights = {"kernel": S((3, 3, 1, 2), "float32"), "matrix": S((32, 7), "float32")}
    convolution = 2 * 6 * 4 * 4 * 9 * 1 * 2
    product = 2 * 6 * 32 * 7

    def loss(weights, x):
        hidden = jax.nn.relu(convolve(x, weights["kernel"]))
        return jnp.sum(hidden.reshape(6, -1) @ weights["matrix"])

    image = S((6, 4, 4, 1), "float32")
    assert flops.count_flops(loss, weights, image) == convolution + product
    assert flops.count_flops(jax.grad(loss), weights, image) == 2 * convolution + 3 * product
    assert trees.count_bytes(weights) == 4 * (9 * 2 + 32 * 7)


def test_a_scan_counts_each_iteration_and_a_conditional_its_dearest_branch():
    matrix = S((4, 4), "float32")

    def power(m):
        return lax.scan(lambda x, _: (x @ m, None), m, length=5)[0]

    assert flops.count_flops(jax.jit(power), matrix) == 5 * 2 * 4 * 4 * 4

    def choose(m):
        return lax.cond(m[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, m)

    assert flops.count_flops(choose, matrix) == 2 * 2 * 4 * 4 * 4
