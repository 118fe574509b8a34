"""The slow part of preparing: ranges of a source, decoded and fitted, each into one file.

A chunk is a pure function of (source, options, range), written under a temporary name and renamed,
so a killed build goes on where it stopped and the number of processes changes nothing. Processes
are started, never forked: JAX may be loaded. A process that dies on a picture costs that picture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from prodgen.core.errors import MissingInput, Refused
from prodgen.data import duplicates, fit, preprocess, store, workers
from prodgen.data.source import Item, Source

Ready = tuple[dict, fit.FittedImage | None]  # an item's words, and its picture if there is one
SMALL = 64  # items; below, starting processes takes longer than the work


@dataclasses.dataclass(frozen=True)
class Options:
    """How each picture is prepared."""

    way: preprocess.FitOptions
    channels: int  # 1 or 3; 0 as the pictures are
    max_pixels: int


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
    source: Source, options: Options, jobs: list[Job], processes: int, done: Callable[[int], None]
) -> None:
    """Write the file of every job that has none yet; `done(items)` is called after each."""
    pending = []
    for job in jobs:
        if _is_complete(job.path):
            done(job.stop - job.start)
        else:
            pending.append(job)
    count = sum(job.stop - job.start for job in pending)
    processes = min(processes or _cpu_count(), len(pending))
    if source.parallel and processes > 1 and count >= SMALL:
        _build_parallel(source, options, pending, processes, done)
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


def _cpu_count() -> int:
    """The cores that this process may use; macOS says only how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        items = _take(stream, job.stop - job.start)
        _write(job, options, (_ready(item, options) for item in items))
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
    source: Source, options: Options, jobs: list[Job], count: int, done: Callable[[int], None]
) -> None:
    """Spread the jobs over processes; a job whose process died is done again, item by item."""
    left = {job.start: job for job in jobs}
    died = []
    with contextlib.suppress(workers.CannotStart):
        for job, result in workers.run(_work, (source, options), jobs, count):
            del left[job.start]
            if result is workers.DIED:
                died.append(job)
            else:
                done(job.stop - job.start)
    for job in died:
        _write(job, options, _one_by_one(source, options, job))
        done(job.stop - job.start)
    if left:
        _build_here(source, options, list(left.values()), done)


def _work(common: tuple[Source, Options], job: Job) -> None:
    source, options = common
    _limit_memory(options)
    items = source.stream(job.start, job.stop)
    _write(job, options, (_ready(item, options) for item in items))


def _limit_memory(options: Options) -> None:
    """Room for every copy of the largest allowed picture: a bomb then ends in a MemoryError."""
    limit = 3 * 2**30 + 16 * options.max_pixels
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or limit <= hard:
        with contextlib.suppress(ValueError):  # macOS has systems that refuse this limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _one_by_one(source: Source, options: Options, job: Job) -> list[Ready]:
    """The items of a job, prepared one at a time in another process; a deadly one is refused."""
    indices = range(job.start, job.stop)
    found = dict(workers.run(_ready_one, (source, options), indices, 1))
    for index in indices:
        if found[index] is workers.DIED:
            item = Item(f"item {index}", Refused("broken: the decoder crashed on it"))
            found[index] = _ready(item, options)
    return [found[index] for index in indices]


def _ready_one(common: tuple[Source, Options], index: int) -> Ready:
    source, options = common
    _limit_memory(options)
    return _ready(next(iter(source.stream(index, index + 1))), options)


def _write(job: Job, options: Options, ready: Iterable[Ready]) -> None:
    """Gather the items and rename the chunk's file into place."""
    items, prepared = [], []
    for words, one in ready:
        items.append(words)
        if one is not None:
            prepared.append(one)
    temporary = job.path.with_suffix(f".{os.getpid()}.part")
    with open(temporary, "wb") as file:
        np.savez(file, **_arrays(prepared, options), items=_text(items))
    os.replace(temporary, job.path)


def _ready(item: Item, options: Options) -> Ready:
    """What is known of the item, and its picture or, where that is refused, None."""
    one = _prepare(item, options)
    if isinstance(one, Refused):
        return _words(item, str(one)), None
    return _words(item, None) | {"findings": one.findings}, one.image


def _prepare(item: Item, options: Options) -> preprocess.PreparedPhoto | Refused:
    if isinstance(item.image, Refused):
        return item.image
    try:
        return preprocess.prepare_photo(item.image, options.way)
    except Refused as refused:
        return refused
    except MissingInput:  # the method itself lacks something: no picture's fault
        raise
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


def _arrays(prepared: list[fit.FittedImage], options: Options) -> dict[str, np.ndarray]:
    """The arrays of a `Chunk` but `items`."""
    pictures = [one.pixels for one in prepared]
    if options.channels == 1:
        pictures = [fit.set_channels(picture, 1) for picture in pictures]
    grey = np.array([picture.shape[-1] == 1 for picture in pictures], bool)
    hashes = b"".join(store.hash_content(picture) for picture in pictures)
    side, channels = options.way.resolution, 1 if grey.all() else 3
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
        "difference": duplicates.compute_difference_hashes(stacked),
        "original": np.array([one.original_size for one in prepared], np.int32).reshape(-1, 2),
        "background": np.array([one.background for one in prepared], np.uint8).reshape(-1, 3),
        "white": np.array([one.white_fraction for one in prepared], np.float32),
    }
