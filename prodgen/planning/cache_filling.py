"""run_train.py --compile_only: a run's programs in the compile cache, before the run starts."""

from __future__ import annotations

import time

import jax
from ml_collections import ConfigDict

from prodgen.core.errors import UsageError
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.data import prepare
from prodgen.parallel import compilation, device_mesh
from prodgen.planning.program_inputs import build_batch, build_program_inputs
from prodgen.report.writer import Console
from prodgen.runs.run import get_step_module


def fill_cache(config: ConfigDict) -> None:
    """Compile the train step's variants and the evaluation for this machine's devices.

    The data are prepared first where they are not: their background colour is part of the
    programs. No weights are computed and no run's folder is made. UsageError where there is no
    compile cache, or the devices do not fit the config.
    """
    console = Console()
    with handle_signals(stop_at_once):
        mesh = device_mesh.initialise_jax(config)
        if not jax.config.jax_compilation_cache_dir:
            raise UsageError(
                "--compile_only needs a compile cache, and the home folder cannot be written",
                "name a folder in the environment variable JAX_COMPILATION_CACHE_DIR",
            )
        spec = prepare.open_or_prepare(config.data, console.throttle_progress()).spec
        family = get_step_module(config)
        inputs = build_program_inputs(family, config, spec, mesh)
        state, _, frozen_and_seed = inputs
        console.print_progress("compiling the step ...")
        start = time.monotonic()
        compilation.compile_variants(family, config, spec, mesh, *inputs)
        step_end = time.monotonic()
        console.print_progress("compiling the evaluation ...")
        step = compilation.make_evaluation_step(family, config, spec, mesh)
        batch = build_batch(spec, config.train.batch_size)
        compilation.compile_aot(step, state, batch, frozen_and_seed)
        end = time.monotonic()
    devices = f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
    console.print_line(
        f"compiled for {devices}: the step in {step_end - start:.1f} s, the evaluation in "
        f"{end - step_end:.1f} s"
    )
    console.print_line(f"cache    {jax.config.jax_compilation_cache_dir}")
