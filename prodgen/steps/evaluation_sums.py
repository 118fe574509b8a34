"""Judging generated pictures while a GAN trains: sums over pairs, and what they say.

Features and categories come from the `home` network (prodgen/home.py), which is trained apart on
the data's own labels. A number that needs the whole set comes from sums: a mean squared distance
of all pairs is twice the variance.
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
from prodgen.steps import discriminator as game
from prodgen.steps.state import State

OFTEN = 0.2  # a category is produced if it comes at least a fifth as often as among the reals
RANGE = 1.5  # a generated value beyond +-1.5 is far outside a picture's range
FEWEST = 8  # pictures that share their category with another, below which variety is not measured
KEPT = 512  # pictures whose features are kept one by one
TWIN = 0.1  # of the median squared distance between a real picture and the next of its category


def heard(config: ConfigDict, spec: Spec) -> int:
    """K, the categories a generator is asked for: 0 where it hears none or has no choice."""
    return len(spec.classes) if config.model.condition and len(spec.classes) > 1 else 0


def make(config: ConfigDict, spec: Spec, discriminator: Any) -> Callable:
    """(state, batch, real, fake, compared, frozen) -> sums over the rows with slot >= 0.

    real and fake are paired pictures float [B, R, R, C]; `compared` is what the discriminator sets
    against the reals, in a GAN the fakes. frozen["classifier"] holds the home network's weights.
    """
    rules, k = game.game_of(config, smooth=False), heard(config, spec)

    def judge(
        state: State, batch: Batch, real: Array, fake: Array, compared: Array, frozen: Any
    ) -> dict[str, Array]:
        counted = (batch["slot"] >= 0).astype(jnp.float32)
        given, params = conditioning.vector(batch, spec), game.weights(state.nets["d"])
        of_real, of_fake = (
            discriminator.apply({"params": params}, x, given) for x in (real, compared)
        )
        home = classifier.Classifier(frozen["classifier"]["head"]["bias"].shape[0])
        (said_real, see_real, _), (said_fake, see_fake, _) = (
            home.apply({"params": frozen["classifier"]}, x)
            for x in (real, jnp.clip(fake, -1.0, 1.0))
        )
        # Groups by label; the last holds what has none, or everything where none is heard.
        label = jnp.where(batch["label"] < 0, k, batch["label"]) if k else jnp.zeros_like(counted)
        group = jax.nn.one_hot(label, k + 1) * counted[:, None]
        rows = {
            "logit_real": of_real,
            "logit_fake": of_fake,
            "logit_square": 0.5 * (of_real**2 + of_fake**2),
            "d_loss": rules.discriminator(of_real, of_fake),
            "d_right": (of_real > of_fake).astype(jnp.float32),
            "out_of_range_fraction": jnp.mean(
                (jnp.abs(fake) > RANGE).astype(jnp.float32), axis=(1, 2, 3)
            ),
        }
        sums = {name: jnp.tensordot(counted, row, axes=1) for name, row in rows.items()}
        sums |= {"examples": jnp.sum(counted), "group": jnp.sum(group, axis=0)}
        place = jnp.where(batch["slot"] < 0, KEPT, batch["slot"])
        sums["each_group"] = _placed(1.0 + label, place)
        for name, features in (("real", see_real), ("fake", see_fake)):
            kept = features * counted[:, None]
            sums |= {
                f"outer_{name}": kept.T @ features,
                f"by_group_{name}": group.T @ features,
                f"square_by_group_{name}": group.T @ jnp.sum(jnp.square(features), axis=-1),
                f"each_{name}": _placed(features, place),
            }
        if k:
            sums |= _named("real", said_real, group[:, :k]) | _named(
                "fake", said_fake, group[:, :k]
            )
        return sums

    return judge


def _placed(rows: Array, place: Array) -> Array:
    """Rows [B, ...] at their places of a table [KEPT, ...] of zeros: those of batches add up."""
    return jnp.zeros((KEPT, *rows.shape[1:])).at[place].add(rows, mode="drop")


def _named(name: str, said: Array, asked: Array) -> dict[str, Array]:
    """How often home names each category [K] at all, and for pictures of it."""
    k = asked.shape[-1]
    guess = jax.nn.one_hot(jnp.argmax(said[:, :k], axis=-1), k)
    labelled = jnp.sum(asked, axis=-1, keepdims=True)
    return {
        f"named_{name}": jnp.sum(guess * asked, axis=0),
        f"produced_{name}": jnp.sum(guess * labelled, axis=0),
    }


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Validation numbers of a GAN from summed eval steps.

    frechet: Frechet distance in the features of the reference classifier (nan of fewer than 2
    pictures); spread: mean squared feature distance within a category as a share of the reals',
    where enough pictures share one;
    near_duplicates: share of fakes that have another of their category nearer than TWIN, and
    near_duplicates_real of reals;
    condition_accuracy: share of fakes that the reference classifier assigns to the requested
    category, and condition_accuracy_real of reals, its own limit;
    categories: share of those that it sees among the reals which it also sees among the fakes;
    the rest as in metrics/collapse.py.
    """
    n = float(sums["examples"])
    names = (
        "logit_real",
        "logit_fake",
        "logit_square",
        "d_loss",
        "d_right",
        "out_of_range_fraction",
    )
    mean = {name: float(sums[name]) / n for name in names}
    found = {
        "frechet": _frechet(sums, n),
        "logit_gap": mean["logit_real"] - mean["logit_fake"],
        "logits": mean["logit_square"] ** 0.5,
        "d_accuracy": mean["d_right"],
        "out_of_range_fraction": mean["out_of_range_fraction"],
    }
    shared = sums["group"] >= 2
    if sums["group"][shared].sum() >= FEWEST:
        found["spread"] = _within(sums, "fake", shared) / max(_within(sums, "real", shared), 1e-12)
        found |= _twins(sums)
    rules = game.game_of(config, smooth=False)
    coin = float(rules.discriminator(*[jnp.full(1, rules.undecided)] * 2)[0])
    if coin > 0:
        found["d_margin"] = mean["d_loss"] / coin
    if heard(config, spec):
        labelled = max(float(sums["group"][:-1].sum()), 1.0)
        found["condition_accuracy"] = float(sums["named_fake"].sum()) / labelled
        found["condition_accuracy_real"] = float(sums["named_real"].sum()) / labelled
        seen = sums["produced_real"] > 0
        enough = sums["produced_fake"] >= OFTEN * sums["produced_real"]
        found["categories"] = float(enough[seen].mean()) if seen.any() else 1.0
    return found


