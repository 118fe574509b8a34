"""A run killed at any moment and started again ends as if nothing had happened, bit for bit."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from prodgen.cli import commandline
from prodgen.config import flatten, is_read
from prodgen.core import trees
from prodgen.runs import checkpoint
from prodgen.runs.run import open_run
from tests import recording_hook
from tests.compilation import QUICK_XLA_FLAGS
from tests.tiny import ROOT, TINY

STEPS = 12
HOOK = "tests.recording_hook:start"
# A file cannot grow beyond 512 blocks of 512 bytes: a write then fails, as on a full disk.
FILE_LIMIT = ("sh", "-c", 'ulimit -f 512; exec "$@"', "sh")
# One device, and programs that compile quickly: many short runs.
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": QUICK_XLA_FLAGS}


def start(workdir, cache, *flags, steps=STEPS, config="configs/vae.py", prefix=(), **options):
    fields = TINY | {
        "data.size": 64,
        "data.cache_dir": str(cache),
        "train.num_steps": steps,
        "train.evaluate_every": 4,
        "train.sample_every": 6,
        "train.checkpoint_every": 3,
    }
    values = flatten(commandline.read_config(str(ROOT / config)))
    overrides = [
        f"--config.{path}={value}" for path, value in fields.items() if is_read(path, values)
    ]
    return subprocess.Popen(
        [
            *prefix,
            sys.executable,
            "run_train.py",
            f"--config={config}",
            f"--workdir={workdir}",
            *overrides,
            *flags,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT | {"XDG_CACHE_HOME": str(cache)},
        **{"stderr": subprocess.STDOUT} | options,
    )


def finish(process, code=0):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


def final(workdir):
    """Hashes of every leaf of the last state, and the metrics lines."""
    run = open_run(workdir, "latest")
    leaves = {
        path: hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest()
        for path, leaf in trees.flatten_with_paths(jax.device_get(run.state)).items()
    }
    return run.step, leaves, (workdir / "metrics.jsonl").read_text()


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory):
    """(cache folder, run's folder) of a run that nothing disturbed; the tests do not change it.

    It has a hook that fails halfway, which changes no result.
    """
    base = tmp_path_factory.mktemp("uninterrupted")
    output = finish(start(base / "run", base / "cache", f"--config.train.hook={HOOK}"))
    (base / "output.txt").write_text(output)
    return base / "cache", base / "run"


@pytest.fixture(scope="module")
def uninterrupted_result(uninterrupted_run):
    """(cache folder, final state and metrics) of that run."""
    cache, workdir = uninterrupted_run
    return cache, final(workdir)


def wait_for(process, workdir, line):
    """Until metrics.jsonl has `line` lines, or the process ends."""
    path = workdir / "metrics.jsonl"
    while process.poll() is None:
        if path.exists() and path.read_text().count("\n") >= line:
            return
        time.sleep(0.005)


def wait_for_random_moment(process, workdir, rng):
    wait_for(process, workdir, rng.randint(1, STEPS - 3))
    time.sleep(rng.random() * 0.1)


def kill(process, workdir):
    """Kill a run; return its last saved step, 0 where there is none."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved_step = max(checkpoint.list_steps(workdir), default=0)
    assert process.returncode == -signal.SIGKILL or saved_step == STEPS
    return saved_step


def check_continuation(workdir, expected_result, saved_step, out):
    """The continued run says where it began, ends like the uninterrupted one, leaves no drafts."""
    assert (f"continued at step {saved_step}" in out) == (saved_step > 0)
    assert final(workdir) == expected_result
    assert not list((workdir / "checkpoints").glob("*tmp*"))
    steps = [json.loads(line)["step"] for line in expected_result[2].splitlines() if "loss" in line]
    assert steps == list(range(1, STEPS + 1))


class KilledRun(NamedTuple):
    """A run that was killed, and continued for a reader that went away after the first lines."""

    workdir: Path
    pid: int  # of the killed process
    refusal: str  # what a second process said while the first held the folder
    saved_step: int  # the last checkpoint at the kill, 0 where there was none
    first_lines: str  # of the continued run
    exit_code: int  # of the continued run


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory, uninterrupted_run):
    cache, _ = uninterrupted_run
    workdir = tmp_path_factory.mktemp("killed") / "run"
    first = start(workdir, cache)
    wait_for_random_moment(first, workdir, random.Random(0))
    first.send_signal(signal.SIGSTOP)  # it keeps the folder and gets no further
    refusal = finish(start(workdir, cache), 73)
    saved_step = kill(first, workdir)
    second = start(workdir, cache)
    lines = []
    while not (lines and lines[-1].startswith("run ")):
        lines.append(second.stdout.readline())
        assert lines[-1], "".join(lines)  # the run ended early
    second.stdout.close()
    exit_code = second.wait(timeout=300)
    return KilledRun(workdir, first.pid, refusal, saved_step, "".join(lines), exit_code)


