"""Programs on PATH that record what they receive, in place of a cluster's."""

import json
import os
import subprocess
from pathlib import Path

from prodgen.launch import __main__ as launch

RECORD = """#!/usr/bin/env bash
printf '%s\\0' "${{0##*/}}" "$@" END >> "$RECORD"
{body}
"""
# Arguments in which a shell, YAML or Kubernetes reads something else.
AWKWARD = (
    "it's", 'a "quoted" b', "$HOME", "$(id)", "$$", "`id`", "back\\slash", "two\nlines", "*", "#1",
    "1e3", "on", "", "ä €😀", "-", "a:b", "%j", "{x}", "!",
)  # fmt: skip


def install(folder: Path, monkeypatch, **bodies: str) -> Path:
    """Put programs first on PATH, each with a body of shell; returns the file of their calls."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    for name, body in bodies.items():
        file = bin_folder / name
        file.write_text(RECORD.format(body=body))
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.setenv("RECORD", str(folder / "calls"))
    monkeypatch.setenv("HOME", str(folder))
    return folder / "calls"


def read_calls(file: Path) -> list[list[str]]:
    """The argument vectors of all calls, the program's name first."""
    calls, call = [], []
    for word in file.read_text().split("\0")[:-1] if file.exists() else []:
        if word == "END":
            calls.append(call)
            call = []
        else:
            call.append(word)
    return calls


def print_job(capsys, *arguments: str) -> str:
    """What a command of prodgen.launch prints."""
    launch.main(["launch", *arguments])
    return capsys.readouterr().out


def run_script(text: str, folder: Path, **environment: str) -> int:
    """The exit code of a shell script."""
    process = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=os.environ | environment, timeout=20,
        capture_output=True, text=True,
    )  # fmt: skip
    assert not process.stderr, process.stderr
    return process.returncode


def read_lines(file: Path) -> list:
    """The values of a file of JSON lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]
