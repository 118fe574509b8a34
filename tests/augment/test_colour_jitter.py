"""Brightness, saturation and contrast against values computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from prodgen.augment import colour_jitter


def noise(*shape):
    return jnp.asarray(np.random.default_rng(1).uniform(-1, 1, size=shape), jnp.float32)


def test_brightness_is_added():
    image = noise(2, 3, 3, 3)
    result = colour_jitter.adjust_brightness(image, jnp.asarray([0.25, -0.5]))
    np.testing.assert_allclose(
        result - image, np.stack([0 * image[0] + 0.25, 0 * image[1] - 0.5]), atol=1e-6
    )


def test_saturation_scales_the_distance_to_the_mean_of_the_channels():
    image = jnp.asarray([0.9, 0.3, 0.0]).reshape(1, 1, 1, 3).repeat(2, axis=0)  # mean 0.4
    result = colour_jitter.adjust_saturation(image, jnp.asarray([2.0, 0.0]))
    np.testing.assert_allclose(result[0, 0, 0], [1.4, 0.2, -0.4], atol=1e-6)
    np.testing.assert_allclose(result[1, 0, 0], [0.4, 0.4, 0.4], atol=1e-6)


def test_saturation_does_not_change_a_grey_image():
    image, factor = noise(3, 4, 4, 1), jnp.asarray([0.0, 1.3, 2.0])
    assert colour_jitter.adjust_saturation(image, factor).tobytes() == image.tobytes()


def test_contrast_scales_the_distance_to_the_mean_of_the_image():
    image, factor = noise(2, 5, 5, 3), jnp.asarray([0.5, 1.5])
    result = colour_jitter.adjust_contrast(image, factor)
    for i in range(2):
        mean = np.mean(image[i])
        np.testing.assert_allclose(result[i], mean + factor[i] * (image[i] - mean), atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "rest"),
    [
        (colour_jitter.adjust_brightness, 0.0),
        (colour_jitter.adjust_saturation, 1.0),
        (colour_jitter.adjust_contrast, 1.0),
    ],
)
def test_the_neutral_strength_is_the_identity_to_the_bit(transform, rest):
    image = noise(3, 7, 7, 3)
    assert transform(image, jnp.full(3, rest)).tobytes() == image.tobytes()
    assert jax.jit(transform)(image, jnp.full(3, rest)).tobytes() == image.tobytes()


def test_first_and_second_derivatives():
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 3, 3)))
        amount = jnp.asarray([0.3, 1.7])

        @jax.jit
        def value(x):
            for transform in (
                colour_jitter.adjust_brightness,
                colour_jitter.adjust_saturation,
                colour_jitter.adjust_contrast,
            ):
                x = jnp.sin(transform(x, amount))
            return jnp.sum(x)

        check_grads(value, (image,), order=2)