def test_killed_once_and_continued(killed_run, uninterrupted_result):
    _, expected_result = uninterrupted_result
    check_continuation(
        killed_run.workdir, expected_result, killed_run.saved_step, killed_run.first_lines
    )


def test_a_reader_that_goes_away_does_not_stop_the_run(killed_run, uninterrupted_result):
    _, expected_result = uninterrupted_result
    assert killed_run.exit_code == 0
    assert final(killed_run.workdir) == expected_result


def test_two_runs_cannot_share_a_folder(killed_run):
    assert f"is in use by pid {killed_run.pid}" in killed_run.refusal


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_many_times_at_random_and_continued(tmp_path, uninterrupted_result, seed):
    cache, expected_result = uninterrupted_result
    rng, workdir = random.Random(seed), tmp_path / "run"
    for _ in range(4):
        process = start(workdir, cache)
        wait_for_random_moment(process, workdir, rng)
        saved_step = kill(process, workdir)
    out = finish(start(workdir, cache))
    check_continuation(workdir, expected_result, saved_step, out)


@pytest.mark.slow
def test_sigterm_saves_says_so_and_the_rest_is_the_same(tmp_path, uninterrupted_result):
    cache, expected_result = uninterrupted_result
    process = start(tmp_path / "run", cache)
    wait_for(process, tmp_path / "run", 2)
    process.send_signal(signal.SIGTERM)
    out = finish(process, 75)
    last = out.strip().splitlines()[-1]
    assert last.startswith("prodgen: ERROR stopped: stopped by SIGTERM at step ")
    assert "last good checkpoint: step " in last and "next: give the same command again" in last
    stop_step = int(last.split("at step ")[1].split()[0])
    assert open_run(tmp_path / "run", "latest").step == stop_step

    out = finish(start(tmp_path / "run", cache))
    assert f"continued at step {stop_step}" in out
    assert final(tmp_path / "run") == expected_result


ADAPTIVE = (
    "--config.data.resolution=16", "--config.augment.policy=product",
    "--config.augment.adaptive=true", "--config.augment.p=0.2", "--config.augment.ada_images=800",
    "--config.loss.penalty_every=2",
)  # fmt: skip


@pytest.mark.slow
def test_an_adversarial_run_resumes_bit_for_bit_with_its_p(tmp_path):
    """Both networks, both optimisers, the lazy penalty's turn and the controller's two numbers."""
    cache, gan = tmp_path / "cache", {"config": "configs/gan.py"}
    finish(start(tmp_path / "whole", cache, *ADAPTIVE, **gan))
    expected_result = final(tmp_path / "whole")
    ps = [
        json.loads(line)["augment/p"]
        for line in expected_result[2].splitlines()
        if "g/loss" in line
    ]
    assert len(set(ps)) >= 2  # it moved
    process = start(tmp_path / "run", cache, *ADAPTIVE, **gan)
    wait_for(process, tmp_path / "run", 6)
    process.send_signal(signal.SIGTERM)
    finish(process, 75)
    assert checkpoint.list_steps(tmp_path / "run")[-1] < STEPS
    finish(start(tmp_path / "run", cache, *ADAPTIVE, **gan))
    assert final(tmp_path / "run") == expected_result


