"""--mode=views: the same product from other sides, where the training images have an azimuth.

A sheet with one row for each elevation, and a turntable as an animated PNG.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, FitOptions, InputOptions, frames_option
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.core import pixels

if TYPE_CHECKING:
    from prodgen.model import Model

ENDINGS = ("_views.png", "_turntable.png")  # of the two files of a product


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions):
    """Of --mode=views."""

    output = "views"

    n: int = option(1, "Products.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Turn every image of --input (by default one held-out product): --frames views."""
    from prodgen.apps.common.input_images import invert_inputs
    from prodgen.editing import viewpoints
    from prodgen.editing.inversion_calibration import describe_misfits, find_calibration

    spec = model.conditions.spec
    azimuth, elevation = viewpoints.camera_attributes(spec)
    azimuths = viewpoints.turntable_azimuths(azimuth, options.frames)
    elevations = viewpoints.sheet_elevations(elevation)
    out.locate(options.output)
    inverter = model.open_inverter(say, options.steps)
    products = invert_inputs(model, inverter, options, options.n, out, ENDINGS)
    misfits = describe_misfits(products.inversion, find_calibration(inverter))
    for i, (name, stem) in enumerate(zip(products.names, products.stems, strict=True)):
        z, conditions = products.latent_and_conditions(i)
        conditions = viewpoints.set_viewpoints(
            conditions, spec, azimuth, elevation, azimuths, elevations
        )
        views = model.decode(np.repeat(z[None], len(conditions["label"]), axis=0), conditions)
        row_names = [f"{e:g}" for e in elevations]
        sheet = pixels.draw_contact_sheet(views, len(azimuths), row_names=row_names, side=96)
        details = {"of": name, "azimuths": azimuths, "elevations": elevations}
        if misfits[i]:
            details["doubt"] = misfits[i]
            say(f"{name}: DOUBTFUL: {misfits[i]}")
        out.write_png(stem + ENDINGS[0], sheet, details)
        # The turntable shows the middle elevation.
        start = len(elevations) // 2 * len(azimuths)
        frames = pixels.enlarge(views[start : start + len(azimuths)], 192)
        out.write_apng(stem + ENDINGS[1], frames, details)
    return out.close()
