"""--mode=invert: the latent and the conditions that reconstruct each product best.

Writes a sheet (photos over their reconstructions) and invert.csv: PSNR, the perceptual distance,
the identity, and whether a product is within the run's distribution.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, ExtractorOptions, FitOptions, InputOptions
from prodgen.apps.common.output import Output, describe_conditions, say
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.csv_files import format_csv

if TYPE_CHECKING:
    from prodgen.editing.inversion import InversionResult, Inverter
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
    from prodgen.apps.common.input_images import invert_inputs
    from prodgen.editing import inversion_calibration
    from prodgen.evaluation.sample_sheets import interleave_rows

    target = out.locate(options.output)
    inverter = model.open_inverter(say, options.steps)
    if not inversion_calibration.is_measured(inverter):
        model.store()  # the run's own images are read later: where they are gone, it is said now
    products = invert_inputs(model, inverter, options, options.n, out)
    inversion, rows = products.inversion, measure(inverter, products.inversion, options)
    cells = interleave_rows(inversion.images, inversion.reconstruction, COLUMNS)
    entries = [
        {"name": name, "latent": z.tolist()}
        | row
        | describe_conditions(inversion.conditions, model.spec, i)
        for i, (name, z, row) in enumerate(zip(products.names, inversion.z, rows, strict=True))
    ]
    sheet = pixels.draw_contact_sheet(cells, COLUMNS, side=96)
    out.write_png(target.name, sheet, {"pictures": entries})
    lines = ([name, *row.values()] for name, row in zip(products.names, rows, strict=True))
    out.write(TABLE, format_csv(["file", *rows[0]], lines), {})

    for name, row in zip(products.names, rows, strict=True):
        if not row["resembles_photo"]:
            say(
                f"{name} is not given back: its reconstruction is too unlike the photo (PSNR "
                f"{row['psnr']:.1f} dB, {max(row['edges'], 0):.0%} of its edges, CIEDE2000 of its "
                f"colour {row['ciede2000']:.0f}); do not use what "
                "this run makes of it; train longer, or on more images of its kind"
            )
        elif not row["in_distribution"]:
            share = 100 * (1 - row["p"])
            say(
                f"{name} is out of this run's distribution: it is reconstructed worse than "
                f"{share:.0f} % of the run's own held-out images; train on images of its kind, or "
                f"fine-tune this run: run_train.py with --init_from={model.run.path}"
            )
    say(summarise(rows))
    return out.close()


def measure(
    inverter: Inverter, inversion: InversionResult, options: Options
) -> list[dict[str, float]]:
    """The numbers of each product; with --extractors=lpips=FILE its LPIPS too.

    Other extractors add the cosine of their features, as "identity by NAME".
    """
    from prodgen.apps.common.extractors import load_extractors
    from prodgen.editing import inversion_calibration
    from prodgen.evaluation.offline import compare_images

    rows = inversion_calibration.measure_inversions(inverter, inversion)
    extractors, lpips = load_extractors(options.extractors)
    if lpips:
        distances = compare_images(inversion.images, inversion.reconstruction, lpips)["lpips"]
        for row, distance in zip(rows, distances, strict=True):
            row["lpips"] = round(float(distance), 4)
    for extractor in extractors:
        name = extractor.identity.name
        cosines = inversion_calibration.cosine_similarity(
            extractor(inversion.images), extractor(inversion.reconstruction)
        )
        if name != "pixels":
            for row, cosine in zip(rows, cosines, strict=True):
                row[f"identity by {name}"] = round(float(cosine), 3)
    return rows


def summarise(rows: list[dict[str, float]]) -> str:
    """One line about all products."""
    psnr = np.mean([row["psnr"] for row in rows])
    initial = np.mean([row["initial_psnr"] for row in rows])
    same = sum(row["nearer_products"] == 0 for row in rows)
    within = sum(row["in_distribution"] for row in rows)
    resembling = sum(row["resembles_photo"] for row in rows)
    return (
        f"{len(rows)} products: PSNR {psnr:.1f} dB (initial guess {initial:.1f}); {same} still "
        f"nearest to themselves; {resembling} given back as they look; {within} within the run's "
        "distribution"
    )