def test_another_config_in_the_folder_is_refused_with_the_difference(uninterrupted_run):
    cache, workdir = uninterrupted_run
    record = (workdir / "config.json").read_bytes()
    out = finish(start(workdir, cache, "--config.optim.lr=0.5"), 2)
    assert "config.optim.lr: 0.002 -> 0.5" in out
    out = finish(start(workdir, cache, "--config.data.seed=3"), 2)
    assert "config.data.seed: 0 -> 3" in out
    assert (workdir / "config.json").read_bytes() == record


def test_when_no_checkpoint_passes_the_run_stops_with_65_and_names_them(
    tmp_path, uninterrupted_run
):
    cache, workdir = uninterrupted_run
    shutil.copytree(workdir, tmp_path / "run")
    steps = checkpoint.list_steps(tmp_path / "run")
    assert STEPS in steps
    for path in (tmp_path / "run" / "checkpoints").glob("*/_METADATA"):
        path.write_text("{}")
    out = finish(start(tmp_path / "run", cache), 65)
    last = out.strip().splitlines()[-1]
    assert last.startswith("prodgen: ERROR bad-checkpoint: no checkpoint in ")
    assert all(f"corrupt-{step}" in last for step in steps) and "Traceback" not in out


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_ends_the_run_with_one_line(
    tmp_path, uninterrupted_run
):
    """Nothing follows it: the threads that write the arrays stay silent."""
    cache, workdir = uninterrupted_run
    shutil.copytree(workdir, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / f"{STEPS}.sha256.json").unlink()
    saved_step = checkpoint.list_steps(tmp_path / "run")[-1]
    process = start(tmp_path / "run", cache, stderr=subprocess.PIPE, prefix=FILE_LIMIT)
    _, errors = process.communicate(timeout=300)
    (line,) = errors.splitlines()
    assert process.returncode == 74
    assert line.startswith("prodgen: ERROR storage: a checkpoint could not be written (")
    assert "File too large" in line and f"last good checkpoint: step {saved_step} at " in line
    assert line.endswith("next: free disk space, then give the same command again")
    assert checkpoint.list_steps(tmp_path / "run")[-1] == saved_step


@pytest.mark.slow
def test_nothing_left_to_do_is_no_error(tmp_path, uninterrupted_result):
    cache, _ = uninterrupted_result
    finish(start(tmp_path / "run", cache, steps=1))
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    finish(start(tmp_path / "run", cache, steps=1))
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == before


def test_a_finished_folder_holds_what_is_promised(uninterrupted_run):
    _, workdir = uninterrupted_run
    names = {path.name for path in workdir.iterdir()}
    assert names >= {
        "config.json", "metrics.jsonl", "timing.jsonl", "checkpoints", "samples", "curves.png",
        "report.html", "data_report.html", "data_report.json", "conditions.npz",
    }  # fmt: skip
    samples = {path.name for path in (workdir / "samples").iterdir()}
    assert samples == {
        f"{kind}_{step:08d}.png" for kind in ("step", "reconstruction") for step in (6, STEPS)
    }
    page = (workdir / "report.html").read_text()
    assert (
        page.count("data:image/png;base64,") >= 3 and "http" not in page.split("<style>")[1][:200]
    )


def test_a_hook_receives_every_record_until_it_fails_and_the_run_goes_on(uninterrupted_run):
    _, workdir = uninterrupted_run
    records = workdir.with_name("hook.jsonl").read_text().splitlines()
    lines = [
        line
        for name in ("metrics.jsonl", "timing.jsonl")
        for line in (workdir / name).read_text().splitlines()
        if json.loads(line)["step"] <= recording_hook.LAST_STEP
    ]
    assert len(lines) > recording_hook.LAST_STEP and sorted(records) == sorted(lines)
    warning = f"WARNING  config.train.hook={HOOK} failed and is off: ConnectionError: no network"
    assert workdir.with_name("output.txt").read_text().splitlines().count(warning) == 1
