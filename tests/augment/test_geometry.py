"""Moves by hand, turns against Pillow, and the gradients' operations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from PIL import Image

from prodgen.augment import erasing, geometry

LARGEST = math.radians(15)


turn = jax.jit(lambda image, angle: geometry.rotate(image, angle, LARGEST))


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@jax.jit
def moved(image, scale=(1.0, 1.0), shift=(0.0, 0.0)):
    """One scale and shift (rows, columns) for all pictures."""
    matrices = [
        geometry.interpolation_matrices(size, jnp.full(len(image), s), jnp.full(len(image), d))
        for size, s, d in zip(image.shape[1:3], scale, shift, strict=True)
    ]
    return geometry.apply_matrices(image, *matrices)


def test_rest_is_the_identity_to_the_bit():
    image = noise(2, 8, 12, 3)
    assert moved(image).tobytes() == image.tobytes()
    assert turn(image, jnp.zeros(2)).tobytes() == image.tobytes()


def test_a_whole_shift_moves_pixels_and_lets_zeros_in():
    image = noise(2, 6, 8, 3)
    expected = np.zeros(image.shape)
    expected[:, 2:, :-3] = image[:, :-2, 3:]
    np.testing.assert_array_equal(moved(image, shift=(2.0, -3.0)), expected)


def test_each_picture_has_its_own_shift():
    image = noise(3, 4, 4, 1)
    rest, shift = jnp.ones(3), jnp.asarray([0.0, 1.0, -4.0])

    @jax.jit
    def lowered(image, shift):
        rows = geometry.interpolation_matrices(4, rest, shift)
        return geometry.apply_matrices(
            image, rows, geometry.interpolation_matrices(4, rest, 0 * shift)
        )

    found = lowered(image, shift)
    np.testing.assert_array_equal(found[0], image[0])
    np.testing.assert_array_equal(found[1, 1:], image[1, :-1])
    np.testing.assert_array_equal(found[2], np.zeros((4, 4, 1)))


def test_half_a_pixel_is_the_mean_of_two():
    image = noise(1, 4, 4, 1)
    image, found = np.asarray(image), np.asarray(moved(image, shift=(0.0, 0.5)))
    np.testing.assert_allclose(found[:, :, 1:], (image[:, :, 1:] + image[:, :, :-1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(found[:, :, 0], image[:, :, 0] / 2, rtol=1e-6)


@pytest.mark.parametrize("size", [7, 8])
def test_a_negative_scale_mirrors(size):
    image = noise(2, size, size, 3)
    np.testing.assert_array_equal(moved(image, scale=(1.0, -1.0)), image[:, :, ::-1])
    np.testing.assert_array_equal(moved(image, scale=(-1.0, 1.0)), image[:, ::-1])


def test_scale_by_hand():
    """Twice as wide: pixel i reads (i - 1.5) / 2 + 1.5 = 0.75, 1.25, 1.75, 2.25 of 4."""
    image = jnp.asarray([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 4, 1)
    found = moved(image, scale=(1.0, 2.0))
    np.testing.assert_allclose(found.ravel(), [0.75, 1.25, 1.75, 2.25])
    half = moved(image + 1, scale=(1.0, 0.5))  # reads -1.5, 0.5, 2.5, 4.5
    np.testing.assert_allclose(half.ravel(), [0.0, 1.5, 3.5, 0.0])


def smooth(height, width):
    """An elongated blob off the centre, 0 at the border."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y - 0.45 * height, x - 0.55 * width
    return np.exp(-(x**2) / (2 * 8.0**2) - y**2 / (2 * 5.0**2) - x * y / 180).astype(np.float32)


@pytest.mark.parametrize("degrees", [-15, -6, 4, 10, 15])
@pytest.mark.parametrize("shape", [(64, 64), (61, 72)])
def test_a_turn_is_pillows(degrees, shape):
    """Half a pixel beside it would be 0.06 off."""
    picture = smooth(*shape)
    expected = np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BICUBIC))
    found = turn(jnp.asarray(picture)[None, ..., None], jnp.full(1, math.radians(degrees)))
    assert np.abs(found[0, ..., 0] - expected).max() < 0.02
    assert np.abs(picture - expected).max() > 0.05


