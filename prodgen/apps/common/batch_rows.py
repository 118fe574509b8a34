"""The images of one row of mode batch: samples of a run; variations, views and edits of a photo.

Samples are computed in batches of one fixed size, so that an image does not depend on the others
in its batch. Edits are those of --mode=edit, at the photo's own resolution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from prodgen.apps.common import backgrounds, edited_photos, named_colours
from prodgen.apps.common.backgrounds import Background
from prodgen.apps.common.output import describe_conditions, describe_variation
from prodgen.core import pixels
from prodgen.core.batches import BATCH_SIZE
from prodgen.core.errors import RejectedItem
from prodgen.core.types import Batch
from prodgen.editing import (
    condition_edits,
    inversion_calibration,
    photo_edits,
    variations,
    viewpoints,
)
from prodgen.editing.batch_requests import SINGLE_IMAGE_EDITS, BatchRequest
from prodgen.editing.guard import Guard
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.model import Model
from prodgen.photo import backdrop, background_removal
from prodgen.photo.background_removal import Cutout
from prodgen.photo.mask_estimate import Segmenter


@dataclasses.dataclass(frozen=True)
class BatchImage:
    """An image uint8 [H, W, C] and its entry in the manifest.

    source: a key of provenance.DIGITAL_SOURCE_TYPES.
    """

    image: np.ndarray
    details: dict[str, Any]
    source: str = "generated"


BatchResult = BatchImage | RejectedItem
SHADOW_STRENGTH = 0.4  # of a shadow on a background, [0, 1]


@dataclasses.dataclass(frozen=True)
class Context:
    """What all rows share. folder: the table's; segmenter: cuts products out; inverter and guard:
    None where no row uses one."""

    model: Model
    folder: Path
    segmenter: Segmenter
    inverter: Inverter | None
    guard: Guard | None


def check_request(request: BatchRequest, model: Model, folder: Path) -> None:
    """UsageError or BadData for a request that this run, or any run, cannot fulfil."""
    if request.background:
        backgrounds.render_background(choose_background(request, folder), (16, 16))
    if request.edit == "views":
        viewpoints.camera_attributes(model.conditions.spec)
    if request.edit == "recolour":
        target = named_colours.parse_colour(request.colour, "colour")
        if request.method == "generated":
            swatches = condition_edits.select_trained_swatches(
                named_colours.PRODUCT_COLOURS, model.conditions
            )
            spec = model.conditions.spec
            condition_edits.set_colour(model.unknown(1), spec, target, swatches)


def min_side(request: BatchRequest, model: Model) -> int:
    """The least pixels that a side of its images has, as far as that is known beforehand."""
    return request.size or (
        background_removal.MIN_SIDE if request.edit in SINGLE_IMAGE_EDITS else model.spec.resolution
    )


def draw_samples(
    context: Context, requests: Sequence[BatchRequest], indices: Sequence[int]
) -> Iterator[BatchResult]:
    """The sample `indices[i]` of each `requests[i]`, in that order."""
    model = context.model
    for start in range(0, len(requests), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        picks = [
            pick_conditions(model, request, k)
            for request, k in zip(requests[part], indices[part], strict=True)
        ]
        conditions = {name: np.concatenate([pick[name] for pick in picks]) for name in picks[0]}
        seeds = [request.seed for request in requests[part]]
        z = model.draw(seeds, indices[part], conditions["label"])
        samples = model.decode(z, conditions)
        # Copies of training images are refused.
        matches = context.guard(samples) if context.guard else None
        for i, image in enumerate(samples):
            if matches and matches.is_copy[i]:
                yield RejectedItem(f"a copy of training picture {matches.nearest_names[i]}")
            else:
                details = describe_conditions(conditions, model.spec, i)
                yield BatchImage(image, {"latent": z[i].tolist()} | details)


def pick_conditions(model: Model, request: BatchRequest, k: int) -> Batch:
    """The conditions of the k-th image, as a batch of one row."""
    attributes = dict(request.attributes)
    return model.conditions.pick(request.seed, np.array([k]), request.category, attributes)


def edit_photo(context: Context, request: BatchRequest) -> list[BatchResult]:
    """All images of a row with a photo.

    BadData or RejectedItem where the photo cannot be used, or an edit changes pixels outside its
    mask.
    """
    if request.edit == "vary":
        return vary_photo(context, request)
    if request.edit == "views":
        return turn_photo(context, request)
    return [change_photo(context, request)]


def vary_photo(context: Context, request: BatchRequest) -> list[BatchResult]:
    """Variations of the photo; those that would be copies of training images are refused."""
    inversion = invert_photo(context, request)
    refuse = context.guard.refusal_fn(inversion.images) if context.guard else None
    result = variations.vary(
        context.inverter, inversion.images[0], inversion.z[0], inversion.conditions,
        request.count, request.strength, request.keep, request.seed, refuse,
    )  # fmt: skip
    results: list[BatchResult] = []
    doubt = find_misfit(context, inversion)
    for k, image in enumerate(result.images):
        spec = context.model.spec
        details = describe_variation(request.photo, request, result, k, spec) | doubt
        results.append(BatchImage(image, details))
    refusal = RejectedItem("all further variations are copies of training pictures")
    return results + [refusal] * (request.count - len(results))


def turn_photo(context: Context, request: BatchRequest) -> list[BatchResult]:
    """Views of the product from evenly spaced azimuths."""
    model, inversion = context.model, invert_photo(context, request)
    z = inversion.z[0]
    views, conditions = viewpoints.decode_turntable(model, z, inversion.conditions, request.count)
    details = {"of": request.photo, "latent": z.tolist()} | find_misfit(context, inversion)
    return [
        BatchImage(image, details | describe_conditions(conditions, model.spec, k))
        for k, image in enumerate(views)
    ]


def find_misfit(context: Context, inversion: InversionResult) -> dict[str, str]:
    """`doubt` of the manifest: why the run cannot draw the row's photo; empty where it can."""
    calibration = inversion_calibration.find_calibration(context.inverter)
    misfit = inversion_calibration.describe_misfits(inversion, calibration)[0]
    return {"doubt": misfit} if misfit else {}


