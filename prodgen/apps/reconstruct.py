"""--mode=reconstruct: pictures of the test split, or the user's own, over their reconstructions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import decode, images
from prodgen.apps.request import Output, Request, sheet_png
from prodgen.data import fit, prepare
from prodgen.data.store import Store
from prodgen.errors import BadData, MissingInput, Refused
from prodgen.evaluate import pairs
from prodgen.model import Model
from prodgen.types import Batch

COLUMNS = 8
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}


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
    out.write(target.name, sheet_png(model, request, sheet), {"pictures": details})
    return out.close()


def _psnr(picture: np.ndarray, decoded: np.ndarray) -> float:
    error = np.mean(np.square(picture.astype(float) - decoded.astype(float)))
    return float(10 * np.log10(255**2 / max(error, 1e-8)))


def read_pictures(model: Model, request: Request, n: int) -> tuple[np.ndarray, Batch, list[str]]:
    """Up to n pictures uint8 [N, R, R, C] of --input or of the run's test split.

    With their conditions, as stored or as asked for, and their names.
    """
    if not request.input:
        store = stored(model)
        ids = store.some("test", n)
        if not len(ids):
            raise MissingInput(
                "the run held no pictures back for testing", "name some with --input=FILE_OR_FOLDER"
            )
        batch = store.fetch(ids)
        return batch["image"], batch, store.names(ids)
    paths = files(Path(request.input), "--input")[:n]
    pictures, names = (
        np.stack([read_picture(model, path) for path in paths]),
        [p.name for p in paths],
    )
    if not request.label and not request.attributes:
        return pictures, model.unknown(len(paths)), names
    indices = np.arange(len(paths))
    asked = model.conditions.pick(request.seed, indices, request.label, request.attributes)
    return pictures, asked, names


def read_picture(model: Model, path: Path) -> np.ndarray:
    """A user's picture, fitted as the training pictures were, uint8 [R, R, C]; else BadData."""
    data, spec = model.config.data, model.spec
    try:
        raw = decode.decode_file(path, data.max_pixels)
    except Refused as reason:
        raise BadData(f"{path}: {reason}", "take it out, or convert it to PNG or JPEG") from None
    pixels = fit.prepare_picture(raw, spec.resolution, data.fit).pixels
    return fit.set_channels(pixels, spec.channels)


def stored(model: Model) -> Store:
    """The run's own pictures: prepared again if the store was deleted, refused if they changed."""
    store = prepare.open_or_prepare(model.config.data, lambda text: None)
    if store.digest() != model.run.record["data"]["digest"]:
        raise MissingInput(
            "the pictures of this run are not where its config says, or have changed",
            "put them back; mode reconstruct also takes --input=FILE_OR_FOLDER",
        )
    return store


def files(path: Path, flag: str) -> list[Path]:
    """The picture files in a folder, sorted, or the one file; MissingInput names the flag."""
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if found:
            return found
        raise MissingInput(f"{flag}={path} holds no pictures", "name a picture or a folder of them")
    if path.is_file():
        return [path]
    raise MissingInput(f"{flag}={path} does not exist", "name a picture or a folder of pictures")
