"""Use a trained run: python run_sample.py --workdir=runs/fm --mode=grid --out=grid.png

Each mode writes its files and a manifest next to them. The same command gives the same bytes.
`--help` lists the modes, `--mode=NAME --help` the flags of one. Exit codes: docs/configs.md.
"""

import sys

from prodgen.cli import commandline, modes
from prodgen.runs.workdir import read_record


def main(argv: list[str]) -> None:
    page = modes.format_help(argv)
    if page is not None:
        print(__doc__, page, sep="\n")
        return
    command = modes.parse_command(argv)
    if command.place:
        read_record(command.place)  # MissingInput for a folder without a run
    from prodgen.apps.common import runner  # imports JAX, after all checks

    for path in runner.run(command):
        print(path)


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
