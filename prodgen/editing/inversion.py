"""A picture to the latent and the conditions that give it back: encoder first, then descent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core import pixels
from prodgen.core.batches import split_padded
from prodgen.core.types import Array, Batch
from prodgen.editing import FIT_STEPS, descent, initialisation
from prodgen.editing.descent import Search, Targets
from prodgen.editing.editable_model import EditableModel
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.losses import perceptual
from prodgen.metrics import reconstruction_quality
from prodgen.models.classifier import Classifier

BATCH = 16  # pictures at a time, the last part filled up; one alone goes alone, in a tenth of it
EVERY = 20  # steps between two words of progress


@dataclasses.dataclass(frozen=True)
class Inverted:
    """What N pictures uint8 [N, R, R, C] became.

    z float32 [N, Z] and `conditions` give `decoded` [N, R, R, C]. Each [N]: psnr in dB, of the
    decoded and (`guessed`) of the guess; apart: the perceptual distance of the home network.
    """

    pictures: np.ndarray
    z: np.ndarray
    conditions: Batch
    decoded: np.ndarray
    psnr: np.ndarray
    guessed: np.ndarray
    apart: np.ndarray

    def rows(self, chosen: np.ndarray) -> Inverted:
        """Those of some pictures."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Inverted(**jax.tree.map(lambda value: value[chosen], values))


class Inverter:
    """Inverts pictures into one run's model; its programs are compiled once.

    reads: whether the home network was trained on the categories and attributes of the run's data.
    """

    def __init__(
        self,
        model: EditableModel,
        classifier: ReferenceClassifier,
        say: initialisation.Say,
        steps: int = FIT_STEPS,
    ):
        self.model, self.say, self.steps = model, say, steps
        self.classifier_params = classifier.params
        generate, self._weights = model.generator
        outputs, spec = self.classifier_params["head"]["bias"].shape[0], model.spec
        self._classifier = Classifier(outputs)
        self.reads = outputs == len(spec.classes) + spec.num_columns
        free = jnp.asarray(initialisation.free_columns(model.spec))
        taps = lambda params, x: self._see(params, x)[2]  # noqa: E731
        programs = descent.make(generate, taps, perceptual.distance, free, steps)
        self._measure, self._start, self._step = (jax.jit(program) for program in programs)
        self._taps = jax.jit(taps)
        self._look = jax.jit(lambda params, x: self._see(params, pixels.to_float(x))[:2])
        self._read_latents = None

    def __call__(
        self,
        pictures: np.ndarray,
        conditions: Batch | None = None,
        region: np.ndarray | None = None,
    ) -> Inverted:
        """Invert pictures uint8 [N, R, R, C].

        `conditions` are given where they are known, else read off the pictures; a picture starts
        from what was read or from knowing nothing, whichever is nearer. `region` float
        [N, R, R, 1] in [0, 1]: what has to be given back, everything by default.
        """
        region = np.ones((*pictures.shape[:3], 1), np.float32) if region is None else region
        starts = self._starts(pictures, conditions)
        found = [self._descend(*part) for part in self._parts(pictures, region, starts)]
        return Inverted(**{name: _joined([part[name] for part in found]) for name in found[0]})

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """The home network's features float32 [N, F]."""
        return self._seen(pictures)[1]

    def outputs(self, pictures: np.ndarray) -> np.ndarray:
        """The home network's outputs float32 [N, K + A]."""
        return self._seen(pictures)[0]

    def read(self, pictures: np.ndarray) -> Batch:
        """The conditions that the home network reads off pictures; unknown where the run's
        generator hears none, or where the network was trained on other data."""
        if not self.model.config.model.condition or not self.reads:
            return self.model.unknown(len(pictures))
        return initialisation.recognise(self.outputs(pictures), self.model.spec)

    def _starts(self, pictures: np.ndarray, conditions: Batch | None) -> list[tuple]:
        """(z, conditions) to start from, one or several."""
        tried = [conditions] if conditions else [self.read(pictures)]
        if not conditions and (np.any(tried[0]["label"] >= 0) or np.any(tried[0]["known"])):
            tried.append(self.model.unknown(len(pictures)))
        return [(self.latents(pictures, one), one) for one in tried]

    def latents(self, pictures: np.ndarray, conditions: Batch) -> np.ndarray:
        """The guess float32 [N, Z] of the encoder, or of the regressor where there is none."""
        if self.model.encodes:
            return self.model.encode(pictures, conditions)
        if self._read_latents is None:
            run, config = self.model.run, self.model.config
            origin = f"{run.record['fingerprint']} {run.step}"
            self._read_latents = initialisation.regressor(
                run.path, config.model.latent, self.model.spec.shape, self._sampled, origin,
                self.say,
            )  # fmt: skip
        return self._read_latents(pictures)

    def _sampled(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples for the regressor: pictures uint8 [64, R, R, C] and their latents."""
        indices = np.arange(initialisation.BATCH) + initialisation.BATCH * step
        z = self.model.latents(indices, 0)
        return self.model.decode(z, self.model.conditions.pick(0, indices)), z

    def _parts(self, pictures, region, starts) -> Iterator[tuple]:
        """(pictures, region, starts, n): BATCH rows at a time, n of them real, or a single one."""
        size = BATCH if len(pictures) > 1 else 1
        batches = [
            split_padded({"image": pictures, "region": region, "z": z, **conditions}, size)
            for z, conditions in starts
        ]
        for together in zip(*batches, strict=True):
            rows = [part for part, _ in together]
            names = ("label", "attributes", "known")
            yield (
                rows[0]["image"], rows[0]["region"],
                [(row["z"], {name: row[name] for name in names}) for row in rows], together[0][1],
            )  # fmt: skip

    def _descend(self, pictures: np.ndarray, region: np.ndarray, starts: list, n: int) -> dict:
        """One part, all steps: the fields of Inverted."""
        real = pixels.to_float(pictures)
        targets = Targets(real, jnp.asarray(region), self._taps(self.classifier_params, real))
        z, conditions = self._nearest(targets, starts)
        search = self._start(self._weights, self.classifier_params, targets, z, conditions)
        for t in range(self.steps):
            search = self._step(self._weights, self.classifier_params, targets, conditions, search)
            if t % EVERY == 0:
                self.say(f"inverting {n} pictures: step {t} of {self.steps}")
        return self._told(pictures, targets, z, conditions, search, n)

    def _nearest(self, targets: Targets, starts: list) -> tuple[np.ndarray, Batch]:
        """For each picture the start that is nearest to it."""
        if len(starts) == 1:
            return starts[0]
        errors = [
            self._measure(self._weights, self.classifier_params, targets, *one)[0] for one in starts
        ]
        best = np.argmin(np.stack([np.asarray(error) for error in errors]), axis=0)
        rows = np.arange(len(best))
        pick = lambda values: np.stack(values)[best, rows]  # noqa: E731
        z = pick([z for z, _ in starts])
        return z, {name: pick([c[name] for _, c in starts]) for name in starts[0][1]}

    def _told(self, pictures, targets, z, conditions: Batch, search: Search, n: int) -> dict:
        spec = self.model.spec
        best = {name: np.asarray(value) for name, value in search.best.items()}
        attributes = initialisation.on_circles(best["attributes"], conditions["known"], spec)
        after = {**conditions, "attributes": attributes}
        ends = [
            self._measure(self._weights, self.classifier_params, targets, *one)
            for one in ((z, conditions), (best["z"], after))
        ]
        told = {
            "pictures": pictures,
            "z": best["z"],
            "conditions": after,
            "decoded": self.model.decode(best["z"], after),
            "psnr": np.asarray(reconstruction_quality.psnr_from_mse(ends[1][0])),
            "guessed": np.asarray(reconstruction_quality.psnr_from_mse(ends[0][0])),
            "apart": np.asarray(ends[1][1]),
        }
        return jax.tree.map(lambda value: value[:n], told)

    def _see(self, params, x: Array):
        return self._classifier.apply({"params": params}, x)

    def _seen(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(outputs, features) of the home network."""
        batch = {"image": pictures, **self.model.unknown(len(pictures))}
        found = [
            [np.asarray(value)[:n] for value in self._look(self.classifier_params, part["image"])]
            for part, n in split_padded(batch)
        ]
        return tuple(np.concatenate(values) for values in zip(*found, strict=True))


def _joined(values: list):
    if isinstance(values[0], dict):
        return {name: np.concatenate([value[name] for value in values]) for name in values[0]}
    return np.concatenate(values)
