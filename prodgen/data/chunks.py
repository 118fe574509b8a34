"""The slow part of preparing: ranges of a source, decoded and fitted, each into one file.

A chunk is a pure function of (source, options, range), written under a temporary name and renamed.
So an interrupted build continues where it stopped, and the number of processes changes nothing.
Processes are started, never forked, because JAX may be loaded. A process that dies on an image
costs that image only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from prodgen.core.errors import MissingInput, RejectedItem
from prodgen.data import duplicates, fit, preprocess, store, workers
from prodgen.data.source import Item, Source

ItemResult = tuple[dict, fit.FittedImage | None]  # an item's metadata, and its image if it has one
ReportProgress = Callable[[int], None]  # receives a number of finished items
FORMAT = 3  # of the files: a build continues only with files of its own format
OUT_OF_MEMORY = "not enough memory"  # in the reason of a refusal, as core/decode.py words it
MIN_PARALLEL_ITEMS = 64  # for fewer items, starting processes takes longer than the work


@dataclasses.dataclass(frozen=True)
class Options:
    """How each image is prepared."""

    fit: preprocess.FitOptions
    channels: int  # 1 or 3; 0 leaves the images as they are
    max_pixels: int


@dataclasses.dataclass(frozen=True)
class Job:
    """Items [start, stop) of the source, to be written to `path`."""

    start: int
    stop: int
    path: Path

    @property
    def size(self) -> int:
        """Number of items."""
        return self.stop - self.start

    def is_complete(self) -> bool:
        """Whether an earlier build wrote the file; a zip file holds a checksum of every array."""
        try:
            with zipfile.ZipFile(self.path) as file:
                return file.testzip() is None
        except (OSError, zipfile.BadZipFile):
            return False


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What a chunk's file holds: n usable images, and the metadata of all items.

    images: uint8 [n, R, R, c]; masks: uint8 [n, R, R] or [0]; grey: bool [n]; hash: uint8 [n, 32];
    difference_hash: uint64 [n]; cells: uint8 [n, 192], means of 8 x 8 cells; original_size: int32
    [n, 2], height and width; background: uint8 [n, 3]; white_fraction: float32 [n]. items: one dict
    an item in order; "refused" is the reason where there is no image.
    """

    images: np.ndarray
    masks: np.ndarray
    grey: np.ndarray
    hash: np.ndarray
    difference_hash: np.ndarray
    cells: np.ndarray
    original_size: np.ndarray
    background: np.ndarray
    white_fraction: np.ndarray
    items: list[dict]


def plan(count: int, folder: Path) -> list[Job]:
    """The jobs for `count` items; their number follows from the count alone."""
    size = 64 if count < 20_000 else 256
    starts = range(0, count, size)
    return [
        Job(start, min(start + size, count), folder / f"chunk-v{FORMAT}-{number:06d}.npz")
        for number, start in enumerate(starts)
    ]


def build_parallel(
    source: Source, options: Options, jobs: list[Job], processes: int, report: ReportProgress
) -> list[Job]:
    """Write the jobs' files in several processes; the jobs that they could not take.

    processes: 0 for one a CPU core. All jobs are returned where one process does.
    """
    # The cores that this process may use; macOS knows only how many there are.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    count = min(processes or cores, len(jobs))
    is_small = sum(job.size for job in jobs) < MIN_PARALLEL_ITEMS
    if not source.parallel or count < 2 or is_small:
        return jobs
    remaining = {job.start: job for job in jobs}
    interrupted_jobs = []  # their process died, or ran out of memory
    with contextlib.suppress(workers.CannotStart):
        for job, result in workers.run(_build_job, (source, options), jobs, count):
            del remaining[job.start]
            if result is workers.PROCESS_DEATH or result == OUT_OF_MEMORY:
                interrupted_jobs.append(job)
            else:
                report(job.size)
    # Such a job is repeated item by item in another process; the item that kills it is refused.
    for job in interrupted_jobs:
        indices = range(job.start, job.stop)
        results = dict(workers.run(_build_item, (source, options), indices, 1))
        for index, result in results.items():
            if result is workers.PROCESS_DEATH:
                results[index] = _refuse_item(source, index, "broken: the decoder crashed on it")
        _write(job, options, [results[index] for index in indices])
        report(job.size)
    return list(remaining.values())


def build_serially(
    source: Source, options: Options, jobs: list[Job], report: ReportProgress
) -> None:
    """Read one stream from the first job's first item to the last one's, and cut it into chunks."""
    if not jobs:
        return
    position, last = jobs[0].start, jobs[-1].stop
    stream = source.stream(position, last)
    job_at = {job.start: job for job in jobs}
    while position < last:
        job = job_at.get(position)
        if job is None:  # a finished chunk lies between two missing ones
            next(stream, None)
            position += 1
            continue
        # A source that ends early yields refused items for the rest.
        end = RejectedItem("unreadable: the source ended early")
        items = (next(stream, Item(f"item {number}", end)) for number in range(job.size))
        _write(job, options, (_prepare_item(item, options) for item in items))
        report(job.size)
        position = job.stop


