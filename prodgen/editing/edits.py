"""One change of a product's photo, at the photo's own resolution.

What needs no generator is done on the photo itself; what the generator changes is carried onto it
(onto.py). Every edit says what changed outside of what it was asked to change, and is refused above
a level of 255 there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from prodgen.core.errors import RejectedItem, UsageError
from prodgen.core.spelling import find_spelling
from prodgen.data import fit, preprocess
from prodgen.editing import change, compositing, slider
from prodgen.editing.inversion import Inverter
from prodgen.photo import backdrop, background_removal, colorimetry, outside_change, silhouette
from prodgen.photo.background_removal import Cutout
from prodgen.photo.mask_estimate import Segmenter
from prodgen.photo.recolour import recolour
from prodgen.photo.square import FILL_FRACTION, Square

WHITE = (255, 255, 255)
LEAST = 0.004  # of a generated picture: a smaller product is none
Rgb = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Shot:
    """A photo uint8 [H, W, 3] of one product, cut out, and the square around it."""

    photo: np.ndarray
    cut: Cutout
    square: Square

    @staticmethod
    def of(picture: np.ndarray, cutter: Segmenter) -> Shot:
        """From a decoded picture uint8 [H, W, 1 | 3 | 4]. RejectedItem without a product."""
        cut = background_removal.cut_out(picture, cutter)
        if cut.quality.failure:
            raise RejectedItem(cut.quality.failure)
        photo = picture[..., :3] if picture.shape[-1] > 1 else np.repeat(picture, 3, axis=-1)
        if picture.shape[-1] == 4:
            photo = cut.flatten(WHITE)
        return Shot(np.ascontiguousarray(photo), cut, Square.around(cut.alpha))

    def small(self, inverter: Inverter) -> np.ndarray:
        """As the run sees it, uint8 [R, R, C]: centred, on the training background."""
        spec = inverter.model.spec
        prepared = preprocess.centre_on_square(self.cut, spec.resolution, spec.background or WHITE)
        return fit.set_channels(prepared.pixels, spec.channels)


@dataclasses.dataclass(frozen=True)
class Edited:
    """picture uint8 [H, W, 3]; how: the method; numbers: what it reports."""

    picture: np.ndarray
    how: str
    numbers: dict[str, float]


def classical(shot: Shot, target: Rgb, strength: float = 1.0) -> Edited:
    """The dominant colour of the product turned into another, in the photo itself."""
    found = recolour(shot.photo, shot.cut.alpha, target, strength, region="dominant")
    numbers = {
        "ciede2000_before": found.delta_e_before,
        "ciede2000": found.delta_e_after,
        "share": found.region_fraction,
    }
    return _edited(shot, found.image, shot.cut.alpha, "classical", numbers)


def generated_colour(
    shot: Shot,
    inverter: Inverter,
    target: Rgb,
    swatches: Mapping[str, Rgb],
    strength: float = 1.0,
) -> Edited:
    """The product as the run would draw it in another colour: its change, added to the photo, or
    a share of it.

    UsageError where the run hears no colour.
    """
    spec = inverter.model.conditions.spec
    change.in_colour(inverter.model.unknown(1), spec, target, swatches)  # refused before the work
    found = inverter(shot.small(inverter)[None])
    asked = change.in_colour(found.conditions, spec, target, swatches)
    before, after = found.decoded[0], inverter.model.decode(found.z, asked)[0]
    way = before + np.float32(strength) * (after.astype(np.float32) - before)
    carried = compositing.added(shot.photo, shot.cut.alpha, shot.square, before, way)
    inside = shot.cut.alpha > 127
    numbers = {
        "ciede2000_before": colorimetry.mean_colour_difference(shot.photo[inside], target),
        "ciede2000": colorimetry.mean_colour_difference(carried.picture[inside], target),
        "generated_pixels": carried.resolution,
    }
    return _edited(shot, carried.picture, shot.cut.alpha, "generated", numbers)


def attribute(shot: Shot, inverter: Inverter, wanted: Mapping[str, str]) -> Edited:
    """The product with other attributes, drawn by the run in the old one's place."""
    model, heard = inverter.model, inverter.model.conditions.spec
    names = [one.name for one in model.spec.attributes]
    wanted = {find_spelling(name, names): text for name, text in wanted.items()}
    told = [one.name for one in heard.attributes if one.name in wanted]
    moving = [one for one in model.spec.attributes if one.name in wanted and one.name not in told]
    for name, value in wanted.items():  # refused before the work
        change.with_value(model.unknown(1), model.spec, name, value)
    for one in moving:
        slider.check(inverter, one.name)
    found = inverter(shot.small(inverter)[None])
    z, conditions = found.z, found.conditions
    for name in told:
        conditions = change.with_value(conditions, heard, name, wanted[name])
    for one in moving:  # under the conditions that the picture is drawn with
        z = slider.moved(inverter, z, conditions, one, wanted[one.name])
    return _swapped(shot, model.decode(z, conditions)[0])


