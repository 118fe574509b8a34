"""Any TensorFlow data set that has images, by its name, with or without a network.

TensorFlow is imported only when images are read: a store that exists already is opened without it.
Images are read undecoded and go through core/decode.py like those of every other source.
"""

from __future__ import annotations

import contextlib
import difflib
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
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.types import Attribute
from prodgen.data import packages
from prodgen.data.shared_store import locate_cache
from prodgen.data.source import Item, SplitName

MAX_LISTED_FILES = 8
OTHER_DATA_ADVICE = "choose another data set of images; or set config.data.name=NAME"
DOWNLOADS_ADVICE = "put the files into the folder of downloads; or set config.data.downloads=FOLDER"
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
            raise _package_error(error) from error
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
            self._builder = _prepare_builder(self.name, self.folder, self.downloads)
            unused_splits = sorted(set(self._builder.info.splits) - set(SPLIT_NAMES))
            self.notes = tuple(f"split {name!r} is not used" for name in unused_splits)
        return self._builder

    def _splits(self) -> list[tuple[str, int]]:
        infos = self.builder.info.splits
        sizes = [(name, infos[name].num_examples) for name in SPLIT_NAMES if name in infos]
        if not sizes:
            raise BadData(
                f"{self.name} has no split train, but {', '.join(infos)}", OTHER_DATA_ADVICE
            )
        return sizes

    def _label_key(self) -> str | None:
        """The first feature that is a class; "label" before others."""
        tfds = _import_tfds()
        features = self.builder.info.features
        class_label = tfds.features.ClassLabel
        keys = [key for key, feature in features.items() if isinstance(feature, class_label)]
        return "label" if "label" in keys else next(iter(keys), None)

    def _stream_split(self, split: str, low: int, high: int) -> Iterator[Item]:
        tfds = _import_tfds()
        features = self.builder.info.features
        image_feature = tfds.features.Image
        keys = [key for key, feature in features.items() if isinstance(feature, image_feature)]
        if not keys:
            raise UsageError(
                f"config.data.name={self.name!r} has no images; its features: "
                f"{', '.join(features)}",
                OTHER_DATA_ADVICE,
            )
        image_key, label_key, names = keys[0], self._label_key(), self.classes()
        # A set with a single split has no official division.
        official_split = SPLIT_NAMES[split] if len(self._splits()) > 1 else None
        examples = self.builder.as_dataset(
            split=f"{split}[{low}:{high}]",
            shuffle_files=False,
            decoders={image_key: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        for number, example in enumerate(tfds.as_numpy(examples), start=low):
            label = int(example[label_key]) if label_key else -1
            try:
                image = decode.decode_bytes(example[image_key], self.max_pixels)
            except RejectedItem as refusal:
                image = refusal
            yield Item(
                f"{split}/{number:07d}",
                image,
                category=names[label] if 0 <= label < len(names) else None,
                split=official_split,
            )


def from_config(data: ConfigDict) -> TensorflowDataset:
    """The source that config.data describes."""
    if not data.name:
        raise UsageError(
            "config.data.name is empty", "name a data set; or set config.data.name=NAME"
        )
    downloads = Path(data.downloads).expanduser() if data.downloads else None
    if downloads is not None and not downloads.is_dir():
        raise MissingInput(
            f"there is no folder {downloads}", "put it there; or set config.data.downloads=FOLDER"
        )
    folder = locate_cache(data.cache_dir) / "tensorflow_datasets"
    return TensorflowDataset(data.name, folder, downloads, data.max_pixels)


def _import_tfds() -> Any:
    """The package, with TensorFlow's messages off and without the accelerators, which JAX uses."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise _package_error(error) from error
    with contextlib.suppress(RuntimeError):  # TensorFlow has initialised them already
        for kind in ("GPU", "TPU"):
            tf.config.set_visible_devices([], kind)
    tfds.disable_progress_bar()
    return tfds


def _package_error(error: ImportError) -> UsageError:
    return UsageError(
        f"config.data.source=tfds needs a package that is not installed: {error}", packages.INSTALL
    )


def _prepare_builder(name: str, folder: Path, downloads: Path | None) -> Any:
    """The builder after download_and_prepare. UsageError: no such name; MissingInput: no files."""
    tfds = _import_tfds()
    manual = folder / "downloads" / "manual"
    manual.mkdir(parents=True, exist_ok=True)
    # Files of the user are linked (or copied) to where tensorflow-datasets looks for them.
    for file in sorted(downloads.iterdir()) if downloads is not None else []:
        target = manual / file.name
        if not file.is_file() or target.exists():
            continue
        target.unlink(missing_ok=True)  # a link whose file is gone
        try:
            target.symlink_to(file.resolve())
        except OSError:
            shutil.copyfile(file, target)
    try:
        builder = tfds.builder(name, data_dir=str(folder), try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        # A few names like `name`, of the hundreds that exist.
        names = tfds.list_builders(with_community_datasets=False)
        close = difflib.get_close_matches(name, names, n=5, cutoff=0.4)
        hint = "tensorflow.org/datasets lists the names"
        hint = registry.suggest_names(name, close) if close else hint
        raise UsageError(
            f"config.data.name={name!r} is not known; {hint}", OTHER_DATA_ADVICE
        ) from error
    if not Path(builder.data_dir).exists():
        _check_reachable(builder, name, manual, has_downloads=downloads is not None)
    try:
        config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=str(manual))
        builder.download_and_prepare(download_config=config)
    except OSError as error:
        # A disk error passes; an error of the connection means that files are missing.
        is_network_error = (
            isinstance(error, ConnectionError) or "requests" in type(error).__module__
        )
        if getattr(error, "errno", None) is not None and not is_network_error:
            raise
        raise _missing_files_error(builder, name, error) from error
    except Exception as error:  # from the network, a checksum or a data set's own code
        raise _missing_files_error(builder, name, error) from error
    return builder


def _check_reachable(builder: Any, name: str, manual: Path, has_downloads: bool) -> None:
    """Raise MissingInput at once, not after minutes of retries.

    Either files are missing in the user's folder (then nothing is downloaded), or the name of the
    server cannot be resolved.
    """
    with contextlib.suppress(AttributeError):  # a data set without a list of files
        infos = builder.url_infos
        urls = {info.filename or url.rsplit("/", 1)[-1]: url for url, info in infos.items()}
        absent = [file for file in urls if not (manual / file).exists()]
        if not absent:
            return
        # The list covers every variant of a data set, of which one file may be enough.
        if has_downloads and (builder.builder_config is None or len(absent) == len(urls)):
            error = FileNotFoundError(f"absent: {', '.join(absent[:MAX_LISTED_FILES])}")
            raise _missing_files_error(builder, name, error)
        if not urllib.request.getproxies() and not is_resolvable(urls[absent[0]]):
            raise _missing_files_error(builder, name, ConnectionError("no network"))


def is_resolvable(url: str) -> bool:
    """Whether the name of a URL's server resolves to an address."""
    try:
        return bool(socket.getaddrinfo(urllib.parse.urlsplit(url).hostname, 443))
    except OSError:
        return False


def _missing_files_error(builder: Any, name: str, error: Exception) -> MissingInput:
    """The error that lists the files to download, and names the field for their folder."""
    with contextlib.suppress(Exception):
        files = sorted(info.filename or url for url, info in builder.url_infos.items())
        more = ", ..." if len(files) > MAX_LISTED_FILES else ""
        listed_files = ", ".join(files[:MAX_LISTED_FILES]) + more
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return MissingInput(
            f"{name} cannot be downloaded ({reason}); its files: {listed_files or 'unknown'}",
            DOWNLOADS_ADVICE,
        )
    return MissingInput(f"{name} cannot be downloaded: {error}", DOWNLOADS_ADVICE)
