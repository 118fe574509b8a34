"""Small questions about pytrees of arrays: how large, how many, all finite?"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.types import Array

Tree = Any


def norm(tree: Tree) -> Array:
    """The global Euclidean norm, accumulated in float32."""
    squares = [jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.float32(0)))


def count(tree: Tree) -> int:
    """How many numbers the leaves hold."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def size(tree: Tree) -> int:
    """How many bytes the leaves hold."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def select(condition: Array, yes: Tree, no: Tree) -> Tree:
    """`yes` where the scalar condition holds, else `no`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def names(tree: Tree) -> dict[str, Any]:
    """The leaves by path, as in {"nets/vae/params/encoder/stem/kernel": ...}."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(_part(entry) for entry in path): leaf for path, leaf in leaves}


def _part(entry: Any) -> str:
    for field in ("key", "name", "idx"):
        if hasattr(entry, field):
            return str(getattr(entry, field))
    return str(entry)


def first_bad(tree: Tree) -> str | None:
    """The path of the first leaf with a NaN or an infinity, None when all is finite (host side)."""
    for path, leaf in names(tree).items():
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(np.asarray(leaf)).all():
            return path
    return None
