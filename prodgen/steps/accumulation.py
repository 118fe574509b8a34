"""A batch computed in m equal parts, one after another: the memory of one part, the same result.

Part j holds the rows j, j + m, j + 2m, ... of the batch. A device's rows are adjacent, so each part
has as many rows of every device, and no row moves to another device.

* `accumulate` is for losses that are means over examples: the gradient of the batch is the mean of
  the parts' gradients. It costs no additional operations.
* `map_parts` is for a loss that reads statistics of the whole batch. The network is applied in
  parts, and the loss to the outputs of all of them. Differentiation computes the network's layers
  once more, part by part, from its inputs (after Gao et al. 2021, GradCache).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from prodgen.core.trees import Tree
from prodgen.core.types import Array
from prodgen.parallel.lowering import current_lowering


def accumulate(compute_gradient: Callable[[Tree], Tree], batch: Tree, num_parts: int) -> Tree:
    """compute_gradient(batch) as the mean of its results over `num_parts` parts.

    batch: arrays [B, ...], B a multiple of `num_parts`. compute_gradient: a function whose results
    for the batch are means over its examples, such as gradients of a mean loss, and metrics.
    """
    if num_parts == 1:
        return compute_gradient(batch)
    parts = jax.tree.map(lambda x: _split_rows(x, num_parts), batch)

    def add_part(total: Tree, part: Tree) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, compute_gradient(part)), None

    shapes = jax.eval_shape(compute_gradient, _select_part(parts, 0))
    total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    if current_lowering().has_control_flow:
        total, _ = lax.scan(add_part, total, parts)
    else:
        for j in range(num_parts):
            total, _ = add_part(total, _select_part(parts, j))
    return jax.tree.map(lambda x: x / num_parts, total)


def map_parts(function: Callable[..., Tree], num_parts: int, *inputs: Array) -> Tree:
    """function(*inputs) of arrays [B, ...], computed in `num_parts` parts of the B rows.

    function: maps rows to rows, without mixing them. B is a multiple of `num_parts`. No value
    inside the function is kept for its gradient.
    """
    if num_parts == 1:
        return function(*inputs)
    parts = jax.tree.map(lambda x: _split_rows(x, num_parts), inputs)
    has_loop = current_lowering().has_control_flow
    # A loop's body cannot be merged with that of its derivative, so no barrier is needed.
    apply_part = jax.checkpoint(lambda part: function(*part), prevent_cse=not has_loop)
    if has_loop:
        outputs = lax.map(apply_part, parts)
    else:
        part_outputs = [apply_part(_select_part(parts, j)) for j in range(num_parts)]
        outputs = jax.tree.map(lambda *x: jnp.stack(x), *part_outputs)
    return jax.tree.map(_merge_rows, outputs)


def _split_rows(x: Array, num_parts: int) -> Array:
    """[B, ...] -> [num_parts, B / num_parts, ...]."""
    return jnp.moveaxis(x.reshape(len(x) // num_parts, num_parts, *x.shape[1:]), 1, 0)


def _merge_rows(x: Array) -> Array:
    """[num_parts, B / num_parts, ...] -> [B, ...]."""
    return jnp.moveaxis(x, 0, 1).reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _select_part(parts: Tree, j: int) -> Tree:
    return jax.tree.map(lambda x: x[j], parts)
