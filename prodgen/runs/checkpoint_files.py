"""Which checkpoints a run has: their steps, manifests and scores. Needs no JAX."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

MANIFEST_NAME = re.compile(r"(\d+)\.sha256\.json")


def get_checkpoint_dir(run: Path) -> Path:
    """The absolute path of a run's checkpoints."""
    return Path(run).absolute() / "checkpoints"


def list_steps(run: Path) -> list[int]:
    """The steps of committed checkpoints, ascending."""
    names = [path.name for path in get_checkpoint_dir(run).glob("*.sha256.json")]
    return sorted(int(match[1]) for name in names if (match := MANIFEST_NAME.fullmatch(name)))


def read_manifest(run: Path, step: int) -> dict[str, Any]:
    """The manifest of a checkpoint: step, score, files, leaves."""
    return json.loads((get_checkpoint_dir(run) / f"{step}.sha256.json").read_text())


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
