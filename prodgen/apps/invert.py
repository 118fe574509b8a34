"""--mode=invert: products into the model: the latent and conditions that give each back.

Writes a sheet (photo, guess of the encoder or regressor, inversion) and invert.csv: PSNR, the
perceptual distance, the identity, and whether a product is within the run's reach.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, ExtractorOptions, FitOptions, InputOptions
from prodgen.apps.common.output import Output, describe, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.csv_files import format_csv

if TYPE_CHECKING:
    from prodgen.apps.common.photos import Products
    from prodgen.model import Model

COLUMNS = 8
TABLE = "invert.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions, FitOptions, ExtractorOptions):
    """Of --mode=invert."""

    output = "invert.png"

    n: int = option(16, "Products.", low=1, high=MAX_IMAGES)


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Invert --n products; write the sheet, the table and the manifest with the latents."""
    from prodgen.apps.common.photos import inverted
    from prodgen.evaluation.sample_sheets import interleave_rows

    target = out.locate(options.output)
    products = inverted(model, options, options.n)
    found, told = products.found, measured(products, options)
    sheet = pixels.draw_contact_sheet(
        interleave_rows(found.images, found.decoded, COLUMNS), COLUMNS, side=96
    )
    entries = [
        {"name": name, "latent": z.tolist()} | numbers | describe(found.conditions, model.spec, i)
        for i, (name, z, numbers) in enumerate(zip(products.names, found.z, told, strict=True))
    ]
    out.png(target.name, sheet, {"pictures": entries})
    out.write(TABLE, _table(products.names, told), {})
    for name, numbers in zip(products.names, told, strict=True):
        if not numbers["within_reach"]:
            say(f"{name} is out of this run's reach: {_words(numbers)}")
    say(_summary(told))
    return out.close()


def measured(products: Products, options: Options) -> list[dict[str, float]]:
    """The numbers of each product; with --extractors=lpips=FILE its LPIPS too, and with others
    the cosine of their features, as "identity by NAME"."""
    from prodgen.apps.common.offline_evaluation import load_extractors
    from prodgen.editing import inversion_calibration
    from prodgen.evaluation.offline import compare_images

    found, told = (
        products.found,
        inversion_calibration.measure_inversions(products.inverter, products.found),
    )
    lookers, perceptual = load_extractors(options.extractors)
    if perceptual:
        values = compare_images(found.images, found.decoded, perceptual)["lpips"]
        told = [row | {"lpips": round(float(v), 4)} for row, v in zip(told, values, strict=True)]
    for who in lookers:
        name, same = (
            who.identity.name,
            inversion_calibration.cosine_similarity(who(found.images), who(found.decoded)),
        )
        if name != "pixels":
            told = [row | {f"identity by {name}": round(float(v), 3)}
                    for row, v in zip(told, same, strict=True)]  # fmt: skip
    return told


def _words(numbers: dict[str, float]) -> str:
    share = 100 * (1 - numbers["p"])
    return (
        f"it comes back worse than {share:.0f} % of the run's own held-back pictures do; train on "
        "pictures of its kind, or fine-tune with --init_from"
    )


def _summary(told: list[dict[str, float]]) -> str:
    psnr = np.mean([row["psnr"] for row in told])
    guess = np.mean([row["psnr_of_the_guess"] for row in told])
    same = sum(row["nearer_products"] == 0 for row in told)
    inside = sum(row["within_reach"] for row in told)
    return (
        f"{len(told)} products: PSNR {psnr:.1f} dB (guess {guess:.1f}); {same} still nearest to "
        f"themselves; {inside} within the run's reach"
    )


def _table(names: list[str], told: list[dict[str, float]]) -> bytes:
    rows = ([name, *row.values()] for name, row in zip(names, told, strict=True))
    return format_csv(["file", *told[0]], rows)
