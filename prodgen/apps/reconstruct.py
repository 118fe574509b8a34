"""--mode=reconstruct: pictures of the test split, or the user's own, over their reconstructions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, InputOptions
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
    """Write the sheet of --n pictures: a row of originals, under it their reconstructions."""
    from prodgen.apps.common import photos
    from prodgen.evaluation.sample_sheets import interleave_rows

    target = out.locate(options.output)
    pictures, conditions, names = photos.read_pictures(model, options.input, options.n)
    conditions = photos.pick_conditions(model, options, len(pictures)) or conditions
    mean = model.encode(pictures, conditions)
    decoded = model.decode(mean, conditions)
    details = [
        {"name": name, "psnr": round(_psnr(a, b), 3), "latent": z.tolist()}
        for name, a, b, z in zip(names, pictures, decoded, mean, strict=True)
    ]
    sheet = pixels.draw_contact_sheet(interleave_rows(pictures, decoded, COLUMNS), COLUMNS, side=96)
    out.png(target.name, sheet, {"pictures": details})
    return out.close()


def _psnr(picture: np.ndarray, decoded: np.ndarray) -> float:
    error = np.mean(np.square(picture.astype(float) - decoded.astype(float)))
    return float(10 * np.log10(255**2 / max(error, 1e-8)))
