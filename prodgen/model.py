"""A trained run in a notebook: sample, encode, decode, reconstruct. No TensorFlow is loaded.

model = prodgen.load("runs/vae-63c4d2d9")
pictures = model.sample(16, seed=1, label="mug")            # uint8 [16, H, W, C]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prodgen.core import images
from prodgen.core.errors import MissingInput, UsageError
from prodgen.core.types import Batch
from prodgen.data import prepare
from prodgen.data.conditions import Conditions
from prodgen.data.store import Store
from prodgen.evaluation import classifier as homes
from prodgen.runs.open import Run, open_run

BATCH = 64  # everything is computed in padded batches of this size: the same bytes for any n


def load(workdir: str | Path, step: str | int | None = None) -> Model:
    """Open a run at its best checkpoint, or at `step` ("latest" or a number)."""
    return Model(open_run(Path(workdir), step))


class Model:
    """A run's network with its conditions. Pictures are uint8 [N, H, W, C] in and out."""

    def __init__(self, run: Run):
        self.run, self.spec, self.config = run, run.spec, run.config
        self.conditions = Conditions.load(run.path, run.spec).heard(run.config)
        self._weights = run.family.weights(run.state)
        config, latents = run.config, run.family.latents
        self._draw = jax.jit(jax.vmap(lambda seed, i: latents(config, seed, i[None])[0]))
        generate = run.family.make_generate(run.config, run.spec)
        self._generate = jax.jit(lambda *inputs: images.to_uint8(generate(*inputs)))
        self.tools: dict[Any, Any] = {}  # made once for this model, with their compiled programs
        self._encode = None
        if hasattr(run.family, "make_encode"):
            self._encode = jax.jit(run.family.make_encode(run.config, run.spec))

    def latents(self, indices: np.ndarray, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """float32 [N, Z]: latent i is a function of (seed, indices[i]), times the temperature."""
        return np.asarray(self.run.family.latents(self.config, seed, indices)) * temperature

    def draw(self, seeds: Sequence[int], indices: Sequence[int]) -> np.ndarray:
        """As `latents`, float32 [N, Z], but each of its own seed: at most BATCH, one program."""
        n = len(seeds)
        filled = [np.pad(np.asarray(x, np.int32), (0, BATCH - n)) for x in (seeds, indices)]
        return np.asarray(self._draw(*filled))[:n]

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: str = "",
        attributes: Mapping[str, str] | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """n new pictures of a category (or of all) with the attributes asked for."""
        indices = np.arange(n)
        conditions = self.conditions.pick(seed, indices, label, attributes)
        return self.decode(self.latents(indices, seed, temperature), conditions)

    def unknown(self, n: int) -> Batch:
        """Conditions of n pictures of which nothing is known."""
        columns = self.spec.columns
        return {
            "label": np.full(n, -1, np.int32),
            "attributes": np.zeros((n, columns), np.float32),
            "known": np.zeros((n, columns), bool),
        }

    def store(self) -> Store:
        """The run's own pictures: prepared again if the store was deleted.

        MissingInput where they have changed since.
        """
        store = prepare.open_or_prepare(self.config.data, lambda text: None)
        if store.digest() != self.run.record["data"]["digest"]:
            raise MissingInput(
                "the pictures of this run are not where its config says, or have changed",
                "put them back, or name pictures with --input=FILE_OR_FOLDER",
            )
        return store

    def home(self, say: homes.Say) -> tuple[dict, dict]:
        """The run's home network, (weights, record); a run that keeps none yet gets its data's."""
        found = homes.of_run(self.run.path, say)
        if found is None:
            found = homes.network(self.store(), self.config.data, say)
            homes.keep(self.run.path, *found)
        return found

    @property
    def generator(self) -> tuple[Callable, Any]:
        """generate(weights, z, conditions) -> float [B, R, R, C], to be compiled; its weights."""
        return self.run.family.make_generate(self.config, self.spec), self._weights

    @property
    def encodes(self) -> bool:
        """Whether the family has an encoder."""
        return self._encode is not None

    def first_layer(self) -> np.ndarray:
        """The matrix float32 [Z, features] that a latent meets first."""
        return np.asarray(self.run.family.first_layer(self.config, self._weights))

    def encode(self, pictures: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """The posterior means float32 [N, Z] of pictures uint8 [N, H, W, C].

        UsageError where the family has no encoder, ValueError for pictures of another shape.
        """
        if self._encode is None:
            name = self.config.model.name
            raise UsageError(
                f"a {name} run has no encoder: it cannot read pictures, only make them",
                "use a run of a family with an encoder: vae, vaegan",
            )
        if pictures.dtype != np.uint8 or pictures.shape[1:] != self.spec.shape:
            raise ValueError(
                f"this run takes uint8 pictures of {self.spec.shape}, not "
                f"{pictures.dtype} of {pictures.shape[1:]}"
            )
        batch = {"image": pictures, **(conditions or self.unknown(len(pictures)))}
        found = [np.asarray(self._encode(self._weights, part)[0])[:n] for part, n in parts(batch)]
        return np.concatenate(found)

    def decode(self, z: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """Pictures uint8 [N, H, W, C] of latents float32 [N, Z]."""
        batch = {"z": np.asarray(z, np.float32), **(conditions or self.unknown(len(z)))}
        found = []
        for part, n in parts(batch):
            found.append(np.asarray(self._generate(self._weights, part.pop("z"), part))[:n])
        return np.concatenate(found)

    def reconstruct(self, pictures: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """Encode and decode again."""
        return self.decode(self.encode(pictures, conditions), conditions)


def parts(batch: Batch, size: int = BATCH) -> Iterator[tuple[Batch, int]]:
    """Cut a batch into parts of `size` rows, the last filled up; with the number of real rows."""
    kept = ("image", "region", "z", "label", "attributes", "known")
    rows = {name: np.asarray(value) for name, value in batch.items() if name in kept}
    total = len(rows["label"])
    for start in range(0, total, size):
        part = {name: value[start : start + size] for name, value in rows.items()}
        n = len(part["label"])
        yield (
            {
                name: np.concatenate([value, np.repeat(value[-1:], size - n, axis=0)])
                for name, value in part.items()
            },
            n,
        )
