"""Inverting images: the latents and conditions that give them back.

The encoder's latent (or a regressor's) comes first, then gradient descent (descent.py).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.batches import split_padded
from prodgen.core.pixels import to_float
from prodgen.core.types import Array, Batch
from prodgen.editing import FIT_STEPS, descent, initialisation
from prodgen.editing.descent import Targets
from prodgen.editing.editable_model import EditableModel
from prodgen.evaluation.classifier import ReferenceClassifier
from prodgen.losses import perceptual
from prodgen.metrics import reconstruction_quality
from prodgen.models.classifier import Classifier

BATCH_SIZE = 16  # images inverted together; a single one has a program of batch size 1
PROGRESS_INTERVAL_STEPS = 20
CONDITION_KEYS = ("label", "attributes", "known")


@dataclasses.dataclass(frozen=True)
class InversionResult:
    """N images uint8 [N, R, R, C] and their inversions.

    z float32 [N, Z] and `conditions` give `reconstruction` [N, R, R, C]. Each [N]: psnr in dB of
    the reconstruction, initial_psnr of the image before the descent, and perceptual_distance in the
    features of the reference classifier.
    """

    images: np.ndarray
    z: np.ndarray
    conditions: Batch
    reconstruction: np.ndarray
    psnr: np.ndarray
    initial_psnr: np.ndarray
    perceptual_distance: np.ndarray


class Inverter:
    """Inverts images into one run's model; its programs are compiled once.

    classifier_matches: whether the reference classifier was trained on the categories and
    attributes of the run's data.
    """

    def __init__(
        self,
        model: EditableModel,
        classifier: ReferenceClassifier,
        say: initialisation.Say,
        steps: int = FIT_STEPS,
    ):
        self.model, self.say, self.steps = model, say, steps
        self._classifier_params = classifier.params
        generate, self._weights = model.generator
        num_outputs, spec = classifier.params["head"]["bias"].shape[0], model.spec
        self.classifier_matches = num_outputs == len(spec.classes) + spec.num_columns
        net = Classifier(num_outputs)
        free = jnp.asarray(initialisation.free_column_mask(model.spec))

        def layers(params, x: Array):
            """The activations that the perceptual distance compares."""
            return net.apply({"params": params}, x)[2]

        programs = descent.make_descent(generate, layers, perceptual.distance, free, steps)
        self._measure, self._start, self._step = (jax.jit(program) for program in programs)
        self._layers = jax.jit(layers)
        self._apply_classifier = jax.jit(
            lambda params, x: net.apply({"params": params}, to_float(x))[:2]
        )
        self._regress_latents = None

    def __call__(
        self,
        images: np.ndarray,
        conditions: Batch | None = None,
        region: np.ndarray | None = None,
    ) -> InversionResult:
        """Invert images uint8 [N, R, R, C].

        Without `conditions` they are read off the images, and an image starts from these or from
        unknown ones, whichever decodes nearer to it. `region` float [N, R, R, 1] in [0, 1]: what
        has to be given back, everything by default.
        """
        region = np.ones((*images.shape[:3], 1), np.float32) if region is None else region
        candidates = [conditions]
        if not conditions:
            read = self.read_conditions(images)
            is_blank = not np.any(read["label"] >= 0) and not np.any(read["known"])
            candidates = [read] if is_blank else [read, self.model.unknown(len(images))]
        starts = [{"z": self.initial_latents(images, c), **c} for c in candidates]
        # Parts of one fixed size: an image's inversion does not depend on those beside it.
        size = BATCH_SIZE if len(images) > 1 else 1
        batches = [split_padded({"image": images, "region": region, **s}, size) for s in starts]
        results = []
        for parts in zip(*batches, strict=True):
            n = parts[0][1]
            result = self._invert_batch([part for part, _ in parts], n)
            results.append(jax.tree.map(lambda value, n=n: value[:n], result))
        return InversionResult(**jax.tree.map(lambda *values: np.concatenate(values), *results))

    def _invert_batch(self, starts: list[Batch], n: int) -> dict:
        """The fields of InversionResult for one batch, n rows of it real.

        starts: the batch with the latents and conditions of one or several starting points.
        """
        images, region = starts[0]["image"], starts[0]["region"]
        real, params = to_float(images), self._classifier_params
        targets = Targets(real, jnp.asarray(region), self._layers(params, real))
        z, conditions = self._nearest_start(targets, starts)
        search = self._start(self._weights, params, targets, z, conditions)
        for t in range(self.steps):
            search = self._step(self._weights, params, targets, conditions, search)
            if t % PROGRESS_INTERVAL_STEPS == 0:
                self.say(f"inverting {n} images: step {t} of {self.steps}")
        # The variables of the lowest loss, their angles scaled back to the unit circle.
        best = {name: np.asarray(value) for name, value in search.best.items()}
        attributes = initialisation.normalise_angles(
            best["attributes"], conditions["known"], self.model.spec
        )
        best_conditions = {**conditions, "attributes": attributes}
        # Measured again, because scaling the angles has changed the conditions.
        initial_mse, _ = self._measure(self._weights, params, targets, z, conditions)
        mse, distance = self._measure(self._weights, params, targets, best["z"], best_conditions)
        return {
            "images": images,
            "z": best["z"],
            "conditions": best_conditions,
            "reconstruction": self.model.decode(best["z"], best_conditions),
            "psnr": np.asarray(reconstruction_quality.psnr_from_mse(mse)),
            "initial_psnr": np.asarray(reconstruction_quality.psnr_from_mse(initial_mse)),
            "perceptual_distance": np.asarray(distance),
        }

    def _nearest_start(self, targets: Targets, starts: list[Batch]) -> tuple[np.ndarray, Batch]:
        """For each image the latent and conditions with the smallest squared error."""
        pairs = [(s["z"], {name: s[name] for name in CONDITION_KEYS}) for s in starts]
        if len(pairs) == 1:
            return pairs[0]
        errors = [
            self._measure(self._weights, self._classifier_params, targets, *pair)[0]
            for pair in pairs
        ]
        best = np.argmin(np.stack([np.asarray(error) for error in errors]), axis=0)
        return jax.tree.map(lambda *rows: np.stack(rows)[best, np.arange(len(best))], *pairs)

    def extract_features(self, images: np.ndarray) -> np.ndarray:
        """The reference classifier's features float32 [N, F] of images uint8 [N, R, R, C]."""
        return self._outputs_and_features(images)[1]

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The reference classifier's outputs float32 [N, K + A] of images uint8 [N, R, R, C]."""
        return self._outputs_and_features(images)[0]

    def _outputs_and_features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = {"image": images, **self.model.unknown(len(images))}
        parts = [
            [
                np.asarray(value)[:n]
                for value in self._apply_classifier(self._classifier_params, x["image"])
            ]
            for x, n in split_padded(batch)
        ]
        outputs, features = (np.concatenate(values) for values in zip(*parts, strict=True))
        return outputs, features

    @property
    def reads_categories(self) -> bool:
        """Whether `read_conditions` can name a category."""
        has_conditions = self.model.config.model.condition and self.classifier_matches
        return bool(has_conditions and self.model.spec.classes)

    def read_conditions(self, images: np.ndarray) -> Batch:
        """The conditions that the reference classifier reads off images.

        Unknown where the run's generator takes none, or where the classifier was trained on other
        data.
        """
        if not self.model.config.model.condition or not self.classifier_matches:
            return self.model.unknown(len(images))
        return initialisation.recognise_conditions(self.classify(images), self.model.spec)

    def initial_latents(self, images: np.ndarray, conditions: Batch) -> np.ndarray:
        """The latents float32 [N, Z] of the encoder, or of a regressor where there is none."""
        if self.model.encodes:
            return self.model.encode(images, conditions)
        if self._regress_latents is None:
            run, config = self.model.run, self.model.config
            origin = f"{run.record['fingerprint']} {run.step}"
            self._regress_latents = initialisation.load_or_train_regressor(
                run.path, config.model.latent, self.model.spec.shape, self._sample_batch, origin,
                self.say, run.is_pretrained,
            )  # fmt: skip
        return self._regress_latents(images)

    def _sample_batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples for the regressor: images uint8 [64, R, R, C] and their latents."""
        indices = np.arange(initialisation.BATCH_SIZE) + initialisation.BATCH_SIZE * step
        z = self.model.base_latents(indices, 0)
        return self.model.decode(z, self.model.conditions.pick(0, indices)), z
