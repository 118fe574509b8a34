"""Running a mode as run_sample.py does, with one model for all tests of a worker."""

import functools
from pathlib import Path

from prodgen.apps.common.output import Output
from prodgen.cli import modes
from prodgen.model import Model, load


@functools.cache
def load_once(workdir: Path, step: str, fingerprint: bytes) -> Model:
    """The run in a folder; opened again where its config.json has changed."""
    return load(workdir, step)


def run_mode(mode: str, workdir: Path | None = None, out: Path | None = None, **options):
    """The files that a mode writes, given its options by name."""
    module = modes.import_mode(mode)
    parsed_options = module.Options(**options)
    parsed_options.check(workdir)
    model = None
    if workdir:
        model = load_once(
            Path(workdir), parsed_options.step, (Path(workdir) / "config.json").read_bytes()
        )
    return module.run(model, parsed_options, Output(model, mode, parsed_options, out, workdir))
