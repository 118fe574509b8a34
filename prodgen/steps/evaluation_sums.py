"""Evaluating generated images while a GAN trains: sums over pairs, and the numbers from them.

Features and categories come from the reference classifier (evaluation/classifier.py), which is
trained separately on the data's own labels. A number that needs the whole set comes from sums: a
mean squared distance of all pairs is twice the variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from prodgen.core.types import Array, Batch, Metrics, Spec
from prodgen.metrics import frechet
from prodgen.models import classifier, conditioning
from prodgen.steps.discriminator import adversarial_loss, effective_params
from prodgen.steps.state import State

SCORE_METRIC = "frechet"  # of `score`
MIN_CATEGORY_RATIO = 0.2  # a category is generated from this share of its frequency among the reals
MAX_ABS_VALUE = 1.5  # a generated value beyond +-1.5 is far outside an image's range
MIN_SPREAD_IMAGES = 8  # images that share their category with another, needed to measure the spread
MAX_STORED_IMAGES = 512  # images whose features are stored one by one
NEAR_DUPLICATE_RATIO = 0.1  # of the median squared distance from a real image to its nearest one


def num_condition_classes(config: ConfigDict, spec: Spec) -> int:
    """K, the categories that condition a generator: 0 without conditions or with one category."""
    return len(spec.classes) if config.model.condition and len(spec.classes) > 1 else 0


def make_sums(config: ConfigDict, spec: Spec, discriminator: Any) -> Callable:
    """(state, batch, real, fake, compared_images, frozen_params) -> sums over rows with slot >= 0.

    real and fake are paired images float [B, R, R, C]; `compared_images` are those that the
    discriminator compares with the reals, in a GAN the fakes. frozen_params["classifier"] holds
    the reference classifier's weights.
    """
    loss = adversarial_loss(config, smooth=False)
    k = num_condition_classes(config, spec)

    def compute_sums(
        state: State,
        batch: Batch,
        real: Array,
        fake: Array,
        compared_images: Array,
        frozen_params: Any,
    ) -> dict[str, Array]:
        is_example = (batch["slot"] >= 0).astype(jnp.float32)
        # The discriminator's logits of both.
        conditions, d_params = conditioning.vector(batch, spec), effective_params(state.nets["d"])
        real_logits, fake_logits = (
            discriminator.apply({"params": d_params}, x, conditions)
            for x in (real, compared_images)
        )
        # The reference classifier's logits and features of both.
        net = classifier.Classifier(frozen_params["classifier"]["head"]["bias"].shape[0])
        (real_class_logits, real_features, _), (fake_class_logits, fake_features, _) = (
            net.apply({"params": frozen_params["classifier"]}, x)
            for x in (real, jnp.clip(fake, -1.0, 1.0))
        )
        # Groups by label; the last holds unlabelled images, or all where labels are not conditions.
        label = (
            jnp.where(batch["label"] < 0, k, batch["label"]) if k else jnp.zeros_like(is_example)
        )
        group = jax.nn.one_hot(label, k + 1) * is_example[:, None]
        # Sums over examples.
        rows = {
            "logit_real": real_logits,
            "logit_fake": fake_logits,
            "logit_square": 0.5 * (real_logits**2 + fake_logits**2),
            "d_loss": loss.discriminator_loss(real_logits, fake_logits),
            "d_accuracy": (real_logits > fake_logits).astype(jnp.float32),
            "out_of_range_fraction": jnp.mean(
                (jnp.abs(fake) > MAX_ABS_VALUE).astype(jnp.float32), axis=(1, 2, 3)
            ),
        }
        sums = {name: jnp.tensordot(is_example, row, axes=1) for name, row in rows.items()}
        sums |= {"examples": jnp.sum(is_example), "group": jnp.sum(group, axis=0)}
        # Moments of the features, over all examples and by group; the first images' own features.
        # Indices of MAX_STORED_IMAGES and more, such as those of padding, are dropped.
        index = jnp.where(batch["slot"] < 0, MAX_STORED_IMAGES, batch["slot"])
        # Label + 1, because 0 marks a row that holds no image.
        sums["each_group"] = _scatter_rows(1.0 + label, index)
        for name, features in (("real", real_features), ("fake", fake_features)):
            masked_features = features * is_example[:, None]
            sums |= {
                f"outer_{name}": masked_features.T @ features,
                f"by_group_{name}": group.T @ features,
                f"square_by_group_{name}": group.T @ jnp.sum(jnp.square(features), axis=-1),
                f"each_{name}": _scatter_rows(features, index),
            }
        if k:
            sums |= _count_predictions("real", real_class_logits, group[:, :k])
            sums |= _count_predictions("fake", fake_class_logits, group[:, :k])
        return sums

    return compute_sums


def _scatter_rows(rows: Array, index: Array) -> Array:
    """Rows [B, ...] at their indices of zeros [MAX_STORED_IMAGES, ...]: batches can be added."""
    table = jnp.zeros((MAX_STORED_IMAGES, *rows.shape[1:]))
    return table.at[index].add(rows, mode="drop")


def _count_predictions(name: str, class_logits: Array, one_hot_labels: Array) -> dict[str, Array]:
    """How often the reference classifier predicts each category [K], and how often rightly."""
    k = one_hot_labels.shape[-1]
    predictions = jax.nn.one_hot(jnp.argmax(class_logits[:, :k], axis=-1), k)
    is_labelled = jnp.sum(one_hot_labels, axis=-1, keepdims=True)
    return {
        f"correct_{name}": jnp.sum(predictions * one_hot_labels, axis=0),
        f"predicted_{name}": jnp.sum(predictions * is_labelled, axis=0),
    }


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Validation numbers of a GAN from summed eval steps.

    frechet: Frechet distance in the features of the reference classifier (nan of fewer than 2
        images);
    spread: mean squared feature distance within a category, relative to that of the reals, where
        enough images share one;
    near_duplicates: share of fakes whose distance to another of their category is below
        NEAR_DUPLICATE_RATIO, and near_duplicates_real of reals;
    condition_accuracy: share of fakes that the reference classifier assigns to the requested
        category, and condition_accuracy_real of reals, its own limit;
    categories: share of the categories predicted among the reals that are also predicted among
        the fakes;
    d_margin: the discriminator's loss relative to that of constant neutral logits.
    The others are explained in evaluation/monitor.py.
    """
    n = float(sums["examples"])
    mean = {
        name: float(sums[name]) / n
        for name in ("logit_real", "logit_fake", "logit_square", "d_loss", "d_accuracy",
                     "out_of_range_fraction")
    }  # fmt: skip
    # The Frechet distance, from the moments of the two sets' features.
    frechet_distance = float("nan")
    if n >= 2:
        moments = [
            frechet.moments(n, sums[f"by_group_{name}"].sum(0), sums[f"outer_{name}"])
            for name in ("real", "fake")
        ]
        frechet_distance = frechet.distance(*moments[0], *moments[1])
    values = {
        "frechet": frechet_distance,
        "logit_gap": mean["logit_real"] - mean["logit_fake"],
        "logits": mean["logit_square"] ** 0.5,
        "d_accuracy": mean["d_accuracy"],
        "out_of_range_fraction": mean["out_of_range_fraction"],
    }
    # Variety within the categories of which there are at least two images.
    groups = sums["group"] >= 2
    if sums["group"][groups].sum() >= MIN_SPREAD_IMAGES:
        real_spread = _within_group_squares(sums, "real", groups)
        values["spread"] = _within_group_squares(sums, "fake", groups) / max(real_spread, 1e-12)
        values |= _near_duplicate_fractions(sums)
    # The loss of a discriminator that cannot tell real from fake; a loss without it has no margin.
    loss = adversarial_loss(config, smooth=False)
    neutral_loss = float(loss.discriminator_loss(*[jnp.full(1, loss.neutral_logit)] * 2)[0])
    if neutral_loss > 0:
        values["d_margin"] = mean["d_loss"] / neutral_loss
    # The reference classifier's predictions against the conditions.
    if num_condition_classes(config, spec):
        num_labelled = max(float(sums["group"][:-1].sum()), 1.0)
        values["condition_accuracy"] = float(sums["correct_fake"].sum()) / num_labelled
        values["condition_accuracy_real"] = float(sums["correct_real"].sum()) / num_labelled
        in_real = sums["predicted_real"] > 0
        in_fake = sums["predicted_fake"] >= MIN_CATEGORY_RATIO * sums["predicted_real"]
        values["categories"] = float(in_fake[in_real].mean()) if in_real.any() else 1.0
    return values


