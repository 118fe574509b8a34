"""Transforms by hand, rotations against Pillow, and the gradients' operations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from PIL import Image

from prodgen.augment import erasing, geometry

MAX_ANGLE = math.radians(15)


rotate_jit = jax.jit(lambda image, angle: geometry.rotate(image, angle, MAX_ANGLE))


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@jax.jit
def transform(image, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    """One scale and shift (rows, columns) for all images."""
    matrices = [
        geometry.interpolation_matrices(size, jnp.full(len(image), s), jnp.full(len(image), d))
        for size, s, d in zip(image.shape[1:3], scale, shift, strict=True)
    ]
    return geometry.apply_matrices(image, *matrices)


def test_neutral_parameters_are_the_identity_to_the_bit():
    image = noise(2, 8, 12, 3)
    assert transform(image).tobytes() == image.tobytes()
    assert rotate_jit(image, jnp.zeros(2)).tobytes() == image.tobytes()


def test_a_whole_shift_moves_pixels_and_lets_zeros_in():
    image = noise(2, 6, 8, 3)
    reference = np.zeros(image.shape)
    reference[:, 2:, :-3] = image[:, :-2, 3:]
    np.testing.assert_array_equal(transform(image, shift=(2.0, -3.0)), reference)


def test_each_image_has_its_own_shift():
    image = noise(3, 4, 4, 1)
    rest, shift = jnp.ones(3), jnp.asarray([0.0, 1.0, -4.0])

    @jax.jit
    def shift_down(image, shift):
        rows = geometry.interpolation_matrices(4, rest, shift)
        return geometry.apply_matrices(
            image, rows, geometry.interpolation_matrices(4, rest, 0 * shift)
        )

    result = shift_down(image, shift)
    np.testing.assert_array_equal(result[0], image[0])
    np.testing.assert_array_equal(result[1, 1:], image[1, :-1])
    np.testing.assert_array_equal(result[2], np.zeros((4, 4, 1)))


def test_half_a_pixel_is_the_mean_of_two():
    image = noise(1, 4, 4, 1)
    image, result = np.asarray(image), np.asarray(transform(image, shift=(0.0, 0.5)))
    np.testing.assert_allclose(
        result[:, :, 1:], (image[:, :, 1:] + image[:, :, :-1]) / 2, rtol=1e-6
    )
    np.testing.assert_allclose(result[:, :, 0], image[:, :, 0] / 2, rtol=1e-6)


@pytest.mark.parametrize("size", [7, 8])
def test_a_negative_scale_mirrors(size):
    image = noise(2, size, size, 3)
    np.testing.assert_array_equal(transform(image, scale=(1.0, -1.0)), image[:, :, ::-1])
    np.testing.assert_array_equal(transform(image, scale=(-1.0, 1.0)), image[:, ::-1])


def test_scale_equals_hand_computed_values():
    """Twice as wide: pixel i reads (i - 1.5) / 2 + 1.5 = 0.75, 1.25, 1.75, 2.25 of 4."""
    image = jnp.asarray([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 4, 1)
    result = transform(image, scale=(1.0, 2.0))
    np.testing.assert_allclose(result.ravel(), [0.75, 1.25, 1.75, 2.25])
    half = transform(image + 1, scale=(1.0, 0.5))  # reads -1.5, 0.5, 2.5, 4.5
    np.testing.assert_allclose(half.ravel(), [0.0, 1.5, 3.5, 0.0])


def smooth(height, width):
    """An elongated blob off the centre, 0 at the border."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - 0.45 * height, x - 0.55 * width
    return np.exp(-(x**2) / (2 * 8.0**2) - y**2 / (2 * 5.0**2) - x * y / 180).astype(np.float32)


@pytest.mark.parametrize("degrees", [-15, -6, 4, 10, 15])
@pytest.mark.parametrize("shape", [(64, 64), (61, 72)])
def test_a_rotation_equals_pillows(degrees, shape):
    """Half a pixel beside it would be 0.06 off."""
    image = smooth(*shape)
    reference = np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC))
    result = rotate_jit(jnp.asarray(image)[None, ..., None], jnp.full(1, math.radians(degrees)))
    assert np.abs(result[0, ..., 0] - reference).max() < 0.02
    assert np.abs(image - reference).max() > 0.05


