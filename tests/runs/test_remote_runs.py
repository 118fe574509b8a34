"""Training, continuing and sampling in gs:// folders, of a fake store (tests/fake_gcs.py)."""

import json
import subprocess
import sys

import pytest

from benchmarks import _fault_runs
from prodgen.core import mirror
from tests import fake_gcs
from tests.parallel.test_processes import find_port
from tests.tiny import ROOT

pytestmark = pytest.mark.slow
FLAGS = (*_fault_runs.FLAGS, "--config.train.num_steps=12", "--config.train.sample_every=12")
RUN, CACHE = "gs://bucket/runs/vae", "gs://bucket/cache"


@pytest.fixture(scope="module")
def xla(tmp_path_factory):
    """A folder of compiled programs."""
    return tmp_path_factory.mktemp("xla")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    with fake_gcs.serve() as (bucket, url):
        for name, value in fake_gcs.environment(url).items():
            monkeypatch.setenv(name, value)
        fake_gcs.install()
        yield bucket


class Machine:
    """A machine with local copies of its own, and the programs that all machines compile."""

    def __init__(self, folder, xla):
        self.folder, self.xla = folder, xla

    def start(self, program, *flags, failpoint=""):
        environment = _fault_runs.make_environment(self.xla, failpoint)
        environment["XDG_CACHE_HOME"] = str(self.folder)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fake_gcs", program, *flags],
            cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def train(self, code, *flags, workdir=RUN, cache=CACHE, failpoint=""):
        """The output of a run that ends with an exit code."""
        flags = (*FLAGS, f"--workdir={workdir}", f"--config.data.cache_dir={cache}", *flags)
        process = self.start("run_train.py", *flags, failpoint=failpoint)
        outcome = _fault_runs.finish(process)
        assert outcome.code == code, outcome.output
        return outcome.output


def test_a_killed_run_goes_on_on_another_machine_with_equal_bits(
    bucket, xla, tmp_path, monkeypatch
):
    local = tmp_path / "local"
    first, second = Machine(tmp_path / "first", xla), Machine(tmp_path / "second", xla)
    first.train(0, workdir=local, cache=tmp_path / "data")
    output = first.train(-9, failpoint="save.mid_write:3:kill")
    assert "this storage has no locks" in output
    assert "runs/vae/.lock" in bucket.objects and "runs/vae/config.json" in bucket.objects
    stores = {name.split("/")[1] for name in bucket.objects if name.startswith("cache/")}
    assert any(f"cache/{name}/meta.json" in bucket.objects for name in stores)
    bucket.requests.clear()

    # Another machine (its lock's holder is dead on this one) fetches the data and the run.
    output = second.train(0)
    assert f"run      {RUN}, continued at step 8" in output and f"done     {RUN}/report" in output
    assert not [name for method, name in bucket.requests if method == "POST" and "cache" in name]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "reader"))
    copy = mirror.open_folder(RUN)
    assert _fault_runs.read_result(copy) == _fault_runs.read_result(local)
    assert not [name for name in bucket.objects if name.endswith(".lock")]
    for name in ("config.json", "report.html", "timing.jsonl", "curves.png", "data_report.html"):
        assert f"runs/vae/{name}" in bucket.objects

    # A reader needs nothing but the URI. What it writes without --out goes into the run's folder.
    reader = Machine(tmp_path / "reader", xla)
    flags = (f"--workdir={RUN}", "--n=4")
    for out in ((), (f"--out={tmp_path / 'grid.png'}",)):
        outcome = _fault_runs.finish(reader.start("run_sample.py", *flags, *out))
        assert outcome.code == 0, outcome.output
    assert (tmp_path / "grid.png").read_bytes() == bucket.objects["runs/vae/grid.png"][0]
    assert f"{tmp_path / 'grid.png'}\n" in outcome.output

    # A full or refusing store: 74 while it trains, 73 before it starts.
    bucket.refusal = 403
    output = second.train(73, "--config.train.num_steps=16")
    assert "gs://bucket/runs/vae is not writable" in output.splitlines()[-1]


def test_two_processes_with_copies_of_their_own(bucket, xla, tmp_path, monkeypatch):
    """As on two hosts: each has its own copy of the folder and of the cache."""
    monkeypatch.setenv(fake_gcs.SPLIT_VARIABLE, "1")
    port = find_port()
    processes = [
        Machine(tmp_path / f"host{index}", xla).start(
            "run_train.py", *FLAGS, f"--workdir={RUN}", f"--config.data.cache_dir={CACHE}",
            f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={index}",
        )
        for index in range(2)
    ]  # fmt: skip
    for process in processes:
        outcome = _fault_runs.finish(process)
        assert outcome.code == 0, outcome.output
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "reader"))
    lines = (mirror.open_folder(RUN) / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "loss" in json.loads(line)]
    assert steps == list(range(1, 13))
    names = {name for name in bucket.objects if "/checkpoints/12/" in name}
    assert {name.split("/")[4] for name in names} >= {"ocdbt.process_0", "ocdbt.process_1"}
    assert "runs/vae/logs/rank_1.log" in bucket.objects
