"""Stride-2 convolutions with the textbook layers' weights, computed without any stride.

A pixel's position has four phases (even or odd row, even or odd column). Of a kernel that doubles
or halves an image, each phase uses its own taps only. A 5x5 kernel splits into 3x3, 3x2, 2x3 and
2x2 taps of ordinary convolutions at the lower resolution, without a wasted multiplication.
Between few channels a multiplication costs less than the passes over memory. There one convolution
computes all four phases, with zeros where a phase has fewer taps.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from prodgen.core.types import Array
from prodgen.models.blocks import (
    Padding,
    convolve,
    convolve_natively,
    depth_to_space,
    kernel_and_bias,
    space_to_depth,
)
from prodgen.parallel.lowering import current_lowering

MIN_SPLIT_CHANNELS = 16  # with fewer high-resolution channels one convolution is faster

Phases = list[tuple[Array, Padding]]


def phase_taps(size: int, shift: int) -> tuple[int, tuple[int, int]]:
    """The first tap that one phase uses along an axis (then every second one), and the padding.

    Tap j lies at the high-resolution position j - shift from the low-resolution pixel, and is used
    where that is even.
    """
    first = shift % 2
    low = shift // 2
    return first, (low, len(range(first, size, 2)) - 1 - low)


def split_phases(kernel: Array, shift: int, step: int) -> Phases:
    """The four phases' kernels [kh', kw', I, O] and paddings, in the order of `space_to_depth`.

    The even phase is shifted by `shift`, the odd one by `shift + step`.
    """
    rows, columns = (
        [phase_taps(n, shift + step * odd) for odd in (0, 1)] for n in kernel.shape[:2]
    )
    return [(kernel[a::2, b::2], (high, wide)) for a, high in rows for b, wide in columns]


def merge_phases(parts: Phases, axis: int) -> tuple[Array, Padding]:
    """The phases as one kernel, side by side in the channels of `axis` (2: inputs, 3: outputs)."""
    padding = tuple(tuple(max(p[side][end] for _, p in parts) for end in (0, 1)) for side in (0, 1))
    kernels = []
    for kernel, phase_padding in parts:
        # Zeros around a phase's taps, up to the padding of the widest phase.
        zeros = [
            (total[0] - own[0], total[1] - own[1])
            for total, own in zip(padding, phase_padding, strict=True)
        ]
        kernels.append(jnp.pad(kernel, (*zeros, (0, 0), (0, 0))))
    return jnp.concatenate(kernels, axis), padding


def convolve_transposed(x: Array, kernel: Array) -> Array:
    """`lax.conv_transpose` of stride 2, SAME: [B, H, W, I], [k, k, I, O] -> [B, 2H, 2W, O]."""
    parts = split_phases(kernel, (kernel.shape[0] + 1) // 2, -1)
    if kernel.shape[3] < MIN_SPLIT_CHANNELS or not current_lowering().splits_phases:
        return depth_to_space(convolve(x, *merge_phases(parts, axis=3)))
    return depth_to_space(jnp.concatenate([convolve(x, *part) for part in parts], -1))


def convolve_strided(x: Array, kernel: Array) -> Array:
    """A convolution of stride 2, SAME, on even sides: [B, H, W, I] -> [B, H/2, W/2, O].

    XLA pads SAME by k - 2 in total, the smaller half first: 1 and 2 pixels at size 5.
    """
    if current_lowering().has_native_strides:
        return convolve_natively(x, kernel, "SAME", stride=2)
    parts = split_phases(kernel, (kernel.shape[0] - 2) // 2, 1)
    squares = space_to_depth(x)
    if kernel.shape[2] < MIN_SPLIT_CHANNELS or not current_lowering().splits_phases:
        return convolve(squares, *merge_phases(parts, axis=2))
    inputs = jnp.split(squares, 4, axis=-1)
    return sum(convolve(pixels, *part) for pixels, part in zip(inputs, parts, strict=True))


class Phased(nn.Module):
    """The base of the two layers: a textbook layer's `kernel` [k, k, I, O] and `bias` [O]."""

    features: int
    size: int = 5
    dtype: jnp.dtype = jnp.float32
    init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    def apply_kernel(self, x: Array, kernel: Array) -> Array:
        """The layer without its bias."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.size, self.size, x.shape[-1], self.features)
        x, kernel, bias = kernel_and_bias(self, x, shape, self.init)
        return self.apply_kernel(x, kernel) + bias


class TransposedConv(Phased):
    """`nn.ConvTranspose` of stride 2, SAME padding, with its `kernel` [k, k, I, O] and `bias`.

    [B, H, W, I] -> [B, 2H, 2W, features], as DCGAN's generator uses it (Radford et al. 2016).
    """

    def apply_kernel(self, x: Array, kernel: Array) -> Array:
        return convolve_transposed(x, kernel)


class StridedConv(Phased):
    """`nn.Conv` of stride 2, SAME padding, with its `kernel` [k, k, I, O] and `bias`.

    [B, H, W, I] with even H and W -> [B, H/2, W/2, features], as DCGAN's discriminator uses it.
    """

    def apply_kernel(self, x: Array, kernel: Array) -> Array:
        return convolve_strided(x, kernel)
