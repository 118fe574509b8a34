"""Any source to a checked uint8 store, once: build under a lock, rename into place, report.

    <cache_dir>/<source>-<key>/            the finished store
    <cache_dir>/<source>-<key>.building/   chunks of an unfinished one; a new start goes on from it
    <cache_dir>/<key>.lock                 held while building

The key is a hash of the source's content and of every option that changes a byte of the store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
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
from prodgen.core.errors import BadData, StorageError
from prodgen.core.files import file_hash
from prodgen.core.types import Spec
from prodgen.data import chunks, data_report, encode, fit, preprocess, splits
from prodgen.data.source import Source
from prodgen.data.store import FORMAT, SPLITS, Store, seal

Say = Callable[[str], None]
SHARD_BYTES = 64 * 2**20
FEWEST = 2  # usable pictures; a mean and a deviation need as many
OPTIONS = ("resolution", "channels", "fit", "validation", "test", "max_pixels")
COLUMNS = ("image_column", "category_column")


def open_or_prepare(data: ConfigDict, say: Say = lambda text: None) -> Store:
    """The store that config.data describes, prepared now if it is not there yet."""
    return prepare(source_from_config(data), data, say)


def source_from_config(data: ConfigDict) -> Source:
    """The source that config.data names, by the table of sources."""
    return registry.find(registry.SOURCES, data.source, "config.data.source").from_config(data)


def prepare(
    source: Source,
    data: ConfigDict,
    say: Say = lambda text: None,
    workdir: Path | None = None,
) -> Store:
    """The store of `source` under data.cache_dir; with `workdir`, its report is copied there.

    say: takes a line of progress a few times a second. Raises BadData where fewer than FEWEST
    pictures are usable, StorageError where the cache cannot be written.
    """
    key = compute_key(source, data)
    cache = Path(data.cache_dir).expanduser()
    final = cache / f"{data.source}-{key}"
    if not (final / "meta.json").exists():
        with _storage_errors(cache), _locked(cache, key, say):
            if not (final / "meta.json").exists():
                _build(source, data, key, final, say)
    store = Store.open(final)
    if workdir is not None:
        store.copy_report(workdir)
    return store


def compute_key(source: Source, data: ConfigDict) -> str:
    """16 hex digits of all that the bytes of the store follow from."""
    options = {name: data.get(name) for name in OPTIONS + COLUMNS}
    options |= preprocess.describe_cutout(preprocess.FitOptions.from_config(data))
    text = json.dumps([FORMAT, options, source.content()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _storage_errors(cache: Path) -> Iterator[None]:
    """What goes wrong with the cache's disk, in words."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StorageError(
            f"the data cannot be prepared in {cache}: {error}",
            "make room there, or set --config.data.cache_dir; the same command goes on",
        ) from error


