"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value.

It is a function of the weights, not a layer: it works on any network's parameters. A leaf named
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
MIN_SINGULAR_VALUE = 1e-4  # below, a kernel that starts from zero is left as it is


def init(params: Params, key: Key) -> dict[str, Array]:
    """Starting vectors by path, [features] each, of unit length."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    kernels = [(path, leaf) for path, leaf in leaves if path[-1].key in KERNEL_NAMES]
    vectors = {}
    for number, (path, kernel) in enumerate(kernels):
        noise = jax.random.normal(jax.random.fold_in(key, number), kernel.shape[-1:], jnp.float32)
        vectors[jax.tree_util.keystr(path)] = _unit_vector(noise)
    return vectors


def normalise(params: Params, vectors: dict[str, Array]) -> tuple[Params, dict[str, Array]]:
    """(params with every kernel W divided by v W u, vectors after one more power iteration).

    u and v are constants to differentiation, as in the paper's algorithm 1.
    """
    paths_and_leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    new_vectors, leaves = {}, []
    for path, leaf in paths_and_leaves:
        name = jax.tree_util.keystr(path)
        if name in vectors:
            matrix = leaf.reshape(-1, leaf.shape[-1])
            constant = jax.lax.stop_gradient(matrix)
            # One step of the power iteration.
            v = _unit_vector(constant @ vectors[name])
            u = _unit_vector(constant.T @ v)
            # A kernel of zeros has no direction: its vector stays until it grows one.
            u = new_vectors[name] = jnp.where(jnp.any(u != 0), u, vectors[name])
            singular_value = v @ matrix @ u
            leaf = leaf / jnp.where(singular_value > MIN_SINGULAR_VALUE, singular_value, 1.0)
        leaves.append(leaf)
    return jax.tree_util.tree_unflatten(structure, leaves), new_vectors


def _unit_vector(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
