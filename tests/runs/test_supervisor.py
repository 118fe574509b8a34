"""Restarts of a run: which ends are restarted, when it gives up, what happens to signals."""

import json
import signal
import subprocess
import sys
import time

import pytest

from prodgen.core.errors import UsageError
from prodgen.runs import supervisor
from tests.tiny import ROOT

# A run that logs and saves a step, and ends as the next line of the file `ends` says.
FAKE_RUN = """
import os, pathlib, signal, sys
run = pathlib.Path(sys.argv[1])
first, *rest = (run / "ends").read_text().splitlines()
(run / "ends").write_text("\\n".join(rest))
end, step = first.split()
with open(run / "metrics.jsonl", "a") as file:
    file.write('\\n{"step": %s}\\n{"step": ' % step)
if end.startswith("-"):
    os.kill(os.getpid(), -int(end))
sys.exit(int(end))
"""
# A supervised run that waits for SIGTERM, and then ends with 75.
WAITING = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
pathlib.Path(sys.argv[1], "ready").touch()
time.sleep(60)
"""
SUPERVISE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from prodgen.runs import supervisor
command = [sys.executable, "-c", sys.argv[3], sys.argv[2]]
sys.exit(supervisor.supervise(command, pathlib.Path(sys.argv[2]), 5, print, (0,)))
"""


def supervise(run, ends, max_restarts=9):
    """(exit code, notes) of a supervised fake run with these ends, each (code, step)."""
    (run / "ends").write_text("\n".join(f"{code} {step}" for code, step in ends))
    command, notes = [sys.executable, "-c", FAKE_RUN, str(run)], []
    code = supervisor.supervise(command, run, max_restarts, notes.append, (0,))
    return code, notes


def test_ends_that_can_be_continued_are_restarted_until_the_run_is_done(tmp_path):
    code, notes = supervise(tmp_path, [(75, 3), (-9, 5), (74, 5), (70, 8), (0, 9)])
    assert code == 0 and len(notes) == 4
    assert notes[1].startswith("the run ended by SIGKILL at step 5, last checkpoint 0; restart 2 ")


@pytest.mark.parametrize("code", [2, 65, 66, 73, 130])
def test_ends_that_would_repeat_are_not_restarted(tmp_path, code):
    assert supervise(tmp_path, [(code, 3), (0, 4)]) == (code, [])


def test_the_third_end_at_one_step_is_a_crash_loop(tmp_path):
    with pytest.raises(supervisor.CrashLoopError) as error_info:
        supervise(tmp_path, [(-11, 3), (74, 7), (-6, 7), (-6, 7), (0, 9)])
    error = error_info.value
    assert "3 times in a row at step 7" in error.message and "by SIGABRT" in error.message
    assert (error.code, (tmp_path / "ends").read_text()) == (70, "0 9")


def test_a_crash_loop_of_a_full_disk_has_the_code_of_the_disk(tmp_path):
    with pytest.raises(supervisor.CrashLoopError) as error_info:
        supervise(tmp_path, [(74, 7)] * 3)
    assert error_info.value.code == 74


def test_restarts_are_limited(tmp_path):
    with pytest.raises(supervisor.CrashLoopError, match="all 1 restarts are used up.*by SIGKILL"):
        supervise(tmp_path, [(-9, 1), (-9, 2), (0, 3)], max_restarts=1)
    assert supervise(tmp_path, [(75, 5), (75, 6)], max_restarts=1)[0] == 75
    with pytest.raises(UsageError, match="below 0"):
        supervisor.supervise_training(["run_train.py"], tmp_path, -1)


def test_progress_is_read_from_checkpoints_and_complete_lines(tmp_path):
    assert supervisor.read_progress(tmp_path) == (0, 0)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "20.sha256.json").touch()
    (tmp_path / "checkpoints" / "30").mkdir()  # without a manifest
    lines = "".join(json.dumps({"step": k, "loss": 0.5}) + "\n" for k in range(5000))
    (tmp_path / "metrics.jsonl").write_text(lines + '{"step": 70')
    assert supervisor.read_progress(tmp_path) == (20, 4999)


def start_waiting_run(run):
    """A supervisor in a process of its own, whose child is ready for signals."""
    process = subprocess.Popen([sys.executable, "-c", SUPERVISE, str(ROOT), str(run), WAITING])
    while not (run / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_sigterm_goes_on_to_the_run_which_is_not_started_again(tmp_path):
    process = start_waiting_run(tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_run_ends_when_its_supervisor_is_killed(tmp_path):
    process = start_waiting_run(tmp_path)
    (child,) = (
        int(pid)
        for pid in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()  # noqa: SIM115
    )
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(child)


def is_alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
