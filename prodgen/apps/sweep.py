"""--mode=sweep: one attribute through all its values, everything else held.

--attributes=azimuth=* names the attribute; values given for others hold them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import images
from prodgen.apps.request import Output, Request
from prodgen.errors import UsageError
from prodgen.model import Model
from prodgen.tables import nearest
from prodgen.types import Attribute, Spec

ANY = "*"
REACH = 2.0  # deviations of a number to either side of its mean


def run(model: Model, request: Request) -> list[Path]:
    """Write a sheet of --n (8) products, a row each; the columns are the attribute's values."""
    attribute, held = asked(model.conditions.spec, request)
    values = stops(attribute, request.frames)
    indices = np.arange(request.n or 8)
    conditions = model.conditions.pick(request.seed, indices, request.label, held)
    z = model.latents(indices, request.seed, request.temperature).repeat(len(values), axis=0)
    conditions = {name: rows.repeat(len(values), axis=0) for name, rows in conditions.items()}
    place = model.spec.slices()[attribute.name]
    columns = np.stack([attribute.encode(value) for value in values])
    conditions["attributes"][:, place] = np.tile(columns, (len(indices), 1))
    conditions["known"][:, place] = True
    target = request.target("sweep.png")
    out = Output(model, request, target.parent)
    sheet = images.sheet(model.decode(z, conditions), len(values), pixels=96)
    shown = [value if isinstance(value, str) else round(value, 4) for value in values]
    out.png(target.name, sheet,
              {"attribute": attribute.name, "values": shown})  # fmt: skip
    return out.close()


def asked(spec: Spec, request: Request) -> tuple[Attribute, dict[str, str]]:
    """The attribute whose value is `*`, and the values of the others; else UsageError."""
    known = {attribute.name: attribute for attribute in spec.attributes}
    if not known:
        raise UsageError("--mode=sweep: this run knows no attributes", "use --mode=traverse")
    swept = [name for name, value in request.attributes.items() if value == ANY]
    if len(swept) != 1:
        raise UsageError(
            f"--mode=sweep goes through one attribute; this run knows {', '.join(known)}",
            f"add --attributes={next(iter(known))}={ANY}",
        )
    if swept[0] not in known:
        raise UsageError(
            f"--attributes: {swept[0]!r} is not an attribute; {nearest(swept[0], known)}"
        )
    held = {name: value for name, value in request.attributes.items() if value != ANY}
    return known[swept[0]], held


def stops(attribute: Attribute, count: int) -> list[str | float]:
    """The values of a sweep: all of a categorical's; `count` of a number's or of a full turn."""
    if attribute.kind == "categorical":
        return list(attribute.values)
    if attribute.kind == "angle":
        return [float(x) for x in np.arange(count) * 360 / count]
    low, high = (attribute.mean + side * REACH * attribute.deviation for side in (-1, 1))
    return [float(x) for x in np.linspace(low, high, count)]
