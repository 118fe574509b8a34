"""--mode=reconstruct: pictures of the test split, or the user's own, over their reconstructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import images
from prodgen.apps.photos import read_pictures
from prodgen.apps.request import Output, Request
from prodgen.evaluate import pairs
from prodgen.model import Model

COLUMNS = 8


def run(model: Model, request: Request) -> list[Path]:
    """Write the sheet of --n (32) pictures: a row of originals, under it their reconstructions."""
    pictures, conditions, names = read_pictures(model, request, request.n or 32)
    mean = model.encode(pictures, conditions)
    decoded = model.decode(mean, conditions)
    target = request.target("reconstruct.png")
    out = Output(model, request, target.parent)
    details = [
        {"name": name, "psnr": round(_psnr(a, b), 3), "latent": z.tolist()}
        for name, a, b, z in zip(names, pictures, decoded, mean, strict=True)
    ]
    sheet = images.sheet(pairs(pictures, decoded, COLUMNS), COLUMNS, pixels=96)
    out.png(target.name, sheet, {"pictures": details})
    return out.close()


def _psnr(picture: np.ndarray, decoded: np.ndarray) -> float:
    error = np.mean(np.square(picture.astype(float) - decoded.astype(float)))
    return float(10 * np.log10(255**2 / max(error, 1e-8)))
