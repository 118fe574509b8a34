"""--mode=vary: new products in the neighbourhood of one, from its photo.

A row a product: the photo, what the run gives back, and its variations at --strength.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, FitOptions, InputOptions
from prodgen.apps.common.output import Output, describe, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import pixels
from prodgen.core.types import Spec
from prodgen.editing import STRENGTH

if TYPE_CHECKING:
    from prodgen.editing.batch_requests import BatchRequest
    from prodgen.editing.variations import VariationResult
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions):
    """Of --mode=vary."""

    output = "vary"

    n: int = option(8, "Variations of each product.", low=1, high=MAX_IMAGES)
    products: int = option(4, "Images of --input, at most.", low=1, high=100_000)
    strength: float = option(
        STRENGTH, "0 gives the product back, 1 is a fresh sample.", low=0.0, high=1.0
    )
    keep: tuple[str, ...] = option(("category",), "What is kept.", choices=registry.KEEP_CHOICES)
    guard: bool = option(True, "Refuse copies of training images.")


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write --n variations of every picture of --input, single and as a sheet."""
    from prodgen.apps.common.photos import inverted
    from prodgen.editing import variations
    from prodgen.editing.guard import Guard

    out.locate(options.output)
    out.stamp.check(model.spec.resolution)
    products = inverted(model, options, options.products)
    guard = Guard(model) if options.guard else None
    count, rows = options.n, []
    for i, name in enumerate(products.names):
        z, conditions = products.one(i)
        varied = variations.vary(
            products.inverter, z, conditions, count, options.strength, options.keep, options.seed,
            guard.refusal_fn(products.found.images[i : i + 1]) if guard else None,
        )  # fmt: skip
        blank = [np.full_like(products.found.images[i], 255)] * (count - len(varied.images))
        rows += [products.found.images[i], products.found.decoded[i], *varied.images, *blank]
        for j, picture in enumerate(varied.images):
            details = told(name, options, varied, j, model.spec)
            out.png(f"{i:03d}_{Path(name).stem}_{j:03d}.png", picture, details)
        say(_said(name, varied, options))
    sheet = pixels.draw_contact_sheet(np.stack(rows), count + 2, side=96)
    out.png("sheet.png", sheet, {"strength": options.strength})
    return out.close()


def told(
    of: str, asked: Options | BatchRequest, varied: VariationResult, j: int, spec: Spec
) -> dict[str, Any]:
    """The manifest's words on the j-th variation `of` a product: what was asked, what it is."""
    return {
        "of": of, "strength": asked.strength, "keep": list(asked.keep),
        "kept": bool(varied.keeps_request[j]), "latent": varied.z[j].tolist(),
    } | describe(varied.conditions, spec, j)  # fmt: skip


def _said(name: str, varied: VariationResult, options: Options) -> str:
    from prodgen.editing.variations import MIN_DISTANCE_RATIO

    n, kept = len(varied.keeps_request), int(varied.keeps_request.sum())
    said = f"{name}: {n} variations of {varied.num_candidates} candidates"
    if options.keep:
        said += f"; {kept} keep the {' and '.join(options.keep)}"
    if varied.num_refused:
        said += f"; {varied.num_refused} copies of training pictures were held back"
    if options.strength and varied.min_distance < MIN_DISTANCE_RATIO:
        said += "; some are nearly alike: raise --strength, or ask for fewer"
    return said
