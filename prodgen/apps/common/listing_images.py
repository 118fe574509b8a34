"""From one photo to the finished images of a listing, with what a person should look at.

Cut out, placed in each frame without being enlarged, on the background, in each colourway; then
checked as a marketplace's gate does. A close-up is not cut out: it is cropped to each frame.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from prodgen.apps.common import backgrounds, named_colours
from prodgen.apps.common.alt_text import write_alt_text
from prodgen.apps.common.backgrounds import Background
from prodgen.apps.common.image_files import MAX_PIXELS
from prodgen.apps.common.listing_products import ListingProduct
from prodgen.core import decode, photo_files, provenance
from prodgen.core.errors import RejectedItem
from prodgen.core.spelling import find_spelling
from prodgen.metrics import close_up, marketplace, product
from prodgen.metrics.marketplace_rules import PROFILES
from prodgen.photo import backdrop, background_removal, colour_areas, framing, recolour
from prodgen.photo.framing import FrameRules, TrimmedProduct
from prodgen.photo.mask_estimate import Segmenter

SIZES = {"1:1": "", "4:5": "_4x5", "3:4": "_3x4"}  # width to height -> ending of a file name
CLOSE_UP_SIDE = 320  # pixels: whether a photo is a close-up is measured in a copy of this size
DECODE_LOCK = threading.Lock()  # the decoder changes limits of Pillow while it reads
MIN_RECOLOURED_SHARE = 0.6  # of the product's pixels: another area is nearly as large below it


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """What changes the images of any photo. sizes: keys of SIZES; side: pixels, at most."""

    profile: str
    sizes: tuple[str, ...]
    side: int
    background: Background
    shadow: float
    colours: tuple[str, ...]
    file_format: str
    quality: int
    has_metadata: bool


@dataclasses.dataclass(frozen=True)
class PhotoJob:
    """A photo of a product. index: 0 is the main one. name: its path in the table."""

    product: ListingProduct
    index: int
    name: str
    path: Path

    @property
    def role(self) -> str:
        """main, alt1, alt2, ..."""
        return f"alt{self.index}" if self.index else "main"

    def list_colours(self, colours: Sequence[str]) -> list[str]:
        """The original, "", then each colourway that is not the product's own colour."""
        own_colour = self.product.colour.casefold()
        return ["", *(name for name in colours if name.casefold() != own_colour)]

    def name_file(self, colour: str, size: str, file_format: str) -> str:
        """As in sku_main.jpg, sku_alt1_4x5.jpg, sku_teal_main.jpg."""
        colour_part = f"_{colour.lstrip('#')}" if colour else ""
        suffix = photo_files.SUFFIXES[file_format]
        return f"{self.product.stem}{colour_part}_{self.role}{SIZES[size]}{suffix}"

    def list_files(self, options: ImageOptions) -> list[str]:
        """The names of all its images; the first is the original in the first size."""
        return [
            self.name_file(colour, size, options.file_format)
            for colour in self.list_colours(options.colours)
            for size in options.sizes
        ]


@dataclasses.dataclass(frozen=True)
class ListingImage:
    """One finished file and what the table says about it. refusal: why it is not made, else ""."""

    file: str
    content: bytes
    details: dict[str, Any]
    refusal: str = ""


