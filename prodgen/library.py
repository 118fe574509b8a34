"""prodgen in a notebook: a run that samples and varies, for one image or for many.

Images are uint8. One image [H, W, C] gives one result; several, [N, H, W, C] or a list, give as
many, in their order. A wrong type or shape is a UsageError that names the argument.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen import model
from prodgen.config import registry
from prodgen.core.arguments import check_count, check_range, check_text, describe
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling
from prodgen.core.types import Spec
from prodgen.editing import STRENGTH
from prodgen.editing.inversion import InversionResult
from prodgen.evaluation.fitness import Fitness

MAX_SAMPLES = 100_000
MAX_SEED = 2**31 - 2


def load(
    workdir: str | Path,
    step: str | int | None = None,
    data_path: str | Path | None = None,
    prior: str = "auto",
) -> Model:
    """Open a run, see prodgen.load."""
    check_paths("workdir", workdir)
    return Model(model.load(workdir, step, data_path, prior))


class Model:
    """A trained run. spec: its resolution, channels, categories and attributes.

    Programs are compiled once, at their first use.
    """

    def __init__(self, run_model: model.Model):
        self._model = run_model

    def __repr__(self) -> str:
        spec, family = self.spec, self._model.config.model.name
        colours, run = "grey" if spec.channels == 1 else "RGB", self._model.run
        place = f"the package ({run.path.name!r})" if run.is_pretrained else run.path
        return (
            f"<{family} of {place} at step {run.step}: "
            f"{spec.resolution} x {spec.resolution} {colours}, categories: "
            f"{', '.join(spec.classes) or 'none'}; {self._model.describe_fitness()}>"
        )

    def measure_fitness(self) -> Fitness:
        """What the run is fit for: `uses` and `categories` with a level and a reason each.

        It is measured once, on the run's own images, and kept in its folder. MissingRunData where
        they are gone and it was not measured before.
        """
        return self._model.measure_fitness()

    @property
    def spec(self) -> Spec:
        return self._model.spec

    @property
    def has_encoder(self) -> bool:
        """Whether the family encodes images: vae and vaegan do."""
        return self._model.encodes

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: str = "",
        attributes: Mapping[str, str] | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """n new images uint8 [n, H, W, C] of a category (or of all), with the given attributes.

        temperature: the standard deviation of the latents, at least 0. Image i is a function of
        (seed, i).
        """
        check_count("n", n, MAX_SAMPLES)
        check_count("seed", seed, MAX_SEED)
        check_text("label", label)
        check_range("temperature", temperature, 0.0, 10.0)
        check_attributes(attributes)
        if n == 0:
            return np.zeros((0, *self.spec.shape), np.uint8)
        return self._model.sample(n, seed, label, attributes, temperature)

    def encode(self, images: Any) -> np.ndarray:
        """The posterior means float32 [Z] or [N, Z]; UsageError where there is no encoder."""
        return self._apply(self._model.encode, images)

    def decode(self, latents: Any) -> np.ndarray:
        """Images of latents float [Z] or [N, Z], of which no condition is known."""
        z, size = np.asarray(latents), self._model.config.model.latent
        is_latent = z.ndim in (1, 2) and z.shape[-1] == size
        if not is_latent or not np.issubdtype(z.dtype, np.number) or not np.isfinite(z).all():
            raise UsageError(
                f"latents must be finite numbers [{size}] or [N, {size}], not {describe(z)}",
                "take what encode or invert returns",
            )
        if z.ndim == 1:
            return self._model.decode(z[None])[0]
        return self._model.decode(z) if len(z) else np.zeros((0, *self.spec.shape), np.uint8)

    def reconstruct(self, images: Any) -> np.ndarray:
        """Images as the run gives them back: encoded and decoded."""
        return self._apply(self._model.reconstruct, images)

    def read(self, paths: str | Path | Sequence[str | Path]) -> np.ndarray:
        """One photo's file, or several, as the run sees them: cut out where training was."""
        check_paths("paths", paths, is_one=False)
        if isinstance(paths, (str, Path)):
            return self._model.read(paths)
        images = [self._model.read(path) for path in paths]
        return np.stack(images) if images else np.zeros((0, *self.spec.shape), np.uint8)

    def invert(self, images: Any) -> InversionResult:
        """The latents and conditions that give images back; one image: each field of it alone."""
        batch, is_single = self._to_batch(images)
        if not len(batch):
            raise UsageError("images is empty", "give at least one image")
        result = self._model.invert(batch)
        return take_first(result) if is_single else result

    def vary(
        self,
        images: Any,
        n: int,
        strength: float = STRENGTH,
        keep: str | Sequence[str] = ("category",),
        seed: int = 0,
    ) -> np.ndarray | list[np.ndarray]:
        """n variations uint8 [n, H, W, C] of an image; of several, a list of such arrays.

        strength in [0, 1]: 0 gives the image back, 1 is a new sample. keep: "category", "colour",
        "shape", or several of them. Fewer than n, where only copies of training images are left.
        """
        check_count("n", n, MAX_SAMPLES)
        check_count("seed", seed, MAX_SEED)
        check_range("strength", strength, 0.0, 1.0)
        words = (keep,) if isinstance(keep, str) else keep
        if not isinstance(words, (list, tuple, set, frozenset)):
            raise UsageError(f"keep={keep!r} is no text", "name what stays, as in keep='colour'")
        for word in words:
            check_text("keep", word)
        names = tuple(find_spelling(word, registry.KEEP_CHOICES) for word in words)
        for name in names:
            if name not in registry.KEEP_CHOICES:
                raise UsageError(
                    f"keep={name!r} is none of {', '.join(registry.KEEP_CHOICES)}",
                    "name some of these, or () for none",
                )

        def vary_one(image: np.ndarray) -> np.ndarray:
            if n == 0:
                return np.zeros((0, *self.spec.shape), np.uint8)
            return self._model.vary(image, n, strength, names, seed)

        return self._apply_each(vary_one, images)

    def views(self, images: Any, frames: int = 12) -> np.ndarray | list[np.ndarray]:
        """An image from all around, uint8 [frames, H, W, C]; of several, a list of such arrays.

        UsageError where the run has not learnt from which side a product is seen.
        """
        check_count("frames", frames, MAX_SAMPLES, low=1)
        return self._apply_each(lambda image: self._model.views(image, frames), images)

    def _to_batch(self, images: Any) -> tuple[np.ndarray, bool]:
        return to_batch(images, self.spec.shape)

    def _apply(self, function: Any, images: Any) -> np.ndarray:
        """A function of batches, for one image or many."""
        batch, is_single = self._to_batch(images)
        if not len(batch):
            return function(np.zeros((1, *self.spec.shape), np.uint8))[:0]
        values = function(batch)
        return values[0] if is_single else values

    def _apply_each(self, function: Any, images: Any) -> Any:
        """A function of one image, for one image or many."""
        batch, is_single = self._to_batch(images)
        return function(batch[0]) if is_single else [function(image) for image in batch]


