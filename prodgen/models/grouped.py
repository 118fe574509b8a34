"""Grouped convolutions as a few dense ones over packs of neighbouring groups.

On the CPU the gradients of lax's grouped convolution are slow: fifty times and more (jax-ml/jax
issue 13800). A pack is a dense convolution with a block-diagonal kernel instead; its zeros cost
less than narrow channels do. On GPUs cuDNN has kernels for groups, and none of this is needed.
"""

from __future__ import annotations

import jax.numpy as jnp

from prodgen.core.types import Array
from prodgen.models.blocks import convolve, convolve_natively
from prodgen.parallel.lowering import current_lowering


def convolve_grouped(x: Array, kernel: Array, groups: int) -> Array:
    """[B, H, W, I] and a kernel [k, k, I / groups, O] -> [B, H, W, O], SAME padding.

    Equals `lax.conv_general_dilated` with `feature_group_count=groups`, layout included. Groups
    wider than a pack are convolved one by one.
    """
    pack_channels = current_lowering().pack_channels
    if not pack_channels:
        return convolve_natively(x, kernel, "SAME", groups=groups)
    group_inputs, group_outputs = x.shape[-1] // groups, kernel.shape[-1] // groups
    pack_size = max(1, pack_channels // max(group_inputs, group_outputs))  # groups in a pack
    results = []
    for low in range(0, groups, pack_size):
        high = min(low + pack_size, groups)
        outputs = slice(low * group_outputs, high * group_outputs)
        dense = expand_block_diagonal(kernel[..., outputs], high - low)
        results.append(convolve(x[..., low * group_inputs : high * group_inputs], dense, "SAME"))
    return jnp.concatenate(results, axis=-1)


def expand_block_diagonal(kernel: Array, groups: int) -> Array:
    """A grouped kernel [k, k, I, groups * O] as the dense one [k, k, groups * I, groups * O]."""
    *size, group_inputs, outputs = kernel.shape
    blocks = kernel.reshape(*size, 1, group_inputs, groups, outputs // groups)
    identity = jnp.eye(groups, dtype=kernel.dtype)[:, None, :, None]  # a group reads itself only
    return (blocks * identity).reshape(*size, groups * group_inputs, outputs)
