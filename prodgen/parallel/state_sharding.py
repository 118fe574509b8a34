"""Weights and optimiser state divided over the devices, after ZeRO (Rajbhandari et al. 2020).

With config.parallel.fsdp every device keeps one part of each large leaf of the state. A step
gathers the weights, computes the gradient of its rows, and updates its own parts alone.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from prodgen.core.types import Array
from prodgen.parallel.device_mesh import DATA_AXIS

MIN_ELEMENTS = 1024  # of a leaf that is divided: smaller ones cost more to gather than they save


def choose_axis(shape: tuple[int, ...], count: int) -> int | None:
    """The longest axis that `count` divides, the last of equals; None: the leaf stays whole."""
    size = 1
    for length in shape:
        size *= length
    axes = [axis for axis, length in enumerate(shape) if length % count == 0]
    if size < MIN_ELEMENTS or not axes:
        return None
    return max(axes, key=lambda axis: (shape[axis], axis))


def make_specs(tree: Any, count: int) -> Any:
    """The PartitionSpec of every leaf of whole arrays, divided over `count` devices."""

    def make_spec(leaf: Any) -> PartitionSpec:
        axis = choose_axis(leaf.shape, count)
        return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, DATA_AXIS)

    return jax.tree.map(make_spec, tree)


def make_shardings(mesh: Mesh, tree: Any, is_divided: bool) -> Any:
    """The NamedSharding of every leaf; not `is_divided`: every device holds all of them whole."""
    specs = make_specs(tree, mesh.size) if is_divided else jax.tree.map(_whole, tree)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=_is_spec)


def gather(parts: Any, specs: Any) -> Any:
    """In a mapped step: the parts of all devices -> whole leaves, on each device."""

    def gather_leaf(part: Array, spec: PartitionSpec) -> Array:
        return lax.all_gather(part, DATA_AXIS, axis=len(spec) - 1, tiled=True) if spec else part

    return jax.tree.map(gather_leaf, parts, specs)


def take_parts(tree: Any, specs: Any) -> Any:
    """In a mapped step: whole leaves -> this device's part of each."""

    def take_part(leaf: Array, spec: PartitionSpec) -> Array:
        if not spec:
            return leaf
        axis = len(spec) - 1
        length = leaf.shape[axis] // lax.axis_size(DATA_AXIS)
        start = lax.axis_index(DATA_AXIS) * length
        return lax.dynamic_slice_in_dim(leaf, start, length, axis)

    return jax.tree.map(take_part, tree, specs)


def map_divided_step(step: Any, mesh: Mesh) -> Any:
    """A step of one device's rows -> (state, batches, frozen) -> (state, metrics) of global arrays.

    `step` receives each network's weights and variables whole, and of its optimiser state and its
    averaged weights the parts of its device. It returns them in the same form.
    """

    def run(state: Any, batches: Any, frozen: Any) -> Any:
        specs = make_specs(state, mesh.size)

        def run_parts(parts: Any, rows: Any, frozen: Any) -> Any:
            new_state, metrics = step(_change_weights(parts, specs, gather), rows, frozen)
            return _change_weights(new_state, specs, take_parts), metrics

        mapped_step = jax.shard_map(
            run_parts,
            mesh=mesh,
            in_specs=(specs, PartitionSpec(DATA_AXIS), PartitionSpec()),
            out_specs=(specs, PartitionSpec()),
            check_vma=False,
        )
        new_state, metrics = mapped_step(state, batches, frozen)
        return lax.with_sharding_constraint(new_state, make_shardings(mesh, state, True)), metrics

    return run


def _change_weights(state: Any, specs: Any, change: Any) -> Any:
    """A state whose weights and variables are gathered, or reduced to parts, by `change`."""
    nets = {
        name: net.replace(
            params=change(net.params, specs.nets[name].params),
            vars=change(net.vars, specs.nets[name].vars),
        )
        for name, net in state.nets.items()
    }
    return state.replace(nets=nets)


def _whole(leaf: Any) -> PartitionSpec:
    return PartitionSpec()


def _is_spec(value: Any) -> bool:
    return isinstance(value, PartitionSpec)
