"""run_train.py --plan: a run's programs compiled for accelerators that are absent, and its cost.

For each target the programs of the train step and of the evaluation are compiled one after the
other, so that each one's processor seconds are its own. A run compiles its programs side by side.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from prodgen.core import trees
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.core.types import Spec
from prodgen.parallel import absent_devices, compilation, device_mesh
from prodgen.parallel.flops import count_flops
from prodgen.parallel.targets import Target
from prodgen.planning.compiled_program import (
    CompiledProgram,
    DeviceMemoryError,
    compile_program,
)
from prodgen.planning.forecast import Forecast, Workload, forecast
from prodgen.planning.program_inputs import build_batch, build_program_inputs, find_spec
from prodgen.runs.run import get_step_module
from prodgen.runs.workdir import collect_versions

PLAN_FILE = "plan.json"
EVALUATION = "evaluation"  # the name of its program
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class TargetPlan:
    """What a target's programs take. programs: empty after one that the compiler could not fit.

    memory_error: the compiler's reason. fitting_batch: where the batch does not fit, a smaller one
    that was compiled and does; 0 where none does.
    """

    target: Target
    programs: list[CompiledProgram]
    memory_error: str
    forecast: Forecast | None
    fitting_batch: int

    @property
    def memory_limit(self) -> int:
        """The bytes of a device that a program can take."""
        return get_memory_limit(self.target)

    @property
    def memory_bytes(self) -> int:
        """The bytes that the largest program takes on a device."""
        return max((program.memory_bytes for program in self.programs), default=0)

    @property
    def is_fitting(self) -> bool:
        return not self.memory_error and self.memory_bytes <= self.memory_limit


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run's plan for all targets. spec_origin: where the data's spec comes from, in words.

    weights: elements by network; flops: of one image's share of a mean step, by formula.
    """

    config: ConfigDict
    spec: Spec
    spec_origin: str
    weights: dict[str, int]
    weight_bytes: int
    image_flops: float
    targets: list[TargetPlan]


def make_plan(config: ConfigDict, targets: list[Target], path: Path, say: Say) -> Plan:
    """Compile the programs of a run for each target. path: the run's folder; say: progress.

    UsageError where a target's plug-in is absent, or where the config does not fit the target.
    """
    check_config_for_targets(config, targets)
    meshes = [absent_devices.make_absent_mesh(target) for target in targets]
    spec, spec_origin = find_spec(config, path)
    family = get_step_module(config)
    say("counting the operations of a step ...")
    image_flops = count_image_flops(family, config, spec, meshes[0])
    nets = build_program_inputs(family, config, spec, meshes[0])[0].nets
    with absent_devices.disable_compile_cache():
        target_plans = [
            plan_target(family, config, spec, target, mesh, image_flops, say)
            for target, mesh in zip(targets, meshes, strict=True)
        ]
    return Plan(
        config=config,
        spec=spec,
        spec_origin=spec_origin,
        weights={name: trees.count_elements(net.params) for name, net in nets.items()},
        weight_bytes=sum(trees.count_bytes(net.params) for net in nets.values()),
        image_flops=image_flops,
        targets=target_plans,
    )


def check_config_for_targets(config: ConfigDict, targets: list[Target]) -> None:
    """UsageError where a target cannot run the config: batch, number of devices, platform, mode."""
    if config.parallel.mode != "jit":
        raise UsageError(
            f"--plan compiles under jit, and config.parallel.mode={config.parallel.mode}",
            "set config.parallel.mode=jit",
        )
    for target in targets:
        num_devices = target.num_devices
        if config.parallel.devices not in (0, num_devices):
            raise UsageError(
                f"config.parallel.devices={config.parallel.devices}, but {target.text} has "
                f"{num_devices}",
                "leave config.parallel.devices out: --plan takes all devices of a target",
            )
        if config.parallel.require_platform not in ("", target.chip.platform):
            raise UsageError(
                f"config.parallel.require_platform={config.parallel.require_platform}, but "
                f"{target.text} is a {target.chip.platform}",
                "leave config.parallel.require_platform out",
            )
        device_mesh.check_batch_size(config, num_devices, f" of {target.text}")


def count_image_flops(family: ModuleType, config: ConfigDict, spec: Spec, mesh: Mesh) -> float:
    """Operations of a mean step for each image of its batch, by formula (parallel/flops.py)."""
    config = config.copy_and_resolve_references().unlock()
    # They change how a step is computed and not what: its useful operations count without them.
    config.model.remat, config.train.microbatches, config.parallel.fsdp = False, 1, False
    arguments = build_program_inputs(family, config, spec, mesh)
    flops = {
        variant: count_flops(
            compilation.take_seed(
                family.make_train_step, config, spec, compilation.identity, variant
            ),
            *arguments,
        )
        for variant in dict.fromkeys(family.variants(config))
    }
    return compute_mean_of_variants(family.variants(config), flops) / config.train.batch_size


def compute_mean_of_variants(variants: tuple[str, ...], values: dict[str, float]) -> float:
    """The mean of values by variant over the steps of a run, which take the variants in turn."""
    return sum(values[variant] for variant in variants) / len(variants)