def _frechet(sums: dict[str, np.ndarray], n: float) -> float:
    if n < 2:
        return float("nan")
    moments = [
        frechet.moments(n, sums[f"by_group_{name}"].sum(0), sums[f"outer_{name}"])
        for name in ("real", "fake")
    ]
    return frechet.distance(*moments[0], *moments[1])


def _within(sums: dict[str, np.ndarray], name: str, groups: np.ndarray) -> float:
    """The sum of squared distances to the mean of one's own category, over some categories."""
    count, total = sums["group"][groups], sums[f"by_group_{name}"][groups]
    squares = sums[f"square_by_group_{name}"][groups]
    return max(float((squares - np.square(total).sum(-1) / count).sum()), 0.0)


def _twins(sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Shares of pictures that all but repeat another: what a few shapes far apart cannot hide."""
    apart = {name: _nearest(sums[f"each_{name}"], sums["each_group"]) for name in ("real", "fake")}
    line = TWIN * np.median(apart["real"])
    return {
        "near_duplicates": float((apart["fake"] < line).mean()),
        "near_duplicates_real": float((apart["real"] < line).mean()),
    }


def _nearest(features: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Squared distances to the nearest other of one's group, of rows that have one; 0: in none."""
    squares = np.square(features).sum(-1)
    apart = np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0.0)
    apart[(group[:, None] != group) | np.eye(len(group), dtype=bool)] = np.inf
    nearest = apart.min(axis=1)
    return nearest[(group > 0) & np.isfinite(nearest)]


def score(values: Metrics) -> float:
    """What the best checkpoint is chosen by, the larger the better."""
    return -float(values["frechet"])
