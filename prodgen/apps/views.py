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
from prodgen.core import pixels

if TYPE_CHECKING:
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions):
    """Of --mode=views."""

    output = "views"

    n: int = option(1, "Products.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Turn every picture of --input (one held-back product by default): --frames views."""
    from prodgen.apps.common.photos import inverted
    from prodgen.editing import viewpoints

    spec = model.conditions.spec
    around, above = viewpoints.camera_attributes(spec)
    out.locate(options.output)
    products = inverted(model, options, options.n)
    for i, name in enumerate(products.names):
        z, conditions = products.one(i)
        azimuths, elevations = (
            viewpoints.turntable_azimuths(around, options.frames),
            viewpoints.sheet_elevations(above),
        )
        asked = viewpoints.set_viewpoints(conditions, spec, around, above, azimuths, elevations)
        pictures = model.decode(np.repeat(z[None], len(asked["label"]), axis=0), asked)
        stem = f"{i:03d}_{Path(name).stem}"
        sheet = pixels.draw_contact_sheet(
            pictures, len(azimuths), row_names=[f"{e:g}" for e in elevations], side=96
        )
        details = {"of": name, "azimuths": azimuths, "elevations": elevations}
        out.png(f"{stem}.png", sheet, details)
        middle = len(elevations) // 2 * len(azimuths)
        frames = pixels.enlarge(pictures[middle : middle + len(azimuths)], 192)
        out.apng(f"{stem}_turntable.png", frames, details)
    return out.close()
