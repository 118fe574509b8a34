"""Times `status` of a study of many runs, and `report`, on synthetic finished runs.

python benchmarks/study_speed.py [--folder=DIR] [--status_runs=1000] [--report_runs=300]

Nothing is trained: the run folders get lines of results with values drawn at random, three metrics
and ten validation points each. Prints seconds, each the whole command with its start.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.experiments import results
from prodgen.experiments.session import StudySession
from prodgen.experiments.study import load_study
from prodgen.experiments.study_folder import StudyFolder

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "folder", f"{tempfile.gettempdir()}/study_speed", "A folder that may be deleted."
)
flags.DEFINE_integer("status_runs", 1000, "Runs of the study for status.", lower_bound=10)
flags.DEFINE_integer("report_runs", 300, "Runs of the study for report.", lower_bound=10)

STUDY = """
from prodgen.experiments import Study

def get_study():
    return Study(
        question="How fast is it?",
        base="configs/vae.py:quick",
        axes={{"beta": {{"loss.beta": {betas}}}, "latent": {{"model.latent": [8, 32]}}}},
        seeds=5,
        metrics=["val/psnr", "val/ssim", "val/bits_per_dim"],
    )
"""
METRICS = ("val/psnr", "val/ssim", "val/bits_per_dim")
NUM_POINTS = 10


def make_finished_study(base: Path, num_runs: int) -> Path:
    """The file of a study whose runs are all finished, with values drawn at random."""
    file = base / f"runs_{num_runs}.py"
    betas = [float(beta) for beta in range(1, num_runs // 10 + 1)]
    file.write_text(STUDY.format(betas=betas), encoding="utf-8")
    session = StudySession(file, load_study(file), StudyFolder(base, file.stem))
    session.folder.freeze(session.study, session.runs)
    rng = np.random.default_rng(0)
    for run in session.runs:
        points = np.cumsum(rng.uniform(size=(len(METRICS), NUM_POINTS)), axis=1)
        curves = {
            name: [[20 * (i + 1), float(value)] for i, value in enumerate(row)]
            for name, row in zip(METRICS, points, strict=True)
        }
        line = {
            "key": run.key, "fingerprint": run.fingerprint, "seed": run.seed, "config": {},
            "metrics": {
                name: {"value": curve[-1][1], "spec": {"metric": name}}
                for name, curve in curves.items()
            },
            "evaluations": [], "curves": {"points": curves}, "batch_size": 64,
            "cost": {"seconds": float(rng.uniform(50, 90)), "device_hours": 0.02},
        }  # fmt: skip
        path = session.folder.result_file(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        results.write_lines(path, [results.seal(line)])
    return file


def time_command(name: str, file: Path, base: Path) -> float:
    """The seconds of a command, with its start."""
    command = [sys.executable, "-m", "prodgen.experiments", name, str(file), f"--workdir={base}"]
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    base = Path(FLAGS.folder)
    base.mkdir(parents=True, exist_ok=True)
    for name, num_runs in (("status", FLAGS.status_runs), ("report", FLAGS.report_runs)):
        file = make_finished_study(base, num_runs)
        print(f"{name} of {num_runs} runs: {time_command(name, file, base):.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
