"""Images that another program made, brought to the size and the colour of the real ones.

Each image is resized so that its longer side has the reference's resolution, and padded to a square
with the colour of its own border, as the reference's images are. Where one side is grey throughout
and the other is in colour, both are compared as grey.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.apps.common import reference_images
from prodgen.apps.common.image_files import PROGRESS_SECONDS
from prodgen.apps.common.output import say
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.core.file_names import format_name
from prodgen.data import fit, prepare
from prodgen.data.source import Source
from prodgen.data.store import Store, hash_content
from prodgen.evaluation import offline
from prodgen.metrics.measurement_spec import describe_fitting

MAX_SETS = 3  # that the images are split into where there are enough: an interval needs some
MAX_NAMES = 300  # of left-out files in evaluation.json
MAX_PRINTED_NAMES = 3  # of left-out files on the console
MAX_GREY_SPREAD = 4  # levels between the channels of a grey pixel: compression adds a few
GREY_SAMPLE = 300  # real images of a split that are checked for colour
MAX_ENLARGED_SHARE = 0.5  # of the images, where the reference's resolution cannot be lower
MAX_PADDING_DIFFERENCE = 0.1  # of an image's area, between both sides


@dataclasses.dataclass(frozen=True)
class FittedImages:
    """The images of a folder at one size: `pixels` uint8 [N, R, R, 3] and `sizes` int [N, 2],
    (height, width) of the files. refusals: (name, reason) of files that are no readable image."""

    folder: Path
    pixels: np.ndarray
    sizes: np.ndarray
    refusals: list[tuple[str, str]]

    @property
    def resolution(self) -> int:
        return self.pixels.shape[1]

    @property
    def is_resized(self) -> bool:
        """Whether any image had another size than R x R."""
        return bool((self.sizes != self.resolution).any())

    @property
    def num_enlarged(self) -> int:
        return int((self.sizes.max(axis=1) < self.resolution).sum())

    def describe_refusals(self, count: int) -> str:
        """The number of left-out files and the first names with their reasons; "" if none."""
        if not self.refusals:
            return ""
        names = "; ".join(f"{name}: {reason}" for name, reason in self.refusals[:count])
        more = ", ..." if len(self.refusals) > count else ""
        return f"{len(self.refusals)} files were left out ({names}{more})"


def open_folder(path: Path) -> Source:
    """The images of --images; MissingInput where there is no file."""
    data = reference_images.data_section("folder", path)
    source = reference_images.with_flag(
        lambda: prepare.source_from_config(data), f"--images={path}", "name a folder of images"
    )
    if not len(source):
        raise MissingInput(f"--images={path} holds no images", "name a folder of images")
    return source


def read_images(folder: Path, source: Source, resolution: int, method: str) -> FittedImages:
    """All readable images, fitted by a method of data.fit.

    BadData where they are fewer than offline.MIN_IMAGES.
    """
    images, sizes, refusals = [], [], []
    last_print = time.monotonic()
    for i, item in enumerate(source.stream(0, len(source))):
        try:
            if isinstance(item.image, RejectedItem):
                raise item.image
            pixels = fit.fit_image(item.image, resolution, method).pixels
            images.append(fit.set_channels(pixels, 3))
            sizes.append(item.image.shape[:2])
        except RejectedItem as reason:
            refusals.append((format_name(item.name), str(reason)))
        except MemoryError:
            refusals.append((format_name(item.name), "too large: not enough memory"))
        if time.monotonic() - last_print > PROGRESS_SECONDS:
            last_print = time.monotonic()
            say(f"reading {folder.name}: {i + 1} of {len(source)} files")
    shape = (0, resolution, resolution, 3)
    external = FittedImages(
        folder,
        np.stack(images) if images else np.zeros(shape, np.uint8),
        np.array(sizes, int).reshape(-1, 2),
        refusals,
    )
    if len(images) < offline.MIN_IMAGES:
        reasons = external.describe_refusals(MAX_PRINTED_NAMES)
        raise BadData(
            f"--images={folder}: {len(images)} of {len(source)} files are readable images, "
            f"at least {offline.MIN_IMAGES} are needed" + (f"; {reasons}" if reasons else ""),
            "export them again as JPEG or PNG"
            if refusals
            else "give more images; a Frechet distance that can rank models needs thousands",
        )
    return external


def make_source(
    external: FittedImages,
    store: Store,
    data: ConfigDict,
    seed: int,
    reference_sizes: reference_images.Sizes,
) -> offline.SampleSource:
    """The images in the colour of the store's, with all that a reader must know about both.

    reference_sizes: (height, width) of some real images; empty where they are not known. BadData
    where most images are smaller than the store's.
    """
    check_sizes(external)
    ids = [store.evenly_spaced_ids(split, GREY_SAMPLE) for split in ("test", "train")]
    real_pixels = store.fetch(np.concatenate(ids))["image"]
    grey_share, real_grey_share = is_grey(external.pixels).mean(), is_grey(real_pixels).mean()
    as_grey = (grey_share == 1) != (real_grey_share == 1)
    pixels, channels = external.pixels, store.spec.channels
    if as_grey or channels == 1:
        pixels = np.ascontiguousarray(fit.remove_colour(pixels)[..., :channels])
    cautions = [
        *describe_enlarged(external),
        *describe_colours(grey_share, real_grey_share),
        *describe_padding(external, data.fit, reference_sizes),
        *describe_overlap(external, store, data),
        *describe_cutout(data),
    ]
    fitting = describe_fitting(data.fit, external.resolution, external.is_resized, as_grey)
    return offline.SampleSource(
        f"{len(pixels)} pictures of {format_name(external.folder.resolve().name)}",
        split_into_sets(pixels, seed),
        fitting=fitting,
        is_grey=as_grey,
        cautions=tuple(cautions),
        record=describe_images(external, fitting) | {"reference": describe_store(store)},
    )


def check_sizes(external: FittedImages) -> None:
    """BadData where most images are smaller than the resolution, which is fixed."""
    if external.num_enlarged > MAX_ENLARGED_SHARE * len(external.sizes):
        size = np.median(external.sizes, axis=0).astype(int)
        raise BadData(
            f"{external.num_enlarged} of {len(external.sizes)} images are smaller than the "
            f"reference; typical are {size[1]} x {size[0]} px, the reference is "
            f"{external.resolution} a side",
            "compare with a reference of their size: enlarged images would be blurred",
        )


def split_into_sets(images: np.ndarray, seed: int) -> Callable[[int], list[offline.SampleSet]]:
    """make(n) of a source: the images in random order, in up to 3 sets of n without repeats."""
    order = np.random.default_rng(seed).permutation(len(images))

    def make(n: int) -> list[offline.SampleSet]:
        sets = max(1, min(MAX_SETS, len(images) // n))
        return [(images[order[i * n : (i + 1) * n]], None) for i in range(sets)]

    return make


def is_grey(images: np.ndarray) -> np.ndarray:
    """bool [N]: whether all pixels of images uint8 [N, H, W, 1 | 3] are grey."""
    spread = images.max(axis=-1) - images.min(axis=-1)
    return spread.max(axis=(1, 2)) <= MAX_GREY_SPREAD


def describe_images(external: FittedImages, fitting: str) -> dict[str, Any]:
    """For evaluation.json: the sizes of the files, how they were fitted, what was left out."""
    files = [{"name": name, "reason": reason} for name, reason in external.refusals[:MAX_NAMES]]
    return {
        "images": {
            "total": len(external.sizes),
            "resized": int((external.sizes != external.resolution).any(axis=1).sum()),
            "enlarged": external.num_enlarged,
            "smallest": external.sizes[external.sizes.prod(axis=1).argmin()].tolist(),
            "largest": external.sizes[external.sizes.prod(axis=1).argmax()].tolist(),
            "resolution": external.resolution,
            "fitting": fitting,
            "left_out": {"total": len(external.refusals), "files": files},
        }
    }


def describe_store(store: Store) -> dict[str, Any]:
    """For evaluation.json: the files of the reference that were left out."""
    return {"left_out": reference_images.describe_refusals(store)}


def describe_enlarged(external: FittedImages) -> list[str]:
    """The caution about images that had to be enlarged."""
    if not external.num_enlarged:
        return []
    return [
        f"{external.num_enlarged} of {len(external.sizes)} images are smaller than "
        f"{external.resolution} px: they were enlarged, so they are blurred"
    ]


def describe_colours(grey_share: float, real_grey_share: float) -> list[str]:
    """The caution where one side is grey and the other in colour."""
    if (grey_share == 1) != (real_grey_share == 1):
        sides = "the images are grey and the reference is in colour"
        if real_grey_share == 1:
            sides = "the reference is grey and the images are in colour"
        return [f"{sides}: both were compared as grey, so no number describes colour"]
    if abs(grey_share - real_grey_share) > 0.5:
        return [
            f"{grey_share:.0%} of the images are grey, and {real_grey_share:.0%} of the "
            "reference's: distances measure this difference too"
        ]
    return []


def describe_padding(
    external: FittedImages, method: str, reference_sizes: reference_images.Sizes
) -> list[str]:
    """The caution where padding covers much more of one side's images than of the other's."""
    if method != "pad" or not reference_sizes:
        return []
    ours, theirs = (
        float((1 - np.min(sizes, axis=1) / np.max(sizes, axis=1)).mean())
        for sizes in (external.sizes, reference_sizes)
    )
    if abs(ours - theirs) <= MAX_PADDING_DIFFERENCE:
        return []
    return [
        f"padding covers {ours:.0%} of an image and {theirs:.0%} of a reference image on average: "
        "where backgrounds are not plain, distances measure these shapes too"
    ]


def describe_overlap(external: FittedImages, store: Store, data: ConfigDict) -> list[str]:
    """The cautions where images are also among the real ones."""
    if data.source == "folder" and Path(data.path).expanduser().resolve() == (
        external.folder.resolve()
    ):
        return ["--images and --reference are the same folder: its images are compared with each "
                "other, so the numbers say nothing about a generator"]  # fmt: skip
    hashes = {row.tobytes() for row in store.hash}
    count = sum(hash_content(_content(image)) in hashes for image in external.pixels)
    if not count:
        return []
    return [f"{count} of {len(external.pixels)} images are equal to images of the reference"]


def describe_cutout(data: ConfigDict) -> list[str]:
    """The caution where the products of the reference alone were cut out."""
    if data.get("cutout", "none") == "none":
        return []
    return [
        "the reference's products were cut out and centred, the images were fitted with their own "
        "backgrounds: distances measure backgrounds too"
    ]


def _content(image: np.ndarray) -> np.ndarray:
    """The pixels that a store hashes: one channel where the image is grey."""
    return image[..., :1] if (image == image[..., :1]).all() else image
