"""Fixtures of the data tests: a small config, synthetic images, and folders of them."""

import numpy as np
import pytest
from PIL import Image

from configs import base


@pytest.fixture
def data(tmp_path):
    """config.data of a small test, its cache inside the test's folder."""
    section = base.get_config().data
    section.resolution = 16
    section.workers = 1
    section.cache_dir = str(tmp_path / "cache")
    return section


@pytest.fixture
def draw():
    """draw(number, side=24): a noisy RGB image uint8 [side, side, 3], different for each number."""

    def make(number, side=24):
        rng = np.random.default_rng(number)
        image = np.full((side, side, 3), 255, np.uint8)
        inner = rng.integers(0, 255, (side // 2, side // 2, 3), dtype=np.uint8)
        image[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = inner
        return image

    return make


@pytest.fixture
def fill(draw):
    """fill(folder, count): lossless images 0000.png, 0001.png, ... in a new folder."""

    def make(folder, count, start=0):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(start, start + count):
            Image.fromarray(draw(number)).save(folder / f"{number:04d}.png")
        return folder

    return make
