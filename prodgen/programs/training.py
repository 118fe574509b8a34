"""Train a model: python run_train.py --config=configs/vae.py[:preset] [--config.a.b=value ...]

The same command again continues the run. Fields and exit codes: docs/configs.md.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import NoReturn

from absl import flags

from prodgen.cli import commandline
from prodgen.config.package_models import open_place
from prodgen.core import mirror
from prodgen.parallel.targets import parse_targets
from prodgen.report.tracking_hook import find_hook
from prodgen.runs.process_session import join_session
from prodgen.runs.supervisor import supervise_training
from prodgen.runs.workdir import check_config, read_record

FLAGS = {
    "workdir": (
        flags.DEFINE_string,
        "The run's folder, or gs://BUCKET/FOLDER; default: runs/<config>-<fingerprint>.",
    ),
    "init_from": (flags.DEFINE_string, "Start from the weights of this run, or of its export."),
    "look": (flags.DEFINE_bool, "Print how the data are read, their splits and remarks, and end."),
    "plan": (flags.DEFINE_string, "Print the costs on accelerators, as h200,v5e:4x8, and end."),
    "compile_only": (flags.DEFINE_bool, "Fill the compile cache with the run's programs, and end."),
    "coordinator": (flags.DEFINE_string, "HOST:PORT of process 0, where a run has several."),
    "processes": (flags.DEFINE_integer, "How many processes the run has."),
    "process": (flags.DEFINE_integer, "Which of them this is, from 0."),
    "max_restarts": (flags.DEFINE_integer, "Start a run that ended early again, up to N times."),
}


def define_flags() -> flags.FlagValues:
    """The program's own flags; `--config` is added when they are parsed."""
    values = flags.FlagValues()
    for name, (define, help_text) in FLAGS.items():
        define(name, None, help_text, flag_values=values)
    flags.mark_flags_as_mutual_exclusive(["look", "plan", "compile_only"], flag_values=values)
    return values


def main(argv: list[str]) -> None:
    """Run one command line of the program; argv starts with the program's name."""
    values = define_flags()
    help_text = commandline.name_commands(__doc__, argv)
    experiment = commandline.parse_training(argv, values, help_text)
    config = experiment.config
    if values.look:
        from prodgen.planning.data_preview import look

        return look(config)
    origin = open_place(values.init_from) if values.init_from else None
    origin_fingerprint = read_record(origin)["fingerprint"] if origin else ""
    path = mirror.locate(
        values.workdir or commandline.derive_workdir(experiment, origin_fingerprint)
    )
    if values.plan:
        targets = parse_targets(values.plan)
        check_config(path, config)
        commandline.use_processor()
        from prodgen.planning import plan_table  # imports JAX, after all checks

        return plan_table.print_plan(config, targets, path)
    if values.compile_only:
        from prodgen.planning import cache_filling

        return cache_filling.fill_cache(config)
    if values.max_restarts:
        return supervise_training(argv, path, values.max_restarts)
    report_error = partial(commandline.report_error, argv=argv)
    with join_session(values, config, path, origin, report_error) as peers:
        if config.train.hook and peers.is_main:
            find_hook(config.train.hook)
        from prodgen import trainer

        trainer.train(config, path, origin, peers)


def run() -> NoReturn:
    """The program itself: run the command line of this process, and end with its exit code."""
    commandline.run_program(main, sys.argv)


if __name__ == "__main__":
    run()
