"""run_train.py --compile_only: a run's programs in the compile cache, before the run starts."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import jax
from ml_collections import ConfigDict

from prodgen.core.errors import UsageError
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.report.writer import Console
from prodgen.trainer import open_trainer


def fill_cache(config: ConfigDict) -> None:
    """Compile the train step's variants and the evaluation for this machine's devices.

    All is done that a run does before its first step, in a temporary folder: the cache's key of a
    program depends on what the process has traced before. Data and reference classifier are
    prepared where they are not. UsageError where there is no compile cache, or the devices do not
    fit the config.
    """
    console = Console()
    config.train.hook = ""  # it receives the records of trainings
    folders = tempfile.TemporaryDirectory(prefix="prodgen-compile-only-")
    with handle_signals(stop_at_once), folders as folder:
        trainer = open_trainer(config, Path(folder), console)
        cache = jax.config.jax_compilation_cache_dir
        if not cache:
            raise UsageError(
                "--compile_only needs a compile cache, and the home folder cannot be written",
                "name a folder in the environment variable JAX_COMPILATION_CACHE_DIR",
            )
        try:
            trainer.setup(None)
            start = time.monotonic()
            trainer.compile_variants(trainer.take_batches())
            step_end = time.monotonic()
            trainer.evaluator.compile(trainer.state, trainer.frozen)
            end = time.monotonic()
        finally:
            trainer.close()
    console.print_line(
        f"compiled the step in {step_end - start:.1f} s and the evaluation in "
        f"{end - step_end:.1f} s; they are kept in {cache}"
    )
