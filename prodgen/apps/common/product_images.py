"""The products of a user's images: read, cut out where they have no alpha, trimmed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from prodgen.apps.common.image_files import ImageFile
from prodgen.apps.common.output import say
from prodgen.apps.common.output_names import name_frame
from prodgen.core import provenance
from prodgen.core.errors import BadData, RejectedItem
from prodgen.metrics import marketplace
from prodgen.photo import background_removal, matte, morphology
from prodgen.photo.framing import MIN_ALPHA
from prodgen.photo.mask_estimate import Segmenter
from prodgen.photo.placement import NO_SIDES, Sides

# Of a product's width or height, at a border of the image; a ball that reaches it has 0.1.
MIN_CUT_OFF_CONTACT = 0.15


@dataclasses.dataclass(frozen=True)
class ProductImage:
    """One product. pixels: uint8 [h, w, 4], trimmed. is_generated: its file says so.

    name: of the frame of a sprite sheet; file: the path below what the user named. is_cut_off: by
    the image's (top, left, bottom, right) border, as with photos of people. doubts: about its
    cut-out, in words.
    """

    name: str
    file: str
    pixels: np.ndarray
    is_generated: bool
    is_cut_off: Sides = NO_SIDES
    doubts: tuple[str, ...] = ()


def read_products(
    files: Sequence[ImageFile], limit: int, segmenter: Segmenter
) -> list[ProductImage]:
    """The first `limit` products of the files; files without a product are reported and left out.

    segmenter: cuts out images without alpha. BadData, with the first reason, where no product is
    left.
    """
    products: list[ProductImage] = []
    reasons = []
    for file in files:
        if len(products) == limit:
            break
        try:
            file.check()
            pixels, is_cut_off, doubts = assess_product(
                marketplace.read_image(file.path), segmenter
            )
            is_generated = provenance.is_generated(file.path)
            name = name_frame(file.name)
            products.append(ProductImage(name, file.name, pixels, is_generated, is_cut_off, doubts))
        except RejectedItem as refusal:
            reasons.append(f"{file.name}: {refusal}")
            say(f"left out: {reasons[-1]}")
    if not products:
        raise BadData(
            f"no product in {len(reasons)} images; {reasons[0]}",
            "name images with alpha, or with one product before a flat background",
        )
    return products


def assess_product(
    image: np.ndarray, segmenter: Segmenter
) -> tuple[np.ndarray, Sides, tuple[str, ...]]:
    """The product of an image uint8 [H, W, 1 | 3 | 4], trimmed RGBA uint8 [h, w, 4]; which of the
    image's borders cut it off; and the doubts about its cut-out.

    The alpha separates it, else the segmenter. RejectedItem without a product.
    """
    result = background_removal.cut_out(image, segmenter)
    if result.quality.failure:
        raise RejectedItem(result.quality.failure)
    opaque = result.alpha >= MIN_ALPHA
    if not opaque.any():
        raise RejectedItem("no product: all of it is transparent")
    top, left, bottom, right = morphology.bounding_box(opaque)
    if image.shape[-1] == 4:
        result = dataclasses.replace(result, colour=matte.remove_white_rim(result))
    rows, columns, alpha = slice(top, bottom), slice(left, right), result.alpha
    borders = alpha[0, columns], alpha[rows, 0], alpha[-1, columns], alpha[rows, -1]
    above, at_left, below, at_right = (
        bool((border > 127).mean() >= MIN_CUT_OFF_CONTACT) for border in borders
    )
    product = result.rgba[rows, columns].copy()
    return product, (above, at_left, below, at_right), result.quality.describe_doubts()