def test_a_rotation_covers_the_corners():
    """Ones turned are ones wherever the turned frame covers: nothing is lost between shears."""
    result = rotate_jit(jnp.ones((1, 32, 32, 1)), jnp.full(1, MAX_ANGLE))[0, ..., 0]
    y, x = np.mgrid[:32, :32] - 15.5
    c, s = np.cos(MAX_ANGLE), np.sin(MAX_ANGLE)
    within = np.maximum(abs(c * x - s * y), abs(s * x + c * y)) < 14
    np.testing.assert_allclose(result[within], 1, atol=1e-5)
    assert result[0, 0] == 0


def test_the_maximal_angle_changes_only_the_number_of_taps():
    image = noise(3, 16, 16, 2)
    angles = jnp.asarray([-0.1, 0.0, 0.17])
    rotate = jax.jit(geometry.rotate, static_argnums=2)
    near, wide = (rotate(image, angles, largest) for largest in (0.17, 0.3))
    np.testing.assert_allclose(near, wide, atol=1e-5)


@jax.jit
def all_transforms(image):
    """All transforms, with one parameter for each image."""
    spread = jnp.linspace(-1.0, 1.0, len(image), dtype=image.dtype)
    rotated_image = geometry.rotate(image, 0.2 * spread, MAX_ANGLE)
    rows = geometry.interpolation_matrices(image.shape[1], 1.25**spread, 1.3 * spread)
    columns = geometry.interpolation_matrices(image.shape[2], -(0.9**spread), spread)
    result = geometry.apply_matrices(rotated_image, rows, columns)
    return erasing.erase_box(result, spread > 0.5, (spread + 1) / 2.1, (spread + 1) / 3)


def test_every_transform_is_linear_and_maps_zeros_to_zeros():
    a, b = noise(3, 8, 8, 3), noise(3, 8, 8, 3)[::-1]
    np.testing.assert_allclose(
        all_transforms(2 * a - b), 2 * all_transforms(a) - all_transforms(b), atol=1e-5
    )
    np.testing.assert_array_equal(all_transforms(0 * a), 0 * a)


def test_first_and_second_derivatives():
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 7, 1)))
        assert all_transforms(image).dtype == jnp.float64
        value = jax.jit(lambda x: jnp.sum(jnp.sin(all_transforms(x))))
        check_grads(value, (image,), order=2, modes=["rev"])


def penalty(image):
    """A gradient penalty through the transforms."""
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(all_transforms(x))))(image)
    return jnp.sum(jnp.square(slope))


@pytest.mark.parametrize("function", [lambda x: jnp.sum(all_transforms(x)), penalty])
def test_gradients_neither_gather_nor_scatter_nor_convolve(function):
    image = noise(4, 16, 16, 3)
    jaxpr = str(jax.make_jaxpr(jax.grad(function))(image))
    hlo = jax.jit(jax.grad(function)).lower(image).compile().as_text()
    for word in ("gather", "scatter", "conv_general"):
        assert word not in jaxpr
    for word in (" gather(", " scatter(", " convolution("):
        assert word not in hlo


def test_a_box_of_half_the_side_is_cut():
    image = jnp.ones((4, 8, 8, 2))
    place = jnp.asarray([0.0, 0.5, 0.5, 0.999])
    result = jax.jit(erasing.erase_box)(image, jnp.asarray([True, True, False, True]), place, place)
    is_erased = np.asarray(result == 0)
    reference = np.zeros((4, 8, 8, 2), bool)
    reference[0, :2, :2], reference[1, 2:6, 2:6], reference[3, 6:, 6:] = True, True, True
    np.testing.assert_array_equal(is_erased, reference)


def test_an_odd_box_has_its_centre_on_a_pixel():
    place = (jnp.arange(6) + 0.5) / 6
    result = jax.jit(erasing.erase_box)(jnp.ones((6, 6, 6, 1)), jnp.ones(6, bool), place, place)
    for i in range(6):
        is_erased = np.flatnonzero(result[i, i, :, 0] == 0)
        np.testing.assert_array_equal(is_erased, np.arange(max(0, i - 1), min(6, i + 2)))