def test_a_turn_reaches_the_corners():
    """Ones turned are ones wherever the turned frame covers: nothing is lost between shears."""
    found = turn(jnp.ones((1, 32, 32, 1)), jnp.full(1, LARGEST))[0, ..., 0]
    y, x = np.mgrid[:32, :32] - 15.5
    c, s = np.cos(LARGEST), np.sin(LARGEST)
    within = np.maximum(abs(c * x - s * y), abs(s * x + c * y)) < 14
    np.testing.assert_allclose(found[within], 1, atol=1e-5)
    assert found[0, 0] == 0


def test_a_turn_takes_angles_up_to_the_largest_only_for_its_reach():
    image = noise(3, 16, 16, 2)
    angles = jnp.asarray([-0.1, 0.0, 0.17])
    rotate = jax.jit(geometry.rotate, static_argnums=2)
    near, wide = (rotate(image, angles, largest) for largest in (0.17, 0.3))
    np.testing.assert_allclose(near, wide, atol=1e-5)


@jax.jit
def everything(image):
    """All moves, with one parameter for each picture."""
    spread = jnp.linspace(-1.0, 1.0, len(image), dtype=image.dtype)
    turned = geometry.rotate(image, 0.2 * spread, LARGEST)
    rows = geometry.interpolation_matrices(image.shape[1], 1.25**spread, 1.3 * spread)
    columns = geometry.interpolation_matrices(image.shape[2], -(0.9**spread), spread)
    found = geometry.apply_matrices(turned, rows, columns)
    return erasing.erase_box(found, spread > 0.5, (spread + 1) / 2.1, (spread + 1) / 3)


def test_every_move_is_linear_and_leaves_an_empty_picture_empty():
    a, b = noise(3, 8, 8, 3), noise(3, 8, 8, 3)[::-1]
    np.testing.assert_allclose(everything(2 * a - b), 2 * everything(a) - everything(b), atol=1e-5)
    np.testing.assert_array_equal(everything(0 * a), 0 * a)


def test_first_and_second_derivatives():
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 7, 1)))
        assert everything(image).dtype == jnp.float64
        value = jax.jit(lambda x: jnp.sum(jnp.sin(everything(x))))
        check_grads(value, (image,), order=2, modes=["rev"])


def penalty(image):
    """A gradient penalty through the moves."""
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(everything(x))))(image)
    return jnp.sum(jnp.square(slope))


@pytest.mark.parametrize("function", [lambda x: jnp.sum(everything(x)), penalty])
def test_gradients_neither_gather_nor_scatter_nor_convolve(function):
    image = noise(4, 16, 16, 3)
    traced = str(jax.make_jaxpr(jax.grad(function))(image))
    compiled = jax.jit(jax.grad(function)).lower(image).compile().as_text()
    for word in ("gather", "scatter", "conv_general"):
        assert word not in traced
    for word in (" gather(", " scatter(", " convolution("):
        assert word not in compiled


def test_a_box_of_half_the_side_is_cut():
    image = jnp.ones((4, 8, 8, 2))
    place = jnp.asarray([0.0, 0.5, 0.5, 0.999])
    found = jax.jit(erasing.erase_box)(image, jnp.asarray([True, True, False, True]), place, place)
    gone = np.asarray(found == 0)
    expected = np.zeros((4, 8, 8, 2), bool)
    expected[0, :2, :2], expected[1, 2:6, 2:6], expected[3, 6:, 6:] = True, True, True
    np.testing.assert_array_equal(gone, expected)


def test_an_odd_box_has_its_centre_on_a_pixel():
    place = (jnp.arange(6) + 0.5) / 6
    found = jax.jit(erasing.erase_box)(jnp.ones((6, 6, 6, 1)), jnp.ones(6, bool), place, place)
    for i in range(6):
        gone = np.flatnonzero(found[i, i, :, 0] == 0)
        np.testing.assert_array_equal(gone, np.arange(max(0, i - 1), min(6, i + 2)))
