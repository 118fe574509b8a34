"""--mode=vary: variations of a product, from its photo.

A row a product: the photo, its reconstruction, and its variations at --strength.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.fitness_check import FitnessOptions, check_fitness
from prodgen.apps.common.option_groups import MAX_IMAGES, FitOptions, InputOptions, PriorOptions
from prodgen.apps.common.output import Output, describe_variation, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import pixels
from prodgen.editing import STRENGTH

if TYPE_CHECKING:
    from prodgen.editing.variations import VariationResult
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions, PriorOptions, FitnessOptions):
    """Of --mode=vary."""

    output = "vary"

    n: int = option(8, "Variations of each product.", low=1, high=MAX_IMAGES)
    products: int = option(4, "Images of --input, at most.", low=1, high=100_000)
    strength: float = option(
        STRENGTH, "0 reconstructs the product, 1 is a new sample.", low=0.0, high=1.0
    )
    keep: tuple[str, ...] = option(
        ("category",), "What stays the same.", choices=registry.KEEP_CHOICES
    )
    guard: bool = option(True, "Refuse copies of training images.")


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write --n variations of every image of --input, single and as a sheet."""
    from prodgen.apps.common.input_images import invert_inputs
    from prodgen.editing import variations
    from prodgen.editing.guard import open_guard
    from prodgen.editing.inversion_calibration import describe_misfits, find_calibration

    out.locate(options.output)
    out.png_encoder.check_mark(model.spec.resolution)
    # The guard comes first: where the run's own images are gone, it is said before any work.
    guard = open_guard(model) if options.guard else None
    check_fitness(lambda: model.measure_fitness(say), "vary", options.strict, out)
    inverter = model.open_inverter(say, options.steps)
    products = invert_inputs(
        model, inverter, options, options.products, out, [f"_{j:03d}.png" for j in range(options.n)]
    )
    count, cells = options.n, []
    misfits = describe_misfits(products.inversion, find_calibration(inverter))
    for i, (name, stem) in enumerate(zip(products.names, products.stems, strict=True)):
        z, conditions = products.latent_and_conditions(i)
        photo = products.inversion.images[i]
        result = variations.vary(
            inverter, photo, z, conditions, count, options.strength, options.keep, options.seed,
            guard.refusal_fn(photo[None]) if guard else None,
        )  # fmt: skip
        for j, image in enumerate(result.images):
            details = describe_variation(name, options, result, j, model.spec)
            details |= {"doubt": misfits[i]} if misfits[i] else {}
            out.write_png(f"{stem}_{j:03d}.png", image, details)
        is_unnamed = inverter.reads_categories and int(conditions["label"][0]) < 0
        say(summarise(name, result, options, is_unnamed))
        if misfits[i]:
            say(f"{name}: DOUBTFUL: {misfits[i]}: these are variations of something else")
        # White cells stand for variations that were refused as copies.
        blanks = [np.full_like(photo, 255)] * (count - len(result.images))
        cells += [photo, products.inversion.reconstruction[i], *result.images, *blanks]
    if any(misfits):
        num_doubtful = sum(map(bool, misfits))
        say(f"{num_doubtful} of {len(misfits)} photos are doubtful: the run cannot draw them")
    sheet = pixels.draw_contact_sheet(np.stack(cells), count + 2, side=96)
    out.write_png("sheet.png", sheet, {"strength": options.strength})
    return out.close()


def summarise(
    name: str, variations: VariationResult, options: Options, is_unnamed: bool = False
) -> str:
    """One line about the variations of a product. is_unnamed: its category was not recognised."""
    from prodgen.editing.variations import MIN_DISTANCE_RATIO

    n, kept_count = len(variations.keeps_request), int(variations.keeps_request.sum())
    summary = f"{name}: {n} variations of {variations.num_candidates} candidates"
    if options.keep:
        summary += f"; {kept_count} keep the {' and '.join(options.keep)}"
    if "category" in options.keep and is_unnamed:
        summary += "; its category is not recognised: name it with --label"
    if variations.num_refused:
        summary += f"; {variations.num_refused} copies of training images were refused"
    if options.strength and variations.min_distance < MIN_DISTANCE_RATIO:
        summary += "; some are nearly alike: raise --strength, or set a smaller --n"
    return summary
