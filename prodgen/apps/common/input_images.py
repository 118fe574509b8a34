"""The images that a mode takes: the user's own, or held-out ones of the run; inverted if needed."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from prodgen.apps.common.image_files import list_images
from prodgen.apps.common.option_groups import ConditionOptions, InputOptions
from prodgen.apps.common.output import Output, say
from prodgen.apps.common.output_names import name_outputs
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.core.types import Batch
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.model import Model


def read_images(
    model: Model,
    paths: Sequence[str],
    n: int,
    earlier_outputs: Mapping[str, str] = MappingProxyType({}),
) -> tuple[np.ndarray, Batch | None, list[str], list[str]]:
    """Up to n images uint8 [N, R, R, C] of files and folders; of the run's test split without any.

    With their stored conditions, None for the user's own images, their names, and the stems of what
    is made from them. A file that cannot be used is reported and left out; BadData, with the first
    reason, where none is left.
    """
    if not any(paths):
        store = model.store()
        ids = store.evenly_spaced_ids("test", n)
        if not len(ids):
            raise MissingInput(
                "the run has no held-out test images", "name some with --input=FILE_OR_FOLDER"
            )
        batch = store.fetch(ids)
        names = store.names(ids)
        counts = collections.Counter(names)  # a source may give several images one name
        sources = [
            f"{name}#{id}" if counts[name] > 1 else name
            for name, id in zip(names, ids, strict=True)
        ]
        return batch["image"], batch, names, name_outputs(sources, earlier_outputs)
    images, files, reasons = [], [], []
    listed_files = list_images(paths, "--input", earlier_outputs)
    for file in listed_files:
        if len(files) == n:
            say(f"the first {n} of {len(listed_files)} images are used")
            break
        try:
            file.check()
            images.append(read_photo(file.path, model.config.data, model.spec))
            files.append(file)
        except (BadData, RejectedItem) as refusal:
            reasons.append(f"{file.name}: {str(refusal).removeprefix(f'{file.path}: ')}")
            say(f"left out: {reasons[-1]}")
    if not files:
        raise BadData(f"none of {len(reasons)} images can be used; {reasons[0]}", "name others")
    return np.stack(images), None, [file.name for file in files], [file.stem for file in files]


def pick_conditions(model: Model, options: ConditionOptions, n: int) -> Batch | None:
    """The conditions of n images that --label and --attributes name; None where neither does."""
    if not options.label and not options.attributes:
        return None
    return model.conditions.pick(options.seed, np.arange(n), options.label, options.attributes)


@dataclasses.dataclass(frozen=True)
class InvertedProducts:
    """N products: names of their files, stems of what is made from them, and their inversion."""

    names: list[str]
    stems: list[str]
    inversion: InversionResult

    def latent_and_conditions(self, row: int) -> tuple[np.ndarray, Batch]:
        """The latent [Z] of one product, and its conditions as a batch of one row."""
        conditions = self.inversion.conditions
        return self.inversion.z[row], {
            name: value[row : row + 1] for name, value in conditions.items()
        }


def invert_inputs(
    model: Model,
    inverter: Inverter,
    options: InputOptions,
    n: int,
    out: Output,
    endings: Sequence[str] = (),
) -> InvertedProducts:
    """Up to n images of --input, or of the run's test split, inverted.

    --label and --attributes name the conditions, else the reference classifier predicts them.
    endings: of the names that the mode gives to what it makes of a product; UsageError where a file
    of the user has such a name.
    """
    images, _, names, stems = read_images(model, options.input, n, out.list_earlier_outputs())
    if endings:
        out.claim([stem + ending for stem in stems for ending in endings])
    conditions = pick_conditions(model, options, len(images))
    return InvertedProducts(names, stems, inverter(images, conditions))
