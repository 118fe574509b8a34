"""The products that a mode is shown: the user's own pictures, or held-back ones of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.apps.common.listing import files
from prodgen.apps.common.options import ConditionOptions
from prodgen.apps.common.output import say
from prodgen.core.errors import MissingInput
from prodgen.core.types import Batch
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.model import Model


def read_pictures(model: Model, source: str, n: int) -> tuple[np.ndarray, Batch | None, list[str]]:
    """Up to n pictures uint8 [N, R, R, C] of a file or folder; of the run's test split for "".

    With their stored conditions, None for the user's own pictures, and their names.
    """
    if not source:
        store = model.store()
        ids = store.evenly_spaced_ids("test", n)
        if not len(ids):
            raise MissingInput(
                "the run held no pictures back for testing", "name some with --input=FILE_OR_FOLDER"
            )
        batch = store.fetch(ids)
        return batch["image"], batch, store.names(ids)
    paths = files(Path(source), "--input")[:n]
    pictures = np.stack([read_photo(path, model.config.data, model.spec) for path in paths])
    return pictures, None, [path.name for path in paths]


def pick_conditions(model: Model, options: ConditionOptions, n: int) -> Batch | None:
    """The conditions of n pictures that --label and --attributes name; None where neither does."""
    if not options.label and not options.attributes:
        return None
    return model.conditions.pick(options.seed, np.arange(n), options.label, options.attributes)


@dataclasses.dataclass(frozen=True)
class Products:
    """N products: names of their files; what they became; who inverted them."""

    names: list[str]
    found: InversionResult
    inverter: Inverter

    def one(self, row: int) -> tuple[np.ndarray, Batch]:
        """The latent [Z] of one product, and its conditions as a batch of one row."""
        rows = {name: value[row : row + 1] for name, value in self.found.conditions.items()}
        return self.found.z[row], rows


def inverted(model: Model, options: Any, n: int) -> Products:
    """Up to n pictures of --input, or of the run's test split, inverted in --steps steps.

    What a picture shows is what --label and --attributes say, else what the reference classifier
    reads. options: InputOptions with FitOptions.
    """
    pictures, _, names = read_pictures(model, options.input, n)
    inverter = model.open_inverter(say, options.steps)
    given = pick_conditions(model, options, len(pictures))
    return Products(names, inverter(pictures, given), inverter)
