"""Carrying out a command of run_sample.py: open the run, run the mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prodgen.apps.common.output import Output
from prodgen.cli import modes
from prodgen.cli.modes import Command

if TYPE_CHECKING:
    from prodgen.model import Model


def run(command: Command) -> list[Path]:
    """The files written. Any error of prodgen.errors. A mode without a run needs no JAX."""
    model = None if command.options.run == "none" else _open_model(command)
    out = Output(model, command.mode, command.options, command.out, command.workdir)
    return modes.import_mode(command.mode).run(model, command.options, out)


def _open_model(command: Command) -> Model | None:
    from prodgen.model import load
    from prodgen.parallel import device_mesh, selftest

    device_mesh.use_compile_cache()
    selftest.run()
    return load(command.workdir, command.options.step) if command.workdir else None
