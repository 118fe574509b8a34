"""One edit of a product's photo, at the photo's own resolution.

What needs no generator is done on the photo itself; what the generator changes is carried onto it
(compositing.py). Every edit reports what changed outside its mask, and is refused above one level
of 255 there.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from prodgen.core.errors import RejectedItem, UsageError
from prodgen.core.types import Spec
from prodgen.data import fit, preprocess
from prodgen.data.known_names import resolve_names
from prodgen.editing import (
    attribute_direction,
    compositing,
    condition_edits,
    fill_choice,
    interpolation,
)
from prodgen.editing.inversion import Inverter
from prodgen.editing.inversion_calibration import describe_misfits, find_calibration
from prodgen.photo import (
    backdrop,
    background_removal,
    colorimetry,
    colour_areas,
    cutout_relevance,
    outside_change,
    patch_fill,
    silhouette,
)
from prodgen.photo.background_removal import Cutout
from prodgen.photo.mask_estimate import Segmenter
from prodgen.photo.recolour import RecolouredImage, recolour
from prodgen.photo.square import FILL_FRACTION, Square

WHITE = (255, 255, 255)
MAX_FILL_ENLARGEMENT = 2.0  # of a run's pixels: a larger fill is visibly softer than the photo
MIN_PRODUCT_SHARE = 0.004  # of a generated image: a smaller product counts as none
Rgb = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class ProductPhoto:
    """A photo uint8 [H, W, 3] of one product, its cut-out, and the square around it."""

    photo: np.ndarray
    cutout: Cutout
    square: Square

    @staticmethod
    def from_image(image: np.ndarray, segmenter: Segmenter) -> ProductPhoto:
        """From a decoded image uint8 [H, W, 1 | 3 | 4]. RejectedItem without a product."""
        cutout = background_removal.cut_out(image, segmenter)
        if cutout.quality.failure:
            raise RejectedItem(cutout.quality.failure)
        photo = image[..., :3] if image.shape[-1] > 1 else np.repeat(image, 3, axis=-1)
        if image.shape[-1] == 4:
            photo = cutout.flatten(WHITE)
        return ProductPhoto(np.ascontiguousarray(photo), cutout, Square.around(cutout.alpha))

    def to_model_input(self, spec: Spec) -> np.ndarray:
        """As the run sees it, uint8 [R, R, C]: centred, on the training background."""
        square_image = preprocess.centre_on_square(
            self.cutout, spec.resolution, spec.background or WHITE
        )
        return fit.set_channels(square_image.pixels, spec.channels)


@dataclasses.dataclass(frozen=True)
class EditedPhoto:
    """image uint8 [H, W, 3]; method: "classical" or "generated"; metrics: what the edit reports.

    notes: what it reports in words, such as `doubt`, why a person should look at it. variant: a
    word for its file's name where one photo is edited in several ways.
    """

    image: np.ndarray
    method: str
    metrics: dict[str, float]
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    variant: str = ""

    def as_variant(self, variant: str) -> EditedPhoto:
        return dataclasses.replace(self, variant=variant)


@dataclasses.dataclass(frozen=True)
class ColourSource:
    """Which part of a product is recoloured: that with a colour, or at a point (x, y), or a region
    float [H, W]; without any of them its dominant colour."""

    rgb: Rgb | None = None
    point: tuple[int, int] | None = None
    region: np.ndarray | None = None

    @property
    def is_named(self) -> bool:
        return self.rgb is not None or self.point is not None or self.region is not None


def recolour_photo(
    product: ProductPhoto,
    target: Rgb,
    strength: float = 1.0,
    source: ColourSource = ColourSource(),  # noqa: B008
) -> EditedPhoto:
    """One colour of the product turned into another, in the photo itself.

    The measures are of the part that was changed. RejectedItem where the product lacks the colour
    of `source`, its point is outside, or its region is empty or of another size.
    """
    alpha, region = product.cutout.alpha, "dominant"
    if source.region is not None:
        alpha, region = np.uint8(np.rint(alpha * _fit_region(source.region, alpha))), "whole"
    result = recolour(product.photo, alpha, target, strength, region, source.rgb, source.point)
    metrics = {
        "ciede2000_before": result.delta_e_before,
        "ciede2000": result.delta_e_after,
        "share": result.region_fraction,
    }
    if source.region is not None:
        metrics["share"] = alpha.sum() / product.cutout.alpha.sum()
    version = _check_outside(product, result.image, alpha, "classical", metrics)
    if source.region is not None:
        notes = _describe_region(product.photo, alpha, metrics["share"])
    else:
        notes = _describe_areas(result, source.is_named)
    doubts, remarks = cutout_relevance.split_cutout_doubts(product.cutout.quality, result.relevance)
    notes |= {"cutout_doubt": "; ".join(doubts), "cutout_note": "; ".join(remarks)}
    return dataclasses.replace(version, notes=notes)


def _fit_region(region: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The region; RejectedItem where it has another size than the photo, or misses the product."""
    if region.shape != alpha.shape:
        raise RejectedItem(
            f"the region is {region.shape[1]} x {region.shape[0]} px, and the photo "
            f"{alpha.shape[1]} x {alpha.shape[0]} px"
        )
    if not ((region > 0.5) & (alpha > 127)).any():
        raise RejectedItem("the region shows nothing of the product")
    return region


