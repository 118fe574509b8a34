"""Checkpoints: orbax writes them, and hashes are verified before anything is restored.

Orbax commits `checkpoints/<step>/` in the background. Then `<step>.sha256.json` is written beside
it with the hash of every file, the shape of every leaf and the validation score. A checkpoint
without that manifest does not count: the process ended before the checkpoint was complete.

Where a run has several processes, all of them write their arrays. The process of index 0 alone
verifies, hashes, renames and deletes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from prodgen.core import trees
from prodgen.core.errors import (
    NO_PERMISSION,
    NO_SPACE,
    BadCheckpoint,
    MissingInput,
    ProdgenError,
    StorageError,
    WorkdirError,
    advise_on_os_error,
)
from prodgen.core.failpoints import failpoint
from prodgen.core.files import describe_shortage
from prodgen.core.folders import LocalFolder
from prodgen.core.mirror import describe_place, find_uri, publish
from prodgen.core.remote_files import is_refusal
from prodgen.runs.checkpoint_files import (
    delete_unfinished,
    find_best_step,
    find_damage,
    find_newest_good_step,
    list_steps,
    name_manifest,
    open_checkpoints,
    prune,
    read_manifest,
)
from prodgen.runs.folder_session import check_lock

Tree = Any
MIN_FREE_STATES = 3  # states that fit on the disk when a run starts, or it is warned
MIN_SLICE_BYTES = 2**22  # of a replicated leaf that several processes write together
NO_STEP, BAD_STEP = -1, -2  # in place of a step: no checkpoint, only damaged ones


def restore_step(run: Path, step: int, abstract_state: Tree) -> Tree:
    """Restore a verified checkpoint into the shapes, types and shardings of `abstract_state`.

    `abstract_state` is a tree of jax.ShapeDtypeStruct with shardings. BadCheckpoint names the
    leaves that differ.
    """
    stored_leaves, expected_leaves = (
        read_manifest(run, step)["leaves"],
        _describe_leaves(abstract_state),
    )
    if stored_leaves != expected_leaves:
        # List missing leaves first, then extra ones, then those of another shape or type.
        missing = expected_leaves.keys() - stored_leaves.keys()
        extra = stored_leaves.keys() - expected_leaves.keys()
        differences = [f"missing {p} {leaf}" for p, leaf in expected_leaves.items() if p in missing]
        differences += [f"extra {p} {leaf}" for p, leaf in stored_leaves.items() if p in extra]
        differences += [
            f"{path} {stored_leaves[path]} -> {leaf}"
            for path, leaf in expected_leaves.items()
            if path not in missing and stored_leaves[path] != leaf
        ]
        raise BadCheckpoint(
            f"checkpoint {step} of {describe_place(run)} has other leaves than this config: "
            + "; ".join(differences[:8]),
            "use the version of prodgen that wrote it, or another run",
        )
    with ocp.StandardCheckpointer() as checkpointer:
        state = checkpointer.restore(_locate_step(run, step), abstract_state)
    # The next step does not donate restored buffers (jax issue 18617), so they are copied.
    return _copy_buffers(state)


def open_step(run: Path, selector: str | int | None, abstract_state: Tree) -> tuple[int, Tree]:
    """Restore "best" (or None), "latest" or a numbered step. Nothing on disk changes."""
    steps = list_steps(run)
    if not steps:
        raise MissingInput(
            f"{describe_place(run)} has no finished checkpoint", "train the run first"
        )
    if selector in (None, "best"):
        step = find_best_step(run)
    elif selector == "latest":
        step = steps[-1]
    elif str(selector).isdigit() and int(selector) in steps:
        step = int(selector)
    else:
        raise MissingInput(
            f"{describe_place(run)} has no checkpoint {selector!r}",
            f"choose one of {steps}, best, latest",
        )
    damage = find_damage(run, step)
    if damage:
        others = [s for s in steps if s != step]
        raise BadCheckpoint(
            f"checkpoint failed verification: {damage}",
            f"choose another step: {', '.join(map(str, others))}" if others
            else "restore the run's folder from a backup",
        )  # fmt: skip
    return step, restore_step(run, step, abstract_state)


class CheckpointManager:
    """Writes, restores and deletes a run's checkpoints; the caller holds the folder's lock."""

    def __init__(self, run: Path, keep: int, keep_best: int):
        """`keep` newest and `keep_best` best checkpoints stay. Removes unfinished ones."""
        self.run, self.keep, self.keep_best = run, keep, keep_best
        # Orbax logs the traceback of a failed write; `wait` raises the error itself.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self._checkpointer = _make_checkpointer()
        self._executor = concurrent.futures.ThreadPoolExecutor(1)
        self._pending_save: concurrent.futures.Future | None = None
        self._is_distributed = jax.process_count() > 1
        self._is_writer = jax.process_index() == 0
        self._last_step: int | None = None  # that this process saved or restored
        if self._is_writer:
            delete_unfinished(run)

    def restore(self, abstract_state: Tree, say: Any) -> tuple[int, Tree] | None:
        """(step, state) of the newest checkpoint that passes verification; None without any.

        A damaged checkpoint is reported through `say` and renamed to corrupt-<step>, and so is a
        disk without space for three states. BadCheckpoint if all are damaged, so that a run never
        starts again by accident.
        """
        step, error = NO_STEP, None
        if self._is_writer:
            if find_uri(self.run) is None:
                num_bytes = MIN_FREE_STATES * trees.count_bytes(abstract_state)
                shortage = describe_shortage(self.run, num_bytes)
                if shortage:
                    say(f"WARNING  {shortage}")
            try:
                good_step = find_newest_good_step(self.run, say)
                step = NO_STEP if good_step is None else good_step
            except BadCheckpoint as bad_checkpoint:
                step, error = BAD_STEP, bad_checkpoint
        if self._is_distributed:
            step = int(multihost_utils.broadcast_one_to_all(np.int32(step)))
        if step == BAD_STEP:
            raise error or BadCheckpoint(
                "process 0 finds no checkpoint that passes verification",
                "see the error of process 0",
            )
        if step == NO_STEP:
            return None
        failpoint("restore.after_verify")
        self._last_step = step
        return step, restore_step(self.run, step, abstract_state)

    def save(self, step: int, state: Tree, score: float | None) -> None:
        """Copy the state now and write it in the background; StorageError of the save before."""
        self.wait()
        if step == self._last_step:
            return
        self._last_step = step
        # The next step donates these buffers, so the background write needs a copy.
        snapshot = _copy_buffers(state)
        manifest = {"step": step, "score": score, "leaves": _describe_leaves(state)}
        self._pending_save = self._executor.submit(self._write, step, snapshot, manifest)

    def _write(self, step: int, snapshot: Tree, manifest: dict[str, Any]) -> None:
        """Let orbax write a copy of the state in its own threads, and commit it."""
        failpoint("save.before_write")
        root = _locate_step(self.run, step)
        self._checkpointer.save(root, args=ocp.args.PyTreeSave(snapshot))
        failpoint("save.mid_write")
        del snapshot
        self._commit(step, manifest)

    def _commit(self, step: int, manifest: dict[str, Any]) -> None:
        """Hash the files of a finished save, write its manifest, delete superseded checkpoints."""
        self._checkpointer.wait_until_finished()
        if not self._is_writer:
            return
        folder = open_checkpoints(self.run)
        failpoint("save.before_hash")
        manifest["files"] = folder.hash_files(str(step))
        content = json.dumps(manifest, indent=1).encode()
        failpoint("save.before_commit")
        # Of a remote run, the log up to this step is in the store before the checkpoint counts.
        check_lock(self.run)
        publish(self.run)
        folder.write(name_manifest(step), content)
        failpoint("save.after_commit")
        prune(self.run, self.keep, self.keep_best)

    def wait(self) -> None:
        """Wait until the last save is on disk and hashed; StorageError if it failed."""
        save, self._pending_save = self._pending_save, None
        if save is None:
            return
        try:
            save.result()
        except Exception as error:
            raise self._storage_error("a checkpoint", error) from error

    def raise_if_failed(self) -> None:
        """StorageError if the last save has failed by now; it does not wait for one."""
        if self._pending_save is not None and self._pending_save.done():
            self.wait()

    def close(self) -> None:
        """Wait for the save in progress of a run that ends with an error; it raises nothing.

        Where there are other processes, one of them may be gone: nothing is waited for.
        """
        if not self._is_distributed:
            with contextlib.suppress(StorageError):
                self.wait()

    def _storage_error(self, subject: str, error: Exception) -> ProdgenError:
        if isinstance(error, WorkdirError):  # another process has taken over the folder
            return error
        uri, reason = find_uri(self.run), str(error).strip() or repr(error)
        free_mb = shutil.disk_usage(self.run).free / 2**20
        place = f" ({free_mb:.0f} MB free)" if uri is None else f" to {uri}"
        # The C++ library that writes the arrays has the system's message in a longer text.
        number = getattr(error, "errno", None) or next(
            (n for n in NO_SPACE | NO_PERMISSION if os.strerror(n) in reason), 0
        )
        if not number and uri is not None and is_refusal(error):
            number = errno.EACCES
        reason = os.strerror(number) if number else reason.splitlines()[0][:300]
        return StorageError(
            f"{subject} could not be written{place}: {reason}",
            advise_on_os_error(OSError(number, reason, uri)),
        )

    def describe_last_good(self) -> str:
        """The newest finished checkpoint and its folder, for error messages."""
        self.close()
        steps = list_steps(self.run)
        if not steps:
            return "no checkpoint yet"
        return f"last good checkpoint: step {steps[-1]} at {open_checkpoints(self.run)}"


def _make_checkpointer() -> ocp.AsyncCheckpointer:
    """Orbax's writer, which all processes call in a thread beside the training loop.

    Several processes meet at barriers of their coordinator: the default, a reduction over the
    devices, would have to come in the order of the main thread. Replicated leaves are split
    between the processes only where each part is large, as each part is an operation.
    """
    processes = ocp.options.MultiprocessingOptions()
    if jax.process_count() > 1:
        processes = ocp.options.MultiprocessingOptions(
            active_processes=set(range(jax.process_count())), barrier_sync_key_prefix="prodgen"
        )
    arrays = ocp.type_handlers.ArrayHandler(min_slice_bytes_for_replica_parallel=MIN_SLICE_BYTES)
    handler = ocp.PyTreeCheckpointHandler(
        type_handler_registry=ocp.type_handlers.create_type_handler_registry((jax.Array, arrays)),
        multiprocessing_options=processes,
    )
    return ocp.AsyncCheckpointer(handler, multiprocessing_options=processes)


def _locate_step(run: Path, step: int) -> Path | Any:
    """The folder of a checkpoint, as orbax takes it."""
    folder = open_checkpoints(run)
    if isinstance(folder, LocalFolder):
        return folder.path / str(step)
    return epath.Path(folder.locate(str(step)))


def _describe_leaves(tree: Tree) -> dict[str, str]:
    """Type and shape of every leaf by path, as in {"nets/vae/params/...": "float32[3, 4]"}."""
    leaves = trees.flatten_with_paths(tree)
    return {path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves.items()}


@jax.jit
def _copy_buffers(tree: Tree) -> Tree:
    """The same values in buffers of their own; compiled once for a run's state."""
    return jax.tree.map(jnp.copy, tree)