def _swapped(shot: Shot, after: np.ndarray) -> Edited:
    """The product of a generated picture uint8 [R, R, C], in the place of the photo's own.

    What the old one covered is filled with the flat background that the photo's border shows.
    """
    shape, side = shot.photo.shape[:2], shot.square.side
    mask = silhouette.find_silhouette(after).mask
    if mask.mean() < LEAST:
        raise RejectedItem("no product: what the run has drawn stands out from no background")
    rgb = np.broadcast_to(after, (*after.shape[:2], 3)).astype(np.float32)
    drawn = np.dstack([rgb, 255.0 * mask])
    made = shot.square.paste_back(compositing.levels(compositing.enlarged(drawn, side)), shape)
    ground = compositing.levels(silhouette.find_silhouette(shot.photo, shot.cut.alpha).background)
    share = shot.cut.alpha[..., None] / np.float32(255)
    bare = compositing.levels(shot.photo * (1 - share) + ground * share)
    changed = np.maximum(shot.cut.alpha, made[..., 3])
    numbers = {"generated_pixels": round(len(after) * FILL_FRACTION)}
    return _edited(shot, backdrop.composite_over(made, bare), changed, "generated", numbers)


def inpaint(shot: Shot, inverter: Inverter, hole: np.ndarray) -> Edited:
    """A region float [H, W] in [0, 1] of the photo, filled by the run from what is around it."""
    if hole.shape != shot.photo.shape[:2] or not hole.any():
        raise UsageError(
            f"a mask of {hole.shape[::-1]} for a photo of {shot.photo.shape[1::-1]} px, or black "
            "all over", "give one of the photo's size, white where the run is to fill",
        )  # fmt: skip
    small = compositing.reduced(shot.square.crop(hole)[..., None], inverter.model.spec.resolution)
    found = inverter(shot.small(inverter)[None], region=1.0 - (small > 0)[None])
    rgb = np.broadcast_to(found.decoded[0], (*found.decoded.shape[1:3], 3))
    carried = compositing.replaced(shot.photo, hole, shot.square, rgb)
    numbers = {"generated_pixels": carried.resolution}
    return _edited(shot, carried.picture, hole, "generated", numbers)


def background(shot: Shot, ground: np.ndarray, shadow: float = 0.0) -> Edited:
    """The product on another background uint8 [H, W, 3], with a contact shadow."""
    alpha = shot.cut.alpha
    # An alpha just below 1 is 255 too, and its colour is not quite the photo's.
    own = np.where(alpha[..., None] == 255, shot.photo, shot.cut.colour)
    picture = backdrop.composite_with_shadow(np.dstack([own, alpha]), ground, shadow)
    return _edited(shot, picture, 255 - alpha, "classical", {})


def mixed(shots: Sequence[Shot], inverter: Inverter, count: int) -> np.ndarray:
    """Pictures uint8 [count, R, R, C] from the first of two products to the second."""
    found = inverter(np.stack([shot.small(inverter) for shot in shots]))
    z, conditions = change.mixed(found.z, found.conditions, np.linspace(0, 1, count))
    return inverter.model.decode(z, conditions)


def _edited(
    shot: Shot, picture: np.ndarray, mask: np.ndarray, how: str, numbers: dict[str, float]
) -> Edited:
    """With what changed outside the mask; BadData above a level."""
    apart = outside_change.check_outside_change(shot.photo, picture, mask)
    told = {name: round(float(value), 4) for name, value in numbers.items()}
    told |= {"outside_largest": apart.largest, "outside_mean": round(apart.mean, 4)}
    return Edited(picture, how, told)
