"""Failpoints: nothing without the variable, one action at one pass with it, bad ones refused."""

import errno
import signal

import pytest

from prodgen.core import failpoints
from prodgen.core.errors import UsageError
from tests.tiny import ROOT


@pytest.fixture
def activate():
    """Activates a text of the environment variable, and nothing afterwards."""
    yield lambda text: failpoints.activate({failpoints.VARIABLE: text})
    failpoints.activate({})


def test_without_the_variable_no_place_does_anything():
    failpoints.activate({})
    calls = []
    for name in failpoints.FAILPOINTS:
        failpoints.failpoint(name, lambda name=name: calls.append(name))
    assert not calls


def test_an_error_is_raised_at_one_pass_only(activate):
    activate("prune.midway:2:raise:ENOSPC,save.mid_write:1:raise:EIO")
    calls = []
    failpoints.failpoint("prune.midway", lambda: calls.append(1))
    with pytest.raises(OSError) as error_info:
        failpoints.failpoint("prune.midway", lambda: calls.append(2))
    assert error_info.value.errno == errno.ENOSPC and calls == [2]
    failpoints.failpoint("prune.midway")
    with pytest.raises(OSError, match="Input/output error"):
        failpoints.failpoint("save.mid_write")


def test_signals_and_seconds(activate, monkeypatch):
    numbers, sleeps = [], []
    monkeypatch.setattr(failpoints.os, "kill", lambda pid, number: numbers.append(number))
    monkeypatch.setattr(failpoints.time, "sleep", sleeps.append)
    activate("compile.start:1:kill,sheet.before_write:1:term,evaluate.midway:1:sleep:0.5")
    for name in failpoints.FAILPOINTS:
        failpoints.failpoint(name)
    assert (numbers, sleeps) == ([signal.SIGKILL, signal.SIGTERM], [0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("save.before_comit:1:kill", "no failpoint 'save.before_comit'"),
        ("prune.midway:0:kill", "the hit '0'"),
        ("prune.midway:kill", "the hit 'kill'"),
        ("prune.midway:1", "no action ''"),
        ("prune.midway:1:stop", "no action 'stop'"),
        ("prune.midway:1:raise:EPERM", "no action 'raise:EPERM'"),
        ("prune.midway:1:sleep:soon", "no action 'sleep:soon'"),
    ],
)
def test_an_unknown_failpoint_or_action_is_a_usage_error(activate, text, message):
    with pytest.raises(UsageError, match=message):
        activate(text)


def test_every_failpoint_of_the_registry_has_one_place():
    source = "".join(path.read_text() for path in (ROOT / "prodgen").rglob("*.py"))
    for name in failpoints.FAILPOINTS:
        assert source.count(f'failpoint("{name}"') == 1, name
