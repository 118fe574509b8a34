"""Tracebacks of other threads, collected instead of printed while a command runs.

The threads that write checkpoints print a traceback each where a write fails. Their errors reach
the main thread as exceptions, which end the command with one line.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator


@contextlib.contextmanager
def collect_thread_errors() -> Iterator[list[str]]:
    """Within the context, tracebacks of other threads are appended to a list, not printed.

    C++ threads print theirs through `sys.excepthook`, destructors through `sys.unraisablehook`.
    """
    tracebacks: list[str] = []

    def collect(error_type, error, trace, *_) -> None:
        tracebacks.append("".join(traceback.format_exception(error_type, error, trace)))

    def collect_args(args) -> None:
        collect(args.exc_type, args.exc_value, args.exc_traceback)

    previous = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook, threading.excepthook, sys.unraisablehook = collect, collect_args, collect_args
    try:
        yield tracebacks
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = previous
