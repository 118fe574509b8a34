"""Kills the runs of a study at random moments, and compares it with an undisturbed one.

python benchmarks/study_faults.py [--folder=DIR] [--runs=100] [--kills=20] [--jobs=2]

A study of tiny runs is run twice: undisturbed, and while runs are killed with SIGKILL, once with
the whole process group of the runner. One more `run` must finish exactly what is missing: a run
that was done is not begun again, and every leaf of every last checkpoint and every logged value is
equal. Prints the numbers, the runner's own time, and the time of `status`. Exits with 1 where a run
differs.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.cli import commandline
from prodgen.experiments.study_folder import STUDY_FILE
from prodgen.experiments.verify import compare_leaves

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "folder", f"{tempfile.gettempdir()}/study_faults", "A folder that may be deleted."
)
flags.DEFINE_integer("runs", 100, "Runs of the study, a multiple of 10.", lower_bound=10)
flags.DEFINE_integer("kills", 20, "Runs that are killed.", lower_bound=0)
flags.DEFINE_integer("jobs", 2, "Runs side by side.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the moments.")

STUDY = """
from prodgen.experiments import Study

def get_study():
    return Study(
        question="Are killed runs finished with the same bits?",
        base="configs/vae.py:quick",
        fixed={{
            "data.size": 128, "data.resolution": 16, "model.width": 4, "model.max_width": 8,
            "model.latent": 4, "train.batch_size": 16, "train.num_steps": 40,
            "train.checkpoint_every": 10, "train.evaluate_every": 20, "train.sample_every": 40,
            "train.tensorboard": False,
        }},
        axes={{"beta": {{"loss.beta": [1.0, 2.0, 4.0, 8.0, 16.0]}},
              "lr": {{"optim.lr": [1e-3, 2e-3]}}}},
        seeds={seeds},
        metrics=["val/psnr"],
    )
"""
MEAN_KILL_INTERVAL_S = 4.0
LAST_KILL_OF_GROUP = 0.5  # the share of the kills after which the whole group is killed


def run_study(study: Path, workdir: Path) -> list[str]:
    """The command of `run`."""
    flags_ = [f"--workdir={workdir}", f"--jobs={FLAGS.jobs}"]
    return [sys.executable, "-m", "prodgen.experiments", "run", str(study), *flags_]


def list_trainings(group: int) -> list[int]:
    """The processes of run_train.py in a process group."""
    lines = subprocess.run(
        ["ps", "-eo", "pid,pgid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    rows = [line.split(None, 2) for line in lines]
    return [int(pid) for pid, pgid, args in rows if int(pgid) == group and "run_train.py" in args]


def disturb(study: Path, workdir: Path, rng: random.Random) -> int:
    """Run the study while killing; the number of runs that were killed one by one."""
    num_kills = num_groups = 0
    process = subprocess.Popen(run_study(study, workdir), start_new_session=True)
    while num_kills < FLAGS.kills:
        time.sleep(rng.expovariate(1 / MEAN_KILL_INTERVAL_S))
        if process.poll() is not None:
            process = subprocess.Popen(run_study(study, workdir), start_new_session=True)
            continue
        if num_groups == 0 and num_kills >= LAST_KILL_OF_GROUP * FLAGS.kills:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            num_groups += 1
            print("killed the whole process group", flush=True)
            continue
        trainings = list_trainings(process.pid)
        if trainings:
            os.kill(rng.choice(trainings), signal.SIGKILL)
            num_kills += 1
    process.wait()
    return num_kills


def read_results(workdir: Path) -> dict[str, dict]:
    """{key: line} of the finished runs."""
    file = workdir / "faults" / "results.jsonl"
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {line["key"]: line for line in lines}


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    base = Path(FLAGS.folder)
    base.mkdir(parents=True, exist_ok=True)
    study = base / "faults.py"
    study.write_text(STUDY.format(seeds=FLAGS.runs // 10), encoding="utf-8")
    calm, unquiet = base / "calm", base / "unquiet"

    start = time.monotonic()
    subprocess.run(run_study(study, calm), check=True)
    wall_s = time.monotonic() - start
    lines = read_results(calm)
    own_s = sum(line["cost"]["seconds"] for line in lines.values())
    print(f"undisturbed: {len(lines)} runs, {wall_s:.1f} s with --jobs={FLAGS.jobs}")
    print(f"the runs' own time {own_s:.1f} s; runner {FLAGS.jobs * wall_s / own_s - 1:+.2%}")

    num_kills = disturb(study, unquiet, random.Random(FLAGS.seed))
    names = {file.parts[-3] for file in unquiet.glob("runs/*/results/*.json")}
    logs = {name: (unquiet / "runs" / name / "log.txt").read_bytes() for name in names}
    print(f"killed {num_kills} runs; {len(names)} of {FLAGS.runs} are done", flush=True)
    subprocess.run(run_study(study, unquiet), check=True)
    again = [n for n in names if (unquiet / "runs" / n / "log.txt").read_bytes() != logs[n]]
    print(f"one more command: all done; {len(again)} finished runs were begun again")

    start = time.monotonic()
    status = [sys.executable, "-m", "prodgen.experiments", "status", str(study)]
    subprocess.run([*status, f"--workdir={unquiet}"], check=True, stdout=subprocess.DEVNULL)
    print(f"status: {time.monotonic() - start:.2f} s")

    num_leaves, problems = 0, [f"{name} was begun again" for name in again]
    for run in json.loads((calm / "faults" / STUDY_FILE).read_text(encoding="utf-8"))["runs"]:
        paths = [folder / "runs" / run["fingerprint"] for folder in (calm, unquiet)]
        differences, count = compare_leaves(*paths)
        num_leaves += count
        problems += [f"run {run['index']}: {text}" for text in differences]
        metrics = [(path / "metrics.jsonl").read_bytes() for path in paths]
        if metrics[0] != metrics[1]:
            problems.append(f"run {run['index']}: metrics.jsonl differs")
    print(f"{num_leaves} leaves of {FLAGS.runs} runs compared: {len(problems)} problems")
    print(*problems[:20], sep="\n")
    sys.exit(bool(problems))


if __name__ == "__main__":
    commandline.run_program(main, sys.argv)
