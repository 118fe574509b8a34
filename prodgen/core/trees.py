"""Functions of pytrees of arrays: norm, sizes, selection, paths, finiteness."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.types import Array

Tree = Any


def global_norm(tree: Tree) -> Array:
    """The Euclidean norm over all leaves, accumulated in float32."""
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def count_elements(tree: Tree) -> int:
    """The number of elements of all leaves."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def count_bytes(tree: Tree) -> int:
    """The bytes of all leaves, arrays or jax.ShapeDtypeStruct."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def select(condition: Array, on_true: Tree, on_false: Tree) -> Tree:
    """`on_true` if the scalar condition holds, else `on_false`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), on_true, on_false)


def flatten_with_paths(tree: Tree) -> dict[str, Any]:
    """The leaves by path, as in {"nets/vae/params/encoder/stem/kernel": ...}."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def find_non_finite(tree: Tree) -> str | None:
    """The path of the first leaf with a NaN or an infinity; None if all are finite.

    The devices compute it; only one bool a leaf is copied to the host.
    """
    leaves = flatten_with_paths(tree)
    leaves = {path: x for path, x in leaves.items() if jnp.issubdtype(x.dtype, jnp.floating)}
    is_finite = np.asarray(_are_finite(list(leaves.values())))
    return next((path for path, ok in zip(leaves, is_finite, strict=True) if not ok), None)


@jax.jit
def _are_finite(leaves: list[Array]) -> Array:
    """Whether all values of each array are finite, bool [number of arrays]."""
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])
