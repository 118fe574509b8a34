"""One pure step, two ways to compile it: `jit` over a mesh, and `pmap`.

Both take and return the same global arrays. A step is built by `make_step(pmean)`, where `pmean`
averages over devices. Under jit it is the identity, because jit's arrays are global already.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from ml_collections import ConfigDict

from prodgen.core.failpoints import failpoint
from prodgen.core.types import Array, Spec
from prodgen.parallel.device_mesh import (
    DATA_AXIS,
    batch_sharding,
    count_devices,
    replicated_sharding,
)
from prodgen.parallel.lowering import compiler_options, lower_for, lowering_of
from prodgen.parallel.state_sharding import map_divided_step

MakeStep = Callable[[Callable[[Array], Array]], Callable]


def take_seed(make_step: Callable, config: ConfigDict, *arguments: Any) -> Callable:
    """The step of `make_step(config, *arguments)` as (state, batches, (frozen, seed)) -> ...

    The seed is an argument and no constant, so runs that differ in it alone share one program.
    """

    def step(state: Any, batches: Any, frozen_and_seed: tuple[Any, Array]) -> Any:
        frozen, seed = frozen_and_seed
        traced_config = config.copy_and_resolve_references().unlock()
        with traced_config.ignore_type():  # a traced number in place of an int
            traced_config.seed = seed
        return make_step(traced_config, *arguments)(state, batches, frozen)

    return step


def identity(x: Array) -> Array:
    """The mean over devices of a global array."""
    return x


def mean_over_devices(x: Array) -> Array:
    """The mean over devices of a value that each device computes from its rows of the batch."""
    return lax.pmean(x, DATA_AXIS)


def jit_unoptimised(function: Callable, sharding: Any) -> Callable:
    """Compile a function that runs a single time, such as an initialisation.

    Without optimisation: XLA's CPU backend needs half a minute to optimise code that then runs for
    milliseconds.
    """
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function, out_shardings=sharding, compiler_options=options)


def compile_train_step(
    make_step: MakeStep, mesh: Mesh, mode: str, is_divided: bool = False
) -> Callable:
    """Compile (state, batches, frozen_params) -> (state, metrics); the state is donated.

    is_divided: the state is, as `state_sharding.make_shardings` divides it.
    """
    is_pmap = mode == "pmap"
    if is_pmap and not has_several_processes(mesh):
        return _pmap(make_step(mean_over_devices), mesh, (None, 0, None), donate=(0,))
    step = make_step(identity)
    if is_divided:
        step = map_divided_step(make_step(mean_over_devices), mesh)
    elif is_pmap or (lowering_of(mesh).maps_devices and mesh.size > 1):
        # Each device computes its rows, as under pmap: the gradients of a step are reduced once,
        # and not in each loop that adds to them.
        step = map_over_devices(make_step(mean_over_devices), mesh)
    # None: that of the argument, and of the step's result.
    state_sharding = None if is_divided else replicated_sharding(mesh)
    return jax.jit(
        lower_for(mesh, step),
        in_shardings=(state_sharding, batch_sharding(mesh), replicated_sharding(mesh)),
        out_shardings=(state_sharding, replicated_sharding(mesh)),
        donate_argnums=(0,),
        compiler_options=compiler_options(mesh),
    )


def has_several_processes(mesh: Mesh) -> bool:
    """Whether the devices belong to several processes: jax.pmap takes and returns local arrays
    there, and a run has global ones. JAX makes of pmap what `map_over_devices` writes down."""
    return count_devices(mesh)["processes"] > 1


def map_over_devices(step: Callable, mesh: Mesh) -> Callable:
    """(state, batches, frozen) -> values that are equal on all devices; each has its rows."""
    return jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(DATA_AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )


def compile_variants(
    family: ModuleType, config: ConfigDict, spec: Spec, mesh: Mesh, *arguments: Any
) -> list[Callable]:
    """The compiled programs that the steps of a family's run take in turn.

    arguments: state, batches, (frozen, seed). Variants compile in parallel, equal ones once; a
    program cannot be compiled again.
    """
    variants = list_variants(family, config, mesh)
    failpoint("compile.start")

    def compile_variant(variant: str) -> Callable:
        return compile_aot(make_variant_step(family, config, spec, mesh, variant), *arguments)

    with concurrent.futures.ThreadPoolExecutor() as executor:
        futures = {name: executor.submit(compile_variant, name) for name in dict.fromkeys(variants)}
        return [futures[name].result() for name in variants]


def list_variants(family: ModuleType, config: ConfigDict, mesh: Mesh) -> tuple[str, ...]:
    """The programs that a family's steps run in turn on the mesh's devices.

    Where control flow is free, one program has the variants as branches and shares all else.
    """
    variants = family.variants(config)
    has_branches = lowering_of(mesh).has_control_flow and len(set(variants)) > 1
    return ("scheduled",) if has_branches else variants


def make_variant_step(
    family: ModuleType, config: ConfigDict, spec: Spec, mesh: Mesh, variant: str
) -> Callable:
    """One of a family's train steps, (state, batches, (frozen, seed)) -> (state, metrics)."""
    return compile_train_step(
        lambda pmean: take_seed(family.make_train_step, config, spec, pmean, variant),
        mesh,
        config.parallel.mode,
        config.parallel.fsdp,
    )


