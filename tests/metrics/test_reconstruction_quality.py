"""PSNR and SSIM against their definitions in float64."""

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from prodgen.metrics import reconstruction_quality


def images(channels=3):
    rng = np.random.default_rng(channels)
    a = np.clip(rng.normal(0, 0.5, (2, 20, 24, channels)), -1, 1)
    return a.astype(np.float32), np.clip(a + rng.normal(0, 0.1, a.shape), -1, 1).astype(np.float32)


def test_psnr_by_hand():
    a, b = np.zeros((1, 4, 4, 1), np.float32), np.full((1, 4, 4, 1), 0.2, np.float32)
    assert float(reconstruction_quality.psnr(a, b)[0]) == pytest.approx(
        20.0, abs=1e-4
    )  # 10 log10(4 / .04)
    assert float(reconstruction_quality.psnr(a, a)[0]) == pytest.approx(100.0, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_against_a_reference_in_float64(channels):
    a, b = images(channels)
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(x):
        x = correlate1d(correlate1d(x.astype(np.float64), window, axis=1), window, axis=2)
        return x[:, 5:-5, 5:-5]

    c1, c2 = 0.02**2, 0.06**2
    ma, mb = blur(a), blur(b)
    va, vb, c = (blur(x.astype(np.float64)) for x in (a * a, b * b, a * b))
    va, vb, c = va - ma**2, vb - mb**2, c - ma * mb
    score = (2 * ma * mb + c1) * (2 * c + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    np.testing.assert_allclose(reconstruction_quality.ssim(a, b), score.mean((1, 2, 3)), rtol=2e-4)


def test_ssim_of_an_image_with_itself_is_one():
    a, _ = images()
    np.testing.assert_allclose(reconstruction_quality.ssim(a, a), 1.0, rtol=1e-6)


def test_explained_edges_are_one_of_the_image_and_zero_of_a_flat_one():
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[:, 2:6, 2:6] = 200
    half = image // 2
    flat = np.full_like(image, 90)
    images, copies = np.concatenate([image] * 3), np.concatenate([image, half, flat])
    shares = reconstruction_quality.explained_edges(images, copies)
    np.testing.assert_allclose(shares, [1.0, 0.75, 0.0])
