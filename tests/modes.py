"""Running a mode as run_sample.py does, with one model for all tests of a worker."""

import functools
from pathlib import Path

from prodgen.apps.common.output import Output
from prodgen.cli import modes
from prodgen.editing.fitted_prior import FILE
from prodgen.model import Model, load


@functools.cache
def load_once(
    workdir: Path, step: str, fingerprint: bytes, prior: str = "base", prior_file: bytes = b""
) -> Model:
    """The run in a folder; opened again where its config.json or its prior has changed."""
    return load(workdir, step, prior=prior)


def run_mode(mode: str, workdir: Path | None = None, out: Path | None = None, **options):
    """The files that a mode writes, given its options by name."""
    module = modes.import_mode(mode)
    parsed_options = module.Options(**options)
    parsed_options.check(workdir)
    model = None
    if workdir:
        workdir, choice = Path(workdir), getattr(parsed_options, "prior", "base")
        file = workdir / FILE
        prior_file = file.read_bytes() if file.is_file() and choice != "base" else b""
        # Without a file, "auto" is the base prior: one model for both.
        choice = "base" if choice == "auto" and not prior_file else choice
        config = (workdir / "config.json").read_bytes()
        model = load_once(workdir, parsed_options.step, config, choice, prior_file)
    return module.run(model, parsed_options, Output(model, mode, parsed_options, out, workdir))
