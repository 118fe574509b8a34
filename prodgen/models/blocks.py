"""Convolutional blocks, lowered as parallel/lowering.py says for the platform.

On the CPU there is no strided, dilated or transposed convolution anywhere. Such convolutions, and
their gradients, fall off the fast path of XLA's CPU backend by a factor of ten to fifty. Each block
has an exact stride-free equivalent. Images are [B, H, W, C] throughout.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from prodgen.core.types import Array
from prodgen.parallel.lowering import current_lowering

# The low-resolution rows of a 3x3 kernel's taps after nearest-neighbour doubling:
# NEAREST_TAPS[phase, tap, row].
# Output row 2i reads low-resolution rows (i-1, i), output row 2i+1 rows (i, i+1).
NEAREST_TAPS = (((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))
MIN_WIDE_CHANNELS = 32  # below, a kernel's gradient is faster with its sides exchanged
MAX_CACHED_PIXELS, MAX_PARTS = 36, 8  # of an image that fits the cache; of a batch


def space_to_depth(x: Array) -> Array:
    """[B, H, W, C] -> [B, H/2, W/2, 4C]: each 2x2 square of pixels becomes channels."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


def depth_to_space(x: Array) -> Array:
    """[B, H, W, 4C] -> [B, 2H, 2W, C], the inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, 2 * h, 2 * w, c // 4)


Padding = str | tuple[tuple[int, int], tuple[int, int]]
"""SAME, VALID or (low, high) of the rows and of the columns, each at most the size less one."""


def convolve(x: Array, kernel: Array, padding: Padding) -> Array:
    """A stride-1 convolution of [B, H, W, I] with a kernel [kh, kw, I, O].

    On accelerators a 1x1 convolution is a matrix product.
    """
    if current_lowering().has_own_gradients:
        return convolve_on_cpu(x, kernel, padding)
    if kernel.shape[:2] == (1, 1) and padding in ("SAME", "VALID"):
        return x @ kernel[0, 0]
    return convolve_natively(x, kernel, padding)


def convolve_natively(
    x: Array, kernel: Array, padding: Padding, stride: int = 1, groups: int = 1
) -> Array:
    """XLA's own convolution of [B, H, W, I] with a kernel [kh, kw, I / groups, O]."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_on_cpu(x: Array, kernel: Array, padding: Padding) -> Array:
    """A stride-1 convolution of [B, H, W, I] with a kernel [kh, kw, I, O].

    Its gradients are again such convolutions and a `kernel_gradient`, and so are theirs:
    derivatives of every order, and with them gradient penalties, stay on the CPU's fast path.
    """
    return convolve_natively(x, kernel, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, gradient: Array, size: tuple[int, int], padding: Padding) -> Array:
    """The gradient [kh, kw, I, O] to a convolution's kernel, from x and the result's gradient.

    It is summed over parts of the batch: XLA's CPU backend contracts over all positions of the
    batch at once, which exceeds the cache and takes two to five times as long. That backend is
    also slow at results of few channels, but not at inputs of few channels. Such a gradient is
    computed with the two sides exchanged and rotated by 180 degrees, up to ten times faster.
    Padding by at least the image's own size is as slow, so it is done beforehand.
    """
    if gradient.shape[-1] < min(x.shape[-1], MIN_WIDE_CHANNELS):
        flipped_gradient = kernel_gradient(gradient, x, size, transpose_padding(size, padding))
        return flipped_gradient[::-1, ::-1].swapaxes(2, 3)
    rows_columns = explicit_padding(size, padding)
    if any(sum(pair) >= n for pair, n in zip(rows_columns, size, strict=True)):
        x = lax.optimization_barrier(jnp.pad(x, ((0, 0), *rows_columns, (0, 0))))
        padding = "VALID"
    kernel = jnp.zeros((*size, x.shape[-1], gradient.shape[-1]), x.dtype)
    parts = num_gradient_parts(x)
    pairs = zip(jnp.split(x, parts), jnp.split(gradient, parts), strict=True)
    return sum(
        jax.vjp(lambda k, a=a: convolve_natively(a, k, padding), kernel)[1](g)[0] for a, g in pairs
    )


