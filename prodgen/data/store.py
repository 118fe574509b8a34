"""Reading a prepared store: uint8 images in shards, their conditions, splits and hashes.

Rows are read with `pread`, never through a memory map: a shard that is truncated during a run is
then an error with the shard's name instead of a SIGBUS. Imports NumPy only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.config import renames
from prodgen.core.errors import BadData, MissingInput, StorageError, advise_on_os_error
from prodgen.core.files import hash_file
from prodgen.core.types import Spec

FORMAT = 1  # of the files below; part of every store's key
SPLITS = ("train", "validation", "test")
REPORT_FILES = ("data_report.html", "data_report.json")


class Store:
    """A prepared set of images: `spec`, `counts` of each split, and rows by id in [0, size).

    path: its folder; key: 16 hex digits, a hash of its source and options; background: uint8 [C],
    the median background colour of the set; hash: uint8 [N, 32], sha256 of each row's content (its
    pixels, one channel where the image is grey); split: uint8 [N], an index into SPLITS.
    """

    def __init__(self, path: Path, meta: dict[str, Any], table: dict[str, np.ndarray]):
        self.path = path
        self.meta = meta
        self.key: str = meta["key"]
        background = tuple(int(value) for value in meta["background"])
        self.spec = dataclasses.replace(
            Spec.from_json(renames.update_spec(meta["spec"])), background=background
        )
        self.counts: dict[str, int] = meta["counts"]
        self.background = np.array(meta["background"], np.uint8)
        self.size: int = len(table["label"])
        self.label, self.attributes = table["label"], table["attributes"]
        self.known, self.split, self.hash = table["known"], table["split"], table["hash"]
        self._items: list[dict[str, str]] | None = None

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Store:
        """The store in a folder. MissingInput without one; BadData names a damaged file."""
        path = Path(path)
        try:
            meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingInput(
                f"there is no prepared data in {path}", "prepare it: give the same command again"
            ) from None
        except (OSError, ValueError) as error:
            raise _damage_error(path, "meta.json", str(error)) from error
        if not isinstance(meta, dict) or seal(meta).get("seal") != meta.get("seal"):
            raise _damage_error(path, "meta.json", "its content does not match its hash")
        if meta.get("format") != FORMAT:
            reason = f"format {meta.get('format')}, this program has {FORMAT}"
            raise _damage_error(path, "meta.json", reason)
        # Of the large files only the size is checked here; `verify` hashes them.
        for shard in meta["files"]:
            _check_size(path, shard)
            if not shard["name"].endswith(".bin"):  # hashing the small files takes no time
                _check_hash(path, shard)
        with np.load(path / "table.npz", allow_pickle=False) as arrays:
            table = {name: arrays[name] for name in arrays.files}
        return Store(path, meta, table)

    def __reduce__(self):
        return Store.open, (self.path,)

    def verify(self, full: bool = False) -> None:
        """Check the size of every file, or with `full` its sha256; BadData names a damaged one."""
        for shard in self.meta["files"]:
            _check_size(self.path, shard)
            if full:
                _check_hash(self.path, shard)

    def ids(self, split: str) -> np.ndarray:
        """int32 [n], the row ids of "train", "validation" or "test", ascending."""
        return np.flatnonzero(self.split == SPLITS.index(split)).astype(np.int32)

    def evenly_spaced_ids(self, split: str, n: int) -> np.ndarray:
        """At most n ids of a split, evenly spaced: a source often lists category by category."""
        ids = self.ids(split)
        return ids[np.linspace(0, len(ids) - 1, min(len(ids), n)).astype(int)]

    def fetch(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The rows `ids` [B] in any order, repeats allowed: image uint8 [B, H, W, C], label int32
        [B], attributes float32 [B, A], known bool [B, A], id int32 [B]."""
        ids = self._validate_ids(ids)
        return {
            "image": self._read_rows("images", ids, self.spec.shape),
            "label": self.label[ids],
            "attributes": self.attributes[ids],
            "known": self.known[ids],
            "id": ids.astype(np.int32),
        }

    def digest(self) -> str:
        """16 hex digits of what training depends on: pixels, splits and conditions, no paths."""
        total = hashlib.sha256(
            json.dumps(renames.restore_first_spec(self.spec.to_json()), sort_keys=True).encode()
        )
        for part in (self.hash, self.split, self.label, self.attributes, self.known):
            total.update(np.ascontiguousarray(part).tobytes())
        return total.hexdigest()[:16]

    def masks(self, ids: np.ndarray) -> np.ndarray | None:
        """Alpha of the rows `ids` [B], uint8 [B, H, W]; None if no image of the set has any."""
        if not self.meta["masks"]:
            return None
        return self._read_rows("mask", self._validate_ids(ids), self.spec.shape[:2])

    def captions(self, ids: np.ndarray) -> list[str]:
        items = self._read_items()
        return [items[row]["caption"] for row in self._validate_ids(ids)]

    def names(self, ids: np.ndarray) -> list[str]:
        items = self._read_items()
        return [items[row]["name"] for row in self._validate_ids(ids)]

    def products(self, ids: np.ndarray) -> list[str]:
        """The product of each row: the identifier in the source, such as a sku, or its name."""
        items = self._read_items()
        return [items[row].get("group") or items[row]["name"] for row in self._validate_ids(ids)]

    def copy_report(self, workdir: str | os.PathLike[str]) -> None:
        """Copy data_report.html and data_report.json into a run's folder."""
        try:
            for name in REPORT_FILES:
                shutil.copyfile(self.path / name, Path(workdir) / name)
        except OSError as error:
            raise StorageError(
                f"the data report cannot be copied to {workdir}: {error}", advise_on_os_error(error)
            ) from error

    def _validate_ids(self, ids: np.ndarray) -> np.ndarray:
        ids = np.asarray(ids, np.int64).reshape(-1)
        if ids.size and (ids.min() < 0 or ids.max() >= self.size):
            raise IndexError(f"row ids from {ids.min()} to {ids.max()} of a store of {self.size}")
        return ids

    def _read_items(self) -> list[dict[str, str]]:
        if self._items is None:
            with open(self.path / "items.jsonl", encoding="ascii") as file:
                self._items = [json.loads(line) for line in file]
        return self._items

    def _read_rows(self, kind: str, ids: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """uint8 [B, *shape] from the shards `kind`-?????.bin, each opened once, read in order."""
        out = np.empty((len(ids), *shape), np.uint8)
        order = np.argsort(ids, kind="stable")
        shards, rows = np.divmod(ids[order], self.meta["rows_per_shard"])
        for shard in np.unique(shards):
            in_shard = shards == shard
            path = self.path / f"{kind}-{shard:05d}.bin"
            _read_shard(path, rows[in_shard], order[in_shard], out)
        return out


def _read_shard(path: Path, rows: np.ndarray, out_rows: np.ndarray, out: np.ndarray) -> None:
    """Copy the ascending `rows` of one shard to `out_rows` of `out`, one read a contiguous run."""
    row_bytes = out[:1].nbytes
    # A new run starts where a row is neither the row before it nor the next one.
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) > 1)
    stops = np.append(starts[1:], len(rows))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for start, stop in zip(starts, stops, strict=True):
                first, count = int(rows[start]), int(rows[stop - 1] - rows[start]) + 1
                block = _pread(descriptor, count * row_bytes, first * row_bytes)
                block = np.frombuffer(block, np.uint8).reshape(count, *out.shape[1:])
                out[out_rows[start:stop]] = block[rows[start:stop] - first]
        finally:
            os.close(descriptor)
    except (OSError, EOFError) as error:
        raise StorageError(
            f"shard {path} of the data cannot be read: {error}",
            f"delete the folder {path.parent} and start again: it is prepared again",
        ) from error


