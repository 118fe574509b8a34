"""The products that a mode is shown: the user's own pictures, or held-back ones of the run."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.apps.reconstruct import read_pictures
from prodgen.apps.request import Request, say
from prodgen.editing.inversion import STEPS, Inverted, Inverter
from prodgen.model import Model
from prodgen.types import Batch


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
