"""Which checkpoints a run has: their steps, manifests and scores, and their damage. Needs no JAX.

A run is named by its folder, or by the local copy of a remote one (core/mirror.py), whose
checkpoints are read and written in the store itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prodgen.core.errors import BadCheckpoint
from prodgen.core.failpoints import failpoint
from prodgen.core.folders import LocalFolder
from prodgen.core.mirror import find_uri
from prodgen.core.remote_files import RemoteFolder

MANIFEST_NAME = re.compile(r"(\d+)\.sha256\.json")


def open_checkpoints(run: Path) -> LocalFolder | RemoteFolder:
    """The folder of a run's checkpoints."""
    uri = find_uri(run)
    if uri is not None:
        return RemoteFolder(f"{uri}/checkpoints")
    return LocalFolder(Path(run).absolute() / "checkpoints")


def list_steps(run: Path) -> list[int]:
    """The steps of committed checkpoints, ascending."""
    names = open_checkpoints(run).list_names()
    return sorted(int(match[1]) for name in names if (match := MANIFEST_NAME.fullmatch(name)))


def name_manifest(step: int) -> str:
    """The name of a checkpoint's manifest, which makes it count."""
    return f"{step}.sha256.json"


def read_manifest(run: Path, step: int) -> dict[str, Any]:
    """The manifest of a checkpoint: step, score, files, leaves."""
    return json.loads(open_checkpoints(run).read(name_manifest(step)))


def read_score(run: Path, step: int) -> float | None:
    """The validation score of a checkpoint; None where there is none or it cannot be read."""
    try:
        return read_manifest(run, step)["score"]
    except (OSError, ValueError, KeyError):
        return None


def find_best_step(run: Path) -> int | None:
    """The step with the highest validation score; the latest step if no checkpoint has a score."""
    scores = {step: read_score(run, step) for step in list_steps(run)}
    scored_steps = {step: score for step, score in scores.items() if score is not None}
    return max(scored_steps, key=scored_steps.get) if scored_steps else max(scores, default=None)


def find_damage(run: Path, step: int) -> str | None:
    """A description of the first missing or changed file of a checkpoint; None if all match.

    OSError where a store does not answer.
    """
    try:
        hashes = read_manifest(run, step)["files"]
    except (OSError, ValueError, KeyError) as error:
        # A store that does not answer is no damage.
        is_absent = isinstance(error, FileNotFoundError)
        if isinstance(error, OSError) and not is_absent and find_uri(run) is not None:
            raise
        return f"{name_manifest(step)} cannot be read ({type(error).__name__})"
    return open_checkpoints(run).find_difference(str(step), hashes)


def find_newest_good_step(run: Path, say: Callable[[str], None]) -> int | None:
    """The newest step that passes verification; None where there is no checkpoint.

    A damaged one is reported through `say` and renamed to corrupt-<step>. BadCheckpoint if all are
    damaged.
    """
    folder = open_checkpoints(run)
    corrupt_names = sorted(name for name in folder.list_names() if name.startswith("corrupt-"))
    for step in reversed(list_steps(run)):
        damage = find_damage(run, step)
        if damage is None:
            return step
        say(f"checkpoint {step} failed verification ({damage}); trying the one before")
        # Move the damaged checkpoint out of the way and delete its manifest.
        folder.move_folder(str(step), f"corrupt-{step}")
        folder.delete(name_manifest(step))
        corrupt_names.append(f"corrupt-{step}")
    if corrupt_names:
        raise BadCheckpoint(
            f"no checkpoint in {folder} passes verification: {', '.join(corrupt_names)}",
            "restore the folder from a backup, or start over: run_train.py --workdir=FOLDER",
        )
    return None


def delete_unfinished(run: Path) -> None:
    """Delete the folders of checkpoints that were not committed."""
    folder = open_checkpoints(run)
    if isinstance(folder, LocalFolder):
        folder.path.mkdir(parents=True, exist_ok=True)
    finished_names = {str(step) for step in list_steps(run)}
    for name in folder.list_folders():
        if name not in finished_names and not name.startswith("corrupt-"):
            folder.delete_folder(name)


def prune(run: Path, keep: int, keep_best: int) -> None:
    """Delete all checkpoints but the `keep` newest and the `keep_best` best."""
    folder, steps = open_checkpoints(run), list_steps(run)
    scores = {step: read_score(run, step) for step in steps}
    ranked_steps = sorted((s for s in steps if scores[s] is not None), key=lambda s: scores[s])
    retained_steps = {*steps[-keep:], *ranked_steps[-keep_best:]}
    for step in steps:
        if step not in retained_steps:
            # Its manifest is deleted first: a checkpoint without one does not count.
            folder.delete(name_manifest(step))
            failpoint("prune.midway")
            folder.delete_folder(str(step))
