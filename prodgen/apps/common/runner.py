"""Carrying out a command of run_sample.py: open the run, run the mode."""

from __future__ import annotations

from pathlib import Path

from prodgen.apps.common.output import Output
from prodgen.cli import modes
from prodgen.cli.modes import Command
from prodgen.model import load
from prodgen.parallel import mesh, selftest


def run(command: Command) -> list[Path]:
    """The files written. Any error of prodgen.errors."""
    mesh.use_compile_cache()
    selftest.run()
    model = load(command.workdir, command.options.step) if command.workdir else None
    out = Output(model, command.mode, command.options, command.out, command.workdir)
    return modes.module_of(command.mode).run(model, command.options, out)
