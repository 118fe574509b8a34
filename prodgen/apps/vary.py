"""--mode=vary: new products in the neighbourhood of one, from its photo.

A row a product: the photo, what the run gives back, and its variations at --strength.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from prodgen import images
from prodgen.apps.photos import inverted
from prodgen.apps.request import Output, Request, describe, say
from prodgen.editing import neighbourhood
from prodgen.editing.guard import Guard
from prodgen.editing.neighbourhood import Varied
from prodgen.editing.orders import Order
from prodgen.model import Model
from prodgen.types import Spec

PRODUCTS = 4  # held-back ones shown where --input names none
FOLDER = "vary"


def run(model: Model, request: Request) -> list[Path]:
    """Write --n (8) variations of every picture of --input, single and as a sheet."""
    if request.strength is None:
        request = dataclasses.replace(request, strength=neighbourhood.STRENGTH)
    target = request.target(FOLDER)
    out = Output(model, request, target)
    out.stamp.check(model.spec.resolution)
    products = inverted(model, request, request.products or PRODUCTS)
    guard = Guard(model) if request.guard else None
    count, rows = request.n or 8, []
    for i, name in enumerate(products.names):
        z, conditions = products.one(i)
        varied = neighbourhood.vary(
            products.inverter, z, conditions, count, request.strength, request.keep, request.seed,
            guard.refuse(products.found.pictures[i : i + 1]) if guard else None,
        )  # fmt: skip
        blank = [np.full_like(products.found.pictures[i], 255)] * (count - len(varied.pictures))
        rows += [products.found.pictures[i], products.found.decoded[i], *varied.pictures, *blank]
        for j, picture in enumerate(varied.pictures):
            details = told(name, request, varied, j, model.spec)
            out.png(f"{i:03d}_{Path(name).stem}_{j:03d}.png", picture, details)
        say(_said(name, varied, request))
    sheet = images.sheet(np.stack(rows), count + 2, pixels=96)
    out.png("sheet.png", sheet, {"strength": request.strength})
    return out.close()


def told(of: str, asked: Request | Order, varied: Varied, j: int, spec: Spec) -> dict[str, Any]:
    """The manifest's words on the j-th variation `of` a product: what was asked, what it is."""
    return {
        "of": of, "strength": asked.strength, "keep": list(asked.keep),
        "kept": bool(varied.kept[j]), "latent": varied.z[j].tolist(),
    } | describe(varied.conditions, spec, j)  # fmt: skip


def _said(name: str, varied: Varied, request: Request) -> str:
    n, kept = len(varied.kept), int(varied.kept.sum())
    said = f"{name}: {n} variations of {varied.tried} candidates"
    if request.keep:
        said += f"; {kept} keep the {' and '.join(request.keep)}"
    if varied.refused:
        said += f"; {varied.refused} copies of training pictures were held back"
    if request.strength and varied.nearest < neighbourhood.LEAST:
        said += "; some are nearly alike: raise --strength, or ask for fewer"
    return said
