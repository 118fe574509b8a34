"""--mode=sweep: one attribute through all its values, everything else held.

--attributes=azimuth=* names the attribute; values given for others hold them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, SampleOptions, frames_option
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.config.registry import suggest_names
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling
from prodgen.core.types import Attribute, Spec

if TYPE_CHECKING:
    from prodgen.model import Model

ANY = "*"
REACH = 2.0  # deviations of a number to either side of its mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=sweep."""

    output = "sweep.png"

    n: int = option(8, "Rows: products.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write a sheet of --n products, a row each; the columns are the attribute's values."""
    target = out.locate(options.output)
    attribute, held = split_attributes(model.conditions.spec, options.attributes)
    values = stops(attribute, options.frames)
    indices = np.arange(options.n)
    conditions = model.conditions.pick(options.seed, indices, options.label, held)
    z = model.latents(indices, options.seed, options.temperature).repeat(len(values), axis=0)
    conditions = {name: rows.repeat(len(values), axis=0) for name, rows in conditions.items()}
    place = model.spec.column_slices()[attribute.name]
    columns = np.stack([attribute.encode(value) for value in values])
    conditions["attributes"][:, place] = np.tile(columns, (len(indices), 1))
    conditions["known"][:, place] = True
    sheet = pixels.draw_contact_sheet(model.decode(z, conditions), len(values), side=96)
    shown = [value if isinstance(value, str) else round(value, 4) for value in values]
    out.png(target.name, sheet,
              {"attribute": attribute.name, "values": shown})  # fmt: skip
    return out.close()


def split_attributes(spec: Spec, attributes: dict[str, str]) -> tuple[Attribute, dict[str, str]]:
    """The attribute whose value is `*`, and the values of the others; else UsageError."""
    known = {attribute.name: attribute for attribute in spec.attributes}
    if not known:
        raise UsageError("--mode=sweep: this run knows no attributes", "use --mode=traverse")
    attributes = {find_spelling(name, known): value for name, value in attributes.items()}
    swept = [name for name, value in attributes.items() if value == ANY]
    if len(swept) != 1:
        raise UsageError(
            f"--mode=sweep goes through one attribute; this run knows {', '.join(known)}",
            f"add --attributes={next(iter(known))}={ANY}",
        )
    if swept[0] not in known:
        raise UsageError(
            f"--attributes: {swept[0]!r} is not an attribute; {suggest_names(swept[0], known)}"
        )
    held = {name: value for name, value in attributes.items() if value != ANY}
    return known[swept[0]], held


def stops(attribute: Attribute, count: int) -> list[str | float]:
    """The values of a sweep: all of a categorical's; `count` of a number's or of a full turn."""
    if attribute.kind == "categorical":
        return list(attribute.values)
    if attribute.kind == "angle":
        return [float(x) for x in np.arange(count) * 360 / count]
    low, high = (attribute.mean + side * REACH * attribute.std for side in (-1, 1))
    return [float(x) for x in np.linspace(low, high, count)]
