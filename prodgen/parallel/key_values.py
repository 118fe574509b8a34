"""Texts that the processes of a run share, in the key-value store of JAX's coordinator.

A call to a coordinator that is gone or stopped may never return: each one has a time limit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

ANSWER_S = 5.0  # in which the coordinator answers
T = TypeVar("T")


class KeyValueStore:
    """The store of the coordinator; NoAnswer where a call fails or does not return in time."""

    def __init__(self, client: Any):
        """client: of jax.distributed, connected."""
        self._client = client

    def set(self, key: str, text: str, overwrite: bool = False) -> None:
        """Give a key its text. NoAnswer where it has one already, unless `overwrite`."""
        call_within(
            ANSWER_S, lambda: self._client.key_value_set(key, text, allow_overwrite=overwrite)
        )

    def read_folder(self, folder: str) -> dict[str, str]:
        """The texts of all keys in `folder`, which ends with "/", by the rest of the key."""
        entries = call_within(ANSWER_S, lambda: self._client.key_value_dir_get(folder))
        return {key.removeprefix(folder): text for key, text in entries}


class NoAnswer(Exception):
    """A call has failed, or has not returned in time."""


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """The result of a function; NoAnswer if it raises an error, or has not returned in time.

    It runs in a thread, which goes on after that time.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def call() -> None:
        try:
            results.append(function())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    raise NoAnswer(str(errors[0]) if errors else f"no answer in {seconds:g} s")
