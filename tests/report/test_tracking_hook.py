"""A user's function that receives a run's records: docs/tracking.md, run against fake trackers."""

import re
import sys
import types

import pytest

import run_train
from prodgen.cli import commandline
from prodgen.config import flatten, set_field
from prodgen.core.errors import StoppedError, UsageError
from prodgen.report import writer
from prodgen.report.tracking_hook import TrackingHook, find_hook
from tests.tiny import ROOT, tiny

MAX_LINES = 10  # of an example in the docs


class FakeTracker(types.ModuleType):
    """A module each of whose functions records its call and returns the module itself."""

    def __init__(self, name, *functions):
        super().__init__(name)
        self.calls = []
        for function in functions:
            setattr(self, function, self._make_recorder(function))

    def _make_recorder(self, name):
        def record(*args, **options):
            self.calls.append((name, args, options))
            return self

        return record


FAKES = {
    "wandb": ("init", "log", "finish"),
    "mlflow": ("set_experiment", "start_run", "log_params", "log_metrics", "end_run"),
}


def write_example(tracker, folder):
    """The lines of the docs that send to a tracker, as a module in `folder`; the code itself."""
    page = (ROOT / "docs/tracking.md").read_text()
    (code,) = re.findall(rf"```python\n(import {tracker}\n.*?)```", page, re.DOTALL)
    (folder / f"{tracker}_tracking.py").write_text(code)
    return code


def write_a_run(workdir, config):
    """What the writer of a new run writes: one record of metrics, one of timing."""
    workdir.mkdir()
    run_writer = writer.open_writer(workdir, 0, config, "val/elbo", print)
    run_writer.write_metrics(5, {"loss": 0.25})
    run_writer.write_timing(5, {"steps_per_s": 2})
    run_writer.close()


@pytest.mark.parametrize("tracker", FAKES)
def test_the_example_of_the_docs_sends_every_record(tracker, tmp_path, monkeypatch):
    code = write_example(tracker, tmp_path)
    assert len([line for line in code.splitlines() if line]) <= MAX_LINES
    fake = FakeTracker(tracker, *FAKES[tracker])
    monkeypatch.setitem(sys.modules, tracker, fake)
    monkeypatch.chdir(tmp_path)
    config = tiny(train__hook=f"{tracker}_tracking:to_{tracker}")
    write_a_run(tmp_path / "vae-1a2b", config)
    records = [({"loss": 0.25}, 5), ({"steps_per_s": 2.0}, 5)]
    if tracker == "wandb":
        fields = {"project": "prodgen", "id": "vae-1a2b", "resume": "allow"}
        start = [("init", (), fields | {"config": config.to_dict()})]
        name, end = "log", ("finish", (), {})
    else:
        start = [
            ("set_experiment", ("prodgen",), {}),
            ("start_run", (), {"run_name": "vae-1a2b"}),
            ("log_params", (flatten(config),), {}),
        ]
        name, end = "log_metrics", ("end_run", (), {})
    expected_calls = [(name, (values,), {"step": step}) for values, step in records]
    assert fake.calls == [*start, *expected_calls, end]


def test_a_hook_leaves_the_files_of_a_run_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "greedy.py").write_text(
        "def start(workdir, config):\n    config.clear()\n"
        "    return lambda step, values: values.clear()\n"
    )
    config = tiny()
    write_a_run(tmp_path / "without", config)
    set_field(config, "train.hook", "greedy:start")
    write_a_run(tmp_path / "with", config)
    assert config.train.hook == "greedy:start"
    for name in ("metrics.jsonl", "timing.jsonl"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def open_hook(monkeypatch, function, tmp_path):
    """(a hook whose function is given, the lines that it prints)."""
    module = types.ModuleType("some_tracker")
    module.start = function
    monkeypatch.setitem(sys.modules, "some_tracker", module)
    lines = []
    return TrackingHook("some_tracker:start", tmp_path, {}, lines.append), lines


@pytest.mark.parametrize("error", [ConnectionError("no network\nat all"), SystemExit(3)])
def test_a_hook_that_fails_is_off_after_one_warning(error, tmp_path, monkeypatch):
    steps = []

    def write(step, values):
        steps.append(step)
        if step == 2:
            raise error

    write.close = lambda: steps.append("closed")
    hook, lines = open_hook(monkeypatch, lambda workdir, config: write, tmp_path)
    for step in (1, 2, 3):
        hook.write(step, {})
    hook.close()
    assert steps == [1, 2]
    text = {ConnectionError: "ConnectionError: no network", SystemExit: "SystemExit: 3"}
    assert lines == [
        f"WARNING  config.train.hook=some_tracker:start failed and is off: {text[type(error)]}"
    ]


def test_a_hook_that_cannot_be_opened_or_closed_is_a_warning(tmp_path, monkeypatch):
    hook, lines = open_hook(monkeypatch, lambda workdir, config: None, tmp_path)
    hook.write(1, {})
    hook.close()
    assert len(lines) == 1 and "it returned None, not a function write(step, values)" in lines[0]
    hook, lines = open_hook(monkeypatch, lambda workdir, config: 1 / 0, tmp_path)
    assert len(lines) == 1 and lines[0].endswith("ZeroDivisionError: division by zero")

    def write(step, values):
        pass

    write.close = lambda: 1 / 0
    hook, lines = open_hook(monkeypatch, lambda workdir, config: write, tmp_path)
    hook.close()
    hook.close()
    assert len(lines) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, StoppedError])
def test_a_signal_passes_through_a_hook(kind, tmp_path, monkeypatch):
    def write(step, values):
        raise kind("stopped by SIGINT")

    hook, lines = open_hook(monkeypatch, lambda workdir, config: write, tmp_path)
    with pytest.raises(kind):
        hook.write(1, {})
    assert not lines


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tracking", "is not MODULE:FUNCTION"),
        (":to_wandb", "is not MODULE:FUNCTION"),
        ("no_such_tracker:start", "cannot be imported (ModuleNotFoundError: No module named"),
        ("broken_tracker:start", "cannot be imported (SystemExit: 1)"),
        ("json:dmups", "is no function: json has none of this name"),
        ("json:__name__", "is no function"),
    ],
)
def test_a_wrong_name_is_a_usage_error(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_tracker.py").write_text("raise SystemExit(1)\n")
    path = list(sys.path)
    with pytest.raises(UsageError) as error_info:
        find_hook(name)
    assert f"config.train.hook={name} " in error_info.value.message
    assert message in error_info.value.message
    assert "config.train.hook=VALUE" in error_info.value.next_step
    assert sys.path == path


def test_a_wrong_name_ends_the_command_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["run_train.py", f"--config={ROOT}/configs/vae.py:quick", "--workdir=run"]
    command += ["--config.train.hook=no_such_tracker:start"]
    assert commandline.run(run_train.main, command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "config.train.hook=no_such_tracker:start cannot be imported" in line
    assert "--config.train.hook=VALUE" in line
    assert not (tmp_path / "run" / "config.json").exists()
