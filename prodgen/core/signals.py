"""Handlers of SIGTERM and Ctrl-C for the time of a context."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from prodgen.core.errors import StoppedError


@contextlib.contextmanager
def handle_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Within the context `handler(number, frame)` receives SIGTERM and SIGINT (Ctrl-C)."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


def stop_at_once(number: int, frame: Any) -> None:
    """A handler for the time outside of the training loop, when no computed state is lost."""
    name = signal.Signals(number).name
    raise StoppedError(
        f"stopped by {name} outside training", "give the same command again to continue"
    )