def make_evaluation_step(
    family: ModuleType, config: ConfigDict, spec: Spec, mesh: Mesh
) -> Callable:
    """A family's evaluation, (state, batch, (frozen, seed)) -> sums over the batch."""
    return compile_eval_step(
        lambda pmean: take_seed(family.make_eval_step, config, spec, pmean),
        mesh,
        config.parallel.mode,
        config.parallel.fsdp,
    )


def compile_eval_step(
    make_step: MakeStep, mesh: Mesh, mode: str, is_divided: bool = False
) -> Callable:
    """Compile (state, batch, frozen_params) -> values that are sums over the batch.

    is_divided: the state is, and XLA gathers what the step reads.
    """
    if mode == "pmap":
        eval_step = make_step(mean_over_devices)

        def sum_over_devices(state: Any, batch: Any, frozen_params: Any) -> Any:
            # The step returns the mean over devices of their sums.
            return jax.tree.map(lambda x: x * mesh.size, eval_step(state, batch, frozen_params))

        if not has_several_processes(mesh):
            return _pmap(sum_over_devices, mesh, (None, 0, None), donate=())
        step = map_over_devices(sum_over_devices, mesh)
    else:
        step = make_step(identity)
    return jax.jit(
        lower_for(mesh, step),
        in_shardings=(
            None if is_divided else replicated_sharding(mesh),
            batch_sharding(mesh),
            replicated_sharding(mesh),
        ),
        out_shardings=replicated_sharding(mesh),
        compiler_options=compiler_options(mesh),
    )


def compile_aot(step: Callable, *arguments: Any) -> Callable:
    """Compile for these arguments ahead of time: the result never compiles again."""
    if hasattr(step, "compile_aot"):
        return step.compile_aot(*arguments)
    return step.lower(*arguments).compile()


def _pmap(step: Callable, mesh: Mesh, axes: tuple, donate: tuple) -> Callable:
    """pmap over the mesh's devices; arguments with axis 0 are global batches, one part a device."""
    pmapped_step = jax.pmap(
        lower_for(mesh, step),
        DATA_AXIS,
        in_axes=axes,
        out_axes=None,
        devices=list(mesh.devices.flat),
        donate_argnums=donate,
    )
    # [B, ...] -> [devices, B / devices, ...]
    add_device_axis = jax.jit(
        lambda tree: jax.tree.map(
            lambda x: x.reshape(mesh.size, x.shape[0] // mesh.size, *x.shape[1:]), tree
        ),
        out_shardings=batch_sharding(mesh),
    )

    def shard(arguments: tuple) -> list:
        return [
            add_device_axis(argument) if axis == 0 else argument
            for axis, argument in zip(axes, arguments, strict=True)
        ]

    def run(*arguments: Any) -> Any:
        return pmapped_step(*shard(arguments))

    def compile_run(*arguments: Any) -> Callable:
        shapes = [
            jax.eval_shape(add_device_axis, argument) if axis == 0 else argument
            for axis, argument in zip(axes, arguments, strict=True)
        ]
        program = pmapped_step.lower(*shapes).compile()
        # A compiled program takes divided arguments; this one takes global ones, as `run` does.
        run_program = lambda *later: program(*shard(later))  # noqa: E731
        run_program.as_text = program.as_text
        return run_program

    run.compile_aot = compile_run
    return run
