"""A trained run in a notebook: it samples, reads, inverts and varies. No TensorFlow is loaded.

model = prodgen.load("runs/vaegan-63c4d2d9")
mugs = model.sample(16, seed=1, label="mug")       # uint8 [16, H, W, C]
more = model.vary(mugs[0], 16, strength=0.4)       # uint8 [16, H, W, C]
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prodgen.config.package_models import open_place
from prodgen.core import pixels, rng
from prodgen.core.batches import BATCH_SIZE, split_padded
from prodgen.core.errors import MissingInput, MissingRunData, TooFewImages, UsageError
from prodgen.core.mirror import describe_place
from prodgen.core.types import Batch
from prodgen.data import prepare
from prodgen.data.conditions import Conditions
from prodgen.data.source import SOURCE_PATHS
from prodgen.data.store import Store
from prodgen.editing import FIT_STEPS, STRENGTH, fitted_prior, variations, viewpoints
from prodgen.editing.fitted_prior import FittedPrior
from prodgen.editing.guard import Guard, open_guard
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_input import read_photo
from prodgen.evaluation import classifier, fitness_record
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.evaluation.fitness import LEVELS, Fitness
from prodgen.runs.run import Run, open_run


def load(
    workdir: str | Path,
    step: str | int | None = None,
    data_path: str | Path | None = None,
    prior: str = "auto",
) -> Model:
    """Open a run at its best checkpoint, or at `step` ("latest" or a number).

    data_path: the folder or table where the run's own images are now, if they were moved. prior:
    what samples are drawn from, see fitted_prior.open_prior.
    """
    run = open_run(open_place(workdir), step)
    if run.path.is_file():
        raise UsageError(f"{run.path} holds the weights alone", "name the folder of the export")
    if data_path:
        name = run.config.data.source
        if name not in SOURCE_PATHS:
            raise UsageError(
                f"a run on data.source={name} has no images of the user's: no data path is read",
                "leave data_path out",
            )
        with run.config.unlocked():
            run.config.data[SOURCE_PATHS[name]] = str(data_path)
    return Model(run, fitted_prior.open_prior(run, prior))


class Model:
    """A run's network with its conditions. Images are uint8 [N, H, W, C] in and out.

    prior: what latents are drawn from; None for N(0, I). Programs are compiled once, at their first
    use.
    """

    say: Callable[[str], None] = staticmethod(lambda text: None)  # set it to print for progress
    _has_cautioned = False  # whether the weakness of the reference classifier has been said

    def __init__(self, run: Run, prior: FittedPrior | None = None):
        self.run, self.spec, self.config, self.prior = run, run.spec, run.config, prior
        self.conditions = Conditions.load(run.path, run.spec).visible_to(run.config)
        self._weights = run.step_module.eval_params(run.state)
        config, latents = run.config, run.step_module.draw_latents
        self._draw = jax.jit(jax.vmap(lambda seed, i: latents(config, seed, i[None])[0]))
        generate = run.step_module.make_generate(run.config, run.spec)
        self._generate = jax.jit(lambda *inputs: pixels.to_uint8(generate(*inputs)))
        self._encode = None
        if hasattr(run.step_module, "make_encode"):
            self._encode = jax.jit(run.step_module.make_encode(run.config, run.spec))
        self._inverters: dict[int, Inverter] = {}  # by their number of steps
        self._fitness = fitness_record.load(run)

    def describe_fitness(self) -> str:
        """What the run is fit for in a few words, without measuring it."""
        if self._fitness is None:
            return "fitness: not measured, see measure_fitness()"
        levels = {level: self._fitness.names(level) for level in LEVELS}
        return "; ".join(f"{level}: {', '.join(uses)}" for level, uses in levels.items() if uses)

    def measure_fitness(self, say: classifier.Say | None = None) -> Fitness:
        """What the run is fit for, measured at its first use and kept in its folder.

        MissingRunData where the run's own images are gone and it was not measured before.
        """
        say = say or self.say
        if self._fitness is None or not self._fitness.evidence.has_classifier:
            self._fitness = fitness_record.load_or_measure(
                self.run, self.conditions, self.store, lambda: self.reference_classifier(say), say
            )
        return self._fitness

    @property
    def prior_name(self) -> str:
        """ "base" or "fitted"; "" for a family without an encoder, whose latents are N(0, I)."""
        if not self.encodes:
            return ""
        return "base" if self.prior is None else "fitted"

    def base_latents(self, indices: np.ndarray, seed: int = 0) -> np.ndarray:
        """float32 [N, Z] of N(0, I): row i is a function of (seed, indices[i])."""
        return np.asarray(self.run.step_module.draw_latents(self.config, seed, indices))

    def latents(
        self,
        indices: np.ndarray,
        seed: int = 0,
        temperature: float = 1.0,
        label: np.ndarray | None = None,
    ) -> np.ndarray:
        """float32 [N, Z]: latent i is a function of (seed, indices[i]), at a temperature.

        label: the categories [N] of the images, which a fitted prior depends on; None: unknown.
        """
        noise = self.base_latents(indices, seed)
        if self.prior is None:
            return noise * temperature
        label = np.full(len(indices), -1) if label is None else label
        uniforms = rng.uniform(rng.key(seed, "component"), np.asarray(indices))
        return self.prior.transform(noise, np.asarray(uniforms), label, temperature)

    def draw(
        self, seeds: Sequence[int], indices: Sequence[int], label: np.ndarray | None = None
    ) -> np.ndarray:
        """As `latents`, float32 [N, Z], each of its own seed: at most BATCH_SIZE, one program."""
        n = len(seeds)
        padded_inputs = [
            np.pad(np.asarray(x, np.int32), (0, BATCH_SIZE - n)) for x in (seeds, indices)
        ]
        noise = np.asarray(self._draw(*padded_inputs))[:n]
        if self.prior is None:
            return noise
        label = np.full(n, -1) if label is None else label
        uniforms = [
            rng.uniform(rng.key(seed, "component"), np.array([i]))[0]
            for seed, i in zip(seeds, indices, strict=True)
        ]
        return self.prior.transform(noise, np.asarray(uniforms), label)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: str = "",
        attributes: Mapping[str, str] | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """n new images of a category (or of all), with the given attributes."""
        indices = np.arange(n)
        conditions = self.conditions.pick(seed, indices, label, attributes)
        z = self.latents(indices, seed, temperature, conditions["label"])
        return self.decode(z, conditions)

    def unknown(self, n: int) -> Batch:
        """Conditions of n images of which nothing is known."""
        columns = self.spec.num_columns
        return {
            "label": np.full(n, -1, np.int32),
            "attributes": np.zeros((n, columns), np.float32),
            "known": np.zeros((n, columns), bool),
        }

    def store(self) -> Store:
        """The run's own images: prepared again if the store was deleted.

        MissingRunData where they were moved or have changed: at once where the folder or table is
        gone or has too few images, else after they are prepared.
        """
        try:
            source = prepare.source_from_config(self.config.data)
        except MissingInput as error:
            raise self._missing_data(f"are gone: {error.message}") from None
        record = self.run.record["data"]
        if len(source) < sum(record["counts"].values()):
            raise self._missing_data(f"have changed: {len(source)} are there now", True)
        try:
            store = prepare.open_or_prepare(self.config.data, lambda text: None, source)
        except TooFewImages as error:
            raise self._missing_data(f"are gone: {error.message}") from None
        if store.digest() != record["digest"]:
            raise self._missing_data("have changed since it was trained", True)
        return store

    def _missing_data(self, reason: str, has_others: bool = False) -> MissingRunData:
        """The error for images that are not those of the run. has_others: others are there."""
        path = describe_place(self.run.path)
        advice = f"put them back, or say where they are with {MissingRunData.DATA_PATH_CALL}"
        if has_others:
            advice += f"; a new run on the present ones: run_train.py with --init_from={path}"
        return MissingRunData(f"the images of the run {path} {reason}", advice)

    def reference_classifier(self, say: classifier.Say) -> ReferenceClassifier:
        """The run's reference classifier; a run that keeps none yet gets that of its data."""
        reference = classifier.load_from_run(self.run.path, say)
        if reference is None:
            reference = classifier.load_or_train(self.store(), self.config.data, say)
            # A folder that cannot be written is no error, and the package's own is not written.
            with contextlib.suppress(OSError):
                if not self.run.is_pretrained:
                    classifier.save_to_run(self.run.path, *reference)
        caution = classifier.describe_weakness(reference.record)
        if caution and not self._has_cautioned:
            say(f"caution: {caution}")
            self._has_cautioned = True
        return reference

    @property
    def generator(self) -> tuple[Callable, Any]:
        """generate(weights, z, conditions) -> float [B, R, R, C], to be compiled; its weights."""
        return self.run.step_module.make_generate(self.config, self.spec), self._weights

    @property
    def encodes(self) -> bool:
        """Whether the family has an encoder."""
        return self._encode is not None

    def first_layer(self) -> np.ndarray:
        """The matrix float32 [Z, features] that a latent meets first."""
        return np.asarray(self.run.step_module.first_layer_kernel(self.config, self._weights))

    def encode(self, images: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """The posterior means float32 [N, Z] of images uint8 [N, H, W, C].

        UsageError where the family has no encoder, ValueError for images of another shape.
        """
        return self.posterior(images, conditions)[0]

    def posterior(
        self, images: np.ndarray, conditions: Batch | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and log variance float32 [N, Z] of q(z | x, c), with the errors of `encode`."""
        if self._encode is None:
            name = self.config.model.name
            raise UsageError(
                f"a {name} run has no encoder: it cannot encode images, only make them",
                "use a run of a family with an encoder: vae, vaegan",
            )
        if images.dtype != np.uint8 or images.shape[1:] != self.spec.shape:
            raise ValueError(
                f"this run takes uint8 images of {self.spec.shape}, not "
                f"{images.dtype} of {images.shape[1:]}"
            )
        batch = {"image": images, **(conditions or self.unknown(len(images)))}
        parts = [
            [np.asarray(value)[:n] for value in self._encode(self._weights, part)]
            for part, n in split_padded(batch)
        ]
        mean, log_variance = (np.concatenate(values) for values in zip(*parts, strict=True))
        return mean, log_variance

    def decode(self, z: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """Images uint8 [N, H, W, C] of latents float32 [N, Z]."""
        batch = {"z": np.asarray(z, np.float32), **(conditions or self.unknown(len(z)))}
        parts = []
        for part, n in split_padded(batch):
            parts.append(np.asarray(self._generate(self._weights, part.pop("z"), part))[:n])
        return np.concatenate(parts)

    def reconstruct(self, images: np.ndarray, conditions: Batch | None = None) -> np.ndarray:
        """Encode and decode again."""
        return self.decode(self.encode(images, conditions), conditions)

    def read(self, path: str | Path) -> np.ndarray:
        """A photo's file as the run sees it, uint8 [H, W, C]: cut out where training was."""
        return read_photo(Path(path), self.config.data, self.spec)

    def open_inverter(self, say: classifier.Say, steps: int = FIT_STEPS) -> Inverter:
        """The inverter of so many steps: made, and its programs compiled, once."""
        if steps not in self._inverters:
            self._inverters[steps] = Inverter(self, self.reference_classifier(say), say, steps)
        self._inverters[steps].say = say
        return self._inverters[steps]

    @functools.cached_property
    def inverter(self) -> Inverter:
        """What inverts images into the run."""
        return self.open_inverter(self.say)

    @functools.cached_property
    def guard(self) -> Guard | None:
        """What refuses copies of training images; None where these may be copied."""
        return open_guard(self)

    def invert(self, images: np.ndarray) -> InversionResult:
        """The latents and conditions that give images back (editing/inversion.py)."""
        return self.inverter(images)

    def vary(
        self,
        image: np.ndarray,
        n: int,
        strength: float = STRENGTH,
        keep: Sequence[str] = ("category",),
        seed: int = 0,
    ) -> np.ndarray:
        """n variations of an image uint8 [H, W, C].

        Fewer, where only copies of training images are left.
        """
        guard = self.guard  # refused before the work
        refuse = guard.refusal_fn(image[None]) if guard else None
        inversion = self.inverter(image[None])
        return variations.vary(
            self.inverter,
            image,
            inversion.z[0],
            inversion.conditions,
            n,
            strength,
            keep,
            seed,
            refuse,
        ).images

    def views(self, image: np.ndarray, frames: int = 12) -> np.ndarray:
        """An image uint8 [H, W, C] from all around, uint8 [frames, H, W, C].

        UsageError where the run has not learnt from which side a product is seen.
        """
        viewpoints.camera_attributes(self.conditions.spec)  # refused before the work
        inversion = self.inverter(image[None])
        z, conditions = inversion.z[0], inversion.conditions
        return viewpoints.decode_turntable(self, z, conditions, frames)[0]
