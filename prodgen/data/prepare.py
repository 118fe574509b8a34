"""Build a checked uint8 store from a source, once: under a lock, renamed into place, with a report.

    <cache_dir>/<source>-<key>/            the finished store
    <cache_dir>/<source>-<key>.building/   chunks of an unfinished store; a new start continues it
    <cache_dir>/<key>.lock                 held while building

The key is a hash of the source's content and of every option that changes a byte of the store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.config import registry
from prodgen.core.errors import StorageError, TooFewImages, advise_on_os_error
from prodgen.core.files import hash_file, lock_file, sync_folder
from prodgen.core.mirror import find_uri
from prodgen.core.types import Spec
from prodgen.data import (
    chunks,
    data_report,
    duplicates,
    encode,
    fit,
    preprocess,
    shared_store,
    splits,
)
from prodgen.data.shared_store import locate_cache
from prodgen.data.source import Source, SourceDescription
from prodgen.data.store import FORMAT, SPLITS, Store, seal

Say = Callable[[str], None]
SHARD_BYTES = 64 * 2**20
MIN_TRAINING_IMAGES = 2  # a mean and a std need as many
MIN_SAY_INTERVAL_S = 0.25
KEY_OPTIONS = ("resolution", "channels", "fit", "validation", "test", "max_pixels")
KEY_COLUMNS = ("image_column", "category_column")


def source_from_config(data: ConfigDict) -> Source:
    """The source that config.data names."""
    return registry.resolve(registry.SOURCES, data.source, "config.data.source").from_config(data)


def open_or_prepare(
    data: ConfigDict, say: Say = lambda text: None, source: Source | None = None
) -> Store:
    """The store that config.data describes, under data.cache_dir, prepared now if it is not there.

    say: receives a line of progress a few times a second. source: another than `data` names.
    Raises TooFewImages where fewer than MIN_TRAINING_IMAGES are usable, StorageError where the
    cache cannot be written.
    """
    if source is None:
        source = source_from_config(data)
    key = compute_key(source, data)
    path = locate_cache(data.cache_dir) / f"{data.source}-{key}"
    if (path / "meta.json").exists() and find_uri(path.parent) is None:
        return Store.open(path)
    with _lock_cache(path.parent, key, say):
        # Another process may have built it while this one waited for the lock.
        if (path / "meta.json").exists() or shared_store.fetch(path, say):
            shared_store.share(path, say)
            return Store.open(path)
        # The slow part first: chunks, which a new start after an interruption keeps.
        building = path.with_name(path.name + ".building")
        building.mkdir(exist_ok=True)
        is_composited = getattr(source, "is_composited", False)
        fit_options = preprocess.FitOptions.from_config(data, is_composited)
        preprocess.check_method(fit_options)  # once here, not in every process
        options = chunks.Options(fit_options, data.channels, data.max_pixels)
        jobs = chunks.plan(len(source), building)
        progress = Progress(say, data.source, len(source))
        pending = [job for job in jobs if not job.is_complete()]
        progress(len(source) - sum(job.size for job in pending))
        pending = chunks.build_parallel(source, options, pending, data.workers, progress)
        chunks.build_serially(source, options, pending, progress)
        # The store is written beside them, then its report.
        say("writing the store")
        folder = building / "store"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        contents = _write_store(source, data, [job.path for job in jobs], folder)
        _write_meta(folder, key, contents)
        say("writing the data report")
        data_report.write(Store.open(folder), contents.report_inputs(data))
        # Everything is on the disk before the rename makes the store valid.
        sync_folder(folder)
        os.rename(folder, path)
        shutil.rmtree(building, ignore_errors=True)
        shared_store.share(path, say)
    return Store.open(path)


@contextlib.contextmanager
def _lock_cache(cache: Path, key: str, say: Say) -> Iterator[None]:
    """Hold the lock of the store `key`; StorageError where the folder cannot be written."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # The system releases the lock when its holder dies, so none is stale.
        with open(cache / f"{key}.lock", "w") as file:
            try:
                if not lock_file(file):
                    say(f"WARNING  the file system of {cache} has no locks: prepare data once")
            except BlockingIOError:
                say("another process is preparing the same data; waiting for it")
                lock_file(file, is_waiting=True)
            # An OSError of the caller, such as a full disk, is raised here and reported below.
            yield
    except OSError as error:
        raise StorageError(
            f"the data cannot be prepared in {cache}: {error}",
            f"{advise_on_os_error(error)}: it continues; or set config.data.cache_dir=FOLDER",
        ) from error


