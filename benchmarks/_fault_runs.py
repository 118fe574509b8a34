"""Tiny runs of run_train.py that are killed, stalled and continued, and their comparison."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from prodgen.core import failpoints, trees
from prodgen.runs.checkpoint_files import list_steps
from prodgen.runs.run import open_run
from prodgen.runs.supervisor import read_progress

ROOT = Path(__file__).parents[1]
NUM_STEPS, CHECKPOINT_EVERY = 24, 4
MAX_LOST_STEPS = 2 * CHECKPOINT_EVERY  # one interval, and the save in flight
TIMEOUT_S = 900
SILENCE_S = 5.0  # without a new line of metrics, after which a run is taken to hang
FLAGS = (
    "--config=configs/vae.py",
    *(f"--config.{path}={value}" for path, value in {
        "data.size": 64, "data.resolution": 16, "model.width": 4, "model.max_width": 8,
        "model.latent": 4, "train.batch_size": 16, "train.num_steps": NUM_STEPS,
        "train.log_every": 1, "train.evaluate_every": 6, "train.sample_every": 8,
        "train.checkpoint_every": CHECKPOINT_EVERY, "train.tensorboard": False,
        "optim.warmup_steps": 2, "loss.beta_steps": 4,
    }.items()),
)  # fmt: skip
# Programs that compile quickly; they are kept for the next run.
XLA_FLAGS = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_use_fusion_emitters=false"
)


class FaultError(Exception):
    """A run did not behave as the plan expects; the message says how."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a run that has ended."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line of the output, "" for none."""
        return (self.output.strip().splitlines() or [""])[-1]


def make_environment(cache: Path, failpoint: str = "") -> dict[str, str]:
    """The environment of a run: the processor, a compile cache, and failpoints."""
    defaults = {
        "JAX_COMPILATION_CACHE_DIR": str(cache / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    settings = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": XLA_FLAGS,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XDG_CACHE_HOME": str(cache),
        failpoints.VARIABLE: failpoint,
    }
    return defaults | os.environ | settings


def start(
    workdir: Path, cache: Path, *flags: str, failpoint: str = "", prefix: Sequence[str] = ()
) -> subprocess.Popen:
    """Start the run in `workdir`, or continue it; `prefix` is put before the command."""
    return subprocess.Popen(
        [
            *prefix, sys.executable, "run_train.py", *FLAGS, f"--workdir={workdir}",
            f"--config.data.cache_dir={cache}", *flags,
        ],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=make_environment(cache, failpoint),
    )  # fmt: skip


def finish(process: subprocess.Popen, timeout_s: float = TIMEOUT_S) -> Outcome:
    """Wait for the end of a run. FaultError after `timeout_s` seconds; the run is then killed."""
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise FaultError(f"it did not end within {timeout_s:g} s") from None
    return Outcome(process.returncode, output)


def expect_code(process: subprocess.Popen, *codes: int) -> Outcome:
    """The outcome of a run. FaultError where it ends with another exit code."""
    outcome = finish(process)
    check(outcome.code in codes, f"exit code {outcome.code}, not {codes}: {outcome.last_line}")
    return outcome


def check(condition: bool, problem: str) -> None:
    """FaultError where a condition does not hold."""
    if not condition:
        raise FaultError(problem)


def wait_for_line(process: subprocess.Popen, workdir: Path, line: int) -> None:
    """Until metrics.jsonl has `line` lines, or the process ends."""
    path = workdir / "metrics.jsonl"
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= line:
            return
        time.sleep(0.005)


def wait_for_silence(process: subprocess.Popen, workdir: Path, limit_s: float) -> None:
    """Until metrics.jsonl has not changed for SILENCE_S. FaultError after `limit_s` seconds."""
    path = workdir / "metrics.jsonl"
    size, start = 0, time.monotonic()
    last_change = start
    while process.poll() is None:
        now, new_size = time.monotonic(), path.stat().st_size if path.exists() else 0
        check(now - start < limit_s, f"it still trains after {limit_s:g} s")
        if new_size != size:
            size, last_change = new_size, now
        if size and now - last_change > SILENCE_S:
            return
        time.sleep(0.05)


def wait_for_random_moment(process: subprocess.Popen, workdir: Path, rng: random.Random) -> None:
    """A moment of a run: mostly while it steps, sometimes while it starts or compiles."""
    if rng.random() < 0.2:
        time.sleep(rng.random() * 6)
        return
    num_lines = (workdir / "metrics.jsonl").read_bytes().count(b"\n") if workdir.exists() else 0
    wait_for_line(process, workdir, num_lines + rng.randint(1, NUM_STEPS // 3))
    time.sleep(rng.random() * 0.1)


def read_result(workdir: Path) -> tuple[int, dict[str, str], bytes]:
    """(last step, sha256 of every leaf of its state, metrics.jsonl) of a run."""
    run = open_run(workdir, "latest")
    leaves = trees.flatten_with_paths(jax.device_get(run.state))
    hashes = {
        path: hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
        for path, leaf in leaves.items()
    }
    return run.step, hashes, (workdir / "metrics.jsonl").read_bytes()


def count_lost_steps(workdir: Path) -> int:
    """The steps that a run which has ended computes again: from its last checkpoint on."""
    saved_step, logged_step = read_progress(workdir)
    return max(logged_step - saved_step, 0)


def check_result(workdir: Path, reference: tuple[int, dict[str, str], bytes]) -> None:
    """FaultError where a finished run differs from the uninterrupted one, or holds leftovers."""
    step, leaves, metrics = read_result(workdir)
    expected_step, expected_leaves, expected_metrics = reference
    check(step == expected_step, f"it ends at step {step}, not {expected_step}")
    others = [path for path, value in expected_leaves.items() if leaves.get(path) != value]
    check(leaves.keys() == expected_leaves.keys() and not others, f"leaves differ: {others[:3]}")
    steps = [json.loads(line)["step"] for line in metrics.splitlines() if b'"loss"' in line]
    check(steps == list(range(1, step + 1)), f"steps are logged as {steps}")
    check(metrics == expected_metrics, "metrics.jsonl differs")
    folder = workdir / "checkpoints"
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    finished_names = {str(step) for step in list_steps(workdir)}
    check(names == finished_names, f"folders {names - finished_names} are left in {folder}")


def kill(process: subprocess.Popen) -> bool:
    """Kill a run with SIGKILL; whether it was still running."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL
