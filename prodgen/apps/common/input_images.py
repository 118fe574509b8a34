"""The images that a mode takes: the user's own, or held-out ones of the run; inverted if needed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen.apps.common.image_files import list_image_files
from prodgen.apps.common.option_groups import ConditionOptions, InputOptions
from prodgen.core.errors import MissingInput
from prodgen.core.types import Batch
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.model import Model


def read_images(model: Model, source: str, n: int) -> tuple[np.ndarray, Batch | None, list[str]]:
    """Up to n images uint8 [N, R, R, C] of a file or folder; of the run's test split for "".

    With their stored conditions, None for the user's own images, and their names.
    """
    if not source:
        store = model.store()
        ids = store.evenly_spaced_ids("test", n)
        if not len(ids):
            raise MissingInput(
                "the run has no held-out test images", "name some with --input=FILE_OR_FOLDER"
            )
        batch = store.fetch(ids)
        return batch["image"], batch, store.names(ids)
    paths = list_image_files(Path(source), "--input")[:n]
    images = np.stack([read_photo(path, model.config.data, model.spec) for path in paths])
    return images, None, [path.name for path in paths]


def pick_conditions(model: Model, options: ConditionOptions, n: int) -> Batch | None:
    """The conditions of n images that --label and --attributes name; None where neither does."""
    if not options.label and not options.attributes:
        return None
    return model.conditions.pick(options.seed, np.arange(n), options.label, options.attributes)


@dataclasses.dataclass(frozen=True)
class InvertedProducts:
    """N products: the names of their files, and their inversion."""

    names: list[str]
    inversion: InversionResult

    def latent_and_conditions(self, row: int) -> tuple[np.ndarray, Batch]:
        """The latent [Z] of one product, and its conditions as a batch of one row."""
        conditions = self.inversion.conditions
        return self.inversion.z[row], {
            name: value[row : row + 1] for name, value in conditions.items()
        }


def invert_inputs(
    model: Model, inverter: Inverter, options: InputOptions, n: int
) -> InvertedProducts:
    """Up to n images of --input, or of the run's test split, inverted.

    --label and --attributes name the conditions, else the reference classifier predicts them.
    """
    images, _, names = read_images(model, options.input, n)
    conditions = pick_conditions(model, options, len(images))
    return InvertedProducts(names, inverter(images, conditions))
