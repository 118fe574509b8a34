"""Adversarial losses: what a discriminator and a generator minimise, as functions of the logits.

`real` and `fake` are the logits D(x) and D(G(z)), [B] each, of a real picture and of the generated
one that it is paired with. Every loss returns one value per example; sp(t) = log(1 + e^t).
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from prodgen.core.types import Array


class Adversarial(Protocol):
    """The two sides of one game."""

    undecided: float  # the logit of a discriminator that cannot tell
    relative: bool  # only differences of logits mean anything: the generator needs reals as well

    def discriminator(self, real: Array, fake: Array) -> Array:
        """What the discriminator minimises, [B]."""

    def generator(self, real: Array, fake: Array) -> Array:
        """What the generator minimises, [B]; only a `relative` loss reads `real`."""


def _same(real: Array, fake: Array) -> None:
    if real.shape != fake.shape or real.ndim != 1:
        raise ValueError(f"logits must be two [B]: real {real.shape}, fake {fake.shape}")


def _cross_entropy(real: Array, fake: Array, smoothing: float) -> Array:
    """-log s(D(x)) - log(1 - s(D(G(z)))) with the target 1 - smoothing for reals only."""
    _same(real, fake)
    softplus = jax.nn.softplus
    return (1 - smoothing) * softplus(-real) + smoothing * softplus(real) + softplus(fake)


@dataclasses.dataclass(frozen=True)
class NonSaturating:
    """L_D = -log D(x) - log(1 - D(G(z))), L_G = -log D(G(z)) (Goodfellow et al. 2014)."""

    smoothing: float = 0.0  # one-sided: reals are called 1 - smoothing (Salimans et al. 2016)
    undecided, relative = 0.0, False

    def discriminator(self, real: Array, fake: Array) -> Array:
        return _cross_entropy(real, fake, self.smoothing)

    def generator(self, real: Array, fake: Array) -> Array:
        return jax.nn.softplus(-fake)


@dataclasses.dataclass(frozen=True)
class Minimax:
    """The game as first written: L_G = log(1 - D(G(z))), whose gradient fades as D wins."""

    smoothing: float = 0.0
    undecided, relative = 0.0, False

    def discriminator(self, real: Array, fake: Array) -> Array:
        return _cross_entropy(real, fake, self.smoothing)

    def generator(self, real: Array, fake: Array) -> Array:
        return -jax.nn.softplus(fake)


@dataclasses.dataclass(frozen=True)
class LeastSquares:
    """Half squared distances to the labels 1 and 0 (Mao et al. 2017, eq. 9)."""

    smoothing: float = 0.0
    relative = False

    @property
    def undecided(self) -> float:
        return 0.5 * (1 - self.smoothing)

    def discriminator(self, real: Array, fake: Array) -> Array:
        _same(real, fake)
        return 0.5 * (jnp.square(real - (1 - self.smoothing)) + jnp.square(fake))

    def generator(self, real: Array, fake: Array) -> Array:
        return 0.5 * jnp.square(fake - 1)


@dataclasses.dataclass(frozen=True)
class Hinge:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) against -D(G(z)) (Lim & Ye 2017)."""

    undecided, relative = 0.0, False

    def discriminator(self, real: Array, fake: Array) -> Array:
        _same(real, fake)
        return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)

    def generator(self, real: Array, fake: Array) -> Array:
        return -fake


@dataclasses.dataclass(frozen=True)
class Wasserstein:
    """D(G(z)) - D(x) against -D(G(z)); D must be held Lipschitz (Arjovsky et al. 2017)."""

    undecided, relative = 0.0, False

    def discriminator(self, real: Array, fake: Array) -> Array:
        _same(real, fake)
        return fake - real

    def generator(self, real: Array, fake: Array) -> Array:
        return -fake


@dataclasses.dataclass(frozen=True)
class Relativistic:
    """sp(-(D(x) - D(G(z)))) against its mirror image, pair by pair (Jolicoeur-Martineau 2019;
    Huang et al. 2024, eq. 2): a fake has to beat the real picture that it is paired with."""

    undecided, relative = 0.0, True

    def discriminator(self, real: Array, fake: Array) -> Array:
        _same(real, fake)
        return jax.nn.softplus(fake - real)

    def generator(self, real: Array, fake: Array) -> Array:
        _same(real, fake)
        return jax.nn.softplus(real - fake)


def realness(game: Adversarial, real: Array, fake: Array) -> Array:
    """How sure a discriminator is of the reals, as a sign [B]: what tells that it overfits.

    sign(D(x) - undecided) where logits have a zero of their own; sign(D(x) - D(G(z))) where only
    differences mean anything.
    """
    return jnp.sign(real - fake if game.relative else real - game.undecided)
