"""--mode=grid: one sheet of new images, one row for each category."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, SampleOptions
from prodgen.apps.common.output import Output, describe_conditions, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.types import Batch

if TYPE_CHECKING:
    from prodgen.data.conditions import Conditions
    from prodgen.model import Model

COLUMNS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=grid."""

    output = "grid.png"

    n: int = option(
        0, "Images; 0: 8 of each category, 64 without categories.", low=0, high=MAX_IMAGES
    )


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the sheet; --n images, or 8 of each category (8 x 8 where there are none)."""
    target = out.locate(options.output)
    conditions, row_names = choose_conditions(model.conditions, options)
    num_untrained = len(model.conditions.spec.classes) - len(row_names)
    if row_names and num_untrained:
        say(f"{num_untrained} categories have no training image and are left out")
    n = len(conditions["label"])
    z = model.latents(np.arange(n), options.seed, options.temperature, conditions["label"])
    samples = model.decode(z, conditions)
    details = [
        {"index": i, "latent": z[i].tolist()} | describe_conditions(conditions, model.spec, i)
        for i in range(n)
    ]
    sheet = pixels.draw_contact_sheet(samples, COLUMNS, row_names=row_names, side=96)
    out.write_png(target.name, sheet, {"pictures": details})
    return out.close()


def choose_conditions(conditions: Conditions, options: Options) -> tuple[Batch, tuple[str, ...]]:
    """The conditions of the sheet's images in reading order, and the names of its rows."""
    classes = conditions.trained_classes()
    if options.label or options.n or options.attributes or not classes:
        indices = np.arange(options.n or COLUMNS * COLUMNS)
        return conditions.pick(options.seed, indices, options.label, options.attributes), ()
    return conditions.pick_per_category(options.seed, classes, COLUMNS), classes
