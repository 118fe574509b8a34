"""The slow part of preparing: ranges of a source, decoded and fitted, each into one file.

A chunk is a pure function of (source, options, range), written under a temporary name and renamed,
so a killed build goes on where it stopped and the number of processes changes nothing. Processes
are spawned, never forked: JAX may be loaded. A process that dies on a picture costs that picture.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from prodgen.data import duplicates, fit, store
from prodgen.data.source import Item, Refused, Source

SMALL = 64  # items; below, starting processes takes longer than the work


@dataclasses.dataclass(frozen=True)
class Options:
    """How each picture is prepared."""

    resolution: int
    channels: int  # 1 or 3; 0 as the pictures are
    fit: str
    max_pixels: int
    composited: bool


@dataclasses.dataclass(frozen=True)
class Job:
    """Items [start, stop) of the source, to be written to `path`."""

    start: int
    stop: int
    path: Path


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a chunk's file holds: n usable pictures, and the items' words, refused ones included.

    pictures: uint8 [n, R, R, c]; masks: uint8 [n, R, R] or [0]; hash: uint8 [n, 32]; difference:
    uint64 [n], the difference hash; original: int32 [n, 2]; background: uint8 [n, 3]; white:
    float32 [n]. items: one dict an item in order, with "refused" set where there is no picture.
    """

    pictures: np.ndarray
    masks: np.ndarray
    grey: np.ndarray
    hash: np.ndarray
    difference: np.ndarray
    original: np.ndarray
    background: np.ndarray
    white: np.ndarray
    items: list[dict]


def plan(count: int, folder: Path) -> list[Job]:
    """The jobs for `count` items; their number follows from the count alone."""
    size = 64 if count < 20_000 else 256
    starts = range(0, count, size)
    return [
        Job(start, min(start + size, count), folder / f"chunk-{number:06d}.npz")
        for number, start in enumerate(starts)
    ]


def build(
    source: Source, options: Options, jobs: list[Job], workers: int, done: Callable[[int], None]
) -> None:
    """Write the file of every job that has none yet; `done(items)` is called after each."""
    pending = [job for job in jobs if not _is_complete(job.path)]
    for job in jobs:
        if job not in pending:
            done(job.stop - job.start)
    count = sum(job.stop - job.start for job in pending)
    workers = min(workers or len(os.sched_getaffinity(0)), len(pending))
    if source.parallel and workers > 1 and count >= SMALL and _can_spawn():
        _build_parallel(source, options, pending, workers, done)
    elif pending:
        _build_here(source, options, pending, done)


def read(path: Path) -> Chunk:
    """A chunk's file."""
    with np.load(path, allow_pickle=False) as arrays:
        fields = {name: arrays[name] for name in arrays.files}
    return Chunk(**fields | {"items": json.loads(fields["items"].tobytes())})


def _is_complete(path: Path) -> bool:
    """Whether a former build has left this chunk whole: zip keeps a sum of every array."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _can_spawn() -> bool:
    """Spawned processes import the main module: that needs a file (or -m, -c), not stdin."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    return file is None or os.path.exists(file)


def _build_here(
    source: Source, options: Options, jobs: list[Job], done: Callable[[int], None]
) -> None:
    """One stream from the first missing item to the last, cut into chunks."""
    stream = source.stream(jobs[0].start, jobs[-1].stop)
    wanted = {job.start: job for job in jobs}
    position, last = jobs[0].start, jobs[-1].stop
    while position < last:
        job = wanted.get(position)
        if job is None:  # a chunk that exists already lies between two that do not
            next(stream, None)
            position += 1
            continue
        _write(job, options, _take(stream, job.stop - job.start))
        done(job.stop - job.start)
        position = job.stop


def _take(stream: Iterator[Item], count: int) -> Iterator[Item]:
    """`count` items; where the stream ends early, the missing ones are refused instead."""
    for number in range(count):
        try:
            yield next(stream)
        except StopIteration:
            yield Item(f"item {number}", Refused("unreadable: the source ended early"))


def _build_parallel(
    source: Source, options: Options, jobs: list[Job], workers: int, done: Callable[[int], None]
) -> None:
    """Spread the jobs over processes; after a crash, find the picture that causes it alone."""
    if not _run_pool(source, options, jobs, workers, done, probe=True):
        return _build_here(source, options, jobs, done)
    for job in [job for job in jobs if not job.path.exists()]:
        if not _run_pool(source, options, [job], 1, done):
            _isolate(source, options, job)
            done(job.stop - job.start)


