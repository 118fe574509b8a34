"""Adversarial losses: what a discriminator and a generator minimise, as functions of the logits.

`real` and `fake` are the logits D(x) and D(G(z)), [B] each, of a real image and of the generated
image that is paired with it. Every loss returns one value per example; sp(t) = log(1 + e^t).
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from prodgen.core.types import Array


class AdversarialLoss(Protocol):
    """The discriminator's and the generator's loss."""

    neutral_logit: float  # the logit of a discriminator that cannot tell real from fake
    is_relativistic: bool  # the loss depends on D(x) - D(G(z)) only; the generator needs D(x) too

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        """What the discriminator minimises, [B]."""

    def generator_loss(self, real: Array, fake: Array) -> Array:
        """What the generator minimises, [B]; only a relativistic loss reads `real`."""


def _check_logit_shapes(real: Array, fake: Array) -> None:
    if real.shape != fake.shape or real.ndim != 1:
        raise ValueError(f"logits must be two [B]: real {real.shape}, fake {fake.shape}")


def _cross_entropy(real: Array, fake: Array, smoothing: float) -> Array:
    """-log s(D(x)) - log(1 - s(D(G(z)))) with the target 1 - smoothing for reals only."""
    _check_logit_shapes(real, fake)
    softplus = jax.nn.softplus
    return (1 - smoothing) * softplus(-real) + smoothing * softplus(real) + softplus(fake)


@dataclasses.dataclass(frozen=True)
class NonSaturating:
    """L_D = -log D(x) - log(1 - D(G(z))), L_G = -log D(G(z)) (Goodfellow et al. 2014)."""

    smoothing: float = 0.0  # one-sided: reals have the target 1 - smoothing (Salimans et al. 2016)
    neutral_logit, is_relativistic = 0.0, False

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        return _cross_entropy(real, fake, self.smoothing)

    def generator_loss(self, real: Array, fake: Array) -> Array:
        return jax.nn.softplus(-fake)


@dataclasses.dataclass(frozen=True)
class Minimax:
    """L_G = log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1): its gradient fades as D improves."""

    smoothing: float = 0.0
    neutral_logit, is_relativistic = 0.0, False

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        return _cross_entropy(real, fake, self.smoothing)

    def generator_loss(self, real: Array, fake: Array) -> Array:
        return -jax.nn.softplus(fake)


@dataclasses.dataclass(frozen=True)
class LeastSquares:
    """Half squared distances to the labels 1 and 0 (Mao et al. 2017, eq. 9)."""

    smoothing: float = 0.0
    is_relativistic = False

    @property
    def neutral_logit(self) -> float:
        return 0.5 * (1 - self.smoothing)

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        _check_logit_shapes(real, fake)
        return 0.5 * (jnp.square(real - (1 - self.smoothing)) + jnp.square(fake))

    def generator_loss(self, real: Array, fake: Array) -> Array:
        return 0.5 * jnp.square(fake - 1)


@dataclasses.dataclass(frozen=True)
class Hinge:
    """L_D = max(0, 1 - D(x)) + max(0, 1 + D(G(z))), L_G = -D(G(z)) (Lim & Ye 2017)."""

    neutral_logit, is_relativistic = 0.0, False

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        _check_logit_shapes(real, fake)
        return jax.nn.relu(1 - real) + jax.nn.relu(1 + fake)

    def generator_loss(self, real: Array, fake: Array) -> Array:
        return -fake


@dataclasses.dataclass(frozen=True)
class Wasserstein:
    """L_D = D(G(z)) - D(x), L_G = -D(G(z)) (Arjovsky et al. 2017).

    D must be Lipschitz: add spectral normalisation or a gradient penalty.
    """

    neutral_logit, is_relativistic = 0.0, False

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        _check_logit_shapes(real, fake)
        return fake - real

    def generator_loss(self, real: Array, fake: Array) -> Array:
        return -fake


@dataclasses.dataclass(frozen=True)
class Relativistic:
    """L_D = sp(D(G(z)) - D(x)), L_G = sp(D(x) - D(G(z))), pair by pair.

    Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2.
    """

    neutral_logit, is_relativistic = 0.0, True

    def discriminator_loss(self, real: Array, fake: Array) -> Array:
        _check_logit_shapes(real, fake)
        return jax.nn.softplus(fake - real)

    def generator_loss(self, real: Array, fake: Array) -> Array:
        _check_logit_shapes(real, fake)
        return jax.nn.softplus(real - fake)


def overfitting_sign(loss: AdversarialLoss, real: Array, fake: Array) -> Array:
    """The sign [B] whose mean r_t measures overfitting (Karras et al. 2020, eq. 1).

    It is sign(D(x) - neutral_logit), and sign(D(x) - D(G(z))) for a relativistic loss, whose
    logits have a meaning only as differences.
    """
    return jnp.sign(real - fake if loss.is_relativistic else real - loss.neutral_logit)
