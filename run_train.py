"""Train a model: python run_train.py --config=configs/vae.py[:preset] [--config.a.b=value ...]

The same command again continues the run. Fields and exit codes: docs/configs.md.
"""

import sys
from pathlib import Path

from absl import flags

from prodgen.cli import commandline
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
    return values


def main(argv: list[str]) -> None:
    values = define_flags()
    experiment = commandline.parse_training(argv, values, __doc__)
    origin = Path(values.init_from) if values.init_from else None
    origin_fingerprint = read_record(origin)["fingerprint"] if origin else ""
    path = Path(values.workdir or commandline.derive_workdir(experiment, origin_fingerprint))
    with lock_workdir(path):
        check_config(path, experiment.config)
        check_origin(path, origin)
        from prodgen import trainer  # imports JAX, after all checks

        trainer.train(experiment.config, path, origin)


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