def _run_pool(
    source: Source,
    options: Options,
    jobs: list[Job],
    workers: int,
    done: Callable[[int], None],
    probe: bool = False,
) -> bool:
    """Whether the processes could be started (`probe`), or else whether all of them survived."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start_worker, initargs=(source, options)
    ) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool:  # a main module without `if __name__ == "__main__"`, for one
            return False
        try:
            futures = {pool.submit(_work, job): job for job in jobs}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                done(futures[future].stop - futures[future].start)
        except BrokenProcessPool:
            return probe
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return True


_worker: tuple[Source, Options]  # what every job of this process works on


def _start_worker(source: Source, options: Options) -> None:
    """Called once in each spawned process."""
    global _worker
    _worker = (source, options)
    # Room for every copy of the largest allowed picture; a bomb then ends in a MemoryError.
    limit = 3 * 2**30 + 16 * options.max_pixels
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _work(job: Job) -> None:
    source, options = _worker
    _write(job, options, source.stream(job.start, job.stop))


def _isolate(source: Source, options: Options, job: Job) -> None:
    """The job item by item, each in a process of its own; what crashes is refused."""
    context = multiprocessing.get_context("spawn")
    items = []
    for index in range(job.start, job.stop):
        try:
            with concurrent.futures.ProcessPoolExecutor(
                1, context, initializer=_start_worker, initargs=(source, options)
            ) as pool:
                items.append(pool.submit(_one, index).result())
        except BrokenProcessPool:
            items.append(Item(f"item {index}", Refused("broken: the decoder crashed on it")))
    _write(job, options, iter(items))


def _one(index: int) -> Item:
    source, _ = _worker
    return next(iter(source.stream(index, index + 1)))


def _write(job: Job, options: Options, stream: Iterator[Item]) -> None:
    """Prepare the items and rename the chunk's file into place."""
    prepared, items = [], []
    for item in stream:
        ready = _prepare(item, options)
        refused = str(ready) if isinstance(ready, Refused) else None
        items.append(_words(item, refused))
        if refused is None:
            prepared.append(ready)
    temporary = job.path.with_suffix(f".{os.getpid()}.part")
    with open(temporary, "wb") as file:
        np.savez(file, **_arrays(prepared, options), items=_text(items))
    os.replace(temporary, job.path)


def _prepare(item: Item, options: Options) -> fit.Prepared | Refused:
    if isinstance(item.picture, Refused):
        return item.picture
    try:
        return fit.prepare_picture(
            item.picture, options.resolution, options.fit, options.composited
        )
    except MemoryError:
        return Refused("too large: not enough memory to resize it")
    except Exception as error:  # one picture never stops a build
        return Refused(f"broken: {error}")


def _words(item: Item, refused: str | None) -> dict:
    return {
        "name": item.name,
        "category": item.category,
        "attributes": item.attributes,
        "caption": item.caption,
        "split": item.split,
        "refused": refused,
    }


def _text(items: list[dict]) -> np.ndarray:
    """JSON as uint8 bytes; ASCII, so that names which are not UTF-8 survive."""
    return np.frombuffer(json.dumps(items).encode("ascii"), np.uint8)


def _arrays(prepared: list[fit.Prepared], options: Options) -> dict[str, np.ndarray]:
    """The arrays of a `Chunk` but `items`."""
    pictures = [one.pixels for one in prepared]
    if options.channels == 1:
        pictures = [fit.set_channels(picture, 1) for picture in pictures]
    grey = np.array([picture.shape[-1] == 1 for picture in pictures], bool)
    hashes = b"".join(store.content_hash(picture) for picture in pictures)
    side, channels = options.resolution, 1 if grey.all() else 3
    stacked = np.zeros((len(pictures), side, side, channels), np.uint8)
    for row, picture in zip(stacked, pictures, strict=True):
        row[:] = picture
    masks = np.zeros(0, np.uint8)
    if any(one.mask is not None for one in prepared):
        masks = np.full(stacked.shape[:3], 255, np.uint8)
        for row, one in zip(masks, prepared, strict=True):
            row[:] = 255 if one.mask is None else one.mask
    return {
        "pictures": stacked,
        "masks": masks,
        "grey": grey,
        "hash": np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        "difference": duplicates.difference_hash(stacked),
        "original": np.array([one.original for one in prepared], np.int32).reshape(-1, 2),
        "background": np.array([one.background for one in prepared], np.uint8).reshape(-1, 3),
        "white": np.array([one.white for one in prepared], np.float32),
    }
