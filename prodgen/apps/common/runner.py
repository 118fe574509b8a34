"""Runs a command of run_sample.py: opens the run, calls the mode."""

from __future__ import annotations

from prodgen.apps.common.output import Output, say
from prodgen.cli import modes
from prodgen.cli.modes import Command
from prodgen.config import package_models
from prodgen.core.errors import MissingRunData, StorageError
from prodgen.core.mirror import describe_file, publish


def run(command: Command) -> list[str]:
    """The files written. Any error of core/errors.py. A mode without a run needs no JAX.

    What a mode writes into the local copy of a remote run is uploaded.
    """
    model = None
    if command.options.run != "none":
        from prodgen.model import load
        from prodgen.parallel import device_mesh, selftest

        device_mesh.use_compile_cache()
        selftest.run()
        if command.package_model:
            say(package_models.describe(command.package_model))
        if command.place:
            data_path = getattr(command.options, "data_path", "")
            prior = getattr(command.options, "prior", "base")
            model = load(command.place, command.options.step, data_path, prior)
    if model and getattr(command.options, "attributes", None):
        for sentence in model.conditions.describe_extrapolation(command.options.attributes):
            say(f"caution: {sentence}")
    out = Output(model, command.mode, command.options, command.out, command.workdir)
    try:
        paths = modes.import_mode(command.mode).run(model, command.options, out)
    except MissingRunData as error:
        call, flag = MissingRunData.DATA_PATH_CALL, "--data_path=FOLDER_OR_TABLE"
        error.next_step = error.next_step.replace(call, flag)
        raise
    if not command.workdir:
        return [str(path) for path in paths]
    try:
        publish(command.workdir)
    except OSError as error:
        advice = "name a local folder with --out=FOLDER"
        raise StorageError.from_os_error(error, advice) from error
    return [describe_file(path, command.workdir) for path in paths]