def plan_target(
    family: ModuleType,
    config: ConfigDict,
    spec: Spec,
    target: Target,
    mesh: Mesh,
    image_flops: float,
    say: Say,
) -> TargetPlan:
    """Compile all programs for a target; where they do not fit, try smaller batches."""
    try:
        programs = compile_programs(family, config, spec, target, mesh, say)
        memory_error = ""
    except DeviceMemoryError as error:
        programs, memory_error = [], str(error)
    run_forecast = None
    if programs:
        variants = compilation.list_variants(family, config, mesh)
        run_forecast = forecast(target, describe_workload(config, variants, programs, image_flops))
    plan = TargetPlan(target, programs, memory_error, run_forecast, config.train.batch_size)
    if plan.is_fitting:
        return plan
    batch_size = find_fitting_batch(family, config, spec, plan, mesh, say)
    return dataclasses.replace(plan, fitting_batch=batch_size)


def compile_programs(
    family: ModuleType, config: ConfigDict, spec: Spec, target: Target, mesh: Mesh, say: Say
) -> list[CompiledProgram]:
    """The variants of the train step, each once, and the evaluation."""
    state, batches, frozen_and_seed = build_program_inputs(family, config, spec, mesh)
    programs = []
    for variant in dict.fromkeys(compilation.list_variants(family, config, mesh)):
        say(f"compiling for {target.text}: the train step {variant!r} ...")
        step = compilation.make_variant_step(family, config, spec, mesh, variant)
        programs.append(compile_program(variant, step, state, batches, frozen_and_seed))
    say(f"compiling for {target.text}: the evaluation ...")
    step = compilation.make_evaluation_step(family, config, spec, mesh)
    batch = build_batch(spec, config.train.batch_size)
    return [*programs, compile_program(EVALUATION, step, state, batch, frozen_and_seed)]


def describe_workload(
    config: ConfigDict,
    variants: tuple[str, ...],
    programs: list[CompiledProgram],
    image_flops: float,
) -> Workload:
    """The mean step of a run, which takes these variants in turn, without evaluations."""
    traffic = {program.name: float(program.traffic_bytes) for program in programs}
    ring_bytes = {program.name: float(program.counts.ring_bytes) for program in programs}
    return Workload(
        batch_size=config.train.batch_size,
        num_steps=config.train.num_steps,
        flops=image_flops * config.train.batch_size,
        memory_bytes=compute_mean_of_variants(variants, traffic),
        ring_bytes=compute_mean_of_variants(variants, ring_bytes),
        is_bfloat16=config.model.dtype == "bfloat16",
    )


def get_memory_limit(target: Target) -> int:
    """The bytes of a device that a program can take."""
    return int(target.chip.memory * target.chip.usable_memory)


def find_fitting_batch(
    family: ModuleType, config: ConfigDict, spec: Spec, plan: TargetPlan, mesh: Mesh, say: Say
) -> int:
    """The first half, quarter, ... of the batch whose programs fit; 0 where none does.

    Halves that are far too large by the temporaries of the whole batch are not compiled.
    """
    target, limit, n = plan.target, plan.memory_limit, plan.target.num_devices
    largest = max(plan.programs, key=lambda program: program.memory_bytes, default=None)
    size = config.train.batch_size
    while (size := size // 2 // n * n) > 0:
        if largest is not None:
            saving = largest.temporary_bytes * (1 - size / config.train.batch_size)
            if largest.memory_bytes - saving > limit:
                continue
        say(f"{target.text}: trying config.train.batch_size={size} ...")
        smaller_config = config.copy_and_resolve_references().unlock()
        smaller_config.train.batch_size = size
        try:
            programs = compile_programs(family, smaller_config, spec, target, mesh, say)
        except DeviceMemoryError:
            continue
        if max(program.memory_bytes for program in programs) <= limit:
            return size
    return 0


def write_plan(plan: Plan, path: Path) -> None:
    """Write plan.json into the run's folder, which exists."""
    content = {
        "batch_size": plan.config.train.batch_size,
        "num_steps": plan.config.train.num_steps,
        "spec": plan.spec.to_json() | {"origin": plan.spec_origin},
        "weights": plan.weights,
        "weight_bytes": plan.weight_bytes,
        "image_flops": plan.image_flops,
        "versions": collect_versions(),
        "targets": {target.target.text: _target_to_json(target) for target in plan.targets},
    }
    write_atomically(path / PLAN_FILE, json.dumps(content, indent=2).encode())


def _target_to_json(plan: TargetPlan) -> dict[str, Any]:
    return {
        "devices": plan.target.num_devices,
        "hosts": plan.target.num_hosts,
        "programs": [program.to_json() for program in plan.programs],
        "memory_bytes": plan.memory_bytes,
        "memory_limit": plan.memory_limit,
        "memory_error": plan.memory_error,
        "fits": plan.is_fitting,
        "fitting_batch": plan.fitting_batch,
        "forecast": plan.forecast and dataclasses.asdict(plan.forecast),
    }


def advise_on_state(config: ConfigDict, excesses: list[TargetPlan]) -> str:
    """What to change where no batch fits."""
    if not config.parallel.fsdp and all(excess.target.num_devices > 1 for excess in excesses):
        return "set config.parallel.fsdp=true; or set config.data.resolution to a smaller one"
    return "choose a smaller config.data.resolution, or a target with more devices"


def check_fit(plan: Plan) -> None:
    """UsageError with the batches that would fit, where a target does not have the memory."""
    excesses = [target for target in plan.targets if not target.is_fitting]
    if not excesses:
        return
    size = plan.config.train.batch_size
    names = ", ".join(excess.target.text for excess in excesses)
    batch = min(excess.fitting_batch for excess in excesses)
    raise UsageError(
        f"config.train.batch_size={size} at {plan.spec.resolution} px does not fit in the memory "
        f"of {names}",
        f"set config.train.batch_size={batch}, which was compiled and fits"
        if batch
        else advise_on_state(plan.config, excesses),
    )
