"""A user's photo as a model's input: its product cut out and centred on the training background.

`prepare` makes training images from photos with it; the modes of run_sample.py make images that a
trained run can read. Decoding has turned the photo upright already (core/decode.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.core.errors import RejectedItem
from prodgen.data import fit
from prodgen.photo import background_removal, grabcut, neural
from prodgen.photo.background_removal import Cutout
from prodgen.photo.square import Square

VERSION = 1  # part of a store's key: raise it with every change of the bytes
WHITE = (255, 255, 255)
MAX_LISTED_NAMES = 5  # images that a note of the data report names
FINDING_TEXTS = {
    "several": "several products",
    "touches_border": "a product that the frame cuts off",
}


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How images are fitted.

    fit, is_composited: see fit.fit_image; used where nothing is cut out. cutout: a method of
    registry.CUTOUTS, or none; model: its file.
    """

    resolution: int
    fit: str = "pad"
    is_composited: bool = False
    cutout: str = "none"
    model: str = ""

    @staticmethod
    def from_config(data: ConfigDict, is_composited: bool = False) -> FitOptions:
        """The options in config.data; configs older than the field have no cut-out."""
        method, model = data.get("cutout", "none"), data.get("cutout_model", "")
        return FitOptions(data.resolution, data.fit, is_composited, method, model)


@dataclasses.dataclass(frozen=True)
class PreparedPhoto:
    """A photo in the model's format, and the keys of the findings about its cut-out."""

    image: fit.FittedImage
    findings: tuple[str, ...] = ()


def prepare_photo(
    photo: np.ndarray, options: FitOptions, background: tuple[int, ...] = WHITE
) -> PreparedPhoto:
    """A photo uint8 [h, w, 1 | 3 | 4] in the model's format.

    It becomes a packshot on `background`, one level or three, where the options name a cut-out
    method; the mask is then the product's alpha. Otherwise it is fitted with the background that it
    has. RejectedItem: too small, no product, or a mask that is not fit for training. MissingInput
    where the method lacks its package or file.
    """
    if options.cutout == "none":
        image = fit.fit_image(photo, options.resolution, options.fit, options.is_composited)
        return PreparedPhoto(image)
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    product = background_removal.cut_out(photo, segmenter)
    if product.quality.failure:
        raise RejectedItem(product.quality.failure)
    image = centre_on_square(product, options.resolution, background)
    image = dataclasses.replace(image, original_size=photo.shape[:2])
    # A store's metadata has these findings only.
    return PreparedPhoto(image, tuple(key for key in product.quality.keys if key in FINDING_TEXTS))


def centre_on_square(
    product: Cutout, resolution: int, background: tuple[int, ...] = WHITE
) -> fit.FittedImage:
    """A cut-out in the middle of a square of one colour, `resolution` pixels a side."""
    frame = Square.around(product.alpha)
    centred_product = dataclasses.replace(
        product, colour=frame.crop(product.colour), alpha=frame.crop(product.alpha)
    )
    rgb = tuple(int(level) for level in np.broadcast_to(background, 3))
    rgba = np.dstack([centred_product.flatten(rgb), centred_product.alpha])
    return fit.fit_image(rgba, resolution, is_composited=True)


def check_method(options: FitOptions) -> None:
    """Raise MissingInput or BadData where the cut-out method cannot work on this machine."""
    if options.cutout != "none":
        background_removal.load_segmenter(options.cutout, options.model)


def describe_cutout(options: FitOptions) -> dict[str, Any]:
    """The cut-out's part of a store's key: empty without a cut-out, so that older keys stay."""
    if options.cutout == "none":
        return {}
    model_hash = ""
    if options.cutout == "neural" or (options.cutout == "auto" and options.model):
        model_hash = hashlib.sha256(neural.read_model(options.model)).hexdigest()
    elif options.cutout == "auto" and grabcut.find_opencv() is not None:
        model_hash = "grabcut"  # auto cuts out otherwise where OpenCV is installed
    return {"cutout": options.cutout, "cutout_model": model_hash, "cutout_version": VERSION}


def describe_findings(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Notes of the data report on images that are used although their cut-out has findings.

    items: the metadata of the usable images.
    """
    for key, text in FINDING_TEXTS.items():
        names = [item["name"] for item in items if key in item.get("findings", ())]
        if names:
            more = ", ..." if len(names) > MAX_LISTED_NAMES else ""
            listed_names = ", ".join(names[:MAX_LISTED_NAMES]) + more
            count = f"{len(names)} of {len(items)}"
            yield f"cut-out: {text} in {count} images: {listed_names}"
