"""Pictures that any other program made, and the real ones that they are judged by.

    --images=DIR --reference=DIR            real pictures in a folder, a category a sub-folder
    --images=DIR --reference=FILE.csv       or as a table lists them
    --images=DIR --reference=FILE.py:NAME   the test split of a config's data
    --images=DIR --workdir=RUN              the test split of a run's data

Half of a folder's or a table's pictures stand for training pictures: they are the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common.listing import files
from prodgen.cli import commandline
from prodgen.config import RESOLUTIONS
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.data import fit, prepare
from prodgen.data.store import Store
from prodgen.evaluation import offline

LARGEST = 128  # pixels a side that pictures of a folder are judged at, at most
SETS = 3  # into which the pictures are parted where there are enough: an interval needs some
MAX_PIXELS = 50_000_000
DATA = {
    "name": "", "channels": 0, "fit": "pad", "size": 4096, "seed": 0, "downloads": "",
    "cache_dir": "~/.cache/prodgen/data", "image_column": "", "category_column": "",
    "validation": 0.0, "test": 0.5, "max_pixels": MAX_PIXELS, "workers": 0, "cutout": "none",
    "cutout_model": "",
}  # fmt: skip


def data_of(reference: str, images: Path) -> ConfigDict:
    """What --reference names, as a config's data section.

    A folder's or a table's pictures are looked at in the largest size that a config may have and
    that the first picture of either folder reaches, 128 at most. MissingInput, UsageError or
    BadData where there is nothing of the kind.
    """
    if not reference:
        raise UsageError(
            "--images is to be judged by nothing",
            "add --reference=FOLDER_OF_REAL_PICTURES or --workdir=RUN",
        )
    path = Path(reference)
    if reference.partition(":")[0].endswith(".py"):
        return commandline.read_config(reference).data
    if not path.exists():
        raise MissingInput(
            f"--reference={reference} does not exist", "name a folder, a table, or FILE.py:PRESET"
        )
    source = "folder" if path.is_dir() else "table"
    side = max(_decoded(files(images, "--images")[0]).shape[:2])
    if source == "folder":  # enlarged pictures of either side would look blurred
        side = min(side, max(_decoded(files(path, "--reference")[0]).shape[:2]))
    fitting = [size for size in RESOLUTIONS if size <= min(side, LARGEST)]
    if not fitting:
        raise BadData(f"--images={images} holds pictures of {side} px: at least 16 are needed")
    return ConfigDict(DATA | {"source": source, "path": reference, "resolution": max(fitting)})


def store_of(data: ConfigDict, say: offline.Say) -> Store:
    """The reference's pictures, prepared."""
    return prepare.open_or_prepare(data, say)


def subject(folder: Path, store: Store, data: ConfigDict, seed: int) -> offline.SampleSource:
    """The pictures of a folder as what is judged, fitted as the reference's pictures were."""
    paths = files(folder, "--images")
    pictures = _pictures(paths, store, data.fit)
    return offline.SampleSource(f"{len(paths)} pictures of {folder.name}", parted(pictures, seed))


def parted(pictures: np.ndarray, seed: int) -> Callable[[int], list[offline.SampleSet]]:
    """make(n) of a Subject: the pictures in random order, in up to 3 sets of n without repeats."""
    order = np.random.default_rng(seed).permutation(len(pictures))

    def make(n: int) -> list[offline.SampleSet]:
        sets = max(1, min(SETS, len(pictures) // n))
        return [(pictures[order[i * n : (i + 1) * n]], None) for i in range(sets)]

    return make


def _pictures(paths: list[Path], store: Store, how: str) -> np.ndarray:
    """uint8 [N, R, R, C] of the store's shape; BadData of another size or channel count."""
    spec, size = store.spec, None
    out = np.empty((len(paths), *spec.shape), np.uint8)
    for i, path in enumerate(paths):
        raw = _decoded(path)
        size = size or raw.shape[:2]
        if raw.shape[:2] != size:
            raise BadData(
                f"{path.name} is {_size(raw.shape)}, {paths[0].name} is {_size(size)}: pictures "
                "of one generator have one size",
                "take out those that do not belong, or bring all to one size",
            )
        if max(size) < spec.resolution:
            raise BadData(
                f"the pictures are {_size(size)}, the reference is {spec.resolution} a side",
                "judge by a reference of their size: enlarged pictures would look blurred",
            )
        pixels = fit.fit_image(raw, spec.resolution, how).pixels
        if pixels.shape[-1] > spec.channels:
            raise BadData(
                f"{path.name} is in colour, the reference is grey",
                "bring the pictures to grey, or judge by a reference in colour",
            )
        out[i] = fit.set_channels(pixels, spec.channels)
    return out


def _decoded(path: Path) -> np.ndarray:
    try:
        return decode.decode_file(path, MAX_PIXELS)
    except RejectedItem as reason:
        raise BadData(f"{path}: {reason}", "take it out, or write it anew") from None


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px"
