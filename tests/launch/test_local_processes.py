"""Processes on this machine: their numbers, output, signals and exit codes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from prodgen.core.errors import MissingInput, ProdgenError, StoppedError, UsageError
from prodgen.launch import local_processes
from prodgen.launch.local_processes import Options
from tests.launch.fakes import read_lines
from tests.tiny import ROOT

# Records its arguments and environment, and ends as --end=I:CODE says; others wait for SIGTERM.
PROGRAM = """
import json, os, signal, sys, time
index = int(sys.argv[-1].removeprefix("--process="))
names = ("JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
with open("calls.jsonl", "a") as file:
    environment = {n: os.environ.get(n) for n in names}
    file.write(json.dumps([index, sys.argv[1:], environment]) + "\\n")
ends = dict(a.removeprefix("--end=").split(":") for a in sys.argv if a.startswith("--end="))
print("output of", index, flush=True)
if str(index) in ends:
    code = int(ends[str(index)])
    os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
def stop(number, frame):
    open(f"stop{index}", "w").close()
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
open(f"ready{index}", "w").close()
time.sleep(30)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return ["program.py"]


def launch(words, *ends, **options):
    options = Options(**{"logs": "logs", "grace": 10.0} | options)
    local_processes.run(options, [*words, *(f"--end={end}" for end in ends)])


def test_every_process_has_its_number_and_devices(program, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--a=1 --xla_force_host_platform_device_count=8 --b=2")
    launch([*program, "a 'b'"], "0:0", "1:0", devices_per_process=3, port=4242)
    calls = sorted(read_lines(tmp_path / "calls.jsonl"))
    for index in range(2):
        numbers = ["--coordinator=127.0.0.1:4242", "--processes=2", f"--process={index}"]
        assert calls[index][1] == ["a 'b'", "--end=0:0", "--end=1:0", *numbers]
        assert calls[index][2]["JAX_NUM_CPU_DEVICES"] == "3"
        assert calls[index][2]["XLA_FLAGS"] == "--a=1 --b=2"
    assert (tmp_path / "logs/process_1.log").read_text() == "output of 1\n"
    output = capfd.readouterr().out
    assert "output of 0" in output and "output of 1" not in output


def test_every_process_has_its_gpus():
    options = Options(gpus_per_process=2)
    environment = local_processes.make_environment(options, 3, {"XLA_FLAGS": "--a=1"})
    assert environment == {"XLA_FLAGS": "--a=1", "CUDA_VISIBLE_DEVICES": "6,7"}


def test_the_first_failure_stops_the_others_and_names_its_end(program):
    with pytest.raises(ProdgenError, match="process 1 ended with exit code 65: output of 1") as e:
        launch(program, "1:65")
    assert e.value.code == 65 and "logs/process_1.log" in e.value.next_step


@pytest.mark.parametrize("codes, expected", [((0, 0), 0), ((75, 75), 75), ((0, 75), 75),
                                             ((75, -9), 137), ((2, 75), 2)])  # fmt: skip
def test_the_exit_code_is_the_worst_meaningful_one(codes, expected):
    workers = []
    for index, code in enumerate(codes):
        process = subprocess.Popen(["true"])
        process.wait()
        process.returncode = code
        workers.append(local_processes.Worker(index, process, None))
    if not expected:
        return local_processes.raise_worst(workers)
    with pytest.raises(StoppedError if expected == 75 else ProdgenError) as error:
        local_processes.raise_worst(workers)
    assert error.value.code == expected
    return None


def test_a_process_that_does_not_end_is_killed_after_the_grace(program, tmp_path):
    text = PROGRAM.replace("SIGTERM, stop", "SIGTERM, signal.SIG_IGN")
    (tmp_path / "program.py").write_text(text)
    start_s = time.monotonic()
    with pytest.raises(ProdgenError, match="process 0 ended with exit code 2"):
        launch(program, "0:2", grace=0.2)
    assert time.monotonic() - start_s < 10


def start_launcher(program, folder):
    """A launcher whose three processes are ready."""
    command = [sys.executable, "-m", "prodgen.launch", "local", "--processes=3", "--", *program]
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for_files(folder, "ready?")
    return process


def wait_for_files(folder, pattern):
    deadline_s = time.monotonic() + 20
    while len(list(folder.glob(pattern))) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert len(list(folder.glob(pattern))) == 3


def test_sigterm_reaches_all_processes(program, tmp_path):
    process = start_launcher(program, tmp_path)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 75, errors
    assert errors.splitlines()[-1].startswith("prodgen: ERROR stopped")
    wait_for_files(tmp_path, "stop?")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_processes_stop_when_the_launcher_is_killed(program, tmp_path):
    process = start_launcher(program, tmp_path)
    process.kill()
    process.wait()
    wait_for_files(tmp_path, "stop?")


def test_what_is_no_program_is_refused(program, tmp_path):
    with pytest.raises(MissingInput, match="other.py is not a file"):
        launch(["other.py"])
    with pytest.raises(UsageError, match="exclude each other"):
        launch(program, devices_per_process=1, gpus_per_process=1)
    with pytest.raises(UsageError, match="--process=0 belongs to the launcher"):
        launch([*program, "--process=0"])
    with pytest.raises(UsageError, match="no program was given"):
        launch([])
    with pytest.raises(UsageError, match="'ls' is no Python program"):
        launch(["ls"])
