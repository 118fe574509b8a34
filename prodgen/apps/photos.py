"""The products that a mode is shown: the user's own pictures, or held-back ones of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen import decode
from prodgen.apps.listing import files
from prodgen.apps.request import Request, say
from prodgen.data import fit, intake
from prodgen.editing.inversion import STEPS, Inverted, Inverter
from prodgen.errors import BadData, MissingInput, Refused
from prodgen.model import Model
from prodgen.types import Batch


def read_pictures(model: Model, request: Request, n: int) -> tuple[np.ndarray, Batch, list[str]]:
    """Up to n pictures uint8 [N, R, R, C] of --input or of the run's test split.

    With their conditions, as stored or as asked for, and their names.
    """
    if not request.input:
        store = model.store()
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
        taken = intake.take(raw, intake.Way.of(data), spec.background or intake.WHITE)
    except Refused as reason:
        raise BadData(f"{path}: {reason}", "take it out, or give another picture") from None
    return fit.set_channels(taken.prepared.pixels, spec.channels)


@dataclasses.dataclass(frozen=True)
class Products:
    """N products: names of their files; what they became; who inverted them."""

    names: list[str]
    found: Inverted
    inverter: Inverter

    def one(self, row: int) -> tuple[np.ndarray, Batch]:
        """The latent [Z] of one product, and its conditions as a batch of one row."""
        rows = {name: value[row : row + 1] for name, value in self.found.conditions.items()}
        return self.found.z[row], rows


def inverted(model: Model, request: Request, n: int) -> Products:
    """Up to n pictures of --input, or of the run's test split, inverted in --steps steps.

    What a picture shows is what --label and --attributes say, else what the home network reads.
    """
    pictures, asked, names = read_pictures(model, request, n)
    inverter = Inverter(model, say, request.steps or STEPS)
    given = asked if request.label or request.attributes else None
    return Products(names, inverter(pictures, given), inverter)
