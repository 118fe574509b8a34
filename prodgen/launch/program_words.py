"""The program that is launched: a list of words, without the interpreter."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prodgen.core.errors import UsageError

PROCESS_FLAGS = ("coordinator", "processes", "process")  # a launcher or the cluster sets them
# RFC 1123: the label of a host name. A service's name may not begin with a digit (RFC 1035).
LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
MAX_NAME_LENGTH = 40  # Kubernetes appends the names of jobs and pods; a host name has at most 63
MAX_PORT = 65_535


def check_program(words: Sequence[str]) -> None:
    """UsageError where `words` is no program, or sets a flag that the launcher sets."""
    if not words or not (words[0].endswith(".py") or (words[0] == "-m" and len(words) > 1)):
        begin = f"{words[0]!r} is no Python program" if words else "no program was given"
        raise UsageError(begin, "write it after a separate --, as in -- run_train.py --config=FILE")
    for word in words:
        name = word.lstrip("-").partition("=")[0]
        if word.startswith("-") and name in PROCESS_FLAGS:
            raise UsageError(
                f"{word} belongs to the launcher, which numbers the processes", "leave it out"
            )


def check_name(name: str) -> None:
    """UsageError where a job's name is not a label of RFC 1123 that begins with a letter."""
    if not LABEL.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        raise UsageError(
            f"--name={name!r} is not a name of a job",
            f"take 1 to {MAX_NAME_LENGTH} lower-case letters, digits and -, first a letter, "
            "last no -",
        )


def check_one_line(flag: str, text: str) -> None:
    """UsageError where a text holds a line break or another control character."""
    if any(not character.isprintable() for character in text):
        raise UsageError(f"{flag}={text!r} has a control character", "write it on one line")


def find_flag(words: Sequence[str], name: str) -> str:
    """The last value of a flag among the program's words, --name=VALUE or --name VALUE; ""."""
    value = ""
    for i, word in enumerate(words):
        flag, equals, text = word.partition("=")
        if flag in (f"--{name}", f"-{name}"):
            value = text if equals else "".join(words[i + 1 : i + 2])
    return value


def is_remote_path(path: str) -> bool:
    """Whether a path is of a store such as gs://bucket/folder."""
    return re.match(r"[a-z][a-z0-9+.-]*://.", path) is not None
