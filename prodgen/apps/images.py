"""--mode=images: new images as single PNG files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, SampleOptions
from prodgen.apps.common.output import Output, describe_conditions
from prodgen.cli.options import option

if TYPE_CHECKING:
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=images."""

    output = "images"

    n: int = option(16, "Images.", low=1, high=MAX_IMAGES)


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write --n files 000000.png, 000001.png, ... into the folder --out."""
    out.locate(options.output)
    out.png_encoder.check_mark(model.spec.resolution)
    indices = np.arange(options.n)
    conditions = model.conditions.pick(options.seed, indices, options.label, options.attributes)
    z = model.latents(indices, options.seed, options.temperature, conditions["label"])
    for i, image in enumerate(model.decode(z, conditions)):
        details = {"index": i, "latent": z[i].tolist()} | describe_conditions(
            conditions, model.spec, i
        )
        out.write_png(f"{i:06d}.png", image, details)
    return out.close()
