"""Train a model: python run_train.py --config=configs/vae.py[:preset] [--config.a.b=value ...]

The same command again continues the run. Fields and exit codes: docs/configs.md.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.report.writer import Console
from prodgen.runs.workdir import check_config, check_origin, lock_workdir, read_record


def define_flags() -> flags.FlagValues:
    """The program's own flags; `--config` is added when they are parsed."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "workdir", "", "The run's folder; default: runs/<config>-<fingerprint>.", flag_values=values
    )
    flags.DEFINE_string(
        "init_from", "", "Start from the averaged weights of the run in this folder.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool(
        "look", False, "Print how the data are read, their splits and remarks; train nothing.",
        flag_values=values,
    )  # fmt: skip
    return values


def main(argv: list[str]) -> None:
    values = define_flags()
    experiment = commandline.parse_training(argv, values, __doc__)
    if values.look:
        return look(experiment.config)
    origin = Path(values.init_from) if values.init_from else None
    origin_fingerprint = read_record(origin)["fingerprint"] if origin else ""
    path = Path(values.workdir or commandline.derive_workdir(experiment, origin_fingerprint))
    with lock_workdir(path):
        check_config(path, experiment.config)
        check_origin(path, origin)
        from prodgen import trainer  # imports JAX, after all checks

        trainer.train(experiment.config, path, origin)


def look(config: ConfigDict) -> None:
    """Print what a run of this config would train on; no workdir is made."""
    from prodgen.data.look import print_data

    console = Console()
    with handle_signals(stop_at_once):
        print_data(config.data, console.print_line, console.throttle_progress())


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
