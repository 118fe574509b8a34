"""A run that meets a fault of each kind in turn, each time continued, ends with equal bits."""

import importlib
import os

import pytest
from absl import flags

from benchmarks import _fault_cases, _fault_processes, _fault_runs, _fault_tests
from prodgen.runs.checkpoint_files import list_steps
from tests.tiny import ROOT

# (failpoint, exit code): one start of the run each, one after the other.
FAULTS = [
    ("save.before_commit:2:kill", -9),
    ("restore.after_verify:1:kill", -9),
    ("metrics.mid_line:4:raise:ENOSPC", 74),
    ("evaluate.midway:1:term", 75),
    ("prune.midway:1:kill", -9),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The uninterrupted run, with the compiled programs of the tests."""
    base = _fault_cases.Base(tmp_path_factory.mktemp("faults"))
    base.prepare()
    return base


@pytest.mark.slow
def test_a_run_survives_a_fault_of_each_kind(base):
    workdir = base.make_workdir()
    for failpoint, code in FAULTS:
        last_step = max(list_steps(workdir), default=0)
        outcome = _fault_runs.expect_code(base.start(workdir, failpoint=failpoint), code)
        assert max(list_steps(workdir), default=0) >= last_step
        assert _fault_runs.count_lost_steps(workdir) <= _fault_runs.MAX_LOST_STEPS
        assert code < 0 or "last good checkpoint: step" in outcome.last_line
    # The sixth start is supervised: it is killed once more, and continues by itself.
    # At its 28th line it is past half of the remaining steps, so that it is killed once or twice.
    process = base.start(workdir, "--max_restarts=3", failpoint="metrics.mid_line:28:kill")
    outcome = _fault_runs.expect_code(process, 0)
    assert "ended by SIGKILL" in outcome.output and "restart 1 of 3" in outcome.output
    _fault_runs.check_result(workdir, base.reference)


@pytest.mark.slow
def test_of_two_processes_one_is_told_to_stop_and_both_save(base):
    (trial,) = _fault_processes.terminate_one(base, 1, None)
    assert trial.is_survived, trial.problem


def test_the_tests_that_cover_faults_exist():
    tests = [test for section in _fault_tests.COVERAGE.values() for test in section.values()]
    for path, _, name in (test.partition("::") for test in tests):
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_unknown_failpoints_end_a_command(tmp_path):
    process = _fault_runs.start(tmp_path / "run", tmp_path, failpoint="nowhere:1:kill")
    outcome = _fault_runs.expect_code(process, 2)
    assert "there is no failpoint 'nowhere'" in outcome.last_line
    assert not os.path.exists(tmp_path / "run")


def test_a_section_without_its_flags_is_skipped_with_the_reason():
    names_before = set(flags.FLAGS)
    faults = importlib.import_module("benchmarks.faults")
    assert set(faults.CASES) | set(_fault_tests.COVERAGE) | {"save"} == set(faults.SECTIONS)
    for name in set(flags.FLAGS) - names_before:
        delattr(flags.FLAGS, name)