def read(path: Path) -> Chunk:
    """The content of a chunk's file."""
    with np.load(path, allow_pickle=False) as arrays:
        fields = {name: arrays[name] for name in arrays.files}
    return Chunk(**fields | {"items": json.loads(fields["items"].tobytes())})


def _build_job(common: tuple[Source, Options], job: Job) -> str:
    """Write the job's file; OUT_OF_MEMORY where an image lacked memory.

    Some decoders lose address space on broken files, so the image may fit into a new process.
    """
    source, options = common
    _limit_memory(options)
    try:
        items = source.stream(job.start, job.stop)
        results = [_prepare_item(item, options) for item in items]
    except MemoryError:
        return OUT_OF_MEMORY
    if any(OUT_OF_MEMORY in (metadata["refused"] or "") for metadata, _ in results):
        return OUT_OF_MEMORY
    _write(job, options, results)
    return ""


def _build_item(common: tuple[Source, Options], index: int) -> ItemResult:
    source, options = common
    _limit_memory(options)
    try:
        return _prepare_item(next(iter(source.stream(index, index + 1))), options)
    except MemoryError:
        return _refuse_item(source, index, f"too large: {OUT_OF_MEMORY} to decode it")


def _limit_memory(options: Options) -> None:
    """Allow memory for every copy of the largest image; a larger one ends in a MemoryError."""
    limit = 3 * 2**30 + 16 * options.max_pixels
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or limit <= hard:
        with contextlib.suppress(ValueError):  # some macOS systems refuse this limit
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _describe_item(item: Item) -> dict:
    """The fields of an item that its chunk's file holds beside its image."""
    return {
        "name": item.name,
        "category": item.category,
        "attributes": item.attributes,
        "caption": item.caption,
        "split": item.split,
        "group": item.group,
    }


def _refuse_item(source: Source, index: int, reason: str) -> ItemResult:
    """The result of an item that could not be decoded at all."""
    name = source.item_name(index) if hasattr(source, "item_name") else f"item {index}"
    return _describe_item(Item(name, RejectedItem(reason))) | {"refused": reason}, None


def _prepare_item(item: Item, options: Options) -> ItemResult:
    """The item's metadata and its image, or None where the image is refused."""
    metadata = _describe_item(item)
    try:
        if isinstance(item.image, RejectedItem):
            raise item.image
        photo = preprocess.prepare_photo(item.image, options.fit)
        return metadata | {"refused": None, "findings": photo.findings}, photo.image
    except RejectedItem as rejection:
        reason = str(rejection)
    except MissingInput:  # the method itself lacks something: no image is at fault
        raise
    except MemoryError:
        reason = f"too large: {OUT_OF_MEMORY} to resize it"
    except Exception as error:  # one image never stops a build
        reason = f"broken: {error}"
    return metadata | {"refused": reason}, None


def _write(job: Job, options: Options, results: Iterable[ItemResult]) -> None:
    """Collect the items' results and rename the chunk's file into place."""
    items, fitted_images = [], []
    for metadata, image in results:
        items.append(metadata)
        if image is not None:
            fitted_images.append(image)
    # JSON as uint8 bytes; ASCII, so that names which are not UTF-8 survive.
    items_json = np.frombuffer(json.dumps(items).encode("ascii"), np.uint8)
    temporary = job.path.with_suffix(f".{os.getpid()}.part")
    with open(temporary, "wb") as file:
        np.savez(file, **_stack(fitted_images, options), items=items_json)
    os.replace(temporary, job.path)


def _stack(fitted_images: list[fit.FittedImage], options: Options) -> dict[str, np.ndarray]:
    """The arrays of a `Chunk`, without `items`."""
    pixels = [image.pixels for image in fitted_images]
    if options.channels == 1:
        pixels = [fit.set_channels(image, 1) for image in pixels]
    grey = np.array([image.shape[-1] == 1 for image in pixels], bool)
    hashes = b"".join(store.hash_content(image) for image in pixels)
    # Grey images among colour ones are stored with three equal channels.
    side, channels = options.fit.resolution, 1 if grey.all() else 3
    images = np.zeros((len(pixels), side, side, channels), np.uint8)
    for row, image in zip(images, pixels, strict=True):
        row[:] = image
    masks = np.zeros(0, np.uint8)
    if any(image.mask is not None for image in fitted_images):
        masks = np.full(images.shape[:3], 255, np.uint8)
        for row, image in zip(masks, fitted_images, strict=True):
            row[:] = 255 if image.mask is None else image.mask
    sizes = [image.original_size for image in fitted_images]
    backgrounds = [image.background for image in fitted_images]
    return {
        "images": images,
        "masks": masks,
        "grey": grey,
        "hash": np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        "difference_hash": duplicates.compute_difference_hashes(images),
        "cells": duplicates.compute_cells(images),
        "original_size": np.array(sizes, np.int32).reshape(-1, 2),
        "background": np.array(backgrounds, np.uint8).reshape(-1, 3),
        "white_fraction": np.array([image.white_fraction for image in fitted_images], np.float32),
    }
