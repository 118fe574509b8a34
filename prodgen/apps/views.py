"""--mode=views: the same product from other sides, where the training pictures say their side.

A sheet with a row an elevation, and a turntable as an animated PNG.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, FitOptions, InputOptions, frames_option
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import images
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Batch, Spec

if TYPE_CHECKING:
    from prodgen.model import Model

AROUND, ABOVE = "azimuth", "elevation"  # the attributes' names
ROWS = 3  # elevations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions):
    """Of --mode=views."""

    output = "views"

    n: int = option(1, "Products.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Turn every picture of --input (one held-back product by default): --frames views."""
    from prodgen.apps.common.photos import inverted

    spec = model.conditions.spec
    around, above = sides_of(spec)
    out.locate(options.output)
    products = inverted(model, options, options.n)
    for i, name in enumerate(products.names):
        z, conditions = products.one(i)
        azimuths, elevations = stops(around, options.frames), heights(above)
        asked = turned(conditions, spec, around, above, azimuths, elevations)
        pictures = model.decode(np.repeat(z[None], len(asked["label"]), axis=0), asked)
        stem = f"{i:03d}_{Path(name).stem}"
        sheet = images.sheet(
            pictures, len(azimuths), rows=[f"{e:g}" for e in elevations], pixels=96
        )
        details = {"of": name, "azimuths": azimuths, "elevations": elevations}
        out.png(f"{stem}.png", sheet, details)
        middle = len(elevations) // 2 * len(azimuths)
        frames = images.enlarge(pictures[middle : middle + len(azimuths)], 192)
        out.apng(f"{stem}_turntable.png", frames, details)
    return out.close()


def sides_of(spec: Spec) -> tuple[Attribute, Attribute | None]:
    """The attributes that say where the camera stands; UsageError without an azimuth."""
    known = {attribute.name: attribute for attribute in spec.attributes}
    if AROUND not in known or known[AROUND].kind == "categorical":
        there = f"it knows {', '.join(known)}" if known else "it knows no attributes"
        raise UsageError(
            f"this run has not learnt from which side a product is seen; {there}",
            f"train on pictures with a column {AROUND} in degrees (docs/data.md), as the embedded "
            "catalogue has it",
        )
    return known[AROUND], known.get(ABOVE)


def turn(model: Model, z: np.ndarray, conditions: Batch, frames: int) -> tuple[np.ndarray, Batch]:
    """A product at z [Z] from all around, seen from the height that its conditions of one row say:
    pictures uint8 [frames, R, R, C] and their conditions. UsageError without an azimuth."""
    spec = model.conditions.spec
    around, _ = sides_of(spec)
    asked = turned(conditions, spec, around, None, stops(around, frames), [float("nan")])
    return model.decode(np.repeat(z[None], frames, axis=0), asked), asked


def stops(around: Attribute, frames: int) -> list[float]:
    """The azimuths of a turn, or of two deviations about the mean where it is a plain number."""
    if around.kind == "angle":
        return [float(x) for x in np.arange(frames) * 360 / frames]
    low, high = (around.mean + side * 2 * around.std for side in (-1, 1))
    return [float(x) for x in np.linspace(low, high, frames)]


def heights(above: Attribute | None) -> list[float]:
    """Elevations from low to high as the training pictures have them; nan where none is known."""
    if above is None or above.kind != "number":
        return [float("nan")]
    return [float(x) for x in above.mean + np.linspace(-1, 1, ROWS) * above.std]


def turned(
    conditions: Batch, spec: Spec, around: Attribute, above: Attribute | None,
    azimuths: list[float], elevations: list[float],
) -> Batch:  # fmt: skip
    """Conditions of every elevation and azimuth, in reading order, from those of one row."""
    count = len(azimuths) * len(elevations)
    found = {name: rows.repeat(count, axis=0) for name, rows in conditions.items()}
    grid = [(e, a) for e in elevations for a in azimuths]
    for row, (elevation, azimuth) in enumerate(grid):
        for attribute, value in ((around, azimuth), (above, elevation)):
            if attribute is not None and not np.isnan(value):
                place = spec.slices()[attribute.name]
                found["attributes"][row, place] = attribute.encode(value)
                found["known"][row, place] = True
    return found
