"""When a watchdog ends its process: no sign of life, no progress of any process, no contact."""

import threading
from types import SimpleNamespace

import pytest

from prodgen.parallel.key_values import NoAnswer, call_within
from prodgen.parallel.watchdog import Watchdog
from tests.tiny import tiny

INTERVAL_S = 40.0  # between two beats here
OPTIONS = tiny(
    parallel__watchdog_s=100.0, parallel__heartbeat_timeout_s=60.0,
    parallel__compile_timeout_s=1000.0,
).parallel  # fmt: skip


class DictStore:
    """A key-value store of this process; `is_open`: whether it answers."""

    def __init__(self):
        self.texts, self.is_open = {}, True

    def set(self, key, text, overwrite=False):
        if not self.is_open:
            raise NoAnswer
        self.texts[key] = text

    def read_folder(self, folder):
        if not self.is_open:
            raise NoAnswer
        names = [key for key in self.texts if key.startswith(folder)]
        return {name.removeprefix(folder): self.texts[name] for name in names}


@pytest.fixture
def pair(monkeypatch):
    """The watchdogs of two processes, whose threads do nothing; `errors`: those that ended one."""
    monkeypatch.setattr(Watchdog, "_run", lambda self: None)
    monkeypatch.setattr(Watchdog, "_handle_abort", lambda self: None)
    store = DictStore()

    def make(index):
        errors = []
        peers = SimpleNamespace(
            index=index, count=2, read_error=lambda: None, share=lambda error: (error, True),
            end_process=lambda error, is_first: errors.append(str(error)),
        )  # fmt: skip
        watchdog = Watchdog(peers, store, OPTIONS)
        watchdog.errors = errors
        return watchdog

    return make(0), make(1)


def beat(watchdogs, beats):
    """Let time pass for these watchdogs; `beats` are the numbers of their beats."""
    for number in beats:
        for watchdog in watchdogs:
            watchdog._exchange(number, INTERVAL_S)
        for watchdog in watchdogs:
            watchdog._check(INTERVAL_S)


def test_a_phase_may_compile_once_and_then_needs_progress(pair):
    pair[0].enter("waiting: sheets")
    pair[1].enter("evaluating", is_slow=True)
    beat(pair, range(10))
    assert pair[0].errors == pair[1].errors == []  # 400 s in which process 1 may compile
    pair[1].report_progress()
    beat(pair, range(10, 13))
    assert pair[0].errors == []
    beat(pair, range(13, 15))  # process 0 reads the beats of process 1 one beat later
    message = "no process has made progress for 120 s: process 0: waiting: sheets, process 1: eval"
    assert pair[0].errors[0].startswith(message) and pair[1].errors[0].startswith(message)


def test_a_phase_that_has_ended_once_is_compiled(pair):
    for watchdog in pair:
        watchdog.leave(watchdog.enter("evaluating", is_slow=True))
        watchdog.enter("evaluating", is_slow=True)
    beat(pair, range(5))
    assert "process 0: evaluating, process 1: evaluating" in pair[0].errors[0]


def test_the_progress_of_one_process_is_enough(pair):
    for number in range(10):
        pair[1].enter("preparing the data")
        pair[1].report_progress()
        beat(pair, [number])
    assert pair[0].errors == pair[1].errors == []


def test_a_silent_process_or_a_silent_coordinator_ends_the_wait(pair):
    beat(pair, [0])
    beat(pair[:1], [1, 2, 3])
    assert pair[0].errors == ["process 1 has given no sign of life for 60 s"]
    assert pair[0].count_living_peers() == 0
    pair[1]._store.is_open = False
    beat(pair[1:], [1, 2])
    assert pair[1].errors == ["process 0 has given no sign of life for 60 s"]


def test_a_call_that_fails_or_never_returns_has_no_answer():
    assert call_within(5.0, lambda: 3) == 3
    with pytest.raises(NoAnswer, match="division by zero"):
        call_within(5.0, lambda: 1 / 0)
    gate = threading.Event()
    with pytest.raises(NoAnswer, match=r"no answer in 0\.01 s"):
        call_within(0.01, gate.wait)
    gate.set()
