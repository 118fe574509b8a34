"""benchmarks/accelerator.py: what it resumes, skips and gives up, and what it reads in a trace."""

import dataclasses
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
import types

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import _accelerator_plan as plan
from benchmarks import _accelerator_processes as processes
from benchmarks import _accelerator_sections as sections
from benchmarks import _accelerator_trace as trace
from benchmarks import _accelerator_training as training
from benchmarks._accelerator_record import Record, draw_chart, format_table
from prodgen.core.errors import BadData, ProdgenError, UsageError
from prodgen.core.types import Spec
from tests.tiny import ROOT

DEVICE = {"device_kind": "NVIDIA H200", "jax": "0.12.0"}
SETTINGS = {"is_tiny": False, "images": ""}
OPTIONS = plan.Options(ROOT)


class ScriptedWorker:
    """A worker without a process, which answers as `answers` says, else with a rate."""

    answers: dict[str, dict] = {}
    devices: dict[bool, dict | None] = {}
    log: list = []

    def __init__(self, options, is_deterministic):
        self.is_deterministic, self.is_alive, self.error = is_deterministic, True, "no driver"
        self.device = self.devices.get(is_deterministic, DEVICE)
        self.log.append("start")

    def measure(self, section, limit_s, remaining_s):
        self.log.append(section.name)
        result = {"images_per_s": 2.0, "batch_size": 1}
        answer = self.answers.get(
            section.name, {"status": "finished", "seconds": 1.0, "result": result}
        )
        self.is_alive = answer["status"] != "stopped"
        return answer

    def close(self):
        self.log.append("close")


@pytest.fixture
def worker(monkeypatch):
    """ScriptedWorker in place of the process."""
    monkeypatch.setattr(processes, "Worker", ScriptedWorker)
    for name, value in {"answers": {}, "devices": {}, "log": []}.items():
        monkeypatch.setattr(ScriptedWorker, name, value)
    return ScriptedWorker


def measure(record, seconds=10_000.0, names=plan.SECTIONS):
    processes.measure_sections(names, OPTIONS, record, time.monotonic() + seconds)


def test_a_second_call_measures_what_is_not_finished(worker, tmp_path):
    first, second, *_ = (section.name for section in plan.SECTIONS[1:])
    worker.answers = {
        first: {"status": "stopped", "reason": "it took more than 9 s"},
        second: {"status": "failed", "reason": "out of memory", "seconds": 1.0},
    }
    record = Record(tmp_path, SETTINGS)
    measure(record)
    # A new process after the one that was stopped, and for each change of the kernels.
    num_changes = sum(
        a.is_deterministic != b.is_deterministic for a, b in itertools.pairwise(plan.SECTIONS)
    )
    assert worker.log.count("start") == worker.log.count("close") == 2 + num_changes
    statuses = {name: entry["status"] for name, entry in record.sections.items()}
    assert statuses.pop(first) == "stopped" and statuses.pop(second) == "failed"
    assert set(statuses.values()) == {"finished"} and len(statuses) == len(plan.SECTIONS) - 2
    table = format_table(record, plan.SECTIONS)
    assert f"| {first} |  | stopped: it took more than 9 s |" in table
    assert "NVIDIA H200, JAX 0.12.0" in table and "of the speed" not in table

    worker.answers, worker.log = {}, []
    record = Record(tmp_path, SETTINGS)
    measure(record)
    assert worker.log == ["start", first, second, "close"]
    assert record.sections[first]["attempts"] == 2
    assert "costs 0.0% of the speed" in format_table(record, plan.SECTIONS)


def test_a_section_that_does_not_fit_the_time_is_skipped(worker, tmp_path):
    shortest = min(plan.SECTIONS, key=lambda section: section.estimate_s)
    record = Record(tmp_path, SETTINGS)
    measure(record, shortest.estimate_s + 1)
    for section in plan.SECTIONS:
        entry = record.sections[section.name]
        is_short = section.estimate_s == shortest.estimate_s
        assert entry["status"] == ("finished" if is_short else "skipped")
        assert is_short or f"needs about {section.estimate_s:.0f} s" in entry["reason"]
    content = json.loads((tmp_path / "accelerator.json").read_text())
    assert content["sections"] == record.sections and content["device"] == DEVICE


def test_results_of_another_device_or_with_other_images_are_not_mixed(worker, tmp_path):
    measure(Record(tmp_path, SETTINGS), names=plan.SECTIONS[:1])
    with pytest.raises(UsageError, match="has results with the settings images=, now a.npz"):
        Record(tmp_path, SETTINGS | {"images": "a.npz"})
    worker.devices = {False: DEVICE | {"device_kind": "NVIDIA L4"}}
    with pytest.raises(UsageError, match="device_kind=NVIDIA H200, now NVIDIA L4"):
        measure(Record(tmp_path, SETTINGS))
    (tmp_path / "accelerator.json").write_text("{")
    with pytest.raises(BadData, match="is damaged"):
        Record(tmp_path, SETTINGS)


