"""Worker processes: errors, deaths, and the places where none can be started."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing import spawn
from pathlib import Path

import pytest

from prodgen.core.errors import UsageError
from prodgen.data import workers

ROOT = Path(__file__).parents[2]
SLEEP_S = 60


def double(common, task):
    return common * task


def kill_itself(common, task):
    if task == common:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def refuse(common, task):
    raise UsageError(f"task {task}", "another one")


def sleep(common, task):
    print("busy", flush=True)
    time.sleep(SLEEP_S)


def test_every_task_has_its_result(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where the package is not
    assert dict(workers.run(double, 3, range(7), 2)) == {n: 3 * n for n in range(7)}


def test_the_task_that_killed_its_process_is_named():
    expected_results = {n: n for n in range(5)} | {3: workers.PROCESS_DEATH}
    assert dict(workers.run(kill_itself, 3, range(5), 2)) == expected_results


def test_an_error_of_the_function_is_raised_here():
    with pytest.raises(UsageError, match="task 4"):
        list(workers.run(refuse, None, [4], 1))


def test_a_missing_interpreter_starts_no_worker(monkeypatch):
    monkeypatch.setattr(spawn, "get_executable", lambda: b"/nowhere/python")
    with pytest.raises(workers.CannotStart):
        list(workers.run(double, 3, range(7), 2))


def python_command(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def test_a_value_of_the_main_module_starts_no_worker():
    program = """
        from prodgen.data import workers
        from tests.data.test_workers import double

        class Local:
            pass

        try:
            list(workers.run(double, Local(), range(3), 2))
        except workers.CannotStart:
            print("none")
    """
    process = subprocess.run(
        python_command(program), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (process.stdout, process.stderr) == ("none\n", "")


def test_a_worker_ends_with_its_parent():
    program = """
        from prodgen.data import workers
        from tests.data.test_workers import sleep

        list(workers.run(sleep, None, range(1), 1))
    """
    with subprocess.Popen(
        python_command(program), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline()
        parent.kill()
        # Both hold the standard output: it ends when the worker does, long before the task would.
        assert parent.communicate(timeout=SLEEP_S / 2)[0] == ""
