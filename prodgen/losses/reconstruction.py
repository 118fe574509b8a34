"""Likelihoods p(x|z): what the decoder's output means, and its negative log in nats.

All sum over the pixels and channels of a picture and return one value per example [B]; the step
averages over the batch. D is the number of values in a picture, H * W * C.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import jax
import jax.numpy as jnp

from prodgen.core.types import Array


class Likelihood(Protocol):
    """How an output [B, H, W, channels(C)] describes a picture float [B, H, W, C] in [-1, 1]."""

    discrete: bool  # a probability of the 8-bit picture, so that bits per dimension exist

    def channels(self, picture: int) -> int:
        """Decoder channels for `picture` channels."""

    def mean(self, output: Array) -> Array:
        """The expected picture, float [B, H, W, C] in [-1, 1]."""

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        """-log p(image | output) [B] in nats, up to a constant where `discrete` is false.

        `sigma2` is the shared variance of a pixel; only the calibrated likelihood reads it.
        """


def squared_error(mean: Array, image: Array) -> Array:
    """The sum of squared differences of each example, [B]; the shapes must be equal."""
    if mean.shape != image.shape:
        raise ValueError(f"shapes differ: output {mean.shape}, picture {image.shape}")
    return jnp.sum(jnp.square(mean - image), axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True)
class Squared:
    """The plain squared error, a Gaussian of fixed variance 1/2 without its constant."""

    discrete = False

    def channels(self, picture: int) -> int:
        return picture

    def mean(self, output: Array) -> Array:
        return output

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        return squared_error(output, image)


@dataclasses.dataclass(frozen=True)
class Sigma:
    """A Gaussian whose variance is shared by all pixels and optimal (Rybkin et al. 2021).

    The optimal variance is the mean squared error, which depends on the whole batch: the step
    computes it, stops its gradient and hands it in. loss_i = SE_i / (2 sigma2) + D/2 log(2 pi
    sigma2), whose gradient equals that of the paper's D/2 log MSE.
    """

    discrete = False

    def channels(self, picture: int) -> int:
        return picture

    def mean(self, output: Array) -> Array:
        return output

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        size = math.prod(image.shape[1:])
        sigma2 = jnp.maximum(sigma2, 1e-6)  # the eighth bit's rounding alone is 5e-6
        return squared_error(output, image) / (2 * sigma2) + size / 2 * jnp.log(
            2 * math.pi * sigma2
        )


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Cross-entropy between intensities in [0, 1] and the sigmoid of the output."""

    discrete = False

    def channels(self, picture: int) -> int:
        return picture

    def mean(self, output: Array) -> Array:
        return 2 * jax.nn.sigmoid(output) - 1

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        if output.shape != image.shape:
            raise ValueError(f"shapes differ: output {output.shape}, picture {image.shape}")
        target = (image + 1) / 2
        entropy = jax.nn.softplus(output) - target * output
        return jnp.sum(entropy, axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True)
class Logistic:
    """A mixture of discretised logistics a value (Salimans et al. 2017, without channel coupling).

    An 8-bit value v owns the interval v +- 1/255 of [-1, 1]; the outermost reach to infinity. Its
    probability is the mixture's mass there: a true likelihood, in nats.
    """

    components: int = 5
    discrete = True

    def channels(self, picture: int) -> int:
        return picture * self.components * 3

    def _parts(self, output: Array) -> tuple[Array, Array, Array]:
        """Log weights, means and log scales [B, H, W, C, M]."""
        split = output.reshape(*output.shape[:3], -1, self.components, 3)
        weights = jax.nn.log_softmax(split[..., 0], axis=-1)
        return weights, split[..., 1], jnp.clip(split[..., 2] - 2.0, -7.0, 5.0)

    def mean(self, output: Array) -> Array:
        weights, means, _ = self._parts(output)
        return jnp.sum(jnp.exp(weights) * jnp.clip(means, -1.0, 1.0), axis=-1)

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        weights, means, log_scales = self._parts(output)
        if means.shape[:-1] != image.shape:
            raise ValueError(f"shapes differ: output {means.shape[:-1]}, picture {image.shape}")
        mass = log_mass(image[..., None], means, log_scales)
        return -jnp.sum(jax.nn.logsumexp(weights + mass, axis=-1), axis=(1, 2, 3))


def log_mass(x: Array, mean: Array, log_scale: Array) -> Array:
    """log(cdf(x + 1/255) - cdf(x - 1/255)) of a logistic, the ends open, x on the 8-bit grid.

    Written as log(sigmoid(a) - sigmoid(b)) = a' + log(1 - e^(b - a)) with a' = log sigmoid(a) +
    log sigmoid(-b), which is exact in both tails and needs no branch for tiny differences.
    """
    inverse = jnp.exp(-log_scale)
    upper, lower = (x - mean + 1 / 255) * inverse, (x - mean - 1 / 255) * inverse
    inside = (
        jax.nn.log_sigmoid(upper)
        + jax.nn.log_sigmoid(-lower)
        + jnp.log(-jnp.expm1(-2 / 255 * inverse))
    )
    first, last = jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower)
    return jnp.where(x < -0.999, first, jnp.where(x > 0.999, last, inside))