@dataclasses.dataclass(frozen=True)
class PreparedPhoto:
    """A photo that is cut out, or a close-up as it is.

    image: uint8 [H, W, 1 | 3 | 4] of a close-up, else None; product: else. findings: doubts.
    """

    image: np.ndarray | None
    product: TrimmedProduct | None
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def make_images(
    job: PhotoJob, options: ImageOptions, segmenter: Segmenter
) -> Iterator[ListingImage]:
    """All images of a photo, one in memory at a time; RejectedItem says why there are none."""
    photo = prepare_photo(job, segmenter)
    text = provenance.build_png_text(_find_source(job.path), "no run, mode listing")
    doubts, notes = photo.findings, photo.notes
    for colour in job.list_colours(options.colours):
        product_image, colour_findings = photo.product, ()
        if colour and photo.product is None:
            for size in options.sizes:
                file = job.name_file(colour, size, options.file_format)
                yield ListingImage(file, b"", {}, "recolour: a close-up is not recoloured")
            continue
        if colour:
            product_image, colour_findings = _recolour(photo.product, colour, job.product.colour)
        for size in options.sizes:
            image = _compose(photo.image, product_image, size, options)
            if not colour and size == options.sizes[0]:
                reasons, advice = _check(image, job, photo, options.profile)
                doubts, notes = (*doubts, *reasons), (*notes, *advice)
            content = photo_files.encode_photo(
                image, options.file_format, options.quality, text if options.has_metadata else None
            )
            findings = (*doubts, *colour_findings, *_check_size(content, options.profile))
            details = {
                "sku": job.product.sku,
                "role": job.role,
                "colour": colour or job.product.colour,
                "size": size,
                "width": image.shape[1],
                "height": image.shape[0],
                "alt_text": _describe(job, photo, colour),
                "verdict": "doubtful" if findings else "ready",
                "findings": list(findings),
                "notes": list(notes),
            }
            yield ListingImage(job.name_file(colour, size, options.file_format), content, details)


def prepare_photo(job: PhotoJob, segmenter: Segmenter) -> PreparedPhoto:
    """The photo in a file, read and cut out."""
    with DECODE_LOCK:
        image = decode.decode_file(job.path, MAX_PIXELS, single_frame=True)
    if _is_close_up(image):
        words = "close_up: the product goes on beyond the frame, so it is cropped and not cut out"
        # A main image shows the whole product; further ones may be close-ups.
        findings, notes = ((), (words,)) if job.index else ((words,), ())
        return PreparedPhoto(image[..., :3], None, findings, notes)
    cutout = background_removal.cut_out(image, segmenter)
    if not (cutout.alpha >= framing.MIN_ALPHA).any():
        raise RejectedItem("no_product: all of it is transparent")
    findings = tuple(map(str, cutout.quality.doubts))
    notes = tuple(str(f) for f in cutout.quality.findings if f.is_note)
    return PreparedPhoto(None, TrimmedProduct.of(cutout.rgba), findings, notes)


def make_frame_rules(profile: str, side: int) -> FrameRules:
    """How large a product stands in its frames, by a profile of the gate."""
    rules = PROFILES[profile]
    return FrameRules(rules.target_fill, side, rules.min_side, rules.min_short_side)


