"""An opened study: its file, its runs, its folder and its finished lines."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path

from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.experiments import results
from prodgen.experiments.study import (
    Cell,
    PlannedRun,
    RunIdentity,
    Study,
    expand,
    list_cells,
    load_study,
)
from prodgen.experiments.study_folder import StudyFolder

VERSION_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Flags of every command."""

    workdir: str = option("studies", "The folder of all studies; runs that are equal are shared.")
    version: str = option("", "The name of a version, where the study was changed after a run.")


@dataclasses.dataclass(frozen=True)
class StudySession:
    """One study and its folder, as a command works on it."""

    file: Path
    study: Study
    folder: StudyFolder
    version: str = ""
    scale: str = ""

    @functools.cached_property
    def runs(self) -> list[PlannedRun]:
        """Every run, expanded; UsageError where the folder holds another version."""
        runs = expand(self.study, self.file)
        if not self.scale:
            self.folder.check(self.study, runs)
        return runs

    @functools.cached_property
    def identities(self) -> list[RunIdentity]:
        """Every run, from study.json where that exists."""
        return self.folder.read_runs(self.study) or self.runs

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """The cells of the study."""
        return list_cells(self.study)

    @property
    def committed_file(self) -> Path:
        """The file of finished lines beside the study."""
        return results.name_committed_file(self.file, self.version)

    def read_lines(self) -> dict[str, results.Line]:
        """{key: line} of the finished runs."""
        return results.collect_lines(self.folder, self.identities, self.committed_file)

    def order_lines(self, lines: Mapping[str, results.Line]) -> list[results.Line]:
        """The lines in the order of the runs, each once."""
        keys = dict.fromkeys(run.key for run in self.identities)
        return [lines[key] for key in keys if key in lines]


def open_session(file: Path, options: StudyOptions) -> StudySession:
    """The study of a file; UsageError for a wrong one."""
    study = load_study(file)
    if options.version and not VERSION_NAME.fullmatch(options.version):
        raise UsageError(
            f"--version={options.version!r} is not a name of letters, digits, - and _",
            "name it as in --version=v2",
        )
    name = f"{file.stem}@{options.version}" if options.version else file.stem
    folder = StudyFolder(Path(options.workdir).expanduser(), name)
    return StudySession(file, study, folder, options.version)


def parse_duration(text: str, flag: str) -> float:
    """The seconds of a text such as 90m, 6h or 45s; UsageError for another one."""
    match = DURATION.fullmatch(text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(f"{flag}={text} is not a time", "write it as 45s, 90m or 6h")
    return float(match[1]) * SECONDS[match[2]]


def parse_indices(texts: tuple[str, ...], num_runs: int) -> list[int]:
    """The indices of a flag such as 3,7-9; UsageError for one that the study does not have."""
    indices: list[int] = []
    for text in texts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not low <= high < num_runs:
            raise UsageError(
                f"--index={text} is no run of the study: it has {num_runs}, from 0 to "
                f"{num_runs - 1}",
                "write indices as 3 or 7-9",
            )
        indices += range(low, high + 1)
    return list(dict.fromkeys(indices))
