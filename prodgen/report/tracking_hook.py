"""A user's function that receives what a training logs: config.train.hook, docs/tracking.md."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prodgen.core.errors import StoppedError, UsageError

FIELD = "config.train.hook"


def find_hook(name: str) -> Callable[[Path, dict[str, Any]], Any]:
    """The function of MODULE:FUNCTION, of a module in the current folder or an installed one.

    UsageError where there is none, or where the module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise _make_name_error(name, "is not MODULE:FUNCTION")
    try:
        with _import_from_current_folder():
            module = importlib.import_module(module_name)
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's module raises
        problem = f"cannot be imported ({describe_error(error)})"
        raise _make_name_error(name, problem) from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise _make_name_error(name, f"is no function: {module_name} has none of this name")
    return function


def _make_name_error(name: str, problem: str) -> UsageError:
    return UsageError(
        f"{FIELD}={name} {problem}",
        "name a function as config.train.hook=VALUE, with MODULE:FUNCTION as in docs/tracking.md",
    )


@contextlib.contextmanager
def _import_from_current_folder() -> Iterator[None]:
    """Within the context, imports look into the current folder first."""
    path = list(sys.path)
    sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path


def describe_error(error: BaseException) -> str:
    """The kind of an error and the first line of its text."""
    text = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class TrackingHook:
    """The opened hook of a run. Where it fails it is off from then on, and the training goes on.

    name: MODULE:FUNCTION. The function is called once with the run's folder and config, a nested
    dict, and returns `write(step, values)`, with a `close()` where that is needed. say: prints the
    warning of a failure. UsageError as in `find_hook`.
    """

    def __init__(
        self, name: str, workdir: Path, config: dict[str, Any], say: Callable[[str], None]
    ):
        self._name, self._say = name, say
        self._receiver: Callable[[int, dict[str, float]], Any] | None = None
        function = find_hook(name)
        with self._turn_off_on_error():
            receiver = function(workdir, config)
            if not callable(receiver):
                raise TypeError(f"it returned {receiver!r}, not a function write(step, values)")
            self._receiver = receiver

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Pass on the values of one record."""
        if self._receiver is not None:
            with self._turn_off_on_error():
                self._receiver(step, dict(values))

    def close(self) -> None:
        """Close what the function has opened, once."""
        receiver, self._receiver = self._receiver, None
        if hasattr(receiver, "close"):
            with self._turn_off_on_error():
                receiver.close()

    @contextlib.contextmanager
    def _turn_off_on_error(self) -> Iterator[None]:
        """Within the context an error turns the hook off; signals that stop the run pass through.

        A hook that leaves by `sys.exit` does not end the training either.
        """
        try:
            yield
        except StoppedError:
            raise
        except (Exception, SystemExit) as error:
            self._receiver = None
            self._say(f"WARNING  {FIELD}={self._name} failed and is off: {describe_error(error)}")