def _describe_region(photo: np.ndarray, alpha: np.ndarray, share: float) -> dict[str, str]:
    """The region's colours, which all were changed, its share of the product, and doubts."""
    areas = colour_areas.measure_areas(photo, alpha)
    doubts = [colour_areas.find_doubts(areas, i, True, "region") for i in range(len(areas))]
    return {
        "from_colour": f"a region of {share:.0%} ({colour_areas.format_areas(areas)})",
        "other_colours": "",
        "doubt": "; ".join(dict.fromkeys(itertools.chain.from_iterable(doubts))),
    }


def _describe_areas(result: RecolouredImage, is_named: bool) -> dict[str, str]:
    """The colour that was changed, the product's others, and doubts."""
    return {
        "from_colour": colour_areas.format_area(result.areas[result.area]),
        "other_colours": colour_areas.format_areas(result.other_areas),
        "doubt": "; ".join(colour_areas.find_doubts(result.areas, result.area, is_named)),
    }


def recolour_with_model(
    product: ProductPhoto,
    inverter: Inverter,
    target: Rgb,
    swatches: Mapping[str, Rgb],
    strength: float = 1.0,
) -> EditedPhoto:
    """The product as the run draws it in another colour: its change, or a share of it, added to
    the photo.

    UsageError where the run was trained without colours.
    """
    model, alpha = inverter.model, product.cutout.alpha
    spec = model.conditions.spec
    swatches = condition_edits.select_trained_swatches(swatches, model.conditions)
    condition_edits.set_colour(model.unknown(1), spec, target, swatches)  # refused before the work
    inversion = inverter(product.to_model_input(model.spec)[None])
    conditions = condition_edits.set_colour(inversion.conditions, spec, target, swatches)
    before, after = inversion.reconstruction[0], model.decode(inversion.z, conditions)[0]
    after = before + np.float32(strength) * (after.astype(np.float32) - before)
    composite = compositing.add_change(product.photo, alpha, product.square, before, after)
    inside = alpha > 127
    metrics = {
        "ciede2000_before": colorimetry.mean_colour_difference(product.photo[inside], target),
        "ciede2000": colorimetry.mean_colour_difference(composite.image[inside], target),
        "generated_pixels": composite.resolution,
    }
    areas = colour_areas.measure_areas(product.photo, alpha)
    largest = max(range(len(areas)), key=lambda index: areas[index].fraction)
    misfits = describe_misfits(inversion, find_calibration(inverter))
    doubts = [*misfits, *colour_areas.find_doubts(areas, largest, False)]
    doubt = "; ".join(filter(None, doubts))
    return _check_outside(product, composite.image, alpha, "generated", metrics, doubt=doubt)


def change_attributes(
    product: ProductPhoto, inverter: Inverter, attributes: Mapping[str, str]
) -> EditedPhoto:
    """The product with other attributes, drawn by the run in the old one's place.

    Attributes that the generator takes are set in its conditions; the others are moved along its
    latent. UsageError for what the run does not know.
    """
    model, visible_spec = inverter.model, inverter.model.conditions.spec
    names = [attribute.name for attribute in model.spec.attributes]
    attributes = resolve_names(attributes, names)
    visible = [a.name for a in visible_spec.attributes if a.name in attributes]
    hidden = [a for a in model.spec.attributes if a.name in attributes and a.name not in visible]
    # Refuse before the work.
    for name, text in attributes.items():
        condition_edits.set_attribute(model.unknown(1), model.spec, name, text)
    model.conditions.check_values({name: attributes[name] for name in visible})
    for attribute in hidden:
        attribute_direction.require_matching_classifier(inverter, attribute.name)
    inversion = inverter(product.to_model_input(model.spec)[None])
    z, conditions = inversion.z, inversion.conditions
    for name in visible:
        conditions = condition_edits.set_attribute(conditions, visible_spec, name, attributes[name])
    for attribute in hidden:  # under the conditions that the image is decoded with
        text = attributes[attribute.name]
        z = attribute_direction.move_attribute(inverter, z, conditions, attribute, text)
    version = _swap_product(product, model.decode(z, conditions)[0])
    misfit = describe_misfits(inversion, find_calibration(inverter))[0]
    return dataclasses.replace(version, notes={"doubt": misfit})


