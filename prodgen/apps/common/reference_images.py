"""The real images of --reference, and the resolution at which folders are compared.

    --reference=DIR            real images in a folder, a category a sub-folder
    --reference=FILE.csv       or as a table lists them
    --reference=FILE.py:NAME   the test split of a config's data

Half of the images of a folder or a table stand for training images: they give the real baseline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.config import RESOLUTIONS, build_default_config
from prodgen.core.cache import cached_bytes
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.core.file_names import format_name
from prodgen.data import folder, prepare
from prodgen.data.shared_store import locate_cache
from prodgen.data.source import Source
from prodgen.data.store import Store

MAX_RESOLUTION = 128  # pixels a side that images of a folder are compared at
MIN_HELD_OUT = 20  # images, as evaluation/offline.py needs; of a folder, half are held out
MAX_PIXELS = 50_000_000
COMMON_RESOLUTIONS = (16, 32, 64, 128)  # of which images of several sizes get one
SIZE_SAMPLE = 64  # images of a side, evenly spaced, whose sizes decide the resolution
MAX_ENLARGED_SHARE = 0.1  # of the images of either side: the others reach the resolution
MAX_REASONS = 3  # of files that are left out, in an error
Sizes = list[tuple[int, int]]  # (height, width) of images
DATA_DEFAULTS = {
    "cache_dir": "~/.cache/prodgen/data", "validation": 0.0, "test": 0.5, "max_pixels": MAX_PIXELS
}  # fmt: skip


def is_config(reference: str) -> bool:
    """Whether --reference names a config: FILE.py or FILE.py:PRESET."""
    return reference.partition(":")[0].endswith(".py")


def check_paths(images: Path, reference: str) -> None:
    """MissingInput or UsageError where --images and --reference cannot be compared.

    No image is read.
    """
    if not images.exists():
        raise MissingInput(f"--images={images} does not exist", "name a folder of images")
    if not images.is_dir():
        raise UsageError(f"--images={images} is a file", "name a folder of at least 20 images")
    if not reference or is_config(reference):
        return
    path = Path(reference)
    if not path.exists():
        raise MissingInput(
            f"--reference={reference} does not exist", "name a folder, a table, or FILE.py:PRESET"
        )
    if path.is_file() and path.suffix.lower() in folder.SUFFIXES:
        raise UsageError(f"--reference={reference} is one image", "name a folder or a table")
    inner, outer = sorted((images.resolve(), path.resolve()), key=lambda p: -len(p.parts))
    if path.is_dir() and inner != outer and inner.is_relative_to(outer):
        raise UsageError(
            f"--images={images} and --reference={reference}: one folder lies inside the other, so "
            "its images would be on both sides",
            "move it out, or name two folders beside each other",
        )


def check_out(target: Path, images: Path, reference: str) -> None:
    """UsageError where the files of this mode would be among the images of the next command."""
    for flag, path in (("--images", images), ("--reference", Path(reference or images))):
        if path.is_dir() and target.resolve().is_relative_to(path.resolve()):
            raise UsageError(
                f"{target} lies inside {flag}={path}: its sheets would be judged as images",
                "name a folder outside of it with --out",
            )


def data_section(source: str, path: str | Path) -> ConfigDict:
    """The data section of a config for a folder or a table of real images."""
    section = {"source": source, "path": str(path)}
    return ConfigDict(build_default_config().data.to_dict() | DATA_DEFAULTS | section)


def open_reference(reference: str) -> tuple[ConfigDict, Source | None]:
    """The data section for --reference, and the source of a folder or a table.

    A config's data have no source here: they are not read before they are prepared. The resolution
    of a folder or a table is still to be set (`choose_resolution`).
    """
    if not reference:
        raise UsageError(
            "--images needs real images to compare with",
            "add --reference=FOLDER_OF_REAL_IMAGES or --workdir=RUN",
        )
    if is_config(reference):
        return commandline.read_config(reference).data, None
    data = data_section("folder" if Path(reference).is_dir() else "table", reference)
    flag, advice = f"--reference={reference}", _advise(reference)
    source = with_flag(lambda: prepare.source_from_config(data), flag, advice)
    if not len(source):
        raise MissingInput(f"--reference={reference} holds no images", "name real images")
    return data, source


def open_store(
    reference: str, data: ConfigDict, source: Source | None, say: Callable[[str], None]
) -> Store:
    """The prepared images of --reference. Errors name the flag."""
    if source is None:
        return prepare.open_or_prepare(data, say)
    return with_flag(
        lambda: prepare.open_or_prepare(data, say, source),
        f"--reference={reference}",
        _advise(reference),
    )


def _advise(reference: str) -> str:
    """The next step where the images of --reference cannot be used."""
    if Path(reference).is_file():
        return (
            "correct the table: a column `image` has paths relative to the table's folder; or name "
            "a folder of images with --reference"
        )
    return "name a folder of JPEG, PNG or WebP images with --reference"


def with_flag(open_data: Callable[[], Any], flag: str, advice: str) -> Any:
    """What `open_data` returns; its errors name the flag.

    Advice about config fields, which run_sample.py does not have, is replaced by `advice`.
    """
    try:
        return open_data()
    except (BadData, MissingInput, UsageError) as error:
        has_advice = error.next_step and "config." not in error.next_step
        next_step = error.next_step if has_advice else advice
        raise type(error)(f"{flag}: {error.message}", next_step) from error


def sample_sizes(source: Source, data: ConfigDict) -> tuple[Sizes, list[str]]:
    """(height, width) of at most SIZE_SAMPLE readable images, evenly spaced; why others are not.

    Kept in data.cache_dir: decoding large photos twice takes seconds.
    """
    content = json.dumps([source.content(), SIZE_SAMPLE], sort_keys=True)
    name = f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json"

    def measure() -> bytes:
        num_samples = min(len(source), SIZE_SAMPLE)
        sizes, refusals = [], []
        for i in np.unique(np.linspace(0, len(source) - 1, num_samples).astype(int)):
            for item in source.stream(int(i), int(i) + 1):
                if isinstance(item.image, RejectedItem):
                    refusals.append(f"{format_name(item.name)}: {item.image}")
                else:
                    sizes.append(item.image.shape[:2])
        return json.dumps([sizes, refusals]).encode()

    folder = locate_cache(data.cache_dir) / "sizes"
    sizes, refusals = json.loads(cached_bytes(folder / name, measure))
    return [tuple(size) for size in sizes], refusals


def check_sample(reference: str, source: Source, sizes: Sizes, refusals: list[str]) -> None:
    """BadData where a sample shows that too few images of --reference are readable."""
    if len(sizes) >= MIN_HELD_OUT or (sizes and len(source) > SIZE_SAMPLE):
        return
    reasons = f"; left out: {'; '.join(refusals[:MAX_REASONS])}" if refusals else ""
    raise BadData(
        f"--reference={reference}: {len(sizes)} of {len(sizes) + len(refusals)} files are readable "
        f"images, at least {2 * MIN_HELD_OUT} are needed{reasons}",
        _advise(reference) if refusals else "give more real images",
    )


def choose_resolution(images: Path, sizes: Sizes, real_sizes: Sizes) -> int:
    """The largest resolution that nine of ten images of each side reach with their longer side.

    Enlarged images would be blurred. sizes, real_sizes: of either side. It is one of a config,
    MAX_RESOLUTION at most; for images of several sizes, one of COMMON_RESOLUTIONS. BadData where
    the images reach none.
    """
    reaches = {
        flag: int(np.sort(np.max(side, axis=1))[int(MAX_ENLARGED_SHARE * len(side))])
        for flag, side in ((f"--images={images}", sizes), ("--reference", real_sizes))
        if side
    }
    reach = min([MAX_RESOLUTION, *reaches.values()])
    # Few resolutions where any will do: each needs a reference classifier of its own.
    candidates = COMMON_RESOLUTIONS if len(set(sizes)) > 1 else RESOLUTIONS
    resolutions = [r for r in candidates if r <= reach]
    if not resolutions:
        raise BadData(
            f"{min(reaches, key=reaches.get)}: images of {reach} px a side, at least "
            f"{min(RESOLUTIONS)} are needed",
            "give larger images",
        )
    return max(resolutions)


def describe_refusals(store: Store) -> dict[str, Any]:
    """How many reference images were left out, and the first of them, {"name", "reason"}."""
    report = json.loads((store.path / "data_report.json").read_text(encoding="utf-8"))
    return {"total": store.counts["refused"], "files": report["refused"]["examples"]}