def test_without_a_device_or_a_correct_one_nothing_is_measured(worker, tmp_path):
    worker.devices = {False: None}
    with pytest.raises(UsageError, match="the device did not open: no driver"):
        measure(Record(tmp_path, SETTINGS))
    worker.devices = {}
    worker.answers = {"self-test": {"status": "failed", "reason": "a matrix product is wrong"}}
    with pytest.raises(ProdgenError, match="self-test: a matrix product is wrong"):
        measure(Record(tmp_path, SETTINGS))
    # Only the deterministic process does not open: the other sections are measured.
    worker.devices, worker.answers = {True: None}, {}
    record = Record(tmp_path, SETTINGS)
    measure(record)
    statuses = [record.sections[section.name]["status"] for section in plan.SECTIONS]
    assert statuses.count("failed") == sum(section.is_deterministic for section in plan.SECTIONS)
    assert statuses.count("finished") == len(statuses) - statuses.count("failed")


def test_a_worker_that_is_silent_or_ends_is_given_up():
    for is_silent in (True, False):
        here, there = multiprocessing.Pipe()
        if not is_silent:
            there.close()
        silent_worker = object.__new__(processes.Worker)
        silent_worker.connection = here
        silent_worker.process = types.SimpleNamespace(
            join=lambda *seconds: None, kill=lambda: None, exitcode=-6
        )
        answer = silent_worker.measure(plan.SECTIONS[0], 0.01, 1.0) if is_silent else None
        answer = answer or silent_worker._receive(1.0)
        reason = "it took more than 0 s" if is_silent else "its process ended with code -6"
        assert answer == {"status": "stopped", "reason": reason}


def test_large_networks_are_not_measured_on_a_processor():
    with pytest.raises(UsageError, match="JAX sees no accelerator"):
        sections.start_session(OPTIONS, is_deterministic=False)


def event(pid, tid, start, duration):
    return {"ph": "X", "pid": pid, "tid": tid, "ts": start, "dur": duration, "name": "op"}


def names_of(pid, process, **threads):
    """Metadata events of a process and its threads, as in t1="Stream #1"."""
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": process}}
    for tid, name in threads.items():
        args = {"name": name}
        yield {"ph": "M", "pid": pid, "tid": int(tid[1:]), "name": "thread_name", "args": args}


def test_the_idle_share_is_what_no_stream_covers():
    gpu = names_of(1, "/device:GPU:0", t1="Stream #20(Compute)", t2="Stream #21(Memcpy)",
                   t3="XLA Modules")  # fmt: skip
    events = [
        *names_of(9, "/host:CPU", t1="tf_XLAEigen/1"),
        *gpu,
        event(9, 1, 0, 1000),
        event(1, 3, 0, 1000),  # a module's whole time covers its gaps
        event(1, 1, 100, 100),
        event(1, 2, 150, 150),  # overlaps, to 300
        event(1, 1, 340, 60),  # a gap of 40
        event(1, 1, 350, 10),  # inside
        event(1, 1, 410, 90),  # a gap of 10
    ]
    result = trace.summarise_intervals(trace.find_device_intervals(events))
    assert result["idle_share"] == pytest.approx(50 / 400)
    assert result["largest_gap_share"] == pytest.approx(40 / 400)
    assert result["largest_gap_us"] == 40 and result["span_ms"] == pytest.approx(0.4)
    on_cpu = [e for e in events if e["pid"] == 9]
    assert trace.find_device_intervals(on_cpu) == [(0, 1000)]
    with pytest.raises(ValueError, match="no event"):
        trace.summarise_intervals(trace.find_device_intervals([]))


def test_the_peak_is_that_of_the_device_that_jax_names():
    peaks = {
        "NVIDIA H200": 989e12, "NVIDIA A100-SXM4-80GB": 312e12, "NVIDIA H100 80GB HBM3": 989e12,
        "TPU v5 lite": 197e12, "TPU v5": 459e12, "TPU v4": 275e12, "TPU v6 lite": 918e12,
        "NVIDIA L40S": None, "cpu": None,
    }  # fmt: skip
    assert {kind: sections.find_peak_flops(kind) for kind in peaks} == peaks


