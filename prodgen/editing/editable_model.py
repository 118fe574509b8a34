"""What editing needs of a run's model; prodgen.model.Model has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from ml_collections import ConfigDict

from prodgen.core.types import Batch, Spec
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store
from prodgen.editing.fitted_prior import FittedPrior
from prodgen.runs.run import Run


class EditableModel(Protocol):
    """A generator with its conditions, and an encoder where `encodes`."""

    run: Run
    spec: Spec
    config: ConfigDict
    conditions: Conditions  # those that the generator takes
    prior: FittedPrior | None  # None: N(0, I)

    @property
    def generator(self) -> tuple[Callable, Any]:
        """generate(weights, z, conditions) -> float [B, R, R, C], to be compiled; its weights."""

    @property
    def encodes(self) -> bool:
        """Whether the family has an encoder."""

    def base_latents(self, indices: np.ndarray, seed: int = 0) -> np.ndarray:
        """float32 [N, Z] of N(0, I)."""

    def latents(
        self,
        indices: np.ndarray,
        seed: int = 0,
        temperature: float = 1.0,
        label: np.ndarray | None = None,
    ) -> np.ndarray:
        """float32 [N, Z] of the prior of images with these categories [N]."""

    def unknown(self, n: int) -> Batch:
        """Conditions of n images of which nothing is known."""

    def encode(self, images: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """The posterior means float32 [N, Z] of images uint8 [N, R, R, C]."""

    def decode(self, z: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """Images uint8 [N, R, R, C] of latents float32 [N, Z]."""

    def store(self) -> Store:
        """The run's own images; MissingInput where they are gone."""
