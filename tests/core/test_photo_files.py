"""Encoded photos: the format, the pixels, and what the file says about its origin."""

import io

import numpy as np
import pytest
from PIL import Image

from prodgen.core import photo_files, provenance


@pytest.fixture(scope="module")
def photo():
    y, x = np.mgrid[:64, :48]
    return np.stack([x * 5, y * 3, x + y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", photo_files.SUFFIXES)
def test_a_file_has_its_format_and_the_pixels(photo, name):
    content = photo_files.encode_photo(photo, name, 95)
    assert content == photo_files.encode_photo(photo, name, 95)
    image = Image.open(io.BytesIO(content))
    assert image.format == name.upper()
    difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - photo)
    assert difference.max() <= (0 if name == "png" else 24) and difference.mean() < 3


def test_quality_changes_the_size(photo):
    for name in ("jpeg", "webp"):
        sizes = [len(photo_files.encode_photo(photo, name, quality)) for quality in (40, 95)]
        assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", photo_files.SUFFIXES)
def test_a_file_says_whether_a_model_took_part(tmp_path, photo, name):
    for action in ("composed", "composed of generated pictures"):
        text = provenance.build_png_text(action, "no run")
        path = tmp_path / f"{len(action)}{photo_files.SUFFIXES[name]}"
        path.write_bytes(photo_files.encode_photo(photo, name, 90, text))
        assert provenance.is_generated(path) == ("generated" in action)
