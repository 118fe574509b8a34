"""--mode=grid: one sheet of new pictures, a row a category."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import images
from prodgen.apps.request import Output, Request, describe
from prodgen.data.conditions import Conditions
from prodgen.model import Model
from prodgen.types import Batch

COLUMNS = 8


def run(model: Model, request: Request) -> list[Path]:
    """Write the sheet; --n pictures, or 8 of each category (8 x 8 where there are none)."""
    conditions, rows = layout(model.conditions, request)
    n = len(conditions["label"])
    z = model.latents(np.arange(n), request.seed, request.temperature)
    pictures = model.decode(z, conditions)
    target = request.target("grid.png")
    out = Output(model, request, target.parent)
    details = [
        {"index": i, "latent": z[i].tolist()} | describe(conditions, model.spec, i)
        for i in range(n)
    ]
    sheet = images.sheet(pictures, COLUMNS, rows=rows, pixels=96)
    out.png(target.name, sheet, {"pictures": details})
    return out.close()


def layout(conditions: Conditions, request: Request) -> tuple[Batch, tuple[str, ...]]:
    """The conditions of the sheet's pictures in reading order, and the names of its rows."""
    classes = conditions.spec.classes
    if request.label or request.n or request.attributes or not classes:
        indices = np.arange(request.n or COLUMNS * COLUMNS)
        return conditions.pick(request.seed, indices, request.label, request.attributes), ()
    return conditions.by_category(request.seed, classes, COLUMNS), classes
