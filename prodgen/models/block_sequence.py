"""Equal blocks one after another: unrolled, or as one loop over their stacked weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from prodgen.core.types import Array
from prodgen.parallel.lowering import current_lowering


def apply_blocks(
    module: nn.Module,
    make_block: Callable[..., nn.Module],
    names: Sequence[str],
    x: Array,
    *context: Any,
    remat: bool = False,
    min_loop: int = 2,
) -> Array:
    """x after the blocks of these names, submodules of `module` with weights of one shape.

    make_block(name=...) or make_block(parent=None) makes a block: (x, *context) -> x. The weights
    are a submodule's for each name in either form. A loop stacks them, and is compiled once
    whatever the number of blocks; fewer than `min_loop` blocks are not one. With `remat` the
    backward pass computes a block's activations again from its input, and keeps this alone.
    """
    is_loop = current_lowering().has_control_flow and len(names) >= min_loop
    if module.is_initializing() or not (remat or is_loop):
        for name in names:
            x = make_block(name=name)(x, *context)
        return x
    block = make_block(parent=None)

    def apply_block(x: Array, params: Any, *context: Any) -> Array:
        return block.apply({"params": params}, x, *context)

    if remat:
        apply_block = rematerialise(apply_block)
    params_of_blocks = [module.variables["params"][name] for name in names]
    if not is_loop:
        for params in params_of_blocks:
            x = apply_block(x, params, *context)
        return x
    stacked_params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params_of_blocks)
    x, _ = lax.scan(lambda x, params: (apply_block(x, params, *context), None), x, stacked_params)
    return x


def rematerialise(function: Callable) -> Callable:
    """The function, whose first and second derivatives keep its arguments alone in memory.

    One checkpoint is for the gradient, the other for the gradient of a gradient, as in a penalty.
    """
    return jax.checkpoint(jax.checkpoint(function))


def block_names(stage: int, count: int) -> list[str]:
    """The names of a stage's blocks in the tree of weights."""
    return [f"block{stage}_{block}" for block in range(count)]
