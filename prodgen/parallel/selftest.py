"""A self-test before a run: does this installation compute correct numbers?

A released jaxlib has silently computed wrong numbers on the CPU. A convolution with its gradients,
a batched product with a sum and a matrix product are compared with NumPy in float64, random bits
with their known value.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.errors import SelfTestError

MAX_RELATIVE_ERROR = 1e-3  # a GPU's TF32 products stay below it, a wrong kernel does not
EXPECTED_RANDOM_BITS = 4070199207  # jax.random.bits(jax.random.key(0)), threefry


def run() -> None:
    """Raise SelfTestFailed, naming the operation and its error, unless all answers are right."""
    for name, error in measure_errors().items():
        if not error <= MAX_RELATIVE_ERROR:
            raise SelfTestError(
                f"{name} has the relative error {error:.1e}, above the limit {MAX_RELATIVE_ERROR},"
                f" with jaxlib {jax.lib.__version__}",
                "install the versions of requirements.txt",
            )


def measure_errors() -> dict[str, float]:
    """The largest relative error of each operation."""
    data = np.random.Generator(np.random.Philox(0))
    x, k = data.normal(size=(2, 9, 9, 5)), data.normal(size=(3, 3, 5, 7))
    a, v = data.normal(size=(32_769, 4)), data.normal(size=(4,))
    m = data.normal(size=(128, 96))
    with jax.default_matmul_precision("highest"):
        forward, (dx, dk) = jax.jit(_convolve_with_gradients)(*_to_float32(x, k))
        # The vmapped product and sum of which a released jaxlib got one element wrong.
        products = jax.jit(jax.vmap(lambda row, w: jnp.sum(row * w), (0, None)))(*_to_float32(a, v))
        product = jax.jit(lambda n: n @ n.T)(*_to_float32(m))
    y, dx64, dk64 = _convolve_in_float64(x, k)
    bits = int(jax.random.bits(jax.random.key(0)))
    return {
        "convolution": _relative_error(forward, y),
        "the convolution's gradient to its input": _relative_error(dx, dx64),
        "the convolution's gradient to its kernel": _relative_error(dk, dk64),
        "a batched product with a sum": _relative_error(products, (a * v).sum(-1)),
        "a matrix product": _relative_error(product, m @ m.T),
        "random bits": 0.0 if bits == EXPECTED_RANDOM_BITS else 1.0,
    }


def _to_float32(*arrays: np.ndarray) -> list[jax.Array]:
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def _convolve_with_gradients(
    x: jax.Array, k: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    def apply(x: jax.Array, k: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=layout)

    y = apply(x, k)
    return y, jax.grad(lambda x, k: 0.5 * jnp.sum(apply(x, k) ** 2), (0, 1))(x, k)


def _convolve_in_float64(x: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The convolution y, and the gradients of |y|^2 / 2, tap by tap in float64."""
    h = x.shape[1] - 2
    y = sum(x[:, i : i + h, j : j + h] @ k[i, j] for i in range(3) for j in range(3))
    dx, dk = np.zeros_like(x), np.zeros_like(k)
    for i in range(3):
        for j in range(3):
            dx[:, i : i + h, j : j + h] += y @ k[i, j].T
            dk[i, j] = np.einsum("bhwi,bhwo->io", x[:, i : i + h, j : j + h], y)
    return y, dx, dk


def _relative_error(actual: jax.Array, reference: np.ndarray) -> float:
    """The largest error, relative to the largest expected value."""
    return float(np.abs(np.asarray(actual, np.float64) - reference).max() / np.abs(reference).max())