def test_steps_take_their_programs_in_turn_and_every_step_reports_once():
    calls = []

    def make_program(name):
        def program(state, batches, frozen):
            calls.append((name, *batches))
            return state + 1, {"skipped_in_a_row": jnp.int32(0), "step": state}

        return program

    loop = training.Training(
        config=None, store=None, mesh=None, frozen_and_seed=({}, 0), state=jnp.int32(0),
        family=types.SimpleNamespace(real_batches=lambda config: 2), feed=itertools.count(),
        programs=[make_program("penalised"), make_program("plain")],
    )  # fmt: skip
    steps = []
    assert training.run_steps(loop, 3, lambda metrics: steps.append(int(metrics["step"]))) > 0
    training.run_steps(loop, 1)
    assert calls == [("penalised", 0, 1), ("plain", 2, 3), ("penalised", 4, 5), ("plain", 6, 7)]
    assert steps == [0, 1, 2] and loop.step == 4


def test_every_workload_is_a_valid_config_on_one_device():
    assert set(plan.WORKLOADS) == set(plan.TINY_WORKLOADS)
    for name in plan.WORKLOADS:
        config = plan.read_workload(name, is_tiny=False)
        assert config.parallel.devices == 1 and config.data.resolution >= 32
        assert plan.read_workload(name, is_tiny=True).data.resolution == 16
    for section in plan.SECTIONS:
        assert callable(getattr(sections, section.function))
    with pytest.raises(UsageError, match="--sections=gpu names no section"):
        plan.select_sections(["gpu"])
    names = [section.name for section in plan.select_sections(["idle", "self"])]
    assert names == ["self-test", "idle: gan:gpu64", "idle: dcgan at 64 px"]


def test_images_of_a_file_are_checked(tmp_path):
    path = tmp_path / "images.npz"
    options = dataclasses.replace(OPTIONS, images=str(path), is_tiny=True)
    np.savez(path, np.zeros((3, 16, 16, 3), np.uint8))
    assert sections.load_images(options).shape == (3, 16, 16, 3)
    np.savez(path, np.zeros((3, 16, 16, 3), np.float32))
    sections.load_images.cache_clear()
    with pytest.raises(BadData, match=r"holds float32 \[3, 16, 16, 3\]"):
        sections.load_images(options)
    path.write_bytes(b"no zip")
    with pytest.raises(BadData, match="cannot be read"):
        sections.load_images(options)


def test_a_store_in_memory_has_the_rows_of_a_store():
    store = training.make_synthetic_store(16)
    rows = store.fetch(np.array([5, 5, 0]))
    assert rows["image"].shape == (3, 16, 16, 3) and rows["image"].dtype == np.uint8
    np.testing.assert_array_equal(rows["image"][0], rows["image"][1])
    assert rows["image"][0].std() > 10 and rows["label"].max() < len(store.spec.classes)
    assert rows["attributes"].shape == rows["known"].shape == (3, store.spec.num_columns)
    plain = training.make_store(rows["image"], Spec(16, 3))
    assert (plain.rows["label"] == -1).all() and plain.rows["attributes"].shape == (3, 0)
    assert len(plain.ids("train")) == 3 and len(plain.ids("validation")) == 0


@pytest.mark.slow
def test_every_section_runs_on_a_cpu(tmp_path):
    """The whole program, tiny; a second call has nothing to do."""
    images = tmp_path / "images.npz"
    np.savez(images, np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8))
    command = [sys.executable, "benchmarks/accelerator.py", "--tiny", "--minutes=30"]
    command += [f"--out={tmp_path / 'out'}", f"--images={images}"]
    output = ""
    for _ in range(2):
        run = subprocess.run(command, cwd=ROOT, env=os.environ | {"JAX_PLATFORMS": "cpu"},
                             capture_output=True, text=True)  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
        output = run.stdout
    assert output.count("finished before") == len(plan.SECTIONS)
    content = json.loads((tmp_path / "out" / "accelerator.json").read_text())
    results = {name: entry["result"] for name, entry in content["sections"].items()}
    assert set(results) == {section.name for section in plan.SECTIONS}
    gflop = {name: results[f"groups: {name}"]["gflop_per_image"] for name in plan.GROUP_FORMS}
    assert gflop["native"] == gflop["packs"] != gflop["dense"] > 0
    assert results["deterministic: dcgan at 64 px"]["is_equal_to_the_bit"]
    losses = [results[f"precision: {name}"]["loss"] for name in ("float32", "bfloat16")]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
    assert 0 <= results["idle: gan:gpu64"]["largest_gap_share"] <= 1
    assert {"resident", "numpy"} <= set(results["feeds: dcgan at 64 px"])
    assert results["training: gan:gpu128"]["data"] == "24 images of images.npz"
    for name in ("sheet.png", "chart.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
    record = Record(tmp_path / "out", content["settings"])
    assert draw_chart(record).height > 26 * len(plan.SECTIONS) // 2