def _pread(descriptor: int, count: int, offset: int) -> bytes:
    """Exactly `count` bytes at `offset`; EOFError where the file ends before."""
    parts = []
    while count:
        part = os.pread(descriptor, count, offset)
        if not part:
            raise EOFError("it is shorter than it was when the run started")
        parts.append(part)
        count, offset = count - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def hash_content(image: np.ndarray) -> bytes:
    """sha256 of prepared pixels uint8 [R, R, C], one channel where the image is grey."""
    return hashlib.sha256(np.ascontiguousarray(image)).digest()


def seal(meta: dict[str, Any]) -> dict[str, Any]:
    """`meta` with the sha256 of its own content, so that an edit is detected."""
    body = {name: value for name, value in meta.items() if name != "seal"}
    text = json.dumps(body, sort_keys=True)
    return body | {"seal": hashlib.sha256(text.encode()).hexdigest()}


def _check_size(path: Path, shard: dict[str, Any]) -> None:
    try:
        size = os.stat(path / shard["name"]).st_size
    except OSError as error:
        raise _damage_error(path, shard["name"], error.strerror or str(error)) from error
    if size != shard["bytes"]:
        raise _damage_error(path, shard["name"], f"{size} bytes, {shard['bytes']} were written")


def _check_hash(path: Path, shard: dict[str, Any]) -> None:
    if hash_file(path / shard["name"]) != shard["sha256"]:
        raise _damage_error(path, shard["name"], "its content does not match its hash")


def _damage_error(path: Path, name: str, reason: str) -> BadData:
    return BadData(
        f"the prepared data in {path} is damaged: {name}: {reason}",
        f"delete the folder {path} and start again: it is prepared again",
    )
