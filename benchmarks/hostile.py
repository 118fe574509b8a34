"""Damaged image files and tables through the real preparing path: what is read, what is refused.

python benchmarks/hostile.py --images=10000 --tables=2000 [--seconds=0] [--seed=0]

Image files of seven formats get flipped bits, lost ends, spliced headers and huge declared sizes.
`prepare` reads them in processes of its own, batch after batch. Checked: it ends with exit code 0
and without a traceback; every file is either in the store or refused with a reason; the resident
memory of all its processes together stays below 2 GB; a file that is read although its end is
missing has the pixels of the original; a refused file is none that Pillow alone decodes to those
pixels. Every damaged table is read as products, as a history and as batch requests, or is refused
by an error of one line. --seconds ends a campaign early. Prints one line of JSON; exit code 1 where
a check fails.
"""

from __future__ import annotations

import collections
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _hostile_images, _hostile_tables
from configs import base
from prodgen.cli import commandline
from prodgen.data import data_report, prepare, workers
from prodgen.data.store import Store

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 10_000, "Damaged image files.")
flags.DEFINE_integer("tables", 2000, "Damaged tables.")
flags.DEFINE_float("seconds", 0.0, "End each campaign after so many seconds; 0: when it is done.")
flags.DEFINE_integer("seed", 0, "Seed of the damage.")

ROOT = Path(__file__).parents[1]
BATCH_SIZE = 500  # files that are prepared at once
MAX_MEMORY_BYTES = 2 * 10**9  # resident, of the parent and its processes together
SAMPLE_INTERVAL_S = 0.02
NUM_WORKERS = 2
READ_TABLES = "import sys; from benchmarks import _hostile_tables as t; t.read_batch(sys.argv[1])"
PREPARE = "from benchmarks import hostile; import sys; hostile.prepare_data(*sys.argv[1:])"


def prepare_data(source: str, path: str, cache: str) -> None:
    """Prepare a folder or a table in this process, and print the store's folder."""
    data_report.MAX_NAMES = sys.maxsize  # the report names every refused file
    data = base.get_config().data
    data.source, data.path, data.cache_dir = source, path, cache
    data.resolution, data.workers = 32, NUM_WORKERS
    print(prepare.open_or_prepare(data).path)


class MemoryMonitor(threading.Thread):
    """Samples the resident memory of a process and its children: the largest, and the sum."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid = pid
        self.is_running = True
        self.peaks = {"process": 0, "parent": 0, "sum": 0}

    def run(self) -> None:
        while self.is_running:
            sizes = [_read_memory(pid) for pid in _list_processes(self.pid)]
            for name, value in zip(self.peaks, (max(sizes), sizes[0], sum(sizes)), strict=True):
                self.peaks[name] = max(self.peaks[name], value)
            time.sleep(SAMPLE_INTERVAL_S)


def _list_processes(pid: int) -> list[int]:
    """The process and all its descendants."""
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            pids += map(int, children.split())
    return pids


def _read_memory(pid: int) -> int:
    """Resident bytes of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def run_process(program: str, *arguments: str) -> tuple[str, list[str], dict]:
    """(the output, problems, peaks of memory in bytes) of a program in another process."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        monitor = MemoryMonitor(process.pid)
        monitor.start()
        output, _ = process.communicate()
        monitor.is_running = False
        monitor.join()
        errors.seek(0)
        lines = errors.read().splitlines()
    problems = []
    if process.returncode or any("Traceback" in line for line in lines):
        problems.append(f"exit code {process.returncode}: {' | '.join(lines[-3:])}")
    if monitor.peaks["sum"] > MAX_MEMORY_BYTES:
        problems.append(f"{monitor.peaks['sum'] / 1e6:.0f} MB of memory")
    return output.strip(), problems, monitor.peaks


def run_campaign(name: str, count: int, seconds: float, seed: int) -> dict[str, Any]:
    """Batches of a campaign until `count` files or `seconds` are reached: its sums and problems.

    A campaign's function takes (folder, number of files, generator) and returns its counts, its
    problems, and the peaks of memory.
    """
    run_batch = CAMPAIGNS[name]
    start, rng = time.monotonic(), np.random.default_rng(seed)
    counts, problems, peaks, num_files = collections.Counter(), [], collections.Counter(), 0
    while num_files < count and (not seconds or time.monotonic() - start < seconds):
        size = min(BATCH_SIZE, count - num_files)
        with tempfile.TemporaryDirectory() as folder:
            batch_counts, batch_problems, batch_peaks = run_batch(Path(folder), size, rng)
        counts.update(batch_counts)
        problems += batch_problems
        peaks |= batch_peaks
        num_files += size
    return {
        "files": num_files,
        "seconds": round(time.monotonic() - start, 1),
        **dict(sorted(counts.items())),
        "peak_memory_mb": {name: round(size / 1e6) for name, size in peaks.items()},
        "problems": problems,
    }


def run_images(folder: Path, count: int, rng: np.random.Generator) -> tuple[dict, list, dict]:
    """A batch of damaged images in one folder."""
    seeds = _hostile_images.make_seeds()
    files = _hostile_images.write_batch(folder / "images", seeds, count, rng)
    output, problems, peaks = run_process(
        PREPARE, "folder", str(folder / "images"), str(folder / "cache")
    )
    if not output:
        return {}, problems, peaks
    path = Path(output)
    # The store's rows by name, and the seed of each file: equal hashes are equal pixels.
    store = Store.open(path)
    rows = dict(zip(store.names(np.arange(store.size)), store.hash, strict=True))
    report = json.loads((path / "data_report.json").read_text())
    reasons = {entry["name"]: entry["reason"] for entry in report["refused"]["examples"]}
    seed_files = {seed.name: f"seed_{seed.name}.{seed.format.lower()}" for seed in seeds}
    problems += [f"{name} is lost" for name in files if (name in rows) == (name in reasons)]
    problems += [f"{name} is refused" for name in seed_files.values() if name not in rows]
    counts = collections.Counter(crashes=sum("crashed" in text for text in reasons.values()))
    doubtful = []
    for name, (mutation, seed) in files.items():
        if name in reasons:
            counts[f"{mutation} refused"] += 1
            doubtful.append((name, seed_files[seed]))
            continue
        is_equal = name in rows and (rows[name] == rows[seed_files[seed]]).all()
        counts[f"{mutation} {'read, equal' if is_equal else 'read, different'}"] += 1
        if not is_equal and mutation in (*_hostile_images.HARMLESS, "truncate"):
            problems.append(f"{name} is read with other pixels")
    tasks = workers.run(_hostile_images.equals_seed, folder / "images", doubtful, NUM_WORKERS)
    for (name, _), is_whole in tasks:
        if is_whole is True:
            problems.append(f"{name} is refused, though Pillow decodes it: {reasons[name]}")
    return counts, problems, peaks


def run_tables(folder: Path, count: int, rng: np.random.Generator) -> tuple[dict, list, dict]:
    """A batch of damaged tables, each read as products, as a history and as batch requests."""
    _hostile_tables.write_batch(folder / "tables", count, rng)
    output, problems, peaks = run_process(READ_TABLES, str(folder / "tables"))
    if not output:
        return {}, problems, peaks
    result = json.loads(output)
    return result["counts"], problems + result["problems"], peaks


CAMPAIGNS = {"images": run_images, "tables": run_tables}


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    results = {
        name: run_campaign(name, count, FLAGS.seconds, FLAGS.seed)
        for name, count in (("images", FLAGS.images), ("tables", FLAGS.tables))
        if count
    }
    print(json.dumps(results))
    if any(result["problems"] for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
