"""Checkpoints: orbax behind one small face, with hashes that are checked before anything is used.

`checkpoints/<step>/` is committed by orbax in the background; then `<step>.sha256.json` is written
beside it, with the hash of every file, the shape of every leaf and the validation score. A
checkpoint without that file does not count: the process died before it was whole.
"""

from __future__ import annotations

import concurrent.futures
import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from prodgen.core import trees
from prodgen.core.errors import BadCheckpoint, MissingInput, StorageError
from prodgen.core.files import file_hash, write_atomically

Tree = Any
MANIFEST = re.compile(r"(\d+)\.sha256\.json")


def folder(run: Path) -> Path:
    return Path(run).absolute() / "checkpoints"


def steps(run: Path) -> list[int]:
    """The steps of committed checkpoints, ascending."""
    names = [path.name for path in folder(run).glob("*.sha256.json")]
    return sorted(int(found[1]) for name in names if (found := MANIFEST.fullmatch(name)))


def manifest(run: Path, step: int) -> dict[str, Any]:
    """The record beside a checkpoint: step, score, files, leaves."""
    return json.loads((folder(run) / f"{step}.sha256.json").read_text())


def score(run: Path, step: int) -> float | None:
    """The validation score of a checkpoint; None where there is none or it cannot be read."""
    try:
        return manifest(run, step)["score"]
    except (OSError, ValueError, KeyError):
        return None


def best(run: Path) -> int | None:
    """The step with the highest validation score; the latest where none was scored."""
    scored = {step: score(run, step) for step in steps(run)}
    rated = [step for step, value in scored.items() if value is not None]
    return max(rated, key=lambda step: scored[step]) if rated else max(scored, default=None)


def problem(run: Path, step: int) -> str | None:
    """What is wrong with a checkpoint's files: the first that is absent or changed; else None."""
    root = folder(run) / str(step)
    try:
        recorded = manifest(run, step)["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"{step}.sha256.json cannot be read ({type(error).__name__})"
    for name, expected in recorded.items():
        if not (root / name).is_file():
            return f"{step}/{name} is missing"
        if file_hash(root / name) != expected:
            return f"{step}/{name}: sha256 mismatch"
    return None


def read(run: Path, step: int, like: Tree) -> Tree:
    """Restore a verified checkpoint into the shapes, types and shardings of `like`.

    `like` is a tree of jax.ShapeDtypeStruct with shardings. BadCheckpoint names what differs.
    """
    saved = manifest(run, step)["leaves"]
    wanted = _leaves(like)
    if saved != wanted:
        raise BadCheckpoint(
            f"checkpoint {step} of {run} has other leaves than this config: "
            + "; ".join(_leaf_differences(saved, wanted)[:8]),
            "use the version of prodgen that wrote it, or another --workdir",
        )
    with ocp.StandardCheckpointer() as reader:
        restored = reader.restore(folder(run) / str(step), like)
    # Restored buffers are not donated by the next step (jax issue 18617): give it fresh ones.
    return jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))(restored)


def _leaves(tree: Tree) -> dict[str, str]:
    return {path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in trees.names(tree).items()}


def _leaf_differences(saved: dict[str, str], wanted: dict[str, str]) -> list[str]:
    missing = [f"missing {path} {wanted[path]}" for path in wanted if path not in saved]
    extra = [f"extra {path} {saved[path]}" for path in saved if path not in wanted]
    changed = [
        f"{path} {saved[path]} -> {wanted[path]}"
        for path in wanted
        if path in saved and saved[path] != wanted[path]
    ]
    return missing + extra + changed


def open_step(run: Path, which: str | int | None, like: Tree) -> tuple[int, Tree]:
    """Restore for reading: "best" (or None), "latest" or a step. Nothing on disk is changed."""
    known = steps(run)
    if not known:
        raise MissingInput(f"{run} has no finished checkpoint", "train the run first")
    if which in (None, "best"):
        step = best(run)
    elif which == "latest":
        step = known[-1]
    elif str(which).isdigit() and int(which) in known:
        step = int(which)
    else:
        raise MissingInput(
            f"{run} has no checkpoint {which!r}", f"choose one of {known}, best, latest"
        )
    wrong = problem(run, step)
    if wrong:
        others = [s for s in known if s != step]
        raise BadCheckpoint(f"checkpoint failed verification: {wrong}", f"--step=... of {others}")
    return step, read(run, step, like)


class Checkpoints:
    """The writing side, owned by the trainer, which holds the folder's lock."""

    def __init__(self, run: Path, keep: int, keep_best: int):
        """Clear away what a killed process left half-written."""
        self.run, self.keep, self.keep_best = run, keep, keep_best
        self._orbax = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._pending: concurrent.futures.Future | None = None
        folder(run).mkdir(parents=True, exist_ok=True)
        known = {str(step) for step in steps(run)}
        for path in folder(run).iterdir():
            unfinished = path.is_dir() and path.name not in known
            if unfinished and not path.name.startswith("corrupt-"):
                shutil.rmtree(path)

    def restore(self, like: Tree, say: Any) -> tuple[int, Tree] | None:
        """The newest checkpoint that verifies, falling back loudly; None where there is none.

        A damaged one is renamed to corrupt-<step>. All damaged: BadCheckpoint, never a fresh start.
        """
        damaged = sorted(path.name for path in folder(self.run).glob("corrupt-*"))
        for step in reversed(steps(self.run)):
            wrong = problem(self.run, step)
            if wrong is None:
                return step, read(self.run, step, like)
            say(f"checkpoint {step} failed verification ({wrong}); trying the one before")
            damaged.append(self._set_aside(step))
        if damaged:
            raise BadCheckpoint(
                f"no checkpoint in {folder(self.run)} passes verification: {', '.join(damaged)}",
                "restore the folder from a backup, or choose another --workdir to start over",
            )
        return None

    def _set_aside(self, step: int) -> str:
        root, name = folder(self.run), f"corrupt-{step}"
        shutil.rmtree(root / name, ignore_errors=True)
        if (root / str(step)).exists():
            (root / str(step)).rename(root / name)
        (root / f"{step}.sha256.json").unlink(missing_ok=True)
        return name

    def save(self, step: int, state: Tree, score: float | None) -> None:
        """Snapshot the state now, write it in the background. Errors of the save before surface."""
        self.wait()
        if step in steps(self.run):
            return
        # The next step donates these buffers: the background write needs its own.
        snapshot = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))(state)
        root = folder(self.run) / str(step)
        try:
            self._orbax.save(root, args=ocp.args.StandardSave(snapshot))
        except Exception as error:
            raise self._failed(step, error) from error
        record = {"step": step, "score": score, "leaves": _leaves(state)}
        self._pending = self._thread.submit(self._finish, root, record)

    def _finish(self, root: Path, record: dict[str, Any]) -> None:
        self._orbax.wait_until_finished()
        files = sorted(path for path in root.rglob("*") if path.is_file())
        record["files"] = {str(path.relative_to(root)): file_hash(path) for path in files}
        content = json.dumps(record, indent=1).encode()
        write_atomically(root.parent / f"{root.name}.sha256.json", content)
        self._prune()

    def wait(self) -> None:
        """Until the last save is on disk and hashed; StorageError where that failed."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except Exception as error:
            raise self._failed(None, error) from error

    def _failed(self, step: int | None, error: Exception) -> StorageError:
        what = f"checkpoint {step}" if step is not None else "a checkpoint"
        free = shutil.disk_usage(self.run).free / 2**20
        full = os.strerror(errno.ENOSPC)
        reason = full if full in str(error) else (str(error).strip() or repr(error))
        return StorageError(
            f"{what} could not be written ({free:.0f} MB free): {reason.splitlines()[0][:300]}",
            "make room and give the same command again",
        )

    def _prune(self) -> None:
        """Keep the newest and the best. Manifests go first: half a checkpoint never counts."""
        known = steps(self.run)
        scores = {step: score(self.run, step) for step in known}
        rated = sorted((s for s in known if scores[s] is not None), key=lambda s: scores[s])
        kept = {*known[-self.keep :], *rated[-self.keep_best :]}
        for step in known:
            if step not in kept:
                (folder(self.run) / f"{step}.sha256.json").unlink()
                shutil.rmtree(folder(self.run) / str(step))

    def last_good(self) -> str:
        """For error messages: where the newest verified state lies."""
        known, root = steps(self.run), folder(self.run)
        if not known:
            return "no checkpoint yet"
        return f"last good checkpoint: step {known[-1]} at {root}"