@contextlib.contextmanager
def _locked(cache: Path, key: str, say: Say) -> Iterator[None]:
    """Hold <cache>/<key>.lock. The system frees it when its holder dies, so none is ever stale."""
    with open(cache / f"{key}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is preparing the same data; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(source: Source, data: ConfigDict, key: str, final: Path, say: Say) -> None:
    """Chunks, then the store beside them, then its report; the last step renames it."""
    building = final.with_name(final.name + ".building")
    building.mkdir(exist_ok=True)
    jobs = chunks.plan(len(source), building)
    way = preprocess.FitOptions.from_config(data, getattr(source, "composited", False))
    preprocess.check_method(way)  # now, rather than in every process
    options = chunks.Options(way, data.channels, data.max_pixels)
    chunks.build(source, options, jobs, data.workers, Progress(say, data.source, len(source)))
    say("writing the store")
    folder = building / "store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    facts = _assemble(source, data, [job.path for job in jobs], folder)
    _seal_store(folder, key, facts)
    say("writing the data report")
    store = Store.open(folder)
    data_report.write(store, facts.report(store, data))
    _sync(folder)
    os.rename(folder, final)
    shutil.rmtree(building, ignore_errors=True)


class Progress:
    """Says how far the pictures are, at most four times a second. Call it with items done."""

    def __init__(self, say: Say, name: str, total: int):
        self.say, self.name, self.total = say, name, total
        self.done, self.start, self.last = 0, time.monotonic(), 0.0
        say(f"preparing {name}: {total} pictures")

    def __call__(self, items: int) -> None:
        self.done += items
        now = time.monotonic()
        if now - self.last < 0.25 and self.done < self.total:
            return
        self.last = now
        rate = self.done / max(now - self.start, 1e-6)
        left = (self.total - self.done) / max(rate, 1e-6)
        self.say(
            f"preparing {self.name}: {self.done}/{self.total} pictures, "
            f"{rate:.0f}/s, {left:.0f} s left"
        )


@dataclasses.dataclass
class Facts:
    """What assembling a store has found, all rows in order: for meta.json and the report.

    items: the words of the usable pictures, left-out ones included; split: uint8, one each.
    """

    items: list[dict]
    refused: list[dict]
    split: np.ndarray
    arrays: dict[str, np.ndarray]
    spec: Spec
    notes: tuple[str, ...]
    masks: bool
    rows_per_shard: int

    @property
    def kept(self) -> np.ndarray:
        return self.split != splits.LEFT_OUT

    def counts(self) -> dict[str, int]:
        found = {name: int((self.split == index).sum()) for index, name in enumerate(SPLITS)}
        return found | {"refused": len(self.refused), "left_out": int((~self.kept).sum())}

    def background(self) -> list[int]:
        """The median background, [C]."""
        colour = np.median(self.arrays["background"][self.kept], axis=0)
        return fit.set_channels(colour.astype(np.uint8), self.spec.channels).tolist()

    def report(self, store: Store, data: ConfigDict) -> data_report.Findings:
        """What the data report says beyond what the store itself holds."""
        left_out = [self.items[row]["name"] for row in np.flatnonzero(~self.kept)]
        return data_report.Findings(
            title=_title(data),
            refused=[(item["name"], item["refused"]) for item in self.refused],
            left_out=left_out,
            original=self.arrays["original"][self.kept],
            white=self.arrays["white"][self.kept],
            difference=self.arrays["difference"][self.kept],
            notes=list(self.notes),
        )


def _title(data: ConfigDict) -> str:
    """What a reader knows the set by: the last part of its path, or its name."""
    path = Path(data.path).expanduser().absolute()
    named = {"folder": path.name, "table": f"{path.parent.name}: {path.name}", "tfds": data.name}
    return named.get(data.source) or data.source


def _assemble(source: Source, data: ConfigDict, paths: list[Path], folder: Path) -> Facts:
    """Write shards, table.npz and items.jsonl into `folder`."""
    facts = _gather(source, data, paths)
    _check_enough(facts)
    kept = [item for item, keep in zip(facts.items, facts.kept, strict=True) if keep]
    label = encode.encode_labels(kept, facts.spec.classes)
    split = facts.split[facts.kept]
    attributes, values, known = encode.encode_attributes(
        source.schema(), kept, split == splits.TRAIN
    )
    facts.spec = dataclasses.replace(facts.spec, attributes=attributes)
    hashes = facts.arrays["hash"][facts.kept]
    np.savez(
        folder / "table.npz",
        label=label, attributes=values, known=known, split=split, hash=hashes,
    )  # fmt: skip
    with open(folder / "items.jsonl", "w", encoding="ascii") as file:
        for item in kept:
            file.write(json.dumps({"name": item["name"], "caption": item["caption"]}) + "\n")
    _write_shards(paths, facts, folder)
    return facts


def _gather(source: Source, data: ConfigDict, paths: list[Path]) -> Facts:
    """Read all but the pixels of every chunk, and decide channels and splits."""
    items: list[dict] = []
    parts: dict[str, list[np.ndarray]] = {}
    masks, offset = False, 0
    for path in paths:
        chunk = chunks.read(path)
        items += chunk.items
        masks |= chunk.masks.size > 0
        for name in ("hash", "difference", "original", "background", "white", "grey"):
            parts.setdefault(name, []).append(getattr(chunk, name))
        offset += len(chunk.items)
    arrays = {name: np.concatenate(found) for name, found in parts.items()}
    refused = [item for item in items if item["refused"] is not None]
    usable = [item for item in items if item["refused"] is None]
    channels = data.channels or (1 if usable and arrays["grey"].all() else 3)
    row = data.resolution**2 * channels
    official = [item["split"] for item in usable]
    split = np.zeros(0, np.uint8)
    if usable:
        split = splits.assign_splits(arrays["hash"], official, data.validation, data.test)
    return Facts(
        items=usable,
        refused=refused,
        split=split,
        arrays=arrays,
        spec=Spec(data.resolution, channels, tuple(source.classes())),
        notes=tuple(getattr(source, "notes", ())) + tuple(preprocess.describe_findings(usable)),
        masks=masks,
        rows_per_shard=max(1, SHARD_BYTES // row),
    )


def _check_enough(facts: Facts) -> None:
    """BadData, with counts and the first reasons, where there is too little to train on."""
    if int((facts.split == splits.TRAIN).sum()) >= FEWEST:
        return
    usable, refused = len(facts.items), len(facts.refused)
    first = "; ".join(f"{item['name']!a}: {item['refused']}" for item in facts.refused[:3])
    kinds = Counter(item["refused"].split(":")[0] for item in facts.refused).most_common()
    raise BadData(
        f"{usable} usable pictures of {usable + refused}, at least {FEWEST} are needed to train on"
        + (f"; refused: {', '.join(f'{n} {kind}' for kind, n in kinds)}" if refused else "")
        + (f"; first: {first}" if refused else ""),
        "point config.data at JPEG, PNG, WebP, BMP or GIF pictures",
    )


def _write_shards(paths: list[Path], facts: Facts, folder: Path) -> None:
    """images-?????.bin, and mask-?????.bin where any picture has alpha, row after row."""
    position, row = 0, 0
    with contextlib.ExitStack() as stack:
        files: dict[str, Any] = {}
        for path in paths:
            chunk = chunks.read(path)
            count = len(chunk.pictures)
            keep = facts.kept[position : position + count]
            position += count
            pictures = fit.set_channels(chunk.pictures, facts.spec.channels)
            opaque = np.full(pictures.shape[:3], 255, np.uint8)
            masks = chunk.masks if chunk.masks.size else opaque
            for picture, mask in zip(pictures[keep], masks[keep], strict=True):
                if row % facts.rows_per_shard == 0:
                    stack.close()
                    number = row // facts.rows_per_shard
                    for kind in ("images", "mask") if facts.masks else ("images",):
                        shard = folder / f"{kind}-{number:05d}.bin"
                        files[kind] = stack.enter_context(shard.open("wb"))
                files["images"].write(picture.tobytes())
                if facts.masks:
                    files["mask"].write(mask.tobytes())
                row += 1


def _seal_store(folder: Path, key: str, facts: Facts) -> None:
    """meta.json: what the store holds and the hash of every file that is read from it."""
    rows = int(facts.kept.sum())
    files = []
    for path in sorted(folder.iterdir()):
        entry = {"name": path.name, "bytes": path.stat().st_size, "sha256": file_hash(path)}
        if path.suffix == ".bin":
            first = int(path.stem.split("-")[1]) * facts.rows_per_shard
            entry["rows"] = min(facts.rows_per_shard, rows - first)
        files.append(entry)
    meta = {
        "format": FORMAT,
        "key": key,
        "spec": facts.spec.to_json(),
        "counts": facts.counts(),
        "background": facts.background(),
        "masks": facts.masks,
        "rows_per_shard": facts.rows_per_shard,
        "files": files,
    }
    text = json.dumps(seal(meta), indent=1, sort_keys=True)
    (folder / "meta.json").write_text(text + "\n", encoding="utf-8")


def _sync(folder: Path) -> None:
    """Everything on the disk before the rename makes it official."""
    for path in itertools.chain(folder.iterdir(), [folder]):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