def check_paths(name: str, paths: Any, is_one: bool = True) -> None:
    """UsageError where an argument is no path, nor, unless is_one, a list of paths."""
    is_list = isinstance(paths, (list, tuple)) and not is_one
    items = paths if is_list else [paths]
    if not all(isinstance(item, (str, Path)) for item in items):
        raise UsageError(f"{name}={paths!r} is no path", "name a file or folder, as text or Path")


def check_attributes(attributes: Any) -> None:
    """UsageError where attributes are no texts by name."""
    if attributes is None:
        return
    if not isinstance(attributes, Mapping):
        raise UsageError(f"attributes={attributes!r} is no dict", 'as in {"colour": "teal"}')
    for name, value in attributes.items():
        check_text("attributes", name)
        check_text(f"attributes[{name!r}]", value)


def to_batch(images: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Images uint8 [N, *shape], and whether a single one was given. UsageError for others."""
    is_list = isinstance(images, (list, tuple))
    rows = [np.asarray(image) for image in images] if is_list else np.asarray(images)
    is_single = not is_list and rows.shape == tuple(shape)
    for row in [rows] if is_single else rows if is_list or rows.ndim else [rows]:
        if row.dtype != np.uint8 or row.shape != tuple(shape):
            sizes = ", ".join(map(str, shape))
            raise UsageError(
                f"images must be uint8 [{sizes}] or several of them, not {describe(row)}",
                "read a photo's file with model.read(path)",
            )
    batch = rows[None] if is_single else rows
    return np.asarray(batch, np.uint8).reshape(-1, *shape), is_single


def take_first(result: InversionResult) -> InversionResult:
    """The result of the first image, without the axis N."""
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    first = {
        name: {key: rows[0] for key, rows in value.items()} if isinstance(value, dict) else value[0]
        for name, value in values.items()
    }
    return InversionResult(**first)
