"""Likelihoods p(x|z): what the decoder's output means, and its negative log in nats.

All sum over the pixels and channels of an image and return one value per example [B]; the step
averages over the batch. D is the number of values in an image, H * W * C.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import jax
import jax.numpy as jnp

from prodgen.core.types import Array


class Likelihood(Protocol):
    """How an output [B, H, W, channels(C)] describes an image float [B, H, W, C] in [-1, 1]."""

    is_discrete: bool  # a probability of the 8-bit image, so that bits per dimension exist

    def channels(self, image_channels: int) -> int:
        """The number of channels of the decoder's output."""

    def mean(self, output: Array) -> Array:
        """The expected image, float [B, H, W, C] in [-1, 1]."""

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        """-log p(image | output) [B] in nats, up to a constant where `is_discrete` is false.

        `sigma2` is the shared variance of a pixel; only the calibrated likelihood reads it.
        """


def squared_error(mean: Array, image: Array) -> Array:
    """The sum of squared differences of each example, [B]; the shapes must be equal."""
    if mean.shape != image.shape:
        raise ValueError(f"shapes differ: output {mean.shape}, image {image.shape}")
    return jnp.sum(jnp.square(mean - image), axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True)
class SquaredError:
    """The plain squared error, a Gaussian of fixed variance 1/2 without its constant."""

    is_discrete = False

    def channels(self, image_channels: int) -> int:
        return image_channels

    def mean(self, output: Array) -> Array:
        return output

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        return squared_error(output, image)


@dataclasses.dataclass(frozen=True)
class CalibratedGaussian:
    """sigma-VAE: a Gaussian with one variance for all pixels, the optimal one (Rybkin et al. 2021).

    The optimal variance is the mean squared error over the whole batch. The step computes it,
    stops its gradient and passes it as `sigma2`. loss_i = SE_i / (2 sigma2) + D/2 log(2 pi sigma2);
    its gradient equals that of the paper's D/2 log MSE.
    """

    is_discrete = False

    def channels(self, image_channels: int) -> int:
        return image_channels

    def mean(self, output: Array) -> Array:
        return output

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        num_dims = math.prod(image.shape[1:])
        sigma2 = jnp.maximum(sigma2, 1e-6)  # rounding to 8 bits alone has the variance 5e-6
        squares = squared_error(output, image) / (2 * sigma2)
        return squares + num_dims / 2 * jnp.log(2 * math.pi * sigma2)


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Cross-entropy between intensities in [0, 1] and the sigmoid of the output."""

    is_discrete = False

    def channels(self, image_channels: int) -> int:
        return image_channels

    def mean(self, output: Array) -> Array:
        return 2 * jax.nn.sigmoid(output) - 1

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        if output.shape != image.shape:
            raise ValueError(f"shapes differ: output {output.shape}, image {image.shape}")
        target = (image + 1) / 2
        # -t log s(o) - (1 - t) log(1 - s(o)) = softplus(o) - t o
        cross_entropy = jax.nn.softplus(output) - target * output
        return jnp.sum(cross_entropy, axis=(1, 2, 3))


@dataclasses.dataclass(frozen=True)
class LogisticMixture:
    """A mixture of discretised logistics for each value of an image (Salimans et al. 2017).

    Unlike in the paper, channels are independent. The interval of an 8-bit value v is v +- 1/255 in
    [-1, 1]; the two outermost intervals extend to infinity. The probability of v is the mixture's
    mass in its interval: a true likelihood, in nats.
    """

    components: int = 5
    is_discrete = True

    def channels(self, image_channels: int) -> int:
        return image_channels * self.components * 3

    def _mixture_parameters(self, output: Array) -> tuple[Array, Array, Array]:
        """Log weights, means and log scales [B, H, W, C, M]."""
        parameters = output.reshape(*output.shape[:3], -1, self.components, 3)
        log_weights = jax.nn.log_softmax(parameters[..., 0], axis=-1)
        # An output of 0 gives the scale e^-2; the bounds keep the exponentials finite.
        return log_weights, parameters[..., 1], jnp.clip(parameters[..., 2] - 2.0, -7.0, 5.0)

    def mean(self, output: Array) -> Array:
        log_weights, means, _ = self._mixture_parameters(output)
        return jnp.sum(jnp.exp(log_weights) * jnp.clip(means, -1.0, 1.0), axis=-1)

    def loss(self, output: Array, image: Array, sigma2: Array) -> Array:
        log_weights, means, log_scales = self._mixture_parameters(output)
        if means.shape[:-1] != image.shape:
            raise ValueError(f"shapes differ: output {means.shape[:-1]}, image {image.shape}")
        log_mass = logistic_log_mass(image[..., None], means, log_scales)
        return -jnp.sum(jax.nn.logsumexp(log_weights + log_mass, axis=-1), axis=(1, 2, 3))


def logistic_log_mass(x: Array, mean: Array, log_scale: Array) -> Array:
    """log(cdf(x + 1/255) - cdf(x - 1/255)) of a logistic distribution, x on the 8-bit grid.

    At the ends of the grid the outer bound is infinite. Elsewhere log(sigmoid(a) - sigmoid(b)) is
    computed as log sigmoid(a) + log sigmoid(-b) + log(1 - e^(b - a)). This form is exact in both
    tails and needs no branch for tiny differences.
    """
    inverse_scale = jnp.exp(-log_scale)
    upper, lower = (x - mean + 1 / 255) * inverse_scale, (x - mean - 1 / 255) * inverse_scale
    inside = (
        jax.nn.log_sigmoid(upper)
        + jax.nn.log_sigmoid(-lower)
        + jnp.log(-jnp.expm1(-2 / 255 * inverse_scale))
    )
    # The first and the last value of the grid: everything below, everything above.
    first, last = jax.nn.log_sigmoid(upper), jax.nn.log_sigmoid(-lower)
    return jnp.where(x < -0.999, first, jnp.where(x > 0.999, last, inside))
