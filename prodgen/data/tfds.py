"""Any TensorFlow data set that has pictures, by its name, with or without a network.

TensorFlow is imported only when pictures are read: a store that exists already is found without it.
Pictures are taken undecoded and go through core/decode.py like those of every other source.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen.config import registry
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, Refused, UsageError
from prodgen.core.types import Attribute
from prodgen.data import packages
from prodgen.data.source import Item, SplitName

SPLIT_NAMES: dict[str, SplitName] = {"train": "train", "validation": "validation", "test": "test"}


class TensorflowDataset:
    """The splits train, validation and test of a data set, one after the other in file order."""

    parallel = False  # TensorFlow is loaded once, in this process

    def __init__(self, name: str, folder: Path, downloads: Path | None, max_pixels: int):
        self.name, self.folder, self.downloads = name, folder, downloads
        self.max_pixels = max_pixels
        self.notes: tuple[str, ...] = ()
        self._builder: Any = None

    def __len__(self) -> int:
        return sum(count for _, count in self._splits())

    def classes(self) -> tuple[str, ...]:
        key = self._label_key()
        return tuple(self.builder.info.features[key].names) if key else ()

    def schema(self) -> tuple[Attribute, ...]:
        return ()

    def content(self) -> dict[str, Any]:
        try:
            version = importlib.metadata.version("tensorflow-datasets")
        except importlib.metadata.PackageNotFoundError as error:
            raise _not_installed(error) from error
        return {"source": "tfds", "name": self.name, "tensorflow-datasets": version}

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        position = 0
        for split, count in self._splits():
            low, high = max(start - position, 0), min(stop - position, count)
            if low < high:
                yield from self._stream_split(split, low, high)
            position += count

    @property
    def builder(self) -> Any:
        """The data set's builder, its files prepared."""
        if self._builder is None:
            self._builder = _prepared_builder(self.name, self.folder, self.downloads)
            unused = sorted(set(self._builder.info.splits) - set(SPLIT_NAMES))
            self.notes = tuple(f"split {name!r} is not used" for name in unused)
        return self._builder

    def _splits(self) -> list[tuple[str, int]]:
        found = self.builder.info.splits
        splits = [(name, found[name].num_examples) for name in SPLIT_NAMES if name in found]
        if not splits:
            raise BadData(f"{self.name} has no split train, but {', '.join(found)}")
        return splits

    def _image_key(self) -> str:
        tfds = _tensorflow_datasets()
        features = self.builder.info.features
        for key, feature in features.items():
            if isinstance(feature, tfds.features.Image):
                return key
        raise UsageError(
            f"config.data.name={self.name!r} has no pictures; its features: {', '.join(features)}"
        )

    def _label_key(self) -> str | None:
        """The first feature that is a class; "label" before others."""
        tfds = _tensorflow_datasets()
        features = self.builder.info.features
        kinds = [key for key, one in features.items() if isinstance(one, tfds.features.ClassLabel)]
        return "label" if "label" in kinds else next(iter(kinds), None)

    def _stream_split(self, split: str, low: int, high: int) -> Iterator[Item]:
        tfds = _tensorflow_datasets()
        image, label, names = self._image_key(), self._label_key(), self.classes()
        official = SPLIT_NAMES[split] if len(self._splits()) > 1 else None
        examples = self.builder.as_dataset(
            split=f"{split}[{low}:{high}]",
            shuffle_files=False,
            decoders={image: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        for number, example in enumerate(tfds.as_numpy(examples), start=low):
            place = int(example[label]) if label else -1
            yield Item(
                f"{split}/{number:07d}",
                self._decode(example[image]),
                category=names[place] if 0 <= place < len(names) else None,
                split=official,
            )

    def _decode(self, data: bytes):
        try:
            return decode.decode_bytes(data, self.max_pixels)
        except Refused as refused:
            return refused


def from_config(data: ConfigDict) -> TensorflowDataset:
    """The source that config.data describes."""
    if not data.name:
        raise UsageError("config.data.name is empty", "add --config.data.name=fashion_mnist")
    downloads = Path(data.downloads).expanduser() if data.downloads else None
    if downloads is not None and not downloads.is_dir():
        raise MissingInput(f"there is no folder {downloads}", "set --config.data.downloads")
    folder = Path(data.cache_dir).expanduser() / "tensorflow_datasets"
    return TensorflowDataset(data.name, folder, downloads, data.max_pixels)


def _tensorflow_datasets() -> Any:
    """The package, with TensorFlow quiet and without the accelerators, which are JAX's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise _not_installed(error) from error
    with contextlib.suppress(RuntimeError):  # already in use: then it is too late to hide them
        for kind in ("GPU", "TPU"):
            tf.config.set_visible_devices([], kind)
    tfds.disable_progress_bar()
    return tfds


def _not_installed(error: ImportError) -> UsageError:
    return UsageError(
        f"config.data.source=tfds needs a package that is not installed: {error}", packages.INSTALL
    )


def _prepared_builder(name: str, folder: Path, downloads: Path | None) -> Any:
    """The builder after download_and_prepare. UsageError: no such name; MissingInput: no files."""
    tfds = _tensorflow_datasets()
    manual = folder / "downloads" / "manual"
    manual.mkdir(parents=True, exist_ok=True)
    if downloads is not None:
        _place(downloads, manual)
    try:
        builder = tfds.builder(name, data_dir=str(folder), try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise UsageError(f"config.data.name={name!r} is not known; {_near(name, known)}") from error
    if not Path(builder.data_dir).exists():
        _check_reachable(builder, name, manual, by_hand=downloads is not None)
    try:
        config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=str(manual))
        builder.download_and_prepare(download_config=config)
    except OSError as error:
        if getattr(error, "errno", None) is not None and not _is_network(error):
            raise
        raise _missing(builder, name, error) from error
    except Exception as error:  # whatever the network, a checksum or a data set's own code raises
        raise _missing(builder, name, error) from error
    return builder


def _check_reachable(builder: Any, name: str, manual: Path, by_hand: bool) -> None:
    """MissingInput now rather than after minutes of retries: files fetched by hand that are not
    there (then nothing is downloaded), or a server whose name nothing resolves."""
    with contextlib.suppress(AttributeError):  # a data set without a list of files
        infos = builder.url_infos
        wanted = {info.filename or url.rsplit("/", 1)[-1]: url for url, info in infos.items()}
        absent = [file for file in wanted if not (manual / file).exists()]
        if not absent:
            return
        # The list covers every variant of a data set, of which one file may be enough.
        if by_hand and (builder.builder_config is None or len(absent) == len(wanted)):
            raise _missing(builder, name, FileNotFoundError(f"absent: {', '.join(absent[:8])}"))
        if not urllib.request.getproxies() and not _resolves(wanted[absent[0]]):
            raise _missing(builder, name, ConnectionError("no network"))


def _resolves(url: str) -> bool:
    try:
        return bool(socket.getaddrinfo(urllib.parse.urlsplit(url).hostname, 443))
    except OSError:
        return False


def _near(name: str, known: list[str]) -> str:
    """A few names like `name`, of the hundreds there are."""
    import difflib

    close = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return registry.nearest(name, close) if close else "tensorflow.org/datasets lists the names"


def _is_network(error: OSError) -> bool:
    """Whether an error of the system comes from a connection, not from a disk."""
    return isinstance(error, ConnectionError) or "requests" in type(error).__module__


def _missing(builder: Any, name: str, error: Exception) -> MissingInput:
    """What to fetch by hand, and where to say that it is there."""
    with contextlib.suppress(Exception):
        wanted = sorted(info.filename or url for url, info in builder.url_infos.items())
        files = ", ".join(wanted[:8]) + (", ..." if len(wanted) > 8 else "")
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return MissingInput(
            f"{name} cannot be downloaded ({reason}); its files: {files or 'unknown'}",
            "put these files into a folder and set --config.data.downloads to it",
        )
    return MissingInput(f"{name} cannot be downloaded: {error}", "set --config.data.downloads")


def _place(downloads: Path, manual: Path) -> None:
    """Link (or copy) files fetched by hand to where tensorflow-datasets looks for them."""
    for file in sorted(downloads.iterdir()):
        target = manual / file.name
        if not file.is_file() or target.exists():
            continue
        target.unlink(missing_ok=True)  # a link whose file is gone
        try:
            target.symlink_to(file.resolve())
        except OSError:
            shutil.copyfile(file, target)
