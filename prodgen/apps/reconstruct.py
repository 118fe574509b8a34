"""--mode=reconstruct: images of the test split, or the user's own, over their reconstructions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from prodgen.apps.common.option_groups import MAX_IMAGES, InputOptions
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import pixels

if TYPE_CHECKING:
    from prodgen.model import Model

COLUMNS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(InputOptions):
    """Of --mode=reconstruct."""

    output = "reconstruct.png"

    n: int = option(32, "Images.", low=1, high=MAX_IMAGES)


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the sheet of --n images: a row of originals, under it their reconstructions."""
    from prodgen.apps.common import input_images
    from prodgen.evaluation.sample_sheets import interleave_rows
    from prodgen.metrics import reconstruction_quality

    target = out.locate(options.output)
    originals, conditions, names, _ = input_images.read_images(model, options.input, options.n)
    conditions = input_images.pick_conditions(model, options, len(originals)) or conditions
    mean = model.encode(originals, conditions)
    reconstructions = model.decode(mean, conditions)
    psnr = reconstruction_quality.psnr(pixels.to_float(originals), pixels.to_float(reconstructions))
    details = [
        {"name": name, "psnr": round(float(decibels), 3), "latent": z.tolist()}
        for name, decibels, z in zip(names, psnr, mean, strict=True)
    ]
    sheet = pixels.draw_contact_sheet(
        interleave_rows(originals, reconstructions, COLUMNS), COLUMNS, side=96
    )
    out.write_png(target.name, sheet, {"pictures": details})
    return out.close()
