"""--mode=images: new pictures as single PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen.apps.request import Output, Request, describe
from prodgen.model import Model


def run(model: Model, request: Request) -> list[Path]:
    """Write --n (16) files 000000.png, 000001.png, ... into the folder --out."""
    out = Output(model, request, request.target("images"))
    out.stamp.check(model.spec.resolution)
    indices = np.arange(request.n or 16)
    conditions = model.conditions.pick(request.seed, indices, request.label, request.attributes)
    z = model.latents(indices, request.seed, request.temperature)
    for i, picture in enumerate(model.decode(z, conditions)):
        details = {"index": i, "latent": z[i].tolist()} | describe(conditions, model.spec, i)
        out.png(f"{i:06d}.png", picture, details)
    return out.close()