def _swap_product(product: ProductPhoto, output: np.ndarray) -> EditedPhoto:
    """The product of a generated image uint8 [R, R, C], in the place of the photo's own.

    What the old one covered is filled with the flat background at the photo's border.
    """
    shape, alpha = product.photo.shape[:2], product.cutout.alpha
    mask = silhouette.find_silhouette(output).mask
    if mask.mean() < MIN_PRODUCT_SHARE:
        raise RejectedItem("no product: the generated one cannot be told from its background")
    rgb = np.broadcast_to(output, (*output.shape[:2], 3)).astype(np.float32)
    rgba = compositing.upscale(np.dstack([rgb, 255.0 * mask]), product.square.side)
    new_product = product.square.paste_back(compositing.to_uint8(rgba), shape)
    # The photo without its product.
    background = compositing.to_uint8(silhouette.find_silhouette(product.photo, alpha).background)
    opacity = alpha[..., None] / np.float32(255)
    bare = compositing.to_uint8(product.photo * (1 - opacity) + background * opacity)
    image = backdrop.composite_over(new_product, bare)
    change_mask = np.maximum(alpha, new_product[..., 3])
    metrics = {"generated_pixels": round(len(output) * FILL_FRACTION)}
    return _check_outside(product, image, change_mask, "generated", metrics)


def inpaint(product: ProductPhoto, inverter: Inverter, hole: np.ndarray) -> EditedPhoto:
    """A region float [H, W] in [0, 1] of the photo, filled from what is around it.

    By the run or by patches of the photo, whichever is better on held-out images
    (editing/fill_choice.py). Only patches fill a product of more than MAX_FILL_ENLARGEMENT times
    the run's pixels, and what is outside the square around the product. RejectedItem for a hole of
    another size than the photo, UsageError for one without a border.
    """
    (height, width), (photo_height, photo_width) = hole.shape, product.photo.shape[:2]
    if hole.shape != product.photo.shape[:2]:
        raise RejectedItem(
            f"the mask is {width} x {height} px, and the photo {photo_width} x {photo_height} px"
        )
    if not hole.any() or not (hole <= 0).any():
        raise UsageError("the mask is of one colour", "give one that is white where to fill")
    spec, side = inverter.model.spec, product.square.side
    small = compositing.downscale(product.square.crop(hole)[..., None], spec.resolution)
    inside = product.square.paste_back(np.ones((side, side), bool), hole.shape)
    note, errors, by_run = "filled by the run: no held-out image to compare with", {}, True
    if (hole[~inside] > 0).any():
        by_run = False
        note = "filled by the photo's own patches: the hole leaves the product's surroundings"
    elif side > MAX_FILL_ENLARGEMENT * spec.resolution:
        by_run = False
        note = (
            f"filled by the photo's own patches: the product has {side} px here, and the run draws "
            f"{spec.resolution}"
        )
    elif choice := fill_choice.choose_fill(inverter, small[..., 0] > 0):
        note, by_run = choice.describe(), choice.method == "generated"
        errors["error_classical"] = choice.classical_error
        errors["error_generated"] = choice.generated_error
    if not by_run:
        image = patch_fill.fill_hole(product.photo, hole)
        return _check_outside(product, image, hole, "classical", errors, fill=note)
    inversion = inverter(product.to_model_input(spec)[None], region=1.0 - (small > 0)[None])
    rgb = np.broadcast_to(inversion.reconstruction[0], (*inversion.reconstruction.shape[1:3], 3))
    composite = compositing.replace_region(product.photo, hole, product.square, rgb)
    metrics = {"generated_pixels": composite.resolution} | errors
    return _check_outside(product, composite.image, hole, "generated", metrics, fill=note)


def replace_background(
    product: ProductPhoto, background: np.ndarray, shadow: float = 0.0
) -> EditedPhoto:
    """The product on another background uint8 [H, W, 3], with a contact shadow."""
    alpha = product.cutout.alpha
    # An alpha just below 1 is 255 too, and its colour is not quite the photo's.
    rgb = np.where(alpha[..., None] == 255, product.photo, product.cutout.colour)
    image = backdrop.composite_with_shadow(np.dstack([rgb, alpha]), background, shadow)
    return _check_outside(product, image, 255 - alpha, "classical", {})


def interpolate_photos(
    products: Sequence[ProductPhoto], inverter: Inverter, count: int
) -> np.ndarray:
    """Images uint8 [count, R, R, C] from the first of two products to the second."""
    model = inverter.model
    inversion = inverter(np.stack([product.to_model_input(model.spec) for product in products]))
    shares = np.linspace(0, 1, count)
    z, conditions = interpolation.interpolate_products(inversion.z, inversion.conditions, shares)
    return model.decode(z, conditions)


def _check_outside(
    product: ProductPhoto, image: np.ndarray, mask: np.ndarray, method: str,
    metrics: dict[str, float], **notes: str,
) -> EditedPhoto:  # fmt: skip
    """The edited photo, reporting the change outside the mask; BadData above one level."""
    change = outside_change.check_outside_change(product.photo, image, mask)
    metrics = {name: round(float(value), 4) for name, value in metrics.items()}
    metrics |= {"outside_largest": change.largest, "outside_mean": round(change.mean, 4)}
    return EditedPhoto(image, method, metrics, notes)