def _is_close_up(image: np.ndarray) -> bool:
    if image.shape[-1] == 4 and image[..., 3].min() < 255:  # cut out already
        return False
    rgb = image[..., :3] if image.shape[-1] > 1 else image
    factor = max(1, -(-max(image.shape[:2]) // CLOSE_UP_SIDE))
    pil_image = Image.fromarray(np.ascontiguousarray(rgb if rgb.shape[-1] == 3 else rgb[..., 0]))
    small = np.asarray(pil_image.reduce(factor))
    small = small.reshape(*small.shape[:2], -1)
    if min(small.shape[:2]) < marketplace.MIN_SIDE:
        return False
    return close_up.is_close_up(small, product.measure(small))


def _compose(
    close_up_image: np.ndarray | None,
    cutout_image: TrimmedProduct,
    size: str,
    options: ImageOptions,
) -> np.ndarray:
    """One image, uint8 [H, W, 3]."""
    across, down = map(int, size.split(":"))
    if close_up_image is not None:
        image = framing.crop_to_aspect(close_up_image, (across, down), options.side)
        return np.broadcast_to(image, (*image.shape[:2], 3)).copy()
    rules = make_frame_rules(options.profile, options.side)
    placed_product = framing.place_product(cutout_image, (across, down), rules)
    ground = _render(options.background, placed_product.shape[:2])
    if not options.shadow:
        return backdrop.composite_over(placed_product, ground)
    return backdrop.composite_with_shadow(placed_product, ground, options.shadow)


@functools.lru_cache(maxsize=3)
def _render(background: Background, shape: tuple[int, int]) -> np.ndarray:
    with DECODE_LOCK:  # the background may be a file
        return backgrounds.render_background(background, shape)


def _recolour(
    cutout_image: TrimmedProduct, colour: str, own_colour: str
) -> tuple[TrimmedProduct, tuple[str, ...]]:
    """The product in another colour, and why a person should look at it.

    own_colour: of the table; it names the part of the product that is recoloured, else the
    dominant colour is.
    """
    target = named_colours.parse_colour(colour, "--colours")
    rgb, alpha = np.ascontiguousarray(cutout_image.pixels[..., :3]), cutout_image.pixels[..., 3]
    name, doubts = find_spelling(own_colour.casefold(), named_colours.PRODUCT_COLOURS), ()
    source = named_colours.PRODUCT_COLOURS.get(name)
    try:
        result = recolour.recolour(rgb, alpha, target, region="dominant", source=source)
    except RejectedItem:
        doubts = (f"the product has no {own_colour}, which is its colour in the table",)
        source = None
        result = recolour.recolour(rgb, alpha, target, region="dominant")
    doubts += colour_areas.find_doubts(result.areas, result.area, source is not None)
    if result.region_fraction < MIN_RECOLOURED_SHARE and not doubts:
        doubts = (f"only {result.region_fraction:.0%} of the product is {colour}",)
    findings = tuple(f"recolour: {doubt}" for doubt in doubts)
    return dataclasses.replace(cutout_image, pixels=np.dstack([result.image, alpha])), findings


def _check(
    image: np.ndarray, job: PhotoJob, photo: PreparedPhoto, profile: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(reasons, notes) of the gate on a finished image, those that concern its role."""
    verdict = marketplace.check(image, profile)
    if photo.product is None:  # a close-up has its finding already
        keys = ("size", "upscaled", "blurred")
        return tuple(r for r in verdict.reasons if r.partition(":")[0] in keys), ()
    if not any(photo.product.is_cut_off):
        return verdict.reasons, verdict.notes
    # What a photo cuts off stands on the frame's edge: its place is no fault. The missing part is
    # one, in a main image of which the profile requires the whole product.
    reasons = tuple(r for r in verdict.reasons if r.partition(":")[0] not in ("off_centre", "fill"))
    words = f"cut_off: the photo cuts the product off {_list_sides(photo.product)}"
    if job.index or "fill" in PROFILES[profile].advice:
        return reasons, (*verdict.notes, words)
    return (words, *reasons), verdict.notes


def _list_sides(cutout_image: TrimmedProduct) -> str:
    """As in "above and on the left"."""
    names = ("above", "on the left", "below", "on the right")
    return " and ".join(
        n for n, is_off in zip(names, cutout_image.is_cut_off, strict=True) if is_off
    )


def _check_size(content: bytes, profile: str) -> tuple[str, ...]:
    limit = PROFILES[profile].max_bytes
    if len(content) <= limit:
        return ()
    return (f"file_size: {len(content) / 1e6:.1f} MB, at most {limit / 1e6:.0f} MB",)


def _describe(job: PhotoJob, photo: PreparedPhoto, colour: str) -> str:
    view = "close-up" if photo.product is None else f"view {job.index + 1}" if job.index else ""
    own = job.product
    new_colour = "" if photo.product is None else colour
    # A code such as #28a0a0 tells no colour to a person who hears the text.
    new_colour = "another colour" if new_colour.startswith("#") else new_colour
    return write_alt_text(own.title or own.sku, own.category, own.colour, view, new_colour)


def _find_source(path: Path) -> str:
    """A key of provenance.DIGITAL_SOURCE_TYPES: whether a model made the photo."""
    return "composed of generated pictures" if provenance.is_generated(path) else "composed"
