"""The products of a user's images: read, cut out where they have no alpha, trimmed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import numpy as np

from prodgen.apps.common.image_files import list_image_files
from prodgen.apps.common.output import say
from prodgen.core import provenance
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.metrics import marketplace
from prodgen.photo import background_removal, morphology

MIN_ALPHA = 16  # of 255: weaker pixels are noise and do not count when a product is trimmed


@dataclasses.dataclass(frozen=True)
class ProductImage:
    """One product. pixels: uint8 [h, w, 4], trimmed. is_generated: its file says so."""

    name: str
    pixels: np.ndarray
    is_generated: bool


def list_product_files(images: str, own_files: Collection[Path] = ()) -> list[Path]:
    """The image files that --images names: a folder, a file, or several with commas between.

    own_files: resolved paths of files that the mode wrote before; they are left out. MissingInput
    where no file is left.
    """
    # A path that exists may itself contain a comma.
    single_path = Path(images).expanduser()
    parts = (
        [single_path]
        if single_path.exists()
        else [Path(x).expanduser() for x in images.split(",") if x]
    )
    files = [path for part in parts for path in list_image_files(part, "--images")]
    files = [path for path in files if path.resolve() not in own_files]
    if not files:
        raise MissingInput(f"--images={images} holds no images", "name an image or a folder")
    return files


def read_products(paths: list[Path], limit: int) -> list[ProductImage]:
    """The first `limit` products of the files; files without a product are reported and left out.

    BadData, with the first reason, where no product is left.
    """
    products: list[ProductImage] = []
    reasons = []
    for path in paths:
        if len(products) == limit:
            break
        try:
            pixels = cut_out_product(marketplace.read_image(path))
            products.append(ProductImage(path.stem, pixels, provenance.is_generated(path)))
        except RejectedItem as refusal:
            reasons.append(f"{path.name}: {refusal}")
            say(f"left out: {reasons[-1]}")
    if not products:
        raise BadData(
            f"no product in {len(reasons)} images; {reasons[0]}",
            "name images with alpha, or with one product before a flat background",
        )
    return products


def cut_out_product(image: np.ndarray) -> np.ndarray:
    """The product of an image uint8 [H, W, 1 | 3 | 4], trimmed RGBA uint8 [h, w, 4].

    The alpha separates it, else the flat background (photo/plain.py). RejectedItem without a
    product.
    """
    result = background_removal.cut_out(image, background_removal.load_segmenter("plain"))
    if result.quality.failure:
        raise RejectedItem(result.quality.failure)
    opaque = result.alpha >= MIN_ALPHA
    if not opaque.any():
        raise RejectedItem("no product: all of it is transparent")
    top, left, bottom, right = morphology.bounding_box(opaque)
    return result.rgba[top:bottom, left:right].copy()
