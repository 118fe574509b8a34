"""--mode=sweep: one attribute through all its values; everything else stays the same.

--attributes=azimuth=* names the attribute; other attributes may have fixed values.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, SampleOptions, frames_option
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.config.registry import suggest_names
from prodgen.core import pixels
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Spec
from prodgen.data.known_names import resolve_names

if TYPE_CHECKING:
    from prodgen.model import Model

ANY = "*"
MAX_DEVIATIONS = 2.0  # of a number, to either side of its mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=sweep."""

    output = "sweep.png"

    n: int = option(8, "Rows: products.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write a sheet of --n products, a row each; the columns are the attribute's values."""
    target = out.locate(options.output)
    attribute, constants = split_attributes(model.conditions.spec, options.attributes)
    trained_values = model.conditions.trained_values(attribute)
    if len(trained_values) < len(attribute.values):
        untrained_values = [value for value in attribute.values if value not in trained_values]
        say(f"values without a training image are left out: {', '.join(untrained_values)}")
    values = list(trained_values) or sweep_values(attribute, options.frames)
    indices = np.arange(options.n)
    conditions = model.conditions.pick(options.seed, indices, options.label, constants)
    z = model.latents(indices, options.seed, options.temperature, conditions["label"])
    z = z.repeat(len(values), axis=0)
    conditions = {name: rows.repeat(len(values), axis=0) for name, rows in conditions.items()}
    # Each product gets every value of the attribute.
    columns = model.spec.column_slices()[attribute.name]
    codes = np.stack([attribute.encode(value) for value in values])
    conditions["attributes"][:, columns] = np.tile(codes, (len(indices), 1))
    conditions["known"][:, columns] = True
    sheet = pixels.draw_contact_sheet(model.decode(z, conditions), len(values), side=96)
    rounded_values = [value if isinstance(value, str) else round(value, 4) for value in values]
    out.write_png(target.name, sheet, {"attribute": attribute.name, "values": rounded_values})
    return out.close()


def split_attributes(spec: Spec, texts: dict[str, str]) -> tuple[Attribute, dict[str, str]]:
    """The attribute whose value is `*`, and the values of the others; else UsageError."""
    attributes = {attribute.name: attribute for attribute in spec.attributes}
    if not attributes:
        raise UsageError("--mode=sweep: this run has no attributes", "use --mode=traverse")
    texts = resolve_names(texts, attributes)
    names = [name for name, text in texts.items() if text == ANY]
    if len(names) != 1:
        raise UsageError(
            f"--mode=sweep needs exactly one attribute to vary; this run has "
            f"{', '.join(attributes)}",
            f"add --attributes={next(iter(attributes))}={ANY}",
        )
    if names[0] not in attributes:
        raise UsageError(
            f"{names[0]!r} is not an attribute of this run; {suggest_names(names[0], attributes)}",
            "name a known attribute with --attributes=NAME=*",
        )
    return attributes[names[0]], {name: text for name, text in texts.items() if text != ANY}


def sweep_values(attribute: Attribute, count: int) -> list[str | float]:
    """The values of a sweep: all of a categorical's; `count` of a number's or of a full turn."""
    if attribute.kind == "categorical":
        return list(attribute.values)
    if attribute.kind == "angle":
        return [float(x) for x in np.arange(count) * 360 / count]
    low, high = (attribute.mean + side * MAX_DEVIATIONS * attribute.std for side in (-1, 1))
    return [float(x) for x in np.linspace(low, high, count)]