def convolve_over_squares(x: Array, kernel: Array, padding: str) -> Array:
    """`convolve` of the squares [B, H/2, W/2, 4I] of x with a kernel [k, k, 4I, O], unpadded.

    That is a convolution of stride 2 by a kernel [2k, 2k, I, O].
    """
    if not current_lowering().has_native_strides:
        return convolve(space_to_depth(x), kernel, padding)
    # [k, k, 4I, O] -> [2k, 2k, I, O]: a square's pixels are rows, then columns, then channels.
    rows, columns, inputs, outputs = kernel.shape
    taps = kernel.reshape(rows, columns, 2, 2, inputs // 4, outputs).transpose(0, 2, 1, 3, 4, 5)
    taps = taps.reshape(2 * rows, 2 * columns, inputs // 4, outputs)
    return convolve_natively(x, taps, padding, stride=2)


def input_gradient(gradient: Array, kernel: Array, padding: Padding) -> Array:
    """The gradient [B, H, W, I] to a convolution's input: a convolution by the rotated kernel."""
    flipped_gradient = kernel[::-1, ::-1].swapaxes(2, 3)
    return convolve_on_cpu(gradient, flipped_gradient, transpose_padding(kernel.shape[:2], padding))


def transpose_padding(size: tuple[int, int], padding: Padding) -> Padding:
    """The padding of the transposed convolution: what each side lacks of a full overlap."""
    return tuple(
        (n - 1 - a, n - 1 - b)
        for n, (a, b) in zip(size, explicit_padding(size, padding), strict=True)
    )


def explicit_padding(size: tuple[int, int], padding: Padding) -> Padding:
    """The padding as (low, high) of the rows and of the columns."""
    same = tuple(((n - 1) // 2, n // 2) for n in size)
    return {"SAME": same, "VALID": ((0, 0), (0, 0))}.get(padding, padding)


def _convolve_forward(x: Array, kernel: Array, padding: Padding) -> tuple[Array, tuple]:
    return convolve_on_cpu(x, kernel, padding), (x, kernel)


def _convolve_backward(padding: Padding, residuals: tuple, gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    grad_kernel = kernel_gradient(x, gradient, kernel.shape[:2], padding)
    return input_gradient(gradient, kernel, padding), grad_kernel


def _kernel_gradient_forward(x, gradient, size, padding) -> tuple[Array, tuple]:
    return kernel_gradient(x, gradient, size, padding), (x, gradient)


def _kernel_gradient_backward(size, padding, residuals, kernel: Array) -> tuple[Array, Array]:
    x, gradient = residuals  # bilinear in both, so its gradients are convolutions of either
    return input_gradient(gradient, kernel, padding), convolve_on_cpu(x, kernel, padding)


convolve_on_cpu.defvjp(_convolve_forward, _convolve_backward)
kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)


def num_gradient_parts(x: Array) -> int:
    """Into how many parts of the batch x [B, H, W, I] a kernel's gradient is split, up to 8.

    Small images fit the cache without a split. A batch on several devices is not split either: its
    parts would be sent between them.
    """
    is_small = x.shape[1] * x.shape[2] <= MAX_CACHED_PIXELS
    if is_small or not current_lowering().splits_kernel_gradients:
        return 1
    return max(n for n in range(1, MAX_PARTS + 1) if len(x) % n == 0)


def kernel_and_bias(
    module: nn.Module, x: Array, shape: tuple[int, ...], init: nn.initializers.Initializer
) -> tuple[Array, Array, Array]:
    """x, the module's new `kernel` of the shape and its `bias` (zeros), in the module's dtype."""
    kernel = module.param("kernel", init, shape, jnp.float32)
    bias = module.param("bias", nn.initializers.zeros_init(), shape[-1:], jnp.float32)
    return tuple(value.astype(module.dtype) for value in (x, kernel, bias))


class Conv(nn.Module):
    """A stride-1 convolution, [B, H, W, I] -> [B, H', W', features].

    With `over_squares` it goes from one 2x2 square of pixels to the next: `space_to_depth` first.
    """

    features: int
    size: int = 3
    padding: str = "SAME"
    dtype: jnp.dtype = jnp.float32
    init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    use_bias: bool = True
    over_squares: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inputs = x.shape[-1] * (4 if self.over_squares else 1)
        shape = (self.size, self.size, inputs, self.features)
        kernel = self.param("kernel", self.init, shape, jnp.float32)
        apply = convolve_over_squares if self.over_squares else convolve
        x = apply(x.astype(self.dtype), kernel.astype(self.dtype), self.padding)
        if not self.use_bias:
            return x
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        return x + bias.astype(self.dtype)


class DownConv(nn.Module):
    """A 4x4 convolution of stride 2 (padding 1), as `space_to_depth` and a 2x2 convolution.

    The input is padded by one pixel first, so that the 2x2 windows over squares of pixels cover
    what the 4x4 windows cover. [B, H, W, C] -> [B, H/2, W/2, features].
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        padded_input = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return Conv(self.features, 2, "VALID", self.dtype, over_squares=True)(padded_input)


class UpConv(nn.Module):
    """Nearest-neighbour doubling and a 3x3 convolution, as one 2x2 convolution of all four phases.

    After doubling, two of a kernel's three rows fall on the same low-resolution row: their taps
    are summed beforehand, which leaves 4 multiplications where the plain form has 9.
    [B, H, W, C] -> [B, 2H, 2W, features].
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        b, h, w, c = x.shape
        f = self.features
        x, kernel, bias = kernel_and_bias(self, x, (3, 3, c, f), nn.initializers.lecun_normal())
        # The kernels of the four phases, [2, 2, C, 4F].
        taps = jnp.asarray(NEAREST_TAPS, self.dtype)
        phases = jnp.einsum("atd,bse,deio->tsiabo", taps, taps, kernel).reshape(2, 2, c, 4 * f)
        padded_input = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = convolve(padded_input, phases, "VALID").reshape(b, h + 1, w + 1, 2, 2, f)
        # Interleave the phases: first the rows, then the columns.
        rows = jnp.stack([out[:, a : a + h, :, a] for a in (0, 1)], axis=2)
        out = jnp.stack([rows[:, :, :, e : e + w, e] for e in (0, 1)], axis=4)
        return out.reshape(b, 2 * h, 2 * w, f) + bias


class Residual(nn.Module):
    """x + conv(act(scale * act(conv))), the last convolution from zero: depth starts as identity.

    A condition [B, E], if any, scales and shifts the inner channels (FiLM, Perez et al. 2018).
    Without normalisation layers: no statistics to keep, and examples never mix.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        c = x.shape[-1]
        h = Conv(c, dtype=self.dtype, name="first")(nn.silu(x))
        if condition is not None:
            film = nn.Dense(2 * c, dtype=self.dtype, kernel_init=nn.initializers.zeros_init(),
                            name="film")(condition)  # fmt: skip
            scale, shift = jnp.split(film[:, None, None, :], 2, axis=-1)
            h = h * (1 + scale) + shift
        zero = nn.initializers.zeros_init()
        return x + Conv(c, dtype=self.dtype, init=zero, name="last")(nn.silu(h))