def compute_key(source: Source, data: ConfigDict) -> str:
    """16 hex digits: a hash of everything that determines the bytes of the store."""
    options = {name: data.get(name) for name in KEY_OPTIONS + KEY_COLUMNS}
    options |= preprocess.describe_cutout(preprocess.FitOptions.from_config(data))
    # Older stores, split by image, keep their key.
    if splits.get_split_unit(data) == "product":
        options["split_by"] = "product"
    text = json.dumps([FORMAT, options, source.content()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Progress:
    """Reports the progress, at most four times a second. Call it with a number of new items."""

    def __init__(self, say: Say, name: str, total: int):
        self.say, self.name, self.total = say, name, total
        self.count, self.start_time, self.say_time = 0, time.monotonic(), 0.0
        say(f"preparing {name}: {total} images")

    def __call__(self, items: int) -> None:
        self.count += items
        if not self.count:
            return
        now = time.monotonic()
        if now - self.say_time < MIN_SAY_INTERVAL_S and self.count < self.total:
            return
        self.say_time = now
        rate = self.count / max(now - self.start_time, 1e-6)
        seconds_left = (self.total - self.count) / max(rate, 1e-6)
        self.say(
            f"preparing {self.name}: {self.count}/{self.total} images, "
            f"{rate:.0f}/s, {seconds_left:.0f} s left"
        )


@dataclasses.dataclass
class StoreContents:
    """What a new store holds, all rows in order: for meta.json and the report.

    items: the metadata of the usable images, left-out ones included; label, split, near: theirs.
    """

    items: list[dict]
    refused_items: list[dict]
    label: np.ndarray
    split: splits.Splits
    near: duplicates.NearDuplicates
    arrays: dict[str, np.ndarray]
    spec: Spec
    notes: tuple[str, ...]
    description: SourceDescription | None
    has_masks: bool
    rows_per_shard: int

    @property
    def is_stored(self) -> np.ndarray:
        """bool [N], false for left-out images."""
        return self.split.is_stored

    def counts(self) -> dict[str, int]:
        sizes = {name: int((self.split.index == index).sum()) for index, name in enumerate(SPLITS)}
        left_out = int((~self.is_stored).sum())
        return sizes | {"refused": len(self.refused_items), "left_out": left_out}

    def background(self) -> list[int]:
        """The median background, [C]."""
        colour = np.median(self.arrays["background"][self.is_stored], axis=0)
        return fit.set_channels(colour.astype(np.uint8), self.spec.channels).tolist()

    def report_inputs(self, data: ConfigDict) -> data_report.ReportInputs:
        """What the data report needs in addition to the store itself."""
        # A reader knows the data by the last part of their path, or by their name.
        path = Path(data.path).expanduser().absolute()
        table_name = f"{path.parent.name}: {path.name}"
        titles = {"folder": path.name, "table": table_name, "tfds": data.name}
        return data_report.ReportInputs(
            title=titles.get(data.source) or data.source,
            refusals=[(item["name"], item["refused"]) for item in self.refused_items],
            left_out_names=[self.items[row]["name"] for row in np.flatnonzero(~self.is_stored)],
            original_size=self.arrays["original_size"][self.is_stored],
            white_fraction=self.arrays["white_fraction"][self.is_stored],
            near=self.near.restrict(self.is_stored),
            split=self.split.restrict_to_stored(),
            groups=[self.items[row]["group"] for row in np.flatnonzero(self.is_stored)],
            notes=list(self.notes),
            description=self.description,
        )


def _write_store(
    source: Source, data: ConfigDict, paths: list[Path], folder: Path
) -> StoreContents:
    """Write the shards, table.npz and items.jsonl into `folder`. paths: the chunks' files."""
    contents = _read_metadata(source, data, paths)
    if contents.counts()["train"] < MIN_TRAINING_IMAGES:
        raise _make_size_error(contents.items, contents.refused_items)
    is_stored = contents.is_stored
    items = [contents.items[row] for row in np.flatnonzero(is_stored)]
    label, split = contents.label[is_stored], contents.split.index[is_stored]
    attributes, values, known = encode.encode_attributes(
        source.schema(), items, split == splits.TRAIN
    )
    contents.spec = dataclasses.replace(contents.spec, attributes=attributes)
    hashes = contents.arrays["hash"][is_stored]
    np.savez(
        folder / "table.npz",
        label=label, attributes=values, known=known, split=split, hash=hashes,
    )  # fmt: skip
    with open(folder / "items.jsonl", "w", encoding="ascii") as file:
        for item in items:
            names = ("name", "caption", "group") if item["group"] else ("name", "caption")
            file.write(json.dumps({name: item[name] for name in names}) + "\n")
    _write_shards(paths, contents, folder)
    return contents


def _read_metadata(source: Source, data: ConfigDict, paths: list[Path]) -> StoreContents:
    """Read everything except the pixels of every chunk, and decide channels and splits."""
    items: list[dict] = []
    parts: dict[str, list[np.ndarray]] = {}
    has_masks = False
    names = ("hash", "difference_hash", "cells", "original_size", "background", "white_fraction",
             "grey")  # fmt: skip
    for path in paths:
        chunk = chunks.read(path)
        items += chunk.items
        has_masks |= chunk.masks.size > 0
        for name in names:
            parts.setdefault(name, []).append(getattr(chunk, name))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    refused_items = [item for item in items if item["refused"] is not None]
    items = [item for item in items if item["refused"] is None]
    if not items:
        raise _make_size_error(items, refused_items)
    # One channel where the config asks for it, or where every image is grey.
    channels = data.channels or (1 if arrays["grey"].all() else 3)
    classes = tuple(source.classes())
    label = encode.encode_labels(items, classes)
    near = duplicates.find_near_duplicates(
        arrays["difference_hash"], arrays.pop("cells"), arrays["hash"]
    )
    return StoreContents(
        items=items,
        refused_items=refused_items,
        label=label,
        split=splits.decide_splits(items, arrays["hash"], label, near, data),
        near=near,
        arrays=arrays,
        spec=Spec(data.resolution, channels, classes),
        notes=tuple(getattr(source, "notes", ())) + tuple(preprocess.describe_findings(items)),
        description=source.describe() if hasattr(source, "describe") else None,
        has_masks=has_masks,
        rows_per_shard=max(1, SHARD_BYTES // (data.resolution**2 * channels)),
    )


def _make_size_error(items: list[dict], refused_items: list[dict]) -> TooFewImages:
    """The error of too few images, with counts and the first reasons."""
    total = len(items) + len(refused_items)
    examples = "; ".join(f"{item['name']!a}: {item['refused']}" for item in refused_items[:3])
    kinds = Counter(item["refused"].split(":")[0] for item in refused_items).most_common()
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds)
    return TooFewImages(
        f"{len(items)} usable images of {total}, at least {MIN_TRAINING_IMAGES} are needed to "
        "train on" + (f"; refused: {counts}; first: {examples}" if refused_items else ""),
        "give more images: JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF files",
    )


def _write_shards(paths: list[Path], contents: StoreContents, folder: Path) -> None:
    """images-?????.bin, and mask-?????.bin where any image has alpha, row after row."""
    position, row = 0, 0
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in paths:
            chunk = chunks.read(path)
            count = len(chunk.images)
            is_stored = contents.is_stored[position : position + count]
            position += count
            images = fit.set_channels(chunk.images, contents.spec.channels)
            opaque = np.full(images.shape[:3], 255, np.uint8)
            masks = chunk.masks if chunk.masks.size else opaque
            for image, mask in zip(images[is_stored], masks[is_stored], strict=True):
                # A new shard of each kind starts after rows_per_shard rows.
                if row % contents.rows_per_shard == 0:
                    stack.close()
                    number = row // contents.rows_per_shard
                    for kind in ("images", "mask") if contents.has_masks else ("images",):
                        shard = folder / f"{kind}-{number:05d}.bin"
                        files[kind] = stack.enter_context(shard.open("wb"))
                files["images"].write(image.tobytes())
                if contents.has_masks:
                    files["mask"].write(mask.tobytes())
                row += 1


def _write_meta(folder: Path, key: str, contents: StoreContents) -> None:
    """meta.json: what the store holds, and the hash of every file that is read from it."""
    num_rows = int(contents.is_stored.sum())
    files = []
    for path in sorted(folder.iterdir()):
        entry = {"name": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
        if path.suffix == ".bin":
            first_row = int(path.stem.split("-")[1]) * contents.rows_per_shard
            entry["rows"] = min(contents.rows_per_shard, num_rows - first_row)
        files.append(entry)
    meta = {
        "format": FORMAT,
        "key": key,
        "spec": contents.spec.to_json(),
        "counts": contents.counts(),
        "background": contents.background(),
        "masks": contents.has_masks,
        "rows_per_shard": contents.rows_per_shard,
        "files": files,
    }
    if contents.split.is_by_product:
        meta["split_by"] = "product"
    text = json.dumps(seal(meta), indent=1, sort_keys=True)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")