def _within_group_squares(sums: dict[str, np.ndarray], name: str, groups: np.ndarray) -> float:
    """The sum of squared distances to the mean of one's own category, over some categories."""
    count, total = sums["group"][groups], sums[f"by_group_{name}"][groups]
    squares = sums[f"square_by_group_{name}"][groups]
    return max(float((squares - np.square(total).sum(-1) / count).sum()), 0.0)


def _near_duplicate_fractions(sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Shares of near duplicates: they show a collapse to a few images that are far apart."""
    distances = {
        name: _nearest_distances(sums[f"each_{name}"], sums["each_group"])
        for name in ("real", "fake")
    }
    max_distance = NEAR_DUPLICATE_RATIO * np.median(distances["real"])
    return {
        "near_duplicates": float((distances["fake"] < max_distance).mean()),
        "near_duplicates_real": float((distances["real"] < max_distance).mean()),
    }


def _nearest_distances(features: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Squared distances to the nearest other row of the same group, of rows that have one.

    Rows of group 0 are empty.
    """
    squares = np.square(features).sum(-1)
    distances = np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0.0)
    distances[(group[:, None] != group) | np.eye(len(group), dtype=bool)] = np.inf
    nearest = distances.min(axis=1)
    return nearest[(group > 0) & np.isfinite(nearest)]


def score(values: Metrics) -> float:
    """The number that selects the best checkpoint: minus the Frechet distance."""
    return -float(values[SCORE_METRIC])
