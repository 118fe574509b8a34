"""Images that another program made, and the real images that they are compared with.

    --images=DIR --reference=DIR            real images in a folder, a category a sub-folder
    --images=DIR --reference=FILE.csv       or as a table lists them
    --images=DIR --reference=FILE.py:NAME   the test split of a config's data
    --images=DIR --workdir=RUN              the test split of a run's data

Half of the images of a folder or a table stand for training images: they give the real baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common.image_files import list_image_files
from prodgen.cli import commandline
from prodgen.config import RESOLUTIONS
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.data import fit
from prodgen.data.store import Store
from prodgen.evaluation import offline

MAX_RESOLUTION = 128  # pixels a side that images of a folder are compared at
MAX_SETS = 3  # that the images are split into where there are enough: an interval needs some
MAX_PIXELS = 50_000_000
DATA_DEFAULTS = {
    "name": "", "channels": 0, "fit": "pad", "size": 4096, "seed": 0, "downloads": "",
    "cache_dir": "~/.cache/prodgen/data", "image_column": "", "category_column": "",
    "validation": 0.0, "test": 0.5, "max_pixels": MAX_PIXELS, "workers": 0, "cutout": "none",
    "cutout_model": "",
}  # fmt: skip


def reference_data_config(reference: str, images: Path) -> ConfigDict:
    """The data section of a config for --reference.

    Images of a folder or a table are compared at the largest resolution of a config that the first
    image of either folder reaches, 128 at most. MissingInput, UsageError or BadData where there
    are no such images.
    """
    if not reference:
        raise UsageError(
            "--images needs real images to compare with",
            "add --reference=FOLDER_OF_REAL_IMAGES or --workdir=RUN",
        )
    path = Path(reference)
    if reference.partition(":")[0].endswith(".py"):
        return commandline.read_config(reference).data
    if not path.exists():
        raise MissingInput(
            f"--reference={reference} does not exist", "name a folder, a table, or FILE.py:PRESET"
        )
    source = "folder" if path.is_dir() else "table"
    side = max(decode_image(list_image_files(images, "--images")[0]).shape[:2])
    if source == "folder":  # enlarged images on either side would be blurred
        first = list_image_files(path, "--reference")[0]
        side = min(side, max(decode_image(first).shape[:2]))
    resolutions = [r for r in RESOLUTIONS if r <= min(side, MAX_RESOLUTION)]
    if not resolutions:
        raise BadData(
            f"--images={images} holds images of {side} px: at least 16 are needed",
            "name a folder of larger images",
        )
    section = {"source": source, "path": reference, "resolution": max(resolutions)}
    return ConfigDict(DATA_DEFAULTS | section)


def source_of_folder(
    folder: Path, store: Store, data: ConfigDict, seed: int
) -> offline.SampleSource:
    """The images of a folder, fitted as the real images were."""
    paths = list_image_files(folder, "--images")
    images = read_fitted_images(paths, store, data.fit)
    return offline.SampleSource(
        f"{len(paths)} pictures of {folder.name}", split_into_sets(images, seed)
    )


def split_into_sets(images: np.ndarray, seed: int) -> Callable[[int], list[offline.SampleSet]]:
    """make(n) of a source: the images in random order, in up to 3 sets of n without repeats."""
    order = np.random.default_rng(seed).permutation(len(images))

    def make(n: int) -> list[offline.SampleSet]:
        sets = max(1, min(MAX_SETS, len(images) // n))
        return [(images[order[i * n : (i + 1) * n]], None) for i in range(sets)]

    return make


def read_fitted_images(paths: list[Path], store: Store, method: str) -> np.ndarray:
    """uint8 [N, R, R, C] of the store's shape, fitted by a method of data.fit.

    BadData for images of different sizes, too small ones, and colour where the store is grey.
    """
    spec, size = store.spec, None
    images = np.empty((len(paths), *spec.shape), np.uint8)
    for i, path in enumerate(paths):
        raw = decode_image(path)
        size = size or raw.shape[:2]
        if raw.shape[:2] != size:
            raise BadData(
                f"{path.name} is {format_size(raw.shape)}, {paths[0].name} is {format_size(size)}: "
                "images of one generator have one size",
                "take out those that do not belong, or resize all to one size",
            )
        if max(size) < spec.resolution:
            raise BadData(
                f"the images are {format_size(size)}, the reference is {spec.resolution} a side",
                "compare with a reference of their size: enlarged images would be blurred",
            )
        pixels = fit.fit_image(raw, spec.resolution, method).pixels
        if pixels.shape[-1] > spec.channels:
            raise BadData(
                f"{path.name} is in colour, the reference is grey",
                "convert the images to grey, or compare with a reference in colour",
            )
        images[i] = fit.set_channels(pixels, spec.channels)
    return images


def decode_image(path: Path) -> np.ndarray:
    """The image of a file, uint8 [H, W, C]; BadData if it cannot be read."""
    try:
        return decode.decode_file(path, MAX_PIXELS)
    except RejectedItem as reason:
        raise BadData(f"{path}: {reason}", "take it out, or write it anew") from None


def format_size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px"
