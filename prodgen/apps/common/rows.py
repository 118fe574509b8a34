"""A row of --mode=batch, made: samples of a run; variations, views and edits of a photo.

Samples are computed in batches of one fixed size, so that a picture does not depend on those beside
it. Edits are those of --mode=edit, at the photo's own resolution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from prodgen.apps import edit, vary
from prodgen.apps.common import colours, grounds
from prodgen.apps.common.grounds import Ground
from prodgen.apps.common.output import describe, say
from prodgen.core import pixels
from prodgen.core.batches import BATCH_SIZE
from prodgen.core.errors import RejectedItem
from prodgen.core.types import Batch
from prodgen.editing import change, edits, neighbourhood, viewpoints
from prodgen.editing.batch_requests import ALONE, Order
from prodgen.editing.edits import Edited, Shot
from prodgen.editing.guard import Guard
from prodgen.editing.inversion import Inverted, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.model import Model
from prodgen.photo import backdrop, background_removal

if TYPE_CHECKING:
    from prodgen.apps.batch import Options


@dataclasses.dataclass(frozen=True)
class Made:
    """A picture uint8 [H, W, C], what the manifest says of it, and one of provenance.SOURCES."""

    picture: np.ndarray
    details: dict[str, Any]
    source: str = "generated"


Found = Made | RejectedItem
SHADOW = 0.4  # strength of a shadow on a background, [0, 1]


@dataclasses.dataclass(frozen=True)
class Means:
    """What rows are made with. folder: the table's; inverter and guard: where a row needs them;
    shadow: the strength of shadows, [0, 1]."""

    model: Model
    folder: Path
    inverter: Inverter | None
    guard: Guard | None
    shadow: float


def make_means(model: Model, options: Options, folder: Path, wanted: Sequence[Order]) -> Means:
    """What the orders are made with, no more of it than they need."""
    guarded = options.guard and any(order.guarded for order in wanted)
    guard = Guard(model) if guarded else None
    fitted = any(order.inverted for order in wanted)
    inverter = model.open_inverter(say, options.steps) if fitted else None
    return Means(model, folder, inverter, guard, SHADOW)


def check(order: Order, model: Model, folder: Path) -> None:
    """UsageError or BadData for what this run, or nobody, can make."""
    if order.background:
        grounds.drawn(_ground(order, folder), (16, 16))
    if order.edit == "views":
        viewpoints.camera_attributes(model.conditions.spec)
    if order.edit == "recolour":
        target = colours.parse(order.colour, "colour")
        if order.method == "generated":
            change.in_colour(model.unknown(1), model.conditions.spec, target, colours.NAMED)


def side(order: Order, model: Model) -> int:
    """The least pixels that a side of its pictures has, as far as that is known beforehand."""
    return order.size or (
        background_removal.MIN_SIDE if order.edit in ALONE else model.spec.resolution
    )


def samples(means: Means, wanted: Sequence[tuple[Order, int]]) -> Iterator[Found]:
    """The k-th sample of each (order, k), in that order."""
    for start in range(0, len(wanted), BATCH_SIZE):
        yield from _batch(means, wanted[start : start + BATCH_SIZE])


def _batch(means: Means, part: Sequence[tuple[Order, int]]) -> Iterator[Found]:
    model = means.model
    asked = _joined([_asked(model, order, k) for order, k in part])
    z = model.draw([order.seed for order, _ in part], [k for _, k in part])
    pictures = model.decode(z, asked)
    seen = means.guard(pictures) if means.guard else None
    for i, picture in enumerate(pictures):
        if seen and seen.copy[i]:
            yield RejectedItem(f"a copy of training picture {seen.names[i]}")
        else:
            yield Made(picture, {"latent": z[i].tolist()} | describe(asked, model.spec, i))


def _asked(model: Model, order: Order, k: int) -> Batch:
    """The conditions of the k-th picture, as a batch of one row."""
    wanted = dict(order.attributes)
    return model.conditions.pick(order.seed, np.array([k]), order.category, wanted)


def _joined(rows: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def of_photo(means: Means, order: Order) -> list[Found]:
    """All pictures of a row with a photo.

    BadData or RejectedItem where the photo cannot be used, or an edit reaches outside of its mask.
    """
    if order.edit == "vary":
        return _varied(means, order)
    if order.edit == "views":
        return _turned(means, order)
    return [_edited(means, order)]


def _varied(means: Means, order: Order) -> list[Found]:
    """Variations; fewer than asked for are made where only copies are left."""
    model, found = means.model, _inverted(means, order)
    varied = neighbourhood.vary(
        means.inverter, found.z[0], found.conditions, order.count, order.strength, order.keep,
        order.seed, means.guard.refuse(found.pictures) if means.guard else None,
    )  # fmt: skip
    made = [
        Made(picture, vary.told(order.photo, order, varied, k, model.spec))
        for k, picture in enumerate(varied.pictures)
    ]
    lacking = RejectedItem("all further variations are copies of training pictures")
    return made + [lacking] * (order.count - len(made))


def _turned(means: Means, order: Order) -> list[Found]:
    model, found = means.model, _inverted(means, order)
    pictures, asked = viewpoints.decode_turntable(model, found.z[0], found.conditions, order.count)
    told = {"of": order.photo, "latent": found.z[0].tolist()}
    return [
        Made(picture, told | describe(asked, model.spec, k)) for k, picture in enumerate(pictures)
    ]


def _inverted(means: Means, order: Order) -> Inverted:
    """The row's photo, put into the run; what it shows is read off it unless the row says so."""
    path, model = means.folder / order.photo, means.model
    photo = read_photo(path, model.config.data, model.spec)[None]
    said = order.category or order.attributes
    return means.inverter(photo, _asked(model, order, 0) if said else None)


def _edited(means: Means, order: Order) -> Made:
    path = means.folder / order.photo
    found = _changed(means, order, edit.opened(path, background_removal.load_segmenter("plain")))
    told = {"of": order.photo, "edit": order.edit, "method": found.how} | found.numbers
    return Made(found.picture, told, edit.source(found, path))


def _changed(means: Means, order: Order, shot: Shot) -> Edited:
    if order.edit == "background":
        ground = grounds.drawn(_ground(order, means.folder), shot.photo.shape[:2])
        return edits.background(shot, ground, means.shadow)
    target = colours.parse(order.colour, "colour")
    if order.method == "generated":
        return edits.generated_colour(shot, means.inverter, target, colours.NAMED)
    return edits.classical(shot, target)


def _ground(order: Order, folder: Path) -> Ground:
    if order.ground:
        return folder / order.ground
    return colours.parse(order.background or grounds.WHITE, "background", colours.PAPER)


def finished(picture: np.ndarray, order: Order, folder: Path) -> np.ndarray:
    """A picture uint8 [H, W, C] on the background and in the size that its row asks for.

    A size enlarges or reduces; it adds no detail, and the gate calls it upscaled. RejectedItem
    where no product is found to lay on the background.
    """
    if order.background and order.edit != "background":
        cut = background_removal.cut_out(picture, background_removal.load_segmenter("plain"))
        ground = grounds.drawn(_ground(order, folder), picture.shape[:2])
        picture = backdrop.composite_with_shadow(cut.rgba, ground)
    return sized(picture, order.size) if order.size else picture


def sized(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with `side` pixels on its longer side."""
    height, width = picture.shape[:2]
    if side == max(height, width):
        return picture
    scale = side / max(height, width)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(pixels.to_pillow(picture).resize(size, Image.Resampling.LANCZOS))
