"""The folder of studies: what each has frozen, its runs, and the state of each run.

    DIR/NAME/study.json     the study as it was at its first `run`; DIR/NAME@VERSION of a version
    DIR/NAME/results.jsonl  one line for each finished run; study.html, study.md, study.tex
    DIR/runs/FINGERPRINT/   a run, with outcome.json and results/KEY.json; shared by all studies

A run is claimed by a lock of its folder, which the operating system releases when all of its
processes are gone. The state of a run follows from its folder alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

from prodgen.core.errors import UsageError, WorkdirError
from prodgen.core.files import write_atomically
from prodgen.experiments.study import (
    PlannedRun,
    RunIdentity,
    Study,
    describe_study,
    hash_study,
    list_cells,
)

STUDY_FILE, RESULTS_FILE, OUTCOME_FILE, LOG_FILE = (
    "study.json", "results.jsonl", "outcome.json", "log.txt",
)  # fmt: skip
IDENTITY_FIELDS = ("index", "seed", "key", "fingerprint", "num_steps")
CLAIM_FILE = ".claim"
STATES = ("done", "running", "failed", "unfinished", "missing")


Run = TypeVar("Run", bound=RunIdentity)


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """The folder of one study. base: --workdir. name: of the study, with its version."""

    base: Path
    name: str

    @property
    def path(self) -> Path:
        return self.base / self.name

    @property
    def results_file(self) -> Path:
        return self.path / RESULTS_FILE

    def run_path(self, run: RunIdentity) -> Path:
        """The folder of a run."""
        return self.base / "runs" / run.fingerprint

    def result_file(self, run: RunIdentity) -> Path:
        """The file with the line of a finished run."""
        return self.run_path(run) / "results" / f"{run.key}.json"

    def freeze(self, study: Study, runs: Sequence[PlannedRun]) -> None:
        """Write study.json before the first run; later `check` that nothing has changed."""
        if (self.path / STUDY_FILE).exists():
            return self.check(study, runs)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkdirError(
                f"--workdir={self.base} is not writable ({error.strerror})", "name another folder"
            ) from None
        record = {
            "version": hash_study(study, runs),
            "study": describe_study(study),
            "runs": [
                {name: getattr(run, name) for name in IDENTITY_FIELDS}
                | {"cell": run.cell.index, "name": run.cell.name}
                for run in runs
            ],
        }
        write_atomically(self.path / STUDY_FILE, json.dumps(record, indent=1).encode())
        return None

    def check(self, study: Study, runs: Sequence[PlannedRun]) -> None:
        """UsageError where the folder holds this study with another description or other runs."""
        record = self._read_record(study)
        if record and [run["key"] for run in record["runs"]] != [run.key for run in runs]:
            raise self._make_change_error(f"{study.base} (its fields give other runs)")

    def read_runs(self, study: Study) -> list[RunIdentity] | None:
        """The runs in study.json; None before the first run. UsageError as of `check`.

        They are read without building a config, so that the state of 1,000 runs takes no time.
        """
        record, cells = self._read_record(study), list_cells(study)
        if record is None:
            return None
        return [
            RunIdentity(cell=cells[run["cell"]], **{name: run[name] for name in IDENTITY_FIELDS})
            for run in record["runs"]
        ]

    def _read_record(self, study: Study) -> dict[str, Any] | None:
        """study.json; None where there is none. UsageError where the study was changed."""
        file = self.path / STUDY_FILE
        if not file.exists():
            return None
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            old, _ = record["study"], [(run["key"], run["cell"]) for run in record["runs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise WorkdirError(
                f"{file} is damaged ({error!r})", "restore it, or name another --workdir"
            ) from None
        new = describe_study(study)
        changes = [name for name in new if new[name] != old.get(name)]
        if changes:
            raise self._make_change_error(", ".join(changes))
        return record

    def _make_change_error(self, changes: str) -> UsageError:
        return UsageError(
            f"{self.path} holds another version of this study; changed: {changes}",
            "undo the change; or keep both with --version=NAME, which shares the equal runs",
        )


def read_state(folder: StudyFolder, run: RunIdentity) -> tuple[str, dict[str, Any]]:
    """(a name of STATES, what is known: step, exit_code, last_line) of a run."""
    path = folder.run_path(run)
    if folder.result_file(run).is_file():
        return "done", {}
    if not path.is_dir():
        return "missing", {}
    if is_claimed(path):
        return "running", {"step": _read_last_step(path)}
    try:
        outcome = json.loads((path / OUTCOME_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        outcome = {}
    # 75: stopped cleanly, to be continued; above 128: killed by a signal.
    if outcome.get("exit_code", 75) not in (0, 75) and outcome["exit_code"] <= 128:
        return "failed", outcome
    step = _read_last_step(path)
    return ("unfinished", outcome | {"step": step}) if step else ("missing", outcome)


def _read_last_step(path: Path) -> int:
    """The step of the last line of metrics.jsonl, 0 without one."""
    with contextlib.suppress(OSError), open(path / "metrics.jsonl", "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        for line in reversed(file.read().splitlines()):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return int(json.loads(line)["step"])
    return 0


def claim(path: Path) -> TextIO | None:
    """The open, locked claim of a run's folder; None where another process has it.

    Processes that inherit the file keep the lock until the last of them ends.
    """
    path.mkdir(parents=True, exist_ok=True)
    file = open(path / CLAIM_FILE, "a", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def is_claimed(path: Path) -> bool:
    """Whether a process works on the run in this folder."""
    try:
        file = open(path / CLAIM_FILE, encoding="utf-8")  # noqa: SIM115
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def iterate_states(
    folder: StudyFolder, runs: Sequence[Run], finished_keys: set[str]
) -> Iterator[tuple[Run, str, dict[str, Any]]]:
    """The state of every run; those of `finished_keys` have a line in a file of results."""
    for run in runs:
        state = ("done", {}) if run.key in finished_keys else read_state(folder, run)
        yield run, *state
