"""Eight virtual devices for every test, and stores of made-up products."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault(
    "XLA_FLAGS", "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)

import pytest

from prodgen.data import prepare
from tests.tiny import Squares, Turned, tiny

LONGEST = ("test_resume.py", "test_parity.py", "test_gan.py", "test_configs.py")


def pytest_collection_modifyitems(items):
    """The longest files first, so that several workers (-n 2) end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def prepared(source, tmp_path_factory):
    """A source's store at 16 px, in a cache of its own."""
    data = tiny().data
    with data.unlocked():
        data.cache_dir = str(tmp_path_factory.mktemp("cache"))
    return prepare.prepare(source, data)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The squares, prepared at 16 px."""
    return prepared(Squares(), tmp_path_factory)


@pytest.fixture(scope="session")
def grey_store(tmp_path_factory):
    return prepared(Squares(channels=1), tmp_path_factory)


@pytest.fixture(scope="session")
def turned(tmp_path_factory):
    """The squares with a camera's azimuth and elevation."""
    return prepared(Turned(), tmp_path_factory)
