"""Train a model: python run_train.py --config=configs/vae.py[:preset] [--config.a.b=value ...]

The same command again continues the run. Fields and exit codes: docs/configs.md.
"""

from prodgen.programs.training import main, run

__all__ = ["main"]

if __name__ == "__main__":
    run()
