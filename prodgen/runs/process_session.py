"""The processes of a run from their start to their end, with the lock of the run's folder.

A run in one process takes the lock before JAX is imported; no module of JAX is loaded here.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import flatten
from prodgen.core.errors import PeerError, StoppedError
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.parallel.peers import Peers, redirect_output
from prodgen.parallel.start import find_group, join_group
from prodgen.runs.folder_session import follow_workdir, hold_workdir
from prodgen.runs.workdir import check_config, check_origin, collect_versions

# Fields that may differ from machine to machine.
LOCAL_FIELDS = {
    "data.path", "data.cache_dir", "data.downloads", "data.workers", "data.cutout_model",
    "data.root", "loss.perceptual_path",
}  # fmt: skip


@contextlib.contextmanager
def join_session(
    flags: Any,
    config: ConfigDict,
    path: Path,
    origin: Path | None,
    report_error: Callable[[BaseException], int],
) -> Iterator[Peers]:
    """Connect the processes of a run, compare them, and hold the lock of its folder.

    UsageError where the config or `origin`, whose weights it starts from, does not continue the
    folder's run. flags: coordinator, processes and process, each None where it is not given.
    Process 0 alone takes the lock. The others print into logs/rank_N.log of the folder. An error
    in one process ends all of them with its code.
    """
    place = flags.coordinator, flags.processes, flags.process
    group = find_group(os.environ, config.parallel.port, *place)
    try:
        with handle_signals(stop_at_once):
            group = join_group(group, config.parallel, print)
    except (PeerError, StoppedError) as error:
        # A thread still waits in JAX, which an ordinary end would abort.
        code = report_error(error)
        sys.stdout.flush()
        os._exit(code)
    peers = Peers(group, config.parallel, report_error)
    with peers.share_errors(), contextlib.ExitStack() as stack:
        if peers.is_main:
            stack.enter_context(hold_workdir(path))
            check_config(path, config)
            check_origin(path, origin)
        peers.wait_for_all("lock")
        if not peers.is_main:
            stack.enter_context(follow_workdir(path, peers.index))
            redirect_output(path, peers.index)
        if peers.has_several:
            peers.require_equal("start", collect_facts(config))
        yield peers


def collect_facts(config: ConfigDict) -> dict[str, str]:
    """What every process must have alike before it touches a device, by name."""
    facts = {f"version of {name}": version for name, version in collect_versions().items()}
    facts["code"] = hash_code()
    facts["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "")
    fields = {path: value for path, value in flatten(config).items() if path not in LOCAL_FIELDS}
    return facts | {f"config.{path}": repr(value) for path, value in fields.items()}


def hash_code() -> str:
    """16 hex digits over the source files of this package."""
    folder, total = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        total.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]
