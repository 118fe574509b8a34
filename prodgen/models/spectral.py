"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value.

A function of the weights, not a kind of layer: it works on any network's parameters. A leaf named
"kernel" or "where" is read as the matrix [everything else, features]; one step of the power
iteration a call keeps `vectors`, the right singular vectors, close to the leading ones.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from prodgen.core.types import Array, Key

Params = Any
KERNEL_NAMES = ("kernel", "where")
MIN_SINGULAR_VALUE = 1e-4  # of a singular value: a kernel that starts from zero is left as it is


def init(params: Params, key: Key) -> dict[str, Array]:
    """Starting vectors by path, [features] each, of unit length."""
    found = {}
    for number, (path, kernel) in enumerate(_kernels(params).items()):
        noise = jax.random.normal(jax.random.fold_in(key, number), kernel.shape[-1:], jnp.float32)
        found[path] = _unit_vector(noise)
    return found


def normalise(params: Params, vectors: dict[str, Array]) -> tuple[Params, dict[str, Array]]:
    """(params with every kernel W divided by v W u, vectors after one more power iteration).

    u and v are constants to differentiation, as in the paper's algorithm 1.
    """
    leaves, shape = jax.tree_util.tree_flatten_with_path(params)
    after, found = {}, []
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path)
        if name in vectors:
            leaf, after[name] = _divided(leaf, vectors[name])
        found.append(leaf)
    return jax.tree_util.tree_unflatten(shape, found), after


def _divided(kernel: Array, u: Array) -> tuple[Array, Array]:
    matrix = kernel.reshape(-1, kernel.shape[-1])
    fixed = jax.lax.stop_gradient(matrix)
    v = _unit_vector(fixed @ u)
    after = _unit_vector(fixed.T @ v)
    # A kernel of zeros has no direction: the vector waits for it to grow one.
    u = jnp.where(jnp.any(after != 0), after, u)
    largest = v @ matrix @ u
    return kernel / jnp.where(largest > MIN_SINGULAR_VALUE, largest, 1.0), u


def _kernels(params: Params) -> dict[str, Array]:
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(p): leaf for p, leaf in leaves if p[-1].key in KERNEL_NAMES}


def _unit_vector(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
