"""The networks that a run uses and does not train, with their records in config.json."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from prodgen.core import mirror
from prodgen.core.errors import UsageError
from prodgen.data.store import Store
from prodgen.evaluation import classifier
from prodgen.parallel.peers import Peers
from prodgen.report.writer import Console
from prodgen.runs import workdir


def load_for_run(
    family: ModuleType, config: ConfigDict, store: Store, path: Path, console: Console, peers: Peers
) -> dict[str, Any]:
    """The networks by name, on the host; the run's folder `path` records them.

    Process 0 trains or reads them, then the others read what it has left in the folder. UsageError
    where the run began with another network.
    """
    say = console.throttle_progress()
    with peers.main_first("loading the reference classifier", say, is_slow=True):
        if not peers.is_main:
            mirror.refresh(path)
        networks, records = classifier.load_frozen_networks(family, config, store, say, path)
        if peers.has_several and peers.is_main:
            mirror.publish(path)
    if peers.is_main:
        for name, record in records.items():
            _add_record(path, name, record, console)
    peers.require_equal("networks", {name: record["sha256"] for name, record in records.items()})
    return networks


def _add_record(path: Path, name: str, record: dict[str, Any], console: Console) -> None:
    """Print a network's accuracy, and store its record in config.json."""
    if "accuracy" in record:
        console.print_line(f"{name:<8} accuracy {record['accuracy']:.1%} on held-out images")
    if caution := classifier.describe_weakness(record):
        console.print_line(f"WARNING  {caution}")
    if workdir.read_record(path).get(name) not in (None, record):
        raise UsageError(
            f"{mirror.describe_place(path)} began with another {name} network than the present one",
            "give the original network, or another --workdir",
        )
    workdir.add_to_record(path, name, record)
