"""Use a trained run: python run_sample.py --workdir=runs/fm --mode=grid --out=grid.png

Each mode writes its files and a manifest next to them. The same command gives the same bytes.
`--help` lists the modes, `--mode=NAME --help` the flags of one. Exit codes: docs/configs.md.
"""

from prodgen.programs.sampling import main, run

__all__ = ["main"]

if __name__ == "__main__":
    run()
