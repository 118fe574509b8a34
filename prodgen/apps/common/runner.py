"""Runs a command of run_sample.py: opens the run, calls the mode."""

from __future__ import annotations

from pathlib import Path

from prodgen.apps.common.output import Output
from prodgen.cli import modes
from prodgen.cli.modes import Command


def run(command: Command) -> list[Path]:
    """The files written. Any error of core/errors.py. A mode without a run needs no JAX."""
    model = None
    if command.options.run != "none":
        from prodgen.model import load
        from prodgen.parallel import device_mesh, selftest

        device_mesh.use_compile_cache()
        selftest.run()
        model = load(command.workdir, command.options.step) if command.workdir else None
    out = Output(model, command.mode, command.options, command.out, command.workdir)
    return modes.import_mode(command.mode).run(model, command.options, out)
