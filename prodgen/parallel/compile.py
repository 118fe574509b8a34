"""One pure step, two ways to compile it: `jit` over a mesh, and `pmap`.

Both take and return the same global arrays. A step is built by `make(mean)`, where `mean` averages
over devices: jit's arrays are global already, so there it is the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh

from prodgen.core.types import Array
from prodgen.parallel.mesh import AXIS, replicated, split

Make = Callable[[Callable[[Array], Array]], Callable]


def identity(x: Array) -> Array:
    """The mean over devices where arrays are global."""
    return x


def mean_over_devices(x: Array) -> Array:
    """The mean over devices where each sees its share."""
    return lax.pmean(x, AXIS)


def once(function: Callable, sharding: Any) -> Callable:
    """Compile a function that runs a single time, such as an initialisation.

    Without optimisation: XLA's CPU backend spends half a minute on the fast form of code that
    then runs for milliseconds.
    """
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function, out_shardings=sharding, compiler_options=options)


def train_step(make: Make, mesh: Mesh, mode: str) -> Callable:
    """Compile (state, batches, frozen) -> (state, metrics); the state is donated."""
    if mode == "pmap":
        return _pmap(make(mean_over_devices), mesh, (None, 0, None), donate=(0,))
    whole, rows = replicated(mesh), split(mesh)
    return jax.jit(
        make(identity),
        in_shardings=(whole, rows, whole),
        out_shardings=(whole, whole),
        donate_argnums=(0,),
    )


def eval_step(make: Make, mesh: Mesh, mode: str) -> Callable:
    """Compile (state, batch, frozen) -> values that are sums over the batch."""
    if mode == "pmap":
        summed = make(mean_over_devices)

        def total(state: Any, batch: Any, frozen: Any) -> Any:
            return jax.tree.map(lambda x: x * mesh.size, summed(state, batch, frozen))

        return _pmap(total, mesh, (None, 0, None), donate=())
    whole = replicated(mesh)
    return jax.jit(make(identity), in_shardings=(whole, split(mesh), whole), out_shardings=whole)


def ahead(step: Callable, *arguments: Any) -> Callable:
    """Compile for these arguments, and these alone: what comes back can never compile again."""
    if hasattr(step, "ahead"):
        return step.ahead(*arguments)
    return step.lower(*arguments).compile()


def _pmap(step: Callable, mesh: Mesh, axes: tuple, donate: tuple) -> Callable:
    """pmap over the mesh's devices; arguments with axis 0 are global batches, cut into shares."""
    mapped = jax.pmap(
        step,
        AXIS,
        in_axes=axes,
        out_axes=None,
        devices=list(mesh.devices.flat),
        donate_argnums=donate,
    )
    shares = jax.jit(
        lambda tree: jax.tree.map(
            lambda x: x.reshape(mesh.size, x.shape[0] // mesh.size, *x.shape[1:]), tree
        ),
        out_shardings=split(mesh),
    )

    def cut(arguments: tuple) -> list:
        pairs = zip(axes, arguments, strict=True)
        return [shares(argument) if axis == 0 else argument for axis, argument in pairs]

    def call(*arguments: Any) -> Any:
        return mapped(*cut(arguments))

    def ahead_of(*arguments: Any) -> Callable:
        compiled = mapped.lower(*cut(arguments)).compile()
        fixed = lambda *later: compiled(*cut(later))  # noqa: E731
        fixed.as_text = compiled.as_text
        return fixed

    call.ahead = ahead_of
    return call
