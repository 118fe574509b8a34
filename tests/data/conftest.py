"""Shared by the data tests: a small config, drawn pictures, and where the real ones lie."""

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
    """draw(number, side=24): a noisy RGB picture uint8 [side, side, 3], another for each number."""

    def make(number, side=24):
        rng = np.random.default_rng(number)
        picture = np.full((side, side, 3), 255, np.uint8)
        inner = rng.integers(0, 255, (side // 2, side // 2, 3), dtype=np.uint8)
        picture[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = inner
        return picture

    return make


@pytest.fixture
def fill(draw):
    """fill(folder, count): lossless pictures 0000.png, 0001.png, ... in a new folder."""

    def make(folder, count, start=0):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(start, start + count):
            Image.fromarray(draw(number)).save(folder / f"{number:04d}.png")
        return folder

    return make
