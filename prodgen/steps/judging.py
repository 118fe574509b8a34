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

from prodgen.metrics import frechet
from prodgen.models import classifier, conditioning
from prodgen.steps import game
from prodgen.steps.state import State
from prodgen.types import Array, Batch, Metrics, Spec

OFTEN = 0.2  # a category is produced if it comes at least a fifth as often as it should
RANGE = 1.5  # a generated value beyond +-1.5 is far outside a picture's range


def make(config: ConfigDict, spec: Spec, discriminator: Any) -> Callable:
    """(state, batch, real, fake, frozen) -> sums over the rows of the batch with slot >= 0.

    real and fake are paired pictures float [B, R, R, C]; frozen["home"] holds the weights of the
    home network and the spec of what it knows.
    """
    rules = game.game_of(config)
    groups = len(spec.classes) + 1  # by label; the last holds what has none

    def judge(state: State, batch: Batch, real: Array, fake: Array, frozen) -> dict[str, Array]:
        conditions = conditioning.vector(batch, spec)
        params = game.weights(state.nets["d"])
        logits = [discriminator.apply({"params": params}, x, conditions) for x in (real, fake)]
        home = classifier.Classifier(frozen["home"]["head"]["bias"].shape[0])
        shown = jnp.clip(fake, -1.0, 1.0)
        (said_real, of_real, _), (said_fake, of_fake, _) = (
            home.apply({"params": frozen["home"]}, x) for x in (real, shown)
        )
        counted = (batch["slot"] >= 0).astype(jnp.float32)
        label = batch["label"]
        group = jax.nn.one_hot(jnp.where(label < 0, groups - 1, label), groups) * counted[:, None]
        rows = {
            "logit_real": logits[0],
            "logit_fake": logits[1],
            "logit_square": 0.5 * (logits[0] ** 2 + logits[1] ** 2),
            "d_loss": rules.discriminator(*logits),
            "d_right": (logits[0] > logits[1]).astype(jnp.float32),
            "beyond": jnp.mean((jnp.abs(fake) > RANGE).astype(jnp.float32), axis=(1, 2, 3)),
        }
        sums = {name: jnp.tensordot(counted, row, axes=1) for name, row in rows.items()}
        sums |= {"examples": jnp.sum(counted), "group": jnp.sum(group, axis=0)}
        for name, features in (("real", of_real), ("fake", of_fake)):
            kept = features * counted[:, None]
            sums |= {f"outer_{name}": kept.T @ features, f"by_group_{name}": group.T @ features}
        if spec.classes:
            sums |= _named(said_real, said_fake, group[:, :-1])
        return sums

    return judge


def _named(said_real: Array, said_fake: Array, asked: Array) -> dict[str, Array]:
    """How often each category [K] is named for reals and fakes of it, and named at all."""
    k = asked.shape[-1]
    named = [jax.nn.one_hot(jnp.argmax(said[:, :k], axis=-1), k) for said in (said_real, said_fake)]
    labelled = jnp.sum(asked, axis=-1, keepdims=True)
    return {
        "named_real": jnp.sum(named[0] * asked, axis=0),
        "named_fake": jnp.sum(named[1] * asked, axis=0),
        "produced": jnp.sum(named[1] * labelled, axis=0),
    }


def summarise(config: ConfigDict, spec: Spec, sums: dict[str, np.ndarray]) -> dict[str, float]:
    """Validation numbers of a GAN from summed eval steps.

    frechet: Frechet distance in home features; spread: mean squared feature distance within a
    category as a share of the reals'; named: share of fakes that home names as asked (and of
    reals, its own limit); categories: share of the reals' categories that are produced; the rest
    as in metrics/collapse.py.
    """
    n, rules = float(sums["examples"]), game.game_of(config)
    names = ("logit_real", "logit_fake", "logit_square", "d_loss", "d_right", "beyond")
    mean = {name: float(sums[name]) / n for name in names}
    found = {
        "frechet": frechet.distance(*_moments(sums, "real", n), *_moments(sums, "fake", n)),
        "spread": _within(sums, "fake") / max(_within(sums, "real"), 1e-12),
        "logit_gap": mean["logit_real"] - mean["logit_fake"],
        "logits": mean["logit_square"] ** 0.5,
        "d_accuracy": mean["d_right"],
        "beyond": mean["beyond"],
    }
    coin = float(rules.discriminator(jnp.zeros(1), jnp.zeros(1))[0])
    if coin > 0:
        found["d_margin"] = mean["d_loss"] / coin
    if spec.classes:
        asked = sums["group"][:-1]
        labelled = max(float(asked.sum()), 1.0)
        found["named"] = float(sums["named_fake"].sum()) / labelled
        found["named_real"] = float(sums["named_real"].sum()) / labelled
        there = asked > 0
        enough = sums["produced"] >= OFTEN * asked
        found["categories"] = float(enough[there].mean()) if there.any() else 1.0
    return found


def _moments(sums: dict[str, np.ndarray], name: str, n: float) -> tuple[np.ndarray, np.ndarray]:
    return frechet.moments(n, sums[f"by_group_{name}"].sum(0), sums[f"outer_{name}"])


def _within(sums: dict[str, np.ndarray], name: str) -> float:
    """The sum of squared distances to the mean of one's own category."""
    count, total = sums["group"], sums[f"by_group_{name}"]
    between = (np.square(total).sum(-1) / np.maximum(count, 1.0)).sum()
    return float(np.trace(sums[f"outer_{name}"]) - between)


def score(values: Metrics) -> float:
    """What the best checkpoint is chosen by, the larger the better."""
    return -float(values["frechet"])