def invert_photo(context: Context, request: BatchRequest) -> InversionResult:
    """The inversion of the row's photo.

    The row gives the conditions; where it names none, the reference classifier predicts them.
    """
    model = context.model
    photo = read_photo(context.folder / request.photo, model.config.data, model.spec)[None]
    has_conditions = request.category or request.attributes
    return context.inverter(photo, pick_conditions(model, request, 0) if has_conditions else None)


def change_photo(context: Context, request: BatchRequest) -> BatchImage:
    """The photo on another background, or in another colour."""
    path = context.folder / request.photo
    product = edited_photos.open_shot(path, context.segmenter)
    if request.edit == "background":
        background = choose_background(request, context.folder)
        background_image = backgrounds.render_background(background, product.photo.shape[:2])
        edited_photo = photo_edits.replace_background(product, background_image, SHADOW_STRENGTH)
    else:
        target = named_colours.parse_colour(request.colour, "colour")
        if request.method == "generated":
            swatches = named_colours.PRODUCT_COLOURS
            edited_photo = photo_edits.recolour_with_model(
                product, context.inverter, target, swatches
            )
        else:
            edited_photo = photo_edits.recolour_photo(product, target)
    details = {"of": request.photo, "edit": request.edit, "method": edited_photo.method}
    # A recolouring says itself which doubts about the cut-out concern it.
    details |= describe_cutout(product.cutout) | edited_photo.metrics | edited_photo.notes
    return BatchImage(edited_photo.image, details, edited_photos.source_of_edit(edited_photo, path))


def choose_background(request: BatchRequest, folder: Path) -> Background:
    """The colour or the file of a row's background."""
    if request.background_file:
        return folder / request.background_file
    text = request.background or backgrounds.DEFAULT_BACKGROUND
    return named_colours.parse_colour(text, "background", named_colours.BACKGROUND_COLOURS)


def describe_cutout(cutout: Cutout) -> dict[str, str]:
    """`cutout_doubt` of the manifest: the doubts about a cut-out in words; empty without any."""
    doubts = cutout.quality.describe_doubts()
    return {"cutout_doubt": "; ".join(doubts)} if doubts else {}


def finish_image(
    image: np.ndarray, request: BatchRequest, folder: Path, segmenter: Segmenter
) -> tuple[np.ndarray, dict[str, str]]:
    """An image uint8 [H, W, C] on the background and in the size of its row; describe_cutout.

    Resizing adds no detail; mode gate calls such an image upscaled. RejectedItem where there is no
    product to put on the background.
    """
    details = {}
    if request.background and request.edit != "background":
        result = background_removal.cut_out(image, segmenter)
        details = describe_cutout(result)
        background = choose_background(request, folder)
        background_image = backgrounds.render_background(background, image.shape[:2])
        image = backdrop.composite_with_shadow(result.rgba, background_image)
    image = resize_longer_side(image, request.size) if request.size else image
    return image, details


def resize_longer_side(image: np.ndarray, side: int) -> np.ndarray:
    """The image uint8 [H, W, C] with `side` pixels on its longer side."""
    height, width = image.shape[:2]
    if side == max(height, width):
        return image
    scale = side / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(pixels.to_pillow(image).resize(size, Image.Resampling.LANCZOS))
