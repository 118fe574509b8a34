"""Runs a command of run_sample.py: opens the run, calls the mode."""

from __future__ import annotations

from pathlib import Path

from prodgen.apps.common.output import Output, say
from prodgen.cli import modes
from prodgen.cli.modes import Command
from prodgen.core.errors import MissingRunData


def run(command: Command) -> list[Path]:
    """The files written. Any error of core/errors.py. A mode without a run needs no JAX."""
    model = None
    if command.options.run != "none":
        from prodgen.model import load
        from prodgen.parallel import device_mesh, selftest

        device_mesh.use_compile_cache()
        selftest.run()
        if command.workdir:
            data_path = getattr(command.options, "data_path", "")
            prior = getattr(command.options, "prior", "base")
            model = load(command.workdir, command.options.step, data_path, prior)
    if model and getattr(command.options, "attributes", None):
        for sentence in model.conditions.describe_extrapolation(command.options.attributes):
            say(f"caution: {sentence}")
    out = Output(model, command.mode, command.options, command.out, command.workdir)
    try:
        return modes.import_mode(command.mode).run(model, command.options, out)
    except MissingRunData as error:
        call, flag = MissingRunData.DATA_PATH_CALL, "--data_path=FOLDER_OR_TABLE"
        error.next_step = error.next_step.replace(call, flag)
        raise
